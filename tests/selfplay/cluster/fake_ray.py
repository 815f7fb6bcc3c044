"""A fake Ray of plain objects, and the results that a pool on it should return.

An actor's result is decided when it is called; `wait` returns the newest result first.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.cluster import plan
from selfplay.cluster.ray_errors import LOST
from selfplay.cluster.ray_pool import RayPool
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig

SPEC = StreamSpec("tic_tac_toe", NetworkConfig(), SearchConfig(), SelfPlayConfig(), seed=0)


class RayError(Exception):
    """Base class of the fake's exceptions."""


class Lost(RayError):
    """Exception for an actor that died."""

    actor_init_failed = False


class Soon(Lost):
    """A death that `wait` reports before everything else."""


class Late(Lost):
    """A death that `wait` reports after everything else."""


class NotStarted(Lost):
    """Exception for an actor that died in its constructor."""

    actor_init_failed = True


class OfCode(RayError):
    """Exception for an error in an actor's code, which is its `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"a stack\nof calls\n{cause}")
        self.cause = cause


@dataclass(eq=False)
class Answer:
    """A reference: a value or an exception, and the actor that it comes from."""

    value: Any
    actor: int


@dataclass
class FakeRay:
    """The part of Ray that the pool uses. `losses`: how often each stream's actor dies."""

    losses: Counter[int] = field(default_factory=Counter)
    fails: Exception | None = None  # what they die of, if they do not vanish
    fingerprints: dict[int, Any] = field(default_factory=dict)  # of the n-th actor; others "same"
    silent_actors: set[int] = field(default_factory=set)  # never answer again
    dead_actors: set[int] = field(default_factory=set)  # a call to them fails at once
    fatal_streams: set[int] = field(default_factory=set)  # their play kills the node, once
    hanging_streams: set[int] = field(default_factory=set)  # their play never ends
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
            if stream in self.fatal_streams:
                self.fatal_streams.remove(stream)
                self.dead_actors = set(range(self.started))
            if number in self.dead_actors:
                return Answer(Late(f"actor {number} had died"), number)
            if stream in self.hanging_streams:
                return Answer("hung", number)
            if self.losses[stream]:
                self.losses[stream] -= 1
                return Answer(self.fails or Lost(f"actor {number} died"), number)
            return Answer(((carry + 1, (version, params, iteration, stream)), 0.01), number)

        fingerprint = self.fingerprints.get(number, "same")
        return SimpleNamespace(
            play=SimpleNamespace(remote=play),
            fingerprint=SimpleNamespace(remote=lambda: Answer(fingerprint, number)),
            block_until_killed=SimpleNamespace(remote=lambda: Answer("hung", number)),
        )

    def put(self, value: Any) -> Any:
        return value

    def get(self, reference: Any) -> Any:
        if isinstance(reference, list):
            return [self.get(item) for item in reference]
        if isinstance(reference.value, Exception):
            raise reference.value
        return reference.value

    def wait(self, references: list[Answer], **_: Any) -> tuple[list[Answer], list[Answer]]:
        self.busiest = max(self.busiest, *Counter(answer.actor for answer in references).values())
        ready = [a for a in references if a.actor not in self.silent_actors and a.value != "hung"]
        if not ready:
            time.sleep(0.001)

        def order(answer: Answer) -> tuple[bool, ...]:  # who joins comes first, then the newest
            value = answer.value
            sooner, later = isinstance(value, Soon), isinstance(value, Late)
            return sooner, value in ("same", "other"), not later

        ready.sort(key=order)
        return ready[-1:], ready[:-1]

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


def play_iteration(workers: RayPool, streams: int, iteration: int = 4) -> list[Any]:
    """Results of one iteration by version 3; stream s's carry is 10 · s."""
    params: Any = "params"
    carries: list[Any] = [10 * s for s in range(streams)]
    workers.submit(plan.Work(iteration, 3, streams), params, carries)
    return workers.collect()


def expected_results(streams: int, iteration: int = 4) -> list[Any]:
    return [(10 * s + 1, (3, "params", iteration, s)) for s in range(streams)]
