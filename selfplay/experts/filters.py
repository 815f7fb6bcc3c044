"""Which games are wanted, and whose moves in them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from selfplay.experts.game_record import ExpertGame, Strength
from selfplay.experts.sgf import ranks


@dataclass(frozen=True)
class Filters:
    """Which games to keep; every other one is counted by the filter that left it out.

    A player is strong enough if his rating or his rank is known and at least the limit on it:
    ratings are asked where a record has ratings, ranks where it has ranks.

    Attributes:
        min_rating: least rating, a number, as GoQuest's and EGF's are.
        min_rank: least rank, such as 4k, 1d or 1p.
        strength_applies_to: who has to be strong enough: both players, or only the mover; then the
            rows of a weaker player are left out, and games of two weaker ones.
        result_known: leave out games without a result; else they teach the policy only.
        min_plies: least number of moves.
        no_bots: leave out games in which a name looks like a program's.
        max_games: keep at most so many, drawn by their hashes; all if it is 0.
    """

    min_rating: float | None = None
    min_rank: str | None = None
    strength_applies_to: Literal["both", "mover"] = "both"
    result_known: bool = False
    min_plies: int = 1
    no_bots: bool = False
    max_games: int = 0

    def __post_init__(self) -> None:
        if self.min_rank is not None and math.isnan(ranks.rank(self.min_rank)):
            raise ValueError(
                f"--min-rank {self.min_rank!r} is no rank; write one such as 4k, 1d or 1p"
            )
        for name in ("min_plies", "max_games"):
            if getattr(self, name) < 0:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must not be negative, got {getattr(self, name)}")
        if self.strength_applies_to == "mover" and not self.limits:
            raise ValueError("--strength-applies-to mover needs --min-rating or --min-rank")

    def to_json(self) -> dict[str, Any]:
        """Returns the filters as archives record them, with the names of format 1."""
        names = {"strength_applies_to": "of"}
        return {names.get(name, name): value for name, value in asdict(self).items()}

    @property
    def limits(self) -> bool:
        """True = players must be strong enough for something."""
        return self.min_rank is not None or self.min_rating is not None

    def refuses(self, game: ExpertGame) -> str | None:
        """The filter that leaves this game out; None if it passes."""
        if self.no_bots and any(player.bot for player in game.players):
            return "filter: a bot plays"
        if self.result_known and game.outcome is None:
            return "filter: no result"
        if len(game.moves) < self.min_plies:
            return f"filter: less than {self.min_plies} moves"
        strong = self.strong(game)
        if any(strong) if self.strength_applies_to == "mover" else all(strong):
            return None
        known = [self._limit(player) is not None for player in game.players]
        return "filter: not strong enough" if all(known) else "filter: strength not known"

    def strong(self, game: ExpertGame) -> tuple[bool, bool]:
        """For each player, True = strong enough."""
        one, two = (not self.limits or bool(self._limit(player)) for player in game.players)
        return one, two

    def _limit(self, player: Strength) -> bool | None:
        """True = strong enough; None = not known in the terms of any limit."""
        if self.min_rating is not None and not math.isnan(player.rating):
            return player.rating >= self.min_rating
        if self.min_rank is not None and not math.isnan(player.rank):
            return player.rank >= ranks.rank(self.min_rank)
        return None

    def taught(self, game: ExpertGame) -> np.ndarray | None:
        """bool [T], True = the move of a player who is strong enough; None for all of them."""
        strong = self.strong(game)
        if self.strength_applies_to == "both" or all(strong):
            return None
        first = game.start.player if game.start else 0
        return np.array([strong[(first + ply) % 2] for ply in range(len(game.moves))])
