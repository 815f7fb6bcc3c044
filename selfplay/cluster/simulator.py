"""What a cluster of any size would do: iterations as events, from times measured on a small one.

A pool's iteration is simulated stream by stream, as `RayPool` plays it. The driver is one machine:
it hands out streams one after the other, and takes in results one after the other. In between an
actor plays. When all streams are back the learner learns, and then commits; the next iteration is
handed out before it learns (lag 1) or before it commits (lag 0). Who is busy for the largest share
of the time is the bottleneck.

Left out: actors that die, nodes of unequal speed, and a network whose links are shared by others.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from selfplay.runs.metrics_row import MetricsRow, SelfPlayRow

WARM_UP = 3  # iterations of a simulation that do not count


@dataclass(frozen=True)
class Costs:
    """Seconds, but for `spread`.

    Attributes:
        segment: an actor's, for one stream's segment.
        hand_out: the driver's, to send a stream's carry.
        take_in: the driver's, to receive a stream's carry and rows.
        learn: an iteration's gradient steps.
        commit: exams, digests and what has to be on disk before the next iteration is collected.
        spread: standard deviation of a segment's seconds, as a share of them.
    """

    segment: float
    hand_out: float = 0.0
    take_in: float = 0.0
    learn: float = 0.0
    commit: float = 0.0
    spread: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name} must be 0 or more, got {value}")
        if not self.segment:
            raise ValueError("a segment that takes no time is none")


@dataclass(frozen=True)
class Prediction:
    """An iteration in the long run.

    Attributes:
        actors: that there are.
        lag: of the plan.
        seconds: of an iteration.
        actors_busy: share of the actors' time in which they play.
        driver_busy: share of the time in which the driver sends or receives.
        learner_busy: share of the time in which the learner learns or commits.
    """

    actors: int
    lag: int
    seconds: float
    actors_busy: float
    driver_busy: float
    learner_busy: float

    @property
    def per_hour(self) -> float:
        """Iterations an hour."""
        return 3600 / self.seconds

    @property
    def bottleneck(self) -> str:
        """Who is busy for the largest share of the time."""
        shares = {
            "actors": self.actors_busy,
            "driver": self.driver_busy,
            "learner": self.learner_busy,
        }
        return max(shares, key=lambda name: shares[name])


def simulate(
    costs: Costs, streams: int, actors: int, lag: int, iterations: int = 20, seed: int = 0
) -> Prediction:
    """Iterations of so many streams on so many actors.

    Raises:
        ValueError: no stream, no actor, no iteration beyond the warm-up, or another lag.
    """
    if min(streams, actors) < 1 or iterations <= WARM_UP or lag not in (0, 1):
        raise ValueError(
            f"streams and actors must be at least 1, iterations more than {WARM_UP} and lag 0 or "
            f"1, got {streams}, {actors}, {iterations} and {lag}"
        )
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(np.log1p(costs.spread**2))
    ready = played = driven = learnt = 0.0  # `ready`: when the driver may hand out the next one
    marks: list[tuple[float, float, float, float]] = []
    learner_free = 0.0
    for _ in range(iterations):
        takes = costs.segment * rng.lognormal(-(sigma**2) / 2, sigma, streams)
        back = _play(costs, takes.tolist(), actors, ready)
        played += float(takes.sum())
        driven += streams * (costs.hand_out + costs.take_in)
        collected = max(back, learner_free)  # an iteration is collected behind the last commit
        ready = collected if lag else collected + costs.learn
        learner_free = collected + costs.learn + costs.commit
        learnt += costs.learn + costs.commit
        marks.append((learner_free, played, driven, learnt))
    first, last = marks[WARM_UP - 1], marks[-1]
    wall, *busy = (b - a for a, b in zip(first, last, strict=True))
    return Prediction(
        actors=actors,
        lag=lag,
        seconds=wall / (iterations - WARM_UP),
        actors_busy=busy[0] / (wall * actors),
        driver_busy=busy[1] / wall,
        learner_busy=busy[2] / wall,
    )


def _play(costs: Costs, takes: Iterable[float], actors: int, start: float) -> float:
    """When all streams are back that were handed out from `start` on."""
    waiting, idle, driver = deque(takes), actors, start
    playing: list[float] = []  # when each actor has its result ready
    while waiting or playing:
        if waiting and idle:
            driver += costs.hand_out
            heapq.heappush(playing, driver + waiting.popleft())
            idle -= 1
        else:
            driver = max(driver, heapq.heappop(playing)) + costs.take_in
            idle += 1
    return driver


def measured(rows: Sequence[MetricsRow]) -> Costs:
    """Costs from the metrics of a run on actors, medians over its iterations; exams in the mean.

    What a stream takes beside its actor's play is counted half as sending and half as receiving.
    With several actors it holds waiting for each other, too: measure with one.

    Raises:
        ValueError: no row of a pool with actors.
    """
    with_actors = [row for row in rows if isinstance(row, SelfPlayRow) and row.pool.get("actors")]
    exams = [row.seconds.exam for row in with_actors[:-1]]  # a run's last exam is a long one
    if not with_actors:
        raise ValueError(
            "these metrics have no times of actors: train some iterations with --cluster.actors 1"
        )

    def pool(name: str) -> float:
        return float(median(row.pool.get(name, 0.0) for row in with_actors))

    beside = max(pool("stream_seconds") - pool("play_seconds"), 0.0)
    commit = float(median(row.seconds.commit for row in with_actors))
    return Costs(
        segment=pool("play_seconds"),
        hand_out=beside / 2,
        take_in=beside / 2,
        learn=float(median(row.seconds.learn for row in with_actors)),
        commit=commit + (fmean(exams) if exams else 0.0),
        spread=pool("spread"),
    )
