"""Handicap stones: from GTP's table, from a list of the controller's, or chosen by a search.

The table is section 4.1.1 of the specification of GTP 2. Handicap stones are the start of a game,
not moves, so they cannot be undone; White moves next.
"""

from collections.abc import Sequence

import numpy as np

from games.go import Go
from selfplay.serve.analysis import Analyst, analyze
from selfplay.serve.goban import Goban
from selfplay.serve.rules import compiled

_LOW, _MIDDLE, _HIGH = range(3)
_CORNERS = [(_LOW, _LOW), (_HIGH, _HIGH), (_HIGH, _LOW), (_LOW, _HIGH)]
_LEFT_AND_RIGHT = [(_MIDDLE, _LOW), (_MIDDLE, _HIGH)]
_BELOW_AND_ABOVE = [(_LOW, _MIDDLE), (_HIGH, _MIDDLE)]
_CENTER = [(_MIDDLE, _MIDDLE)]
TABLE = {
    2: _CORNERS[:2],
    3: _CORNERS[:3],
    4: _CORNERS,
    5: _CORNERS + _CENTER,
    6: _CORNERS + _LEFT_AND_RIGHT,
    7: _CORNERS + _LEFT_AND_RIGHT + _CENTER,
    8: _CORNERS + _LEFT_AND_RIGHT + _BELOW_AND_ABOVE,
    9: _CORNERS + _LEFT_AND_RIGHT + _BELOW_AND_ABOVE + _CENTER,
}
"""Maps the number of stones to their (line from below, line from the left)."""


def fixed(size: int, number: int) -> list[int]:
    """Returns the points of a fixed handicap.

    Raises:
        ValueError: the table has no such handicap on this board.
    """
    if size < 7:
        raise ValueError(f"{size}×{size} has no fixed handicap, only boards from 7×7 up have one")
    most = 9 if size % 2 and size > 7 else 4
    if not 2 <= number <= most:
        raise ValueError(f"{number} stones on {size}×{size}; choose from 2 to {most}")
    edge = 3 if size >= 13 else 2  # the fourth line or the third
    lines = (edge, size // 2, size - 1 - edge)
    return [(size - 1 - lines[row]) * size + lines[column] for row, column in TABLE[number]]


def free(analyst: Analyst, game: Go, number: int, num_simulations: int) -> list[int]:
    """Returns the points that a search plays if Black moves `number` times in a row."""
    goban, no_pass = Goban(game), frozenset([game.pass_action])
    for _ in range(number):
        state = goban.position_for(0)
        best = analyze(analyst, state, num_simulations, most=1, forbidden=no_pass)[0]
        goban.play(0, best.action)
    return [move.action for move in goban.moves]


def start(game: Go, points: Sequence[int]) -> Goban:
    """Starts a game with black stones on `points` and White to move."""
    stones = np.zeros(game.size**2, np.int8)
    stones[list(points)] = 1
    board = stones.reshape(game.size, game.size)
    return Goban(game, compiled(game).method("from_board")(board, 1))
