"""Settings of ladders, and of ratings during training (section `elo`)."""

from dataclasses import dataclass, field
from typing import Final, Literal

from selfplay.ranges import check_above, check_at_least, check_budgets
from selfplay.runs.codec import ADDED, MUTABLE

AUTO: Final = "auto"


@dataclass(frozen=True)
class LadderConfig:
    """Settings of a ladder; all its games are played with one seed and length of openings.

    Attributes:
        seed: seed of the openings and of the players' noise.
        opening_plies: random legal moves of every opening.
        pairs: opening pairs of one pairing in one round; also the batch size of the searches.
        pairings: pairings of one round; 0: an eighth of the number of players, at least 8.
    """

    seed: int = 0
    opening_plies: int = 4
    pairs: int = 16
    pairings: int = 0

    def __post_init__(self) -> None:
        check_at_least(self, "", 0, "seed", "opening_plies", "pairings")
        check_at_least(self, "", 1, "pairs")


@dataclass(frozen=True)
class EloConfig:
    """Settings of the ratings that a run makes of its own versions.

    Attributes:
        budgets: simulations per move at which every version is rated; empty: no rating.
        games: approximate games for each version and budget; rounds are not cut short.
        until_stderr: standard error, in Elo relative to the anchor, at which a rating needs no
            more games.
        opening_plies: random legal moves of every opening.
        anchor: the player at 0 Elo, "solver" (perfect play) or "random". "auto": the one that the
            run's ladder began with; for a new ladder the solver if the game's perfect player needs
            no extra (tic-tac-toe, Hex up to 4×4), else random moves. The manifest and the ratings
            record which one it is.
    """

    budgets: tuple[int, ...] = field(default=(), metadata=MUTABLE)
    games: int = field(default=256, metadata=MUTABLE)
    until_stderr: float = field(default=40.0, metadata=MUTABLE)
    opening_plies: int = 4
    anchor: Literal["auto", "solver", "random"] = field(default=AUTO, metadata=ADDED | MUTABLE)

    def __post_init__(self) -> None:
        check_budgets(self, "elo", "budgets")
        check_above(self, "elo", 0, "games", "until_stderr")
        check_at_least(self, "elo", 0, "opening_plies")
