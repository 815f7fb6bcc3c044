"""Tromp-Taylor Go without suicide, written from the rules and for nothing but being right."""

from __future__ import annotations

from dataclasses import dataclass, field

Board = tuple[int, ...]
"""size² points, row by row: +1 Black, −1 White, 0 empty."""


def neighbours(size: int, point: int) -> list[int]:
    """The points next to one."""
    row, column = divmod(point, size)
    steps = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
    return [r * size + c for r, c in steps if 0 <= r < size and 0 <= c < size]


def region(board: Board, size: int, point: int) -> tuple[set[int], set[int]]:
    """The points of `point`'s value connected to it, and the points beside them."""
    found, beside, todo = {point}, set(), [point]
    while todo:
        for near in neighbours(size, todo.pop()):
            if board[near] != board[point]:
                beside.add(near)
            elif near not in found:
                found.add(near)
                todo.append(near)
    return found, beside


def liberties(board: Board, size: int, point: int) -> int:
    """Of the chain on a point."""
    return sum(board[near] == 0 for near in region(board, size, point)[1])


def after(board: Board, size: int, point: int, colour: int) -> Board | None:
    """The board after a stone and its captures; None if the point is taken or it is suicide."""
    if board[point]:
        return None
    new = list(board)
    new[point] = colour
    for near in neighbours(size, point):
        if new[near] == -colour and not liberties(tuple(new), size, near):
            for stone in region(tuple(new), size, near)[0]:
                new[stone] = 0
    return tuple(new) if liberties(tuple(new), size, point) else None


def area(board: Board, size: int) -> int:
    """Black's points less White's."""
    total = sum(board)
    seen: set[int] = set()
    for point, value in enumerate(board):
        if value == 0 and point not in seen:
            found, beside = region(board, size, point)
            seen |= found
            colours = {board[near] for near in beside}
            if len(colours) == 1:
                total += len(found) * colours.pop()
    return total


@dataclass
class SlowGo:
    """One game, from a board on."""

    size: int
    komi: float
    max_plies: int
    board: Board
    player: int = 0
    ply: int = 0
    passes: int = 0
    seen: set[Board] = field(default_factory=set)

    @property
    def over(self) -> bool:
        """Two passes, or the last ply is made."""
        return self.passes == 2 or self.ply >= self.max_plies

    def moves(self) -> dict[int, Board]:
        """Legal points, and the boards that they make; passing is legal too."""
        if self.over:
            return {}
        tried = (
            (p, after(self.board, self.size, p, 1 - 2 * self.player)) for p in range(self.size**2)
        )
        return {p: new for p, new in tried if new and new not in self.seen | {self.board}}

    def play(self, action: int) -> None:
        """A legal action."""
        if action == self.size**2:
            self.passes += 1
        else:
            new = self.moves()[action]
            self.seen.add(self.board)
            self.board, self.passes = new, 0
        self.player, self.ply = 1 - self.player, self.ply + 1

    def outcome(self) -> int:
        """For Black."""
        margin = area(self.board, self.size) - self.komi
        return ((margin > 0) - (margin < 0)) if self.over else 0
