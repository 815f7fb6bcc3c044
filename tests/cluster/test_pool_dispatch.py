"""The pool's dispatch, on a Ray made of plain objects: order, losses, and who is let in.

What an actor answers is decided when it is asked; `wait` hands out the newest answer first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from selfplay.cluster import plan, pool
from selfplay.cluster.config import ClusterConfig


class Lost(Exception):
    """What Ray raises for an actor that died."""


@dataclass(eq=False)
class Answer:
    """A reference: a value or an exception, and whose it is."""

    value: Any
    actor: int


@dataclass
class FakeRay:
    """Just what the pool uses. `losses`: how often each stream's actor dies; `probes`: in turn."""

    losses: Counter[int] = field(default_factory=Counter)
    probes: dict[int, str] = field(default_factory=dict)  # of the n-th actor; others "same"
    started: int = 0
    killed: int = 0
    busiest: int = 0  # most pieces of work one actor had at a time
    played: list[tuple[int, int]] = field(default_factory=list)  # (actor, stream)

    exceptions = SimpleNamespace(RayActorError=Lost, ObjectLostError=Lost)

    def remote(self, _: type) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.start))

    def start(self, *_: Any) -> Any:
        number, self.started = self.started, self.started + 1

        def play(version: int, params: Any, carry: Any, iteration: int, stream: int) -> Answer:
            self.played.append((number, stream))
            if self.losses[stream]:
                self.losses[stream] -= 1
                return Answer(Lost(f"actor {number} died"), number)
            return Answer((carry + 1, (version, params, iteration, stream)), number)

        probe = self.probes.get(number, "same")
        return SimpleNamespace(
            play=SimpleNamespace(remote=play),
            probe=SimpleNamespace(remote=lambda: Answer(probe, number)),
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
        return flying[-1:], flying[:-1]

    def kill(self, _: Any) -> None:
        self.killed += 1

    def shutdown(self) -> None:
        self.killed += 1000


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    ray = FakeRay()
    monkeypatch.setattr(pool, "connect", lambda config, actors: ray)
    yield ray


def collected(workers: pool.RayPool, streams: int, iteration: int = 4) -> list[Any]:
    """Results of one iteration by version 3; stream s's carry is 10 · s."""
    workers.submit(plan.Work(iteration, 3, streams), "params", [10 * s for s in range(streams)])
    return workers.collect()


def right(streams: int, iteration: int = 4) -> list[Any]:
    return [(10 * s + 1, (3, "params", iteration, s)) for s in range(streams)]


@pytest.mark.parametrize("actors", [1, 2, 3, 8])
def test_results_stand_in_stream_order_however_they_come(fake: FakeRay, actors: int) -> None:
    workers = pool.RayPool((), ClusterConfig(actors=actors))
    for iteration in (4, 5):
        assert collected(workers, 6, iteration) == right(6, iteration)
    assert Counter(stream for _, stream in fake.played) == dict.fromkeys(range(6), 2)
    assert fake.busiest == 1 and fake.started == actors and workers.losses == 0
    assert len({actor for actor, _ in fake.played}) >= min(actors, 6)
    workers.close()
    assert fake.killed == 1000 + actors


def test_the_work_of_lost_actors_is_played_again_by_new_ones(fake: FakeRay) -> None:
    fake.losses.update({0: 1, 4: 3})
    workers = pool.RayPool((), ClusterConfig(actors=2, retries=3))
    assert collected(workers, 6) == right(6)
    assert workers.losses == 4 and fake.started == 2 + 4
    played = Counter(stream for _, stream in fake.played)
    assert played == {0: 2, 1: 1, 2: 1, 3: 1, 4: 4, 5: 1}
    # A stream that came through has all its retries again.
    fake.losses.update({4: 3})
    assert collected(workers, 6) == right(6)
    assert workers.losses == 7
    workers.close()


def test_too_many_losses_stop_the_pool_and_name_the_stream(fake: FakeRay) -> None:
    fake.losses.update({2: 9})
    workers = pool.RayPool((), ClusterConfig(actors=2, retries=1))
    with pytest.raises(
        RuntimeError, match=r"stream 2 lost its actor 2 times.*cluster\.retries.*died"
    ):
        collected(workers, 3)
    workers.close()
    assert fake.killed == 1000 + 2


def test_actors_with_another_probe_are_refused(fake: FakeRay) -> None:
    fake.probes[1] = "other arithmetic"
    with pytest.raises(RuntimeError, match="probe is other arithm, the run's is same"):
        pool.RayPool((), ClusterConfig(actors=2))
    with pytest.raises(RuntimeError, match="probe is same, the run's is of the run"):
        pool.RayPool((), ClusterConfig(actors=1), probe="of the run")


def test_a_replacement_with_another_probe_is_refused_too(fake: FakeRay) -> None:
    fake.probes[2], fake.losses[1] = "other", 1
    workers = pool.RayPool((), ClusterConfig(actors=2))
    assert workers.probe == "same"
    with pytest.raises(RuntimeError, match="probe is other, the run's is same"):
        collected(workers, 3)
    workers.close()
