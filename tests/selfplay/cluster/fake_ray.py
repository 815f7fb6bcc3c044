"""A Ray made of plain objects, and what a pool on it should bring back.

What an actor answers is decided when it is asked; `wait` hands out the newest answer first.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.cluster import plan
from selfplay.cluster.failures import LOST
from selfplay.cluster.ray_pool import RayPool
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig

SPEC = StreamSpec("tic_tac_toe", NetworkConfig(), SearchConfig(), SelfPlayConfig(), seed=0)


class RayError(Exception):
    """Whatever Ray raises."""


class Lost(RayError):
    """What Ray raises for an actor that died."""

    actor_init_failed = False


class Soon(Lost):
    """One that is noticed before all else."""


class Late(Lost):
    """One that is noticed after all else."""


class NotStarted(Lost):
    """The same for one that died while it was made."""

    actor_init_failed = True


class OfCode(RayError):
    """What Ray raises for an exception in an actor's code, which is its cause."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"a stack\nof calls\n{cause}")
        self.cause = cause


@dataclass(eq=False)
class Answer:
    """A reference: a value or an exception, and whose it is."""

    value: Any
    actor: int


@dataclass
class FakeRay:
    """Just what the pool uses. `losses`: how often each stream's actor dies."""

    losses: Counter[int] = field(default_factory=Counter)
    fails: Exception | None = None  # what they die of, if they do not vanish
    fingerprints: dict[int, Any] = field(default_factory=dict)  # of the n-th actor; others "same"
    never: set[int] = field(default_factory=set)  # actors that are not heard of again
    dead: set[int] = field(default_factory=set)  # actors that are lost when they are asked
    fatal: set[int] = field(default_factory=set)  # streams in whose play the only node dies, once
    hung: set[int] = field(default_factory=set)  # streams whose players are not heard of again
    resources: list[dict[str, float]] = field(default_factory=lambda: [{"CPU": 8.0}])  # of nodes
    head: str = "nowhere"  # its address
    started: int = 0
    killed: int = 0
    busiest: int = 0  # most pieces of work one actor had at a time
    played: list[tuple[int, int]] = field(default_factory=list)  # (actor, stream)

    exceptions = SimpleNamespace(
        **dict.fromkeys(LOST, Lost), RayError=RayError, RayTaskError=OfCode
    )

    def remote(self, _: type) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.start))

    def start(self, *_: Any) -> Any:
        number, self.started = self.started, self.started + 1

        def play(version: int, params: Any, carry: Any, iteration: int, stream: int) -> Answer:
            self.played.append((number, stream))
            if stream in self.fatal:
                self.fatal.remove(stream)
                self.dead = set(range(self.started))
            if number in self.dead:
                return Answer(Late(f"actor {number} had died"), number)
            if stream in self.hung:
                return Answer("hung", number)
            if self.losses[stream]:
                self.losses[stream] -= 1
                return Answer(self.fails or Lost(f"actor {number} died"), number)
            return Answer(((carry + 1, (version, params, iteration, stream)), 0.01), number)

        fingerprint = self.fingerprints.get(number, "same")
        return SimpleNamespace(
            play=SimpleNamespace(remote=play),
            fingerprint=SimpleNamespace(remote=lambda: Answer(fingerprint, number)),
            stay=SimpleNamespace(remote=lambda: Answer("hung", number)),
        )

    def put(self, value: Any) -> Any:
        return value

    def get(self, asked: Any) -> Any:
        if isinstance(asked, list):
            return [self.get(one) for one in asked]
        if isinstance(asked.value, Exception):
            raise asked.value
        return asked.value

    def wait(self, flying: list[Answer], **_: Any) -> tuple[list[Answer], list[Answer]]:
        self.busiest = max(self.busiest, *Counter(answer.actor for answer in flying).values())
        heard = [a for a in flying if a.actor not in self.never and a.value != "hung"]
        if not heard:
            time.sleep(0.001)

        def order(answer: Answer) -> tuple[bool, ...]:  # who joins comes first, then the newest
            value = answer.value
            sooner, later = isinstance(value, Soon), isinstance(value, Late)
            return sooner, value in ("same", "other"), not later

        heard.sort(key=order)
        return heard[-1:], heard[:-1]

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(gcs_address=self.head)

    def nodes(self) -> list[dict[str, Any]]:
        dead = {"Alive": False, "NodeID": "dead", "Resources": {"CPU": 99.0}}
        alive = enumerate(self.resources)
        return [dead, *({"Alive": True, "NodeID": str(i), "Resources": n} for i, n in alive)]

    def kill(self, _: Any) -> None:
        self.killed += 1

    def shutdown(self) -> None:
        self.killed += 1000


def collected(workers: RayPool, streams: int, iteration: int = 4) -> list[Any]:
    """Results of one iteration by version 3; stream s's carry is 10 · s."""
    workers.submit(plan.Work(iteration, 3, streams), "params", [10 * s for s in range(streams)])
    return workers.collect()


def right(streams: int, iteration: int = 4) -> list[Any]:
    return [(10 * s + 1, (3, "params", iteration, s)) for s in range(streams)]
