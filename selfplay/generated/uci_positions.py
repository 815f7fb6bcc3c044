"""Solved positions of Connect Four in the layout of the UCI's data set.

A line holds the cells a1 to a6, b1 to g6 as x, o or b (blank), then win, loss or draw for x, who is
to move.

Source: Tromp, "Connect-4", UCI Machine Learning Repository (1995).
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from games.game import Game
from selfplay.experts.game_record import ExpertGame, Rejected, Start, Targets
from selfplay.players import solvers
from selfplay.runs.files import describe

RESULTS = {"win": 1, "loss": -1, "draw": 0}
CELLS = {"x": 1, "o": -1, "b": 0}
GAME_OVER = Rejected("the game is over")

_LINE = re.compile("(?:[xob],){42}(win|loss|draw)")


class _Position(NamedTuple):
    """A line of the file: board int8 [6, 7], and the result for player 0, who is to move."""

    board: np.ndarray
    result: int


def check_game(game: Game) -> None:
    """Raises ValueError unless the game is that of the UCI's positions."""
    if not solvers.is_standard_connect_four(game):
        raise ValueError(f"solved positions are of connect_four (6×7), not of {game!r}")


def read(game: Game, path: Path) -> Iterator[ExpertGame | Rejected]:
    """Yields a game without a known move for each position, and why a line is rejected.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    except OSError as error:
        raise ValueError(f"positions cannot be read: {describe(error)}") from None
    is_over = jax.jit(jax.vmap(lambda board: game.is_terminal(game.from_board(board, 0))))
    lines = [_parse(line) for line in text.split()]
    boards = [line.board for line in lines if isinstance(line, _Position)]
    over = iter(np.asarray(is_over(np.array(boards, np.int8).reshape(-1, 6, 7))))
    for line in lines:
        if isinstance(line, Rejected):
            yield line
        elif next(over):
            yield GAME_OVER
        else:
            yield _as_game(game, line)


def _as_game(game: Game, position: _Position) -> ExpertGame:
    """Converts a position into a game of one ply with a value target and no policy target."""
    board, result = position
    return ExpertGame(
        np.full(1, -1, np.int16),
        result,
        start=Start(board, 0, int(np.abs(board).sum())),
        targets=Targets(np.zeros((1, game.num_actions), bool), np.full(1, result, np.int8)),
    )


def _parse(line: str) -> _Position | Rejected:
    """Parses a line."""
    match = _LINE.fullmatch(line)
    if not match:
        return Rejected("not 42 cells x, o or b and then win, loss or draw")
    columns = np.array([CELLS[cell] for cell in line[:84:2]], np.int8).reshape(7, 6)
    board = np.ascontiguousarray(columns.T[::-1])
    if board.sum() != 0:
        return Rejected("x is not to move")
    if ((board[:-1] != 0) & (board[1:] == 0)).any():
        return Rejected("a stone above an empty cell")
    return _Position(board, RESULTS[match[1]])
