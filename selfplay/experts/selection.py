"""Which of the games that came in are replayed, and what became of every other one.

Every game is kept or left out for one reason: ``games = kept + left out``, for each source and in
all. The choice depends on what the sources hold, not on their names or their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from games.game import Game
from selfplay.experts import canonical
from selfplay.experts.canonical import Key
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame
from selfplay.experts.sgf import reader

DUPLICATE = "duplicate"
SURPLUS = "filter: more than --max-games"


@dataclass
class Account:
    """What became of the games of one file, or of another source."""

    name: str
    sha256: str = ""
    games: int = 0
    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest.

        Raises:
            AssertionError: a game is neither kept nor left out.
        """
        assert self.games == self.kept + self.left_out.total(), f"{self.name} does not add up"
        return {**asdict(self), "left_out": dict(sorted(self.left_out.items()))}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A game that passed the filters."""

    key: Key
    game: ExpertGame
    account: Account

    @property
    def preference(self) -> tuple[Any, ...]:
        """Of duplicates the least is kept: one whose value is taught, then the longest."""
        game = self.game
        facts = (game.komi, game.outcome, game.players, game.notes)
        return (
            bool(game.untaught),
            game.outcome is None,
            -len(game.moves),
            repr(facts),
            game.moves.tobytes(),
            self.account.sha256,
            self.account.name,
        )


def collect(
    source: Iterable[ExpertGame | str], game: Game, filters: Filters, account: Account
) -> list[Candidate]:
    """The games of a source that pass the filters; a text is the reason why one is no game."""
    found = []
    for played in source:
        account.games += 1
        reason = played if isinstance(played, str) else filters.refuses(played)
        if isinstance(played, str) or reason:
            account.left_out[str(reason)] += 1
            continue
        taught = filters.taught(played)
        if taught is not None:
            played = replace(played, taught=taught)
        found.append(Candidate(canonical.key(game, played), played, account))
    return found


def doubt_no_komi(candidates: Sequence[Candidate], komi: float) -> list[Candidate]:
    """Where most margins of games without komi have a half point, komi was not written down.

    The games then show `komi` and teach no value: at least one server writes 0 in every record.
    """
    without = [c for c in candidates if c.game.komi == 0 and c.game.untaught in ("", reader.MARGIN)]
    halves = sum(one.game.untaught == reader.MARGIN and one.game.margin > 0 for one in without)
    if 2 * halves <= sum(one.game.margin > 0 for one in without):
        return list(candidates)
    doubted = set(map(id, without))
    return [
        replace(one, game=replace(one.game, komi=komi, untaught=reader.NO_KOMI))
        if id(one) in doubted
        else one
        for one in candidates
    ]


def distinct(candidates: Iterable[Candidate], most: int = 0) -> list[Candidate]:
    """One candidate of each key, at most `most` (0: all), shortest games first."""
    best: dict[bytes, Candidate] = {}
    for one in candidates:
        other = best.setdefault(one.key.digest, one)
        if other is not one:
            keep, leave = (one, other) if one.preference < other.preference else (other, one)
            leave.account.left_out[DUPLICATE] += 1
            best[one.key.digest] = keep
    chosen = sorted(best.values(), key=lambda one: (one.key.order, one.key.digest))
    if most:
        for one in chosen[most:]:
            one.account.left_out[SURPLUS] += 1
        chosen = chosen[:most]
    # Those with a first position of their own take another program: they come together.
    return sorted(chosen, key=lambda c: (c.game.start is not None, len(c.game.moves), c.key))


def total(accounts: Iterable[Account]) -> Counter[str]:
    """All games left out, by reason."""
    return sum((account.left_out for account in accounts), Counter())
