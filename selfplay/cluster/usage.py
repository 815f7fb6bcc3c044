"""How the time of an iteration's play was used: who played, and how long streams were away."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field


@dataclass
class Usage:
    """Of one iteration, from when its work was handed to the pool; seconds.

    Attributes:
        began: on the monotonic clock.
        ended: when the last stream came back.
        away: of each stream that is back, from when an actor was asked until then.
        played: the actor's part of that.
    """

    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    away: list[float] = field(default_factory=list)
    played: list[float] = field(default_factory=list)

    def landed(self, asked: float, played: float) -> None:
        """A stream is back that was asked for at `asked`."""
        self.ended = time.monotonic()
        self.away.append(self.ended - asked)
        self.played.append(played)

    def asked_before(self, times: float, least: float) -> float:
        """When it was that many times the median of `away` ago, or `least` seconds.

        Minus infinity before a stream is back.
        """
        if not self.away:
            return float("-inf")
        return time.monotonic() - max(least, times * statistics.median(self.away))

    def summary(self, actors: int) -> dict[str, float]:
        """For the metrics: `actors`, the share of their time in which they played, and means."""
        wall = max(self.ended - self.began, 1e-9)
        play = statistics.fmean(self.played) if self.played else 0.0
        return {
            "actors": float(actors),
            "busy": sum(self.played) / (actors * wall) if actors else 0.0,
            "seconds": wall,
            "stream_seconds": statistics.fmean(self.away) if self.away else 0.0,
            "play_seconds": play,
            "spread": statistics.pstdev(self.played) / play if play else 0.0,
        }
