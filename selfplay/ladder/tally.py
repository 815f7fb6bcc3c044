"""Counts of a ladder's games, including those that are not rated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.ladder.database import Entry, RecordedGame


@dataclass(frozen=True)
class Tally:
    """Counts of the games of a ladder's complete rounds.

    Attributes:
        games: all of them.
        rounds: those with games.
        distinct: games that differ in players, opening or moves; colors swapped counts as equal.
        drawn: games that ended in a draw.
        failed: games that could not begin, and have no result.
        repeated: games left out of the ratings, because two deterministic players repeated them.
        forfeits: players with the number of games that they forfeited, most first.
    """

    games: int = 0
    rounds: int = 0
    distinct: int = 0
    drawn: int = 0
    failed: int = 0
    repeated: int = 0
    forfeits: tuple[tuple[str, int], ...] = ()

    @property
    def rated(self) -> int:
        """The number of games to which the ratings are fitted."""
        return self.games - self.failed - self.repeated

    @classmethod
    def of(cls, recorded: Sequence[RecordedGame], entries: Sequence[Entry], rated: int) -> Tally:
        """Counts recorded games, `rated` of which the ratings use."""
        names = {entry.id: entry.spec for entry in entries}
        failed = sum(game.outcome is None for game in recorded)
        forfeits = Counter(
            names[game.first if game.reason.startswith("player 0") else game.second]
            for game in recorded
            if "forfeited" in game.reason
        )
        pairs = {
            (min(g.first, g.second), max(g.first, g.second), g.opening, g.moves) for g in recorded
        }
        return cls(
            games=len(recorded),
            rounds=len({game.round for game in recorded}),
            distinct=len(pairs),
            drawn=sum(game.outcome == 0 for game in recorded),
            failed=failed,
            repeated=len(recorded) - failed - rated,
            forfeits=tuple(forfeits.most_common()),
        )
