"""Measures one iteration's play: which actors played, and how long streams took."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Usage:
    """Times of one iteration, in seconds, from when its work was handed to the pool.

    Attributes:
        began: start, on the monotonic clock.
        ended: when the last stream came back, on the monotonic clock.
        round_trips: for each stream that is back, the time from its dispatch to its result.
        play_times: the actor's part of each round trip.
        players: the actors that played, by their ids.
        previous_median: median round trip of the previous iteration; 0 if there was none.
    """

    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    round_trips: list[float] = field(default_factory=list)
    play_times: list[float] = field(default_factory=list)
    players: dict[int, Any] = field(default_factory=dict)
    previous_median: float = 0.0

    def next_iteration(self) -> Usage:
        """Returns the record of the next iteration, which begins now."""
        return Usage(previous_median=self._median)

    def record(self, actor: Any, dispatched: float, play_time: float) -> None:
        """Records a stream's result that has just come back from `actor`."""
        self.ended = time.monotonic()
        self.players[id(actor)] = actor
        self.round_trips.append(self.ended - dispatched)
        self.play_times.append(play_time)

    def latest_start(self, factor: float, minimum: float) -> float:
        """Returns when a stream must have been dispatched to have taken too long by now.

        Too long is `factor` times the median round trip (of the previous iteration until a stream
        is back), and at least `minimum` seconds. Without any measurement it is minus infinity.
        """
        if not self._median:
            return float("-inf")
        return time.monotonic() - max(minimum, factor * self._median)

    @property
    def _median(self) -> float:
        return statistics.median(self.round_trips) if self.round_trips else self.previous_median

    def summary(self, actors: int) -> dict[str, float]:
        """Returns the metrics of the iteration: actors, their busy fraction, and mean times.

        Args:
            actors: actors at the end of the iteration; those that died meanwhile played as well.
        """
        wall = max(self.ended - self.began, 1e-9)
        play = statistics.fmean(self.play_times) if self.play_times else 0.0
        return {
            "actors": float(actors),
            "busy": sum(self.play_times) / (max(actors, len(self.players), 1) * wall),
            "seconds": wall,
            "stream_seconds": statistics.fmean(self.round_trips) if self.round_trips else 0.0,
            "play_seconds": play,
            "spread": statistics.pstdev(self.play_times) / play if play else 0.0,
        }
