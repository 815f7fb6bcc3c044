"""Text notation: names of actions, and boards that can be printed and read back.

`Game.notation` returns the names of a game's actions, the labels of its board, and the cell of the
last action; `cell_notation` makes it for games whose actions are cells. Everything else here is the
same for all games, and printing and reading are inverses. Two plies into Connect Four,
`board_to_text` prints

     1 2 3 4 5 6 7
     . . . . . . .
     . . . . . . .
     . . . . . . .
     . . . . . . .
     . . .(O). . .
     . . . X . . .
    X to move

with the last move in parentheses; a pass or a swap is named in the last line instead. X is player
0, O is player 1. Hex is drawn as a rhombus, each row shifted to the right by half a cell, so that
the six neighbors of a cell touch it, and the line below names each player's edges.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from string import ascii_lowercase

import numpy as np

from games.game import Cell, Game, Notation, State

PIECES = {1: "X", -1: "O", 0: "."}
_EDGES = re.compile(r"[XO] joins ")
_VALUES = {piece: value for value, piece in PIECES.items()}


def cell_notation(height: int, width: int, others: tuple[str, ...] = ()) -> Notation:
    """Makes the notation of a game whose action row * W + column is a cell, "a1" at the top left.

    A letter names the column and a number the row.

    Args:
        height: rows H of the board.
        width: its columns W, at most 26.
        others: names of further actions, such as "pass".
    """
    columns, rows = tuple(ascii_lowercase[:width]), numbers(height)

    def find_cell(state: State, action: int) -> Cell | None:
        return divmod(action, width) if action < height * width else None

    names = tuple(column + row for row in rows for column in columns)
    return Notation((*names, *others), columns, rows, find_cell)


def numbers(count: int) -> tuple[str, ...]:
    """Returns the texts "1", "2", ... up to `count`."""
    return tuple(str(number) for number in range(1, count + 1))


def hex_edges(red: str) -> str:
    """Names each player's edges in Hex; the piece `red` joins the top and the bottom."""
    blue = "O" if red == "X" else "X"
    return f"{red} joins top and bottom, {blue} joins left and right"


def action_to_text(game: Game, action: int, state: State = None) -> str:
    """Returns the name of an action, such as "4" in Connect Four or "b2" in tic-tac-toe.

    Args:
        game: the rules.
        action: int, of the player to move.
        state: the position before the action; only Hex needs it, whose actions are cells of the
            mover's view. None: the first position.

    Raises:
        ValueError: `action` is not in [0, num_actions).
    """
    action = int(action)
    if not 0 <= action < game.num_actions:
        raise ValueError(f"{game.name} has no action {action}; choose 0..{game.num_actions - 1}")
    names = _cached(game)
    return names.actions[action if state is None else names.to_mover_view(state, action)]


def text_to_action(game: Game, text: str, state: State = None) -> int:
    """Returns the action with this name; case and surrounding blanks do not matter.

    `state` is as in `action_to_text`. The action may be illegal in it.

    Raises:
        ValueError: no action of `game` has this name.
    """
    action = _indices(game).get(text.strip().casefold())
    if action is None:
        choices = _shorten(_cached(game).actions)
        raise ValueError(f"{game.name} has no move {text!r}; choose from {choices}")
    return action if state is None else _cached(game).to_mover_view(state, action)


