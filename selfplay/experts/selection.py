"""Selection of the games to replay, and statistics of what became of every game.

Every game is either kept or left out for one reason, so ``games = kept + left out`` holds for each
source and in total. The selection depends on the games, not on the sources' names or order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TypedDict

from games.game import Game
from selfplay.experts import canonical
from selfplay.experts.canonical import Key
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame, Rejected
from selfplay.experts.sgf import reader

DUPLICATE = Rejected("duplicate")
SURPLUS = Rejected("filter: more than --max-games")


class SourceCounts(TypedDict):
    """The manifest's entry for a source, with the fields of `SourceStats`."""

    name: str
    sha256: str
    games: int
    kept: int
    left_out: dict[str, int]


@dataclass
class SourceStats:
    """Counts of what became of the games of one source.

    Attributes:
        name: the file, or the spec of the player that generates the games.
        sha256: hash of the file in hex; empty for generated games.
        games: number of games read.
        kept: number of games in the archive.
        left_out: number of other games by reason.
    """

    name: str
    sha256: str = ""
    games: int = 0
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def reject(self, rejected: Rejected) -> None:
        """Counts a game that is left out."""
        self.left_out[rejected.reason] += 1

    def to_json(self) -> SourceCounts:
        """Returns the counts for the manifest.

        Raises:
            AssertionError: a game is neither kept nor left out.
        """
        assert self.games == self.kept + self.left_out.total(), f"{self.name} does not add up"
        fields = asdict(self)
        return SourceCounts(**{**fields, "left_out": dict(sorted(self.left_out.items()))})


@dataclass(frozen=True, eq=False)
class Candidate:
    """A game that passed the filters.

    Attributes:
        key: the game's key.
        game: the game.
        stats: statistics of its source.
    """

    key: Key
    game: ExpertGame
    stats: SourceStats

    @property
    def preference(self) -> tuple[object, ...]:
        """A sort key among duplicates: with a value target first, then the longest game."""
        game = self.game
        facts = (game.komi, game.outcome, game.players, game.notes)
        return (
            bool(game.no_value_reason),
            game.outcome is None,
            -len(game.moves),
            repr(facts),
            game.moves.tobytes(),
            self.stats.sha256,
            self.stats.name,
        )


def filter_games(
    source: Iterable[ExpertGame | Rejected], game: Game, filters: Filters, stats: SourceStats
) -> list[Candidate]:
    """Returns the games of a source that pass the filters, and counts all games in `stats`."""
    candidates = []
    for record in source:
        stats.games += 1
        result = record if isinstance(record, Rejected) else filters.apply(record)
        if isinstance(result, Rejected):
            stats.reject(result)
        else:
            candidates.append(Candidate(canonical.key(game, result), result, stats))
    return candidates


def distrust_zero_komi(candidates: Sequence[Candidate], komi: float) -> list[Candidate]:
    """Decides whether komi 0 in the records means "not recorded", and corrects the games then.

    At least one server writes komi 0 in every record. If most of the margins in games without
    komi have half a point, these games get `komi` and no value target.
    """
    zero = [c for c in candidates if c.game.komi == 0 and _may_have_zero_komi(c.game)]
    halves = sum(c.game.no_value_reason == reader.MARGIN and c.game.margin > 0 for c in zero)
    if 2 * halves <= sum(c.game.margin > 0 for c in zero):
        return list(candidates)
    distrusted = set(map(id, zero))
    return [
        replace(c, game=replace(c.game, komi=komi, no_value_reason=reader.NO_KOMI))
        if id(c) in distrusted
        else c
        for c in candidates
    ]


def _may_have_zero_komi(game: ExpertGame) -> bool:
    """Tells whether the record says komi 0, rather than nothing that can be used."""
    return game.no_value_reason in ("", reader.MARGIN)


def deduplicate(candidates: Iterable[Candidate], max_games: int = 0) -> list[Candidate]:
    """Keeps one candidate of each key, and at most `max_games` (0: all), shortest games first."""
    best: dict[bytes, Candidate] = {}
    for candidate in candidates:
        other = best.setdefault(candidate.key.digest, candidate)
        if other is not candidate:
            preferred, duplicate = sorted((other, candidate), key=lambda c: c.preference)
            duplicate.stats.reject(DUPLICATE)
            best[candidate.key.digest] = preferred
    chosen = sorted(best.values(), key=lambda c: (c.key.sample_hash, c.key.digest))
    if max_games:
        for candidate in chosen[max_games:]:
            candidate.stats.reject(SURPLUS)
        chosen = chosen[:max_games]
    # Games with a first position of their own need another compiled program: group them.
    return sorted(chosen, key=lambda c: (c.game.start is not None, len(c.game.moves), c.key))


def total_left_out(sources: Iterable[SourceStats]) -> Counter[str]:
    """Counts the games left out of all sources by reason."""
    return sum((stats.left_out for stats in sources), Counter())
