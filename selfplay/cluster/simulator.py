"""Predicts the speed of a cluster of any size from times measured on a small one.

It simulates a pool's iteration stream by stream, as `RayPool` plays it. The driver is one machine
that sends streams one after the other and receives results one after the other; in between, an
actor plays. When all streams are back, the learner learns and then commits. The next iteration is
sent out before the learner learns (policy lag 1) or before it commits (policy lag 0). The part that
is busy for the largest fraction of the time is the bottleneck.

Not modeled: actors that die, nodes of unequal speed, and network links shared with others.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from selfplay.runs.metrics_row import MetricsRow, SelfPlayRow

WARM_UP = 3  # first iterations of a simulation, which are not measured


@dataclass(frozen=True)
class Costs:
    """Times of the parts of an iteration, in seconds.

    Attributes:
        segment: an actor's time for one stream's segment.
        send: the driver's time to send a stream's carry.
        receive: the driver's time to receive a stream's carry and rows.
        learn: the learner's time for an iteration's gradient steps.
        commit: time for exams, digests and writing, before the next iteration is collected.
        spread: standard deviation of a segment's time, as a fraction of it.
    """

    segment: float
    send: float = 0.0
    receive: float = 0.0
    learn: float = 0.0
    commit: float = 0.0
    spread: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name} must be 0 or more, got {value}")
        if not self.segment:
            raise ValueError("segment must be positive, got 0")


@dataclass(frozen=True)
class Prediction:
    """The predicted speed of a run in its steady state.

    Attributes:
        actors: number of actors.
        policy_lag: the run's policy lag, 0 or 1.
        seconds: time of an iteration.
        actors_busy: fraction of the actors' time in which they play.
        driver_busy: fraction of the time in which the driver sends or receives.
        learner_busy: fraction of the time in which the learner learns or commits.
    """

    actors: int
    policy_lag: int
    seconds: float
    actors_busy: float
    driver_busy: float
    learner_busy: float

    @property
    def per_hour(self) -> float:
        """Number of iterations per hour."""
        return 3600 / self.seconds

    @property
    def bottleneck(self) -> str:
        """The part that is busy for the largest fraction of the time."""
        shares = {
            "actors": self.actors_busy,
            "driver": self.driver_busy,
            "learner": self.learner_busy,
        }
        return max(shares, key=lambda name: shares[name])


def simulate(
    costs: Costs, streams: int, actors: int, policy_lag: int, iterations: int = 20, seed: int = 0
) -> Prediction:
    """Simulates iterations of `streams` streams on `actors` actors.

    Raises:
        ValueError: no stream, no actor, no iteration after the warm-up, or another policy lag.
    """
    if min(streams, actors) < 1 or iterations <= WARM_UP or policy_lag not in (0, 1):
        raise ValueError(
            f"streams and actors must be at least 1, iterations more than {WARM_UP} and the "
            f"policy lag 0 or 1, got {streams}, {actors}, {iterations} and {policy_lag}"
        )
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(np.log1p(costs.spread**2))
    ready = played = driven = learned = 0.0  # `ready`: when the driver may send the next streams
    marks: list[tuple[float, float, float, float]] = []
    learner_free = 0.0
    for _ in range(iterations):
        durations = costs.segment * rng.lognormal(-(sigma**2) / 2, sigma, streams)
        back = _play(costs, durations.tolist(), actors, ready)
        played += float(durations.sum())
        driven += streams * (costs.send + costs.receive)
        collected = max(back, learner_free)  # the last commit comes first
        ready = collected if policy_lag else collected + costs.learn
        learner_free = collected + costs.learn + costs.commit
        learned += costs.learn + costs.commit
        marks.append((learner_free, played, driven, learned))
    first, last = marks[WARM_UP - 1], marks[-1]
    wall, *busy = (b - a for a, b in zip(first, last, strict=True))
    return Prediction(
        actors=actors,
        policy_lag=policy_lag,
        seconds=wall / (iterations - WARM_UP),
        actors_busy=busy[0] / (wall * actors),
        driver_busy=busy[1] / wall,
        learner_busy=busy[2] / wall,
    )


def _play(costs: Costs, durations: Iterable[float], actors: int, start: float) -> float:
    """Returns when all streams are back, if the first one is sent at `start`."""
    waiting, idle, driver = deque(durations), actors, start
    playing: list[float] = []  # when each actor has its result ready
    while waiting or playing:
        if waiting and idle:
            driver += costs.send
            heapq.heappush(playing, driver + waiting.popleft())
            idle -= 1
        else:
            driver = max(driver, heapq.heappop(playing)) + costs.receive
            idle += 1
    return driver


def costs_from_metrics(rows: Sequence[MetricsRow]) -> Costs:
    """Returns the costs of a run on actors: medians over its iterations, the mean for exams.

    Half of a stream's round trip outside its actor's play counts as sending, half as receiving.
    With several actors the round trip includes waiting for each other, so measure with one.

    Raises:
        ValueError: no iteration was played by actors.
    """
    played = [row for row in rows if isinstance(row, SelfPlayRow) and row.pool.get("actors")]
    if not played:
        raise ValueError(
            "these metrics have no times of actors: train some iterations with --cluster.actors 1"
        )
    # A run's last exam asks all questions, so it is left out.
    exams = [row.seconds.exam for row in played[:-1]]

    def pool(name: str) -> float:
        return float(median(row.pool.get(name, 0.0) for row in played))

    transfer = max(pool("stream_seconds") - pool("play_seconds"), 0.0)
    commit = float(median(row.seconds.commit for row in played))
    return Costs(
        segment=pool("play_seconds"),
        send=transfer / 2,
        receive=transfer / 2,
        learn=float(median(row.seconds.learn for row in played)),
        commit=commit + (fmean(exams) if exams else 0.0),
        spread=pool("spread"),
    )
