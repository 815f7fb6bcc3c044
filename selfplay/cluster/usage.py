"""How the time of an iteration's play was used: who played, and how long streams were away."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Usage:
    """Of one iteration, from when its work was handed to the pool; seconds.

    Attributes:
        began: on the monotonic clock.
        ended: when the last stream came back.
        away: of each stream that is back, from when an actor was asked until then.
        played: the actor's part of that.
        players: who played them, by their ids.
        usual: median of `away` in the iteration before; 0: there was none.
    """

    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    away: list[float] = field(default_factory=list)
    played: list[float] = field(default_factory=list)
    players: dict[int, Any] = field(default_factory=dict)
    usual: float = 0.0

    def following(self) -> Usage:
        """The next iteration's, which begins now."""
        return Usage(usual=self._median)

    def landed(self, actor: Any, asked: float, played: float) -> None:
        """A stream is back that `actor` was asked for at `asked`."""
        self.ended = time.monotonic()
        self.players[id(actor)] = actor
        self.away.append(self.ended - asked)
        self.played.append(played)

    def asked_before(self, times: float, least: float) -> float:
        """When it was that many times the median of `away` ago, or `least` seconds.

        Until a stream is back it is the median of the iteration before. In the first one nobody
        knows how long they take: minus infinity.
        """
        if not self._median:
            return float("-inf")
        return time.monotonic() - max(least, times * self._median)

    @property
    def _median(self) -> float:
        return statistics.median(self.away) if self.away else self.usual

    def summary(self, actors: int) -> dict[str, float]:
        """For the metrics: `actors`, the share of their time in which they played, and means.

        `actors` are those that are there at the end; who died on the way has played as well.
        """
        wall = max(self.ended - self.began, 1e-9)
        play = statistics.fmean(self.played) if self.played else 0.0
        return {
            "actors": float(actors),
            "busy": sum(self.played) / (max(actors, len(self.players), 1) * wall),
            "seconds": wall,
            "stream_seconds": statistics.fmean(self.away) if self.away else 0.0,
            "play_seconds": play,
            "spread": statistics.pstdev(self.played) / play if play else 0.0,
        }
