"""One expert game, as it was read or played: what all sources give and the replay takes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

UNKNOWN = float("nan")


def most_plies(size: int) -> int:
    """Of a record of Go: twice what our rules allow, since people go on for longer."""
    return 4 * size * size


class LeftOut(Exception):
    """A game that is not imported; the text is the reason it is counted under."""


@dataclass(frozen=True, slots=True)
class Strength:
    """What a record says of one player; NaN where it says nothing.

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
    """A first position that is not the game's own.

    Attributes:
        board: int8 [H, W], as `game.board` gives it.
        player: to move, 0 or 1.
        ply: moves made before it.
    """

    board: np.ndarray
    player: int
    ply: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class ExpertGame:
    """A game from its first position to its last move.

    Attributes:
        moves: int16 [T], actions; −1 for a position of which no move is known.
        outcome: the record's result for player 0: +1, 0 or −1; None where it tells none.
        komi: what the planes show (Go).
        untaught: why the value of its positions is not taught; empty if it is.
        margin: the points that decided it; 0 where they are not known.
        start: None for the game's own first position.
        players: what is known of players 0 and 1.
        notes: what was done to the game to import it.
        taught: bool [T], True = this position becomes a row; None for all of them.
        lessons: (bool [T, A], int8 [T]), the moves to learn, evenly, and the result for the player
            to move; None for the move that was played and the outcome.
    """

    moves: np.ndarray
    outcome: int | None
    komi: float = 0.0
    untaught: str = ""
    margin: float = 0.0
    start: Start | None = None
    players: tuple[Strength, Strength] = field(default=(Strength(), Strength()))
    notes: tuple[str, ...] = ()
    taught: np.ndarray | None = None
    lessons: tuple[np.ndarray, np.ndarray] | None = None
