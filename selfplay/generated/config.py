"""Settings of generated expert games."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Teacher:
    """Games of a perfect player against itself.

    Attributes:
        games: number of games to play; identical games are kept once.
        blunder: fraction of its moves that are random.
        seed: seed of the games.
        targets: what is learned. "moves": the move it played and the game's result, as from
            any expert. "solver": all best moves, evenly, and the result of perfect play.
        opening_plies: random moves at the beginning; they are not learned.
    """

    games: int = 2000
    blunder: float = 0.2
    seed: int = 0
    targets: Literal["moves", "solver"] = "moves"
    opening_plies: int = 0

    def __post_init__(self) -> None:
        if self.games < 1:
            raise ValueError(f"--games must be at least 1, got {self.games}")
        if self.opening_plies < 0:
            raise ValueError(f"--opening-plies must not be negative, got {self.opening_plies}")

    @property
    def spec(self) -> str:
        """The spec of the player, as a ladder names it."""
        return f"solver?blunder={self.blunder:g}"
