"""Boards as SVG: pieces, the last move, legal moves as buttons, and what a network thinks of them.

Every legal move that is a cell is a group with ``data-action``, that the page listens to; it can be
reached by keyboard. Other moves (a pass, a swap) are buttons of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from math import sqrt

import numpy as np

from games.connect_four import ConnectFour
from games.game import Cell, Game, State
from games.go import as_go
from games.hex import Hex
from selfplay.serve.web.palette import PALEST, STRONGEST, WOOD

CELL = 48.0  # units of a cell
MARGIN = 30.0  # around the board, for coordinates
HEX_COLORS = ("#c23b3b", "#2f6fb5")  # red joins top and bottom, blue left and right
STONES = ("#1c1c1c", "#f6f4ee")


@dataclass(frozen=True)
class Marks:
    """What is drawn on a position besides its pieces.

    Attributes:
        legal: actions that may be chosen.
        last: the cell of the last move.
        shares: by action, a share in [0, 1] that is shown as a disk and in per cent.
        values: by action, a value in [−1, 1] for the player to move, shown as a color.
        truths: by action, words such as "win".
    """

    legal: Iterable[int] = ()
    last: Cell | None = None
    shares: Mapping[int, float] = field(default_factory=dict)
    values: Mapping[int, float] = field(default_factory=dict)
    truths: Mapping[int, str] = field(default_factory=dict)


def draw(game: Game, state: State, marks: Marks = Marks()) -> str:
    """Returns a position as SVG text; its size follows the width that it is given."""
    if isinstance(game, ConnectFour):
        return _connect_four(game, state, marks)
    if isinstance(game, Hex):
        return _hex(game, state, marks)
    return _grid(game, state, marks)


def cells(game: Game, state: State) -> dict[int, Cell]:
    """Returns the cells of the actions that name one, as the player to move calls them."""
    if isinstance(game, ConnectFour):
        heights = np.asarray(game.board(state) != 0).sum(axis=0)
        return {column: (game.rows - 1 - int(h), column) for column, h in enumerate(heights)}
    height, width, _ = game.observation_shape
    names = game.notation()
    if game.num_actions < height * width:
        return {}
    places = {action: names.to_mover_view(state, action) for action in range(game.num_actions)}
    return {
        action: divmod(place, width) for action, place in places.items() if place < height * width
    }


def _connect_four(game: ConnectFour, state: State, marks: Marks) -> str:
    board, player = np.asarray(game.board(state)), int(game.player(state))
    rows, columns = board.shape
    width, height = columns * CELL, rows * CELL
    parts = [
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{width}" height="{height}" rx="10" '
        'fill="var(--board)"/>'
    ]

    def center(row: int, column: int) -> tuple[float, float]:
        return MARGIN + (column + 0.5) * CELL, MARGIN + (row + 0.5) * CELL

    for row, column in np.ndindex(rows, columns):
        x, y = center(row, column)
        color = {0: "var(--hole)", 1: "var(--first)", -1: "var(--second)"}[int(board[row, column])]
        parts.append(f'<circle cx="{x}" cy="{y}" r="19" fill="{color}"/>')
        if marks.last == (row, column):
            parts.append(f'<circle cx="{x}" cy="{y}" r="7" fill="var(--panel)"/>')
    targets, legal = cells(game, state), set(marks.legal)
    for column in range(columns):
        x, _ = center(0, column)
        parts.append(f'<text x="{x}" y="{MARGIN / 2}">{column + 1}</text>')
        row, _ = targets[column]
        if row < 0:
            continue
        _, y = center(row, column)
        parts += _thoughts(column, x, y, 19, marks)
        if column in legal:
            target = (
                f'<rect class="target" x="{MARGIN + column * CELL}" y="{MARGIN}" '
                f'width="{CELL}" height="{height}" rx="8"/>'
            )
            ghost = f'<circle class="ghost" cx="{x}" cy="{y}" r="19" fill="{_disc(player)}"/>'
            parts.append(_button(column, f"column {column + 1}", target + ghost))
    return _svg(width + 2 * MARGIN, height + 2 * MARGIN, parts, "Connect Four board")


def _grid(game: Game, state: State, marks: Marks) -> str:
    """Draws Go on its points, and other games on the squares of a grid."""
    board, player = np.asarray(game.board(state)), int(game.player(state))
    rows, columns = board.shape
    is_go = as_go(game) is not None
    width, height = columns * CELL, rows * CELL

    def center(row: int, column: int) -> tuple[float, float]:
        return MARGIN + (column + 0.5) * CELL, MARGIN + (row + 0.5) * CELL

    parts = [
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{width}" height="{height}" rx="8" '
        f'fill="{WOOD if is_go else "var(--board)"}"/>'
    ]
    shift = 0.5 if is_go else 0.0
    color = "#6b5327" if is_go else "var(--grid)"
    lines_x = np.arange(columns + (0 if is_go else 1)) + shift
    lines_y = np.arange(rows + (0 if is_go else 1)) + shift
    for x in MARGIN + CELL * lines_x:
        ends = MARGIN + CELL * lines_y[0], MARGIN + CELL * lines_y[-1]
        parts.append(_line(x, ends[0], x, ends[1], color))
    for y in MARGIN + CELL * lines_y:
        ends = MARGIN + CELL * lines_x[0], MARGIN + CELL * lines_x[-1]
        parts.append(_line(ends[0], y, ends[1], y, color))
    if is_go:
        for row, column in _stars(rows):
            x, y = center(row, column)
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{color}"/>')
    pieces = STONES if is_go else ("var(--first)", "var(--second)")
    for row, column in zip(*np.nonzero(board), strict=True):
        x, y = center(row, column)
        fill = pieces[0] if board[row, column] > 0 else pieces[1]
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="21" fill="{fill}" stroke="#00000055" stroke-width="1"/>'
        )
    if marks.last is not None:
        x, y = center(*marks.last)
        parts.append(
            f'<circle cx="{x}" cy="{y}" r="9" fill="none" stroke="#d2452f" stroke-width="3"/>'
        )
    parts += _labels(game, rows, columns)
    names, legal = game.notation().actions, set(marks.legal)
    for action, (row, column) in cells(game, state).items():
        x, y = center(row, column)
        parts += _thoughts(action, x, y, 17, marks)
        if action in legal:
            target = f'<circle class="target" cx="{x}" cy="{y}" r="{CELL / 2}"/>'
            ghost = f'<circle class="ghost" cx="{x}" cy="{y}" r="21" fill="{pieces[player]}"/>'
            parts.append(_button(action, names[row * columns + column], target + ghost))
    wood = " wood" if is_go else ""
    return _svg(width + 2 * MARGIN, height + 2 * MARGIN, parts, f"{game.name} board", wood)


def _hex(game: Hex, state: State, marks: Marks) -> str:
    board = np.asarray(game.board(state))
    size, radius = len(board), CELL / sqrt(3)
    step_y = 1.5 * radius
    width, height = (1.5 * size - 0.5) * CELL, (size - 1) * step_y + 2 * radius
    inset = MARGIN + 12

    def center(row: int, column: int) -> tuple[float, float]:
        return inset + (column + 0.5 + row / 2) * CELL, inset + radius + row * step_y

    def polygon(points: list[tuple[float, float]], attributes: str) -> str:
        return f'<polygon points="{_points(points)}" {attributes}/>'

    parts = _hex_edges(game, state, center, radius)
    for row, column in np.ndindex(size, size):
        x, y = center(row, column)
        parts.append(
            polygon(
                _corners(x, y, radius),
                'fill="var(--panel)" stroke="var(--grid)" stroke-width="1.5"',
            )
        )
        piece = int(board[row, column])
        if piece:
            fill = HEX_COLORS[0] if piece > 0 else HEX_COLORS[1]
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="18" fill="{fill}"/>')
        if marks.last == (row, column):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="#ffffff"/>')
    names = game.notation()
    for column, label in enumerate(names.columns):
        x, y = center(0, column)
        parts.append(f'<text x="{x - CELL / 4:.1f}" y="{y - radius - 16:.1f}">{label}</text>')
    for row, label in enumerate(names.rows):
        x, y = center(row, 0)
        parts.append(f'<text x="{x - CELL / 2 - 18:.1f}" y="{y:.1f}">{label}</text>')
    player, legal = int(game.player(state)), set(marks.legal)
    for action, (row, column) in cells(game, state).items():
        x, y = center(row, column)
        parts += _thoughts(action, x, y, 15, marks)
        if action in legal and not board[row, column]:
            target = polygon(_corners(x, y, radius), 'class="target"')
            ghost = (
                f'<circle class="ghost" cx="{x:.1f}" cy="{y:.1f}" r="18" '
                f'fill="{HEX_COLORS[player]}"/>'
            )
            parts.append(_button(action, names.actions[row * size + column], target + ghost))
    return _svg(width + 2 * inset, height + 2 * inset, parts, "Hex board")


def _hex_edges(
    game: Hex, state: State, center: Callable[[int, int], tuple[float, float]], radius: float
) -> list[str]:
    """Draws the four edges of a board of Hex in the colors of the players who join them."""
    size = game.size
    sides = (
        [_corners(*center(0, c), radius)[i] for c in range(size) for i in (5, 0, 1)],
        [_corners(*center(size - 1, c), radius)[i] for c in range(size) for i in (4, 3, 2)],
        [_corners(*center(r, 0), radius)[i] for r in range(size) for i in (5, 4, 3)],
        [_corners(*center(r, size - 1), radius)[i] for r in range(size) for i in (0, 1, 2)],
    )
    red, blue = HEX_COLORS
    colors = (blue, blue, red, red) if bool(state.swapped) else (red, red, blue, blue)
    return [
        f'<polyline points="{_points(points)}" fill="none" stroke="{color}" stroke-width="9" '
        'stroke-linejoin="round" stroke-linecap="round"/>'
        for points, color in zip(sides, colors, strict=True)
    ]


def _corners(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """Returns the corners of a hexagonal cell, clockwise from the top."""
    wide = radius * sqrt(3) / 2
    return [
        *((x, y - radius), (x + wide, y - radius / 2), (x + wide, y + radius / 2)),
        *((x, y + radius), (x - wide, y + radius / 2), (x - wide, y - radius / 2)),
    ]


def _points(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _thoughts(action: int, x: float, y: float, radius: float, marks: Marks) -> list[str]:
    """Draws what is thought of an action: a disk for its share, a color for its value, words."""
    parts = []
    if action in marks.values:
        value = marks.values[action]
        color = "var(--good)" if value >= 0 else "var(--bad)"
        strength = PALEST + (STRONGEST - PALEST) * min(abs(value), 1.0)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}" '
            f'opacity="{strength:.2f}" pointer-events="none"/>'
            f'<text class="on" x="{x:.1f}" y="{y:.1f}">{f"{value:+.2f}".replace("-", "−")}</text>'
        )
    elif marks.shares.get(action, 0.0) >= 0.005:
        share = marks.shares[action]
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="var(--accent)" '
            f'opacity="{PALEST + (STRONGEST - PALEST) * sqrt(share):.2f}" pointer-events="none"/>'
            f'<text class="on" x="{x:.1f}" y="{y:.1f}">{100 * share:.0f}</text>'
        )
    if action in marks.truths:
        word = marks.truths[action]
        color = {"win": "var(--good)", "loss": "var(--bad)"}.get(word, "var(--line)")
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{color}" opacity="{STRONGEST}" '
            'pointer-events="none"/>'
            f'<text class="on" x="{x:.1f}" y="{y:.1f}">{escape(word)}</text>'
        )
    return parts


def _labels(game: Game, rows: int, columns: int) -> list[str]:
    names = game.notation()
    texts = []
    for column, label in enumerate(names.columns):
        x = MARGIN + (column + 0.5) * CELL
        texts.append(f'<text x="{x}" y="{MARGIN / 2}">{escape(label)}</text>')
    for row, label in enumerate(names.rows):
        y = MARGIN + (row + 0.5) * CELL
        texts.append(f'<text x="{MARGIN / 2}" y="{y}">{escape(label)}</text>')
    return texts


def _stars(size: int) -> list[Cell]:
    """Returns the marked points of a Go board."""
    if size < 7:
        return []
    edge = 2 if size < 13 else 3
    middle = [size // 2] if size % 2 else []
    lines = [edge, *middle, size - 1 - edge] if size >= 13 else [edge, size - 1 - edge]
    points = [(row, column) for row in lines for column in lines]
    return points if size >= 13 else [*points, *((m, m) for m in middle)]


def _disc(player: int) -> str:
    return ("var(--first)", "var(--second)")[player]


def _line(x1: float, y1: float, x2: float, y2: float, color: str) -> str:
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{color}" '
        'stroke-width="1.4"/>'
    )


def _button(action: int, name: str, inner: str) -> str:
    return (
        f'<g data-action="{action}" role="button" tabindex="0" aria-label="{escape(name)}">'
        f"{inner}</g>"
    )


def _svg(width: float, height: float, parts: list[str], title: str, wood: str = "") -> str:
    return (
        f'<svg class="board{wood}" viewBox="0 0 {width:.0f} {height:.0f}" role="group" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
