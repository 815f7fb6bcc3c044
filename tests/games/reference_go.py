"""Tromp-Taylor Go without suicide, a slow reference written directly from the rules."""

from __future__ import annotations

from dataclasses import dataclass, field

Board = tuple[int, ...]
"""size² points, row by row: +1 Black, −1 White, 0 empty."""


def adjacent(size: int, point: int) -> list[int]:
    """Returns the points next to `point`."""
    row, column = divmod(point, size)
    steps = ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
    return [r * size + c for r, c in steps if 0 <= r < size and 0 <= c < size]


def region(board: Board, size: int, point: int) -> tuple[set[int], set[int]]:
    """Returns the connected points with the value of `point`, and the points adjacent to them."""
    chain, neighbors, todo = {point}, set(), [point]
    while todo:
        for near in adjacent(size, todo.pop()):
            if board[near] != board[point]:
                neighbors.add(near)
            elif near not in chain:
                chain.add(near)
                todo.append(near)
    return chain, neighbors


def liberties(board: Board, size: int, point: int) -> int:
    """Counts the liberties of the chain on a point."""
    return sum(board[near] == 0 for near in region(board, size, point)[1])


def after(board: Board, size: int, point: int, color: int) -> Board | None:
    """Plays a stone with its captures; returns None if the point is taken or it is suicide."""
    if board[point]:
        return None
    new = list(board)
    new[point] = color
    for near in adjacent(size, point):
        if new[near] == -color and not liberties(tuple(new), size, near):
            for stone in region(tuple(new), size, near)[0]:
                new[stone] = 0
    return tuple(new) if liberties(tuple(new), size, point) else None


def area(board: Board, size: int) -> int:
    """Returns Black's points minus White's."""
    total = sum(board)
    seen: set[int] = set()
    for point, value in enumerate(board):
        if value == 0 and point not in seen:
            empty, neighbors = region(board, size, point)
            seen |= empty
            colors = {board[near] for near in neighbors}
            if len(colors) == 1:
                total += len(empty) * colors.pop()
    return total


@dataclass
class SlowGo:
    """One game that begins with any board."""

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
        """Returns the legal points and the boards that they make; a pass is always legal."""
        if self.over:
            return {}
        tried = (
            (p, after(self.board, self.size, p, 1 - 2 * self.player)) for p in range(self.size**2)
        )
        return {p: new for p, new in tried if new and new not in self.seen | {self.board}}

    def play(self, action: int) -> None:
        """Plays a legal action."""
        if action == self.size**2:
            self.passes += 1
        else:
            new = self.moves()[action]
            self.seen.add(self.board)
            self.board, self.passes = new, 0
        self.player, self.ply = 1 - self.player, self.ply + 1

    def outcome(self) -> int:
        """Returns the outcome for Black."""
        margin = area(self.board, self.size) - self.komi
        return ((margin > 0) - (margin < 0)) if self.over else 0
