"""One expert game, read or generated: what every source yields and the replay takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

UNKNOWN = float("nan")


def max_record_plies(size: int) -> int:
    """Returns the most moves of a record of Go: twice our own limit, since people play longer."""
    return 4 * size * size


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is not imported.

    Attributes:
        reason: why; the archive's manifest counts rejected records by this text.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Strength:
    """A player's strength according to a record; NaN where the record does not say.

    Attributes:
        rating: a number, as servers give it.
        rank: 0 is 1 kyu, −1 is 2 kyu; 1 is 1 dan; 21 is 1 dan professional.
        bot: True = the name is a program's.
    """

    rating: float = UNKNOWN
    rank: float = UNKNOWN
    bot: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A first position other than the game's own.

    Attributes:
        board: int8 [H, W], as `game.board` gives it.
        player: the player to move, 0 or 1.
        ply: moves made before it.
    """

    board: np.ndarray
    player: int
    ply: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Learning targets that replace the moves played and the game's result.

    Attributes:
        moves: bool [T, A], True = a move to learn; several share the probability evenly.
        outcomes: int8 [T], the result for the player to move: +1, 0 or −1.
    """

    moves: np.ndarray
    outcomes: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class ExpertGame:
    """A game from its first position to its last move.

    Attributes:
        moves: int16 [T], actions; −1 for a position without a known move.
        outcome: the record's result for player 0: +1, 0 or −1; None if it gives none.
        komi: the komi that the observation shows (Go).
        no_value_reason: why its positions have no value target; empty if they have one.
        margin: points by which the game was decided; 0 if unknown.
        start: the first position; None for the game's own.
        players: strengths of players 0 and 1.
        notes: corrections that the import made to the game.
        is_target: bool [T], True = the position becomes a row; None for all of them.
        targets: targets in place of the moves and the outcome; None to learn those.
    """

    moves: np.ndarray
    outcome: int | None
    komi: float = 0.0
    no_value_reason: str = ""
    margin: float = 0.0
    start: Start | None = None
    players: tuple[Strength, Strength] = (Strength(), Strength())
    notes: tuple[str, ...] = ()
    is_target: np.ndarray | None = None
    targets: Targets | None = None

    @property
    def first_player(self) -> int:
        """The player who makes the first move, 0 or 1."""
        return self.start.player if self.start else 0