def board_to_text(game: Game, state: State, last_action: int | None = None) -> str:
    """Prints a position: labels, the board with `last_action` marked, and who is to move.

    Raises:
        ValueError: `last_action` is not in [0, num_actions).
    """
    names, board = _cached(game), np.asarray(game.board(state))
    marked, note = None, ""
    if last_action is not None:
        action_to_text(game, last_action)
        marked = names.find_cell(state, int(last_action))
        note = "" if marked else f"; last move: {names.actions[int(last_action)]}"
    margin = max(map(len, names.rows), default=0)
    width = max(map(len, names.columns))
    rhombus = names.edges is not None
    labels = "".join(f" {label:>{width}}" for label in names.columns)
    lines = [" " * (margin + rhombus) + labels]
    for row, values in enumerate(board):
        label = names.rows[row] if names.rows else ""
        cells = [f"{PIECES[int(value)]:>{width}}" for value in values]
        gaps = [" "] * (len(cells) + 1)
        if marked is not None and marked[0] == row:
            column = marked[1]
            gaps[column], gaps[column + 1] = "(", ")"
            cells[column] = cells[column].strip()
            gaps[column] = gaps[column].rjust(1 + width - len(cells[column]))
        line = "".join(gap + cell for gap, cell in zip(gaps, [*cells, ""], strict=True))
        if rhombus:
            lines.append(" " * row + f"{label:>{margin}} \\{line.ljust(len(labels) + 1)}\\")
        else:
            lines.append((label.rjust(margin) + line).rstrip())
    if names.edges:
        lines.append(names.edges(state))
    lines.append(_status_line(game, state) + note)
    return "\n".join(lines) + "\n"


def text_to_board(game: Game, text: str) -> tuple[np.ndarray, int]:
    """Reads a board as `board_to_text` prints it.

    Labels, the edges of a rhombus and the last lines may be missing. Without "X to move" or "O to
    move", player 0 is to move if both players have equally many pieces, else player 1.

    Returns:
        ``(board, player)``: int8 [H, W] for `from_board`, and the player to move.

    Raises:
        ValueError: a line that is not a row of the board, or too few or too many rows.
    """
    names = _cached(game)
    height, width, _ = game.observation_shape
    rows: list[list[int]] = []
    player = None
    for line in filter(None, map(str.strip, text.splitlines())):
        to_move = re.match(r"([XO]) to move\b", line)
        if to_move:
            player = 0 if to_move[1] == "X" else 1
        elif tuple(line.split()) != names.columns and not _EDGES.match(line):
            rows.append(_read_row(game, line, len(rows)))
    if len(rows) != height:
        raise ValueError(f"a board of {game.name} has {height} rows, not {len(rows)}")
    board = np.array(rows, np.int8).reshape(height, width)
    return board, int(board.sum() != 0) if player is None else player


def _read_row(game: Game, line: str, row: int) -> list[int]:
    """Parses one printed row of the board into its W values."""
    width, labels = game.observation_shape[1], _cached(game).rows
    tokens = re.sub(r"[()\\]", " ", line).split()
    if row < len(labels) and tokens[:1] == [labels[row]]:
        tokens = tokens[1:]
    unknown = [token for token in tokens if token not in _VALUES]
    if unknown:
        raise ValueError(
            f"row {row + 1} of the board of {game.name} has {unknown[0]!r}; "
            f"choose from {', '.join(_VALUES)}"
        )
    if len(tokens) != width:
        raise ValueError(
            f"row {row + 1} of the board of {game.name} has {len(tokens)} cells, not {width}"
        )
    return [_VALUES[token] for token in tokens]


def _status_line(game: Game, state: State) -> str:
    line = f"{'XO'[int(game.player(state))]} to move"
    if not game.is_terminal(state):
        return line
    result = {1: "X won", 0: "draw", -1: "O won"}[int(game.outcome(state))]
    return f"{line}, but the game is over: {result}"


@cache
def _cached(game: Game) -> Notation:
    """Caches the notation, which every move needs and which has hundreds of names for Go."""
    return game.notation()


@cache
def _indices(game: Game) -> dict[str, int]:
    return {name.casefold(): action for action, name in enumerate(_cached(game).actions)}


def _shorten(choices: Sequence[str], limit: int = 20) -> str:
    """Joins the choices to one line, without the middle of a long list."""
    if len(choices) > limit:
        choices = [*choices[:3], "...", *choices[-2:]]
    return ", ".join(choices)
