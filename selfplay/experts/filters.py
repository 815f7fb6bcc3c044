"""Filters of expert games: which games are kept, and which of their moves are learned."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from selfplay.experts.game_record import ExpertGame, Rejected, Strength
from selfplay.experts.sgf import ranks

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Filters:
    """Conditions that a game must meet; games that fail are counted by the condition.

    A player is strong enough if his rating or his rank is known and at least the minimum. The
    rating decides where a record has ratings, the rank where it has ranks.

    Attributes:
        min_rating: minimum rating, a number, as GoQuest's and EGF's are.
        min_rank: minimum rank, such as 4k, 1d or 1p.
        strength_applies_to: who has to be strong enough: both players, or only the mover; then the
            rows of a weaker player are left out, and games of two weaker ones.
        result_known: leave out games without a result; otherwise they teach the policy only.
        min_plies: minimum number of moves.
        no_bots: leave out games in which a name looks like a program's.
        max_games: maximum number of games, drawn by their hashes; 0 keeps all.
    """

    min_rating: float | None = None
    min_rank: str | None = None
    strength_applies_to: Literal["both", "mover"] = "both"
    result_known: bool = False
    min_plies: int = 1
    no_bots: bool = False
    max_games: int = 0

    def __post_init__(self) -> None:
        if self.min_rank is not None and math.isnan(ranks.parse_rank(self.min_rank)):
            raise ValueError(
                f"--min-rank {self.min_rank!r} is not a rank; write one such as 4k, 1d or 1p"
            )
        for name in ("min_plies", "max_games"):
            if getattr(self, name) < 0:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must not be negative, got {getattr(self, name)}")
        if self.strength_applies_to == "mover" and not self.limits:
            raise ValueError("--strength-applies-to mover needs --min-rating or --min-rank")

    def to_json(self) -> dict[str, object]:
        """Returns the filters as archives record them, with the names of format 1."""
        names = {"strength_applies_to": "of"}
        return {names.get(name, name): value for name, value in asdict(self).items()}

    @property
    def limits(self) -> bool:
        """True = there is a minimum strength."""
        return self.min_rank is not None or self.min_rating is not None

    def apply(self, game: ExpertGame) -> ExpertGame | Rejected:
        """Returns the game with the moves to learn marked, or the filter that rejects it."""
        rejected = self.rejection_reason(game)
        if rejected:
            return rejected
        is_target = self.target_moves(game)
        return game if is_target is None else replace(game, is_target=is_target)

    def rejection_reason(self, game: ExpertGame) -> Rejected | None:
        """Returns the filter that rejects a game; None if the game passes."""
        if self.no_bots and any(player.bot for player in game.players):
            return Rejected("filter: a bot plays")
        if self.result_known and game.outcome is None:
            return Rejected("filter: no result")
        if len(game.moves) < self.min_plies:
            return Rejected(f"filter: less than {self.min_plies} moves")
        strong = self.strong_players(game)
        if any(strong) if self.strength_applies_to == "mover" else all(strong):
            return None
        known = all(self._is_strong(player) is not None for player in game.players)
        return Rejected("filter: not strong enough" if known else "filter: strength not known")

    def strong_players(self, game: ExpertGame) -> tuple[bool, bool]:
        """Tells for players 0 and 1 whether they are strong enough."""
        first, second = (not self.limits or bool(self._is_strong(p)) for p in game.players)
        return first, second

    def _is_strong(self, player: Strength) -> bool | None:
        """Tells whether a player is strong enough; None if no minimum applies to what is known."""
        if self.min_rating is not None and not math.isnan(player.rating):
            return player.rating >= self.min_rating
        if self.min_rank is not None and not math.isnan(player.rank):
            return player.rank >= ranks.parse_rank(self.min_rank)
        return None

    def target_moves(self, game: ExpertGame) -> np.ndarray | None:
        """Marks the moves to learn, bool [T]: those of strong players; None means all of them."""
        import numpy as np  # not for the options

        strong = self.strong_players(game)
        if self.strength_applies_to == "both" or all(strong):
            return None
        first = game.first_player
        return np.array([strong[(first + ply) % 2] for ply in range(len(game.moves))])
