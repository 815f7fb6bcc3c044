"""Connect Four on bitboards: drop a stone into a column; four in a line win.

Each player's stones are one bitboard of W uint32 words (two for the usual 6x7 board). Column c
owns the rows + 1 bits from c * (rows + 1) on, its lowest cell first. The extra bit on top of each
column is always empty, so no line runs into the next column:

    5 12 19 26 33 40 47     bit numbers of the 6x7 board,
    4 11 18 25 32 39 46     the empty bits 6, 13, ... left out
    3 10 17 24 31 38 45
    2  9 16 23 30 37 44
    1  8 15 22 29 36 43
    0  7 14 21 28 35 42

A line of four in a direction is then four bits at equal distance: two shifts test the whole board.
The next free cell of every column is the empty one that lies above a stone or at the bottom. A
state takes 17 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, reduce
from operator import or_
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import (
    ArrayLike,
    Cell,
    Game,
    Notation,
    State,
    Symmetries,
    pack_status,
    status_is_terminal,
    status_outcome,
    status_player,
)
from games.notation import numbers
from games.symmetry import grid_cells, identity

Words: TypeAlias = tuple[Array, ...]
"""A bitboard as W uint32 scalars, the lowest bits first."""

MIN_SIDE, MAX_SIDE = 4, 16


class ConnectFourState(NamedTuple):
    """One position of Connect Four, 17 bytes on the 6x7 board."""

    stones: Array  # uint32 [2, W], the bitboards of player 0 and player 1
    status: Array  # uint8 [], the status byte of games/game.py


@dataclass(frozen=True)
class ConnectFour(Game):
    """The rules of Connect Four; action = column, 0 at the left.

    Raises:
        ValueError: `rows` or `columns` is not within 4..16.
    """

    rows: int = 6
    columns: int = 7

    def __post_init__(self) -> None:
        for side, value in (("rows", self.rows), ("columns", self.columns)):
            if not MIN_SIDE <= value <= MAX_SIDE:
                raise ValueError(
                    f"connect_four: {side}={value} is out of range; choose {MIN_SIDE}..{MAX_SIDE}"
                )

    @property
    def num_actions(self) -> int:
        """One action per column."""
        return self.columns

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Shape of an observation: (rows, columns, 2)."""
        return (self.rows, self.columns, 2)

    @property
    def max_plies(self) -> int:
        """The number of cells: then the board is full."""
        return self.rows * self.columns

    def init(self) -> ConnectFourState:
        """Returns the empty board, player 0 to move."""
        words = _masks(self.rows, self.columns).cells.shape[0]
        return ConnectFourState(jnp.zeros((2, words), jnp.uint32), jnp.zeros((), jnp.uint8))

    def step(self, state: ConnectFourState, action: ArrayLike) -> ConnectFourState:
        """Drops a stone of the player to move into column `action`, int [], which has room.

        A terminal state is returned unchanged.
        """
        player = status_player(state.status)
        occupied = _split(state.stones[0] | state.stones[1])
        landing = self._landing(occupied, jnp.asarray(action, jnp.int32))
        running = ~status_is_terminal(state.status)
        zero = jnp.uint32(0)
        drop_0 = tuple(jnp.where(running & (player == 0), bit, zero) for bit in landing)
        drop_1 = tuple(jnp.where(running & (player == 1), bit, zero) for bit in landing)
        stones_0 = tuple(map(or_, _split(state.stones[0]), drop_0))
        stones_1 = tuple(map(or_, _split(state.stones[1]), drop_1))
        # Only the mover can have completed a line: one test on the mover's stones is enough.
        moved = tuple(jnp.where(player == 0, a, b) for a, b in zip(stones_0, stones_1, strict=True))
        won = self._has_four(moved)
        full = self._is_full(tuple(map(or_, occupied, landing)))
        status = pack_status(1 - player, won & (player == 0), won & (player == 1), full)
        return ConnectFourState(
            _stack(stones_0, stones_1), jnp.where(running, status, state.status)
        )

    def legal_actions(self, state: ConnectFourState) -> Array:
        """Returns a mask, bool [columns], True = the column has room; all False when terminal."""
        occupied = _split(state.stones[0] | state.stones[1])
        top = _masks(self.rows, self.columns).top
        return ~_bits_at(occupied, top) & ~status_is_terminal(state.status)[None]

    def observe(self, state: ConnectFourState) -> Array:
        """Returns the planes "my stones" and "your stones" of the player to move.

        The result is bool [rows, columns, 2]. No other plane is needed: the rules are the same for
        both players and depend on no history. A plane for the player to move would only make the
        network learn the game twice.
        """
        first = status_player(state.status) == 0
        cells = _masks(self.rows, self.columns).cells
        stones_0, stones_1 = _split(state.stones[0]), _split(state.stones[1])
        mine = tuple(jnp.where(first, a, b) for a, b in zip(stones_0, stones_1, strict=True))
        yours = tuple(jnp.where(first, b, a) for a, b in zip(stones_0, stones_1, strict=True))
        return jnp.stack([_bits_at(mine, cells), _bits_at(yours, cells)], axis=-1)

    def is_terminal(self, state: ConnectFourState) -> Array:
        """Returns bool [], True = a player has four in a line, or the board is full."""
        return status_is_terminal(state.status)

    def outcome(self, state: ConnectFourState) -> Array:
        """Returns the result for player 0, float32 []: +1, 0 or -1; 0 while the game runs."""
        return status_outcome(state.status)

    def player(self, state: ConnectFourState) -> Array:
        """Returns the player to move, int32 []."""
        return status_player(state.status)

    def board(self, state: ConnectFourState) -> Array:
        """Returns int8 [rows, columns]: +1 player 0's stones, -1 player 1's, 0 empty."""
        cells = _masks(self.rows, self.columns).cells
        planes = [_bits_at(_split(stones), cells).astype(jnp.int8) for stones in state.stones]
        return planes[0] - planes[1]

    def from_board(self, board: ArrayLike, player: ArrayLike) -> ConnectFourState:
        """Returns the state with these stones, int8 [rows, columns], and `player`, int [], to move.

        If both players have four in a line, the one who is not to move has won.

        Raises:
            ValueError: `board` has the wrong shape, or is a NumPy array in which a stone has an
                empty cell below it (the values of device arrays are not checked).
        """
        if jnp.shape(board) != (self.rows, self.columns):
            raise ValueError(
                f"connect_four: board has shape {jnp.shape(board)}, not {(self.rows, self.columns)}"
            )
        if isinstance(board, np.ndarray):
            _check_gravity(board)
        board, player = jnp.asarray(board, jnp.int8), jnp.asarray(player, jnp.int32)
        stones_0, stones_1 = self._pack(board == 1), self._pack(board == -1)
        four_0, four_1 = self._has_four(stones_0), self._has_four(stones_1)
        won_0 = four_0 & ~(four_1 & (player == 0))
        won_1 = four_1 & ~won_0
        full = self._is_full(tuple(map(or_, stones_0, stones_1)))
        status = pack_status(player, won_0, won_1, full)
        return ConnectFourState(_stack(stones_0, stones_1), status)

    def symmetries(self) -> Symmetries:
        """Returns 2 symmetries: the identity and the mirror image."""
        columns = np.arange(self.columns, dtype=np.int32)
        return Symmetries(
            grid_cells(self.rows, self.columns, [identity, np.fliplr]),
            np.stack([columns, columns[::-1]]),
        )

    def notation(self) -> Notation:
        """Names columns "1", "2", ... from the left; the last stone is its column's highest."""

        def find_cell(state: State, action: int) -> Cell | None:
            stones = np.flatnonzero(np.asarray(self.board(state))[:, action])
            return (int(stones[0]), action) if len(stones) else None

        columns = numbers(self.columns)
        return Notation(columns, columns, (), find_cell)

    def _landing(self, occupied: Words, column: Array) -> Words:
        """Returns the cell where a stone dropped into `column`, int32 [], lands; empty if full."""
        masks = _masks(self.rows, self.columns)
        above = _shift(occupied, -1)
        height = self.rows + 1
        ones = jnp.uint32((1 << self.rows) - 1)
        landing = []
        for word, taken in enumerate(occupied):
            # In XLA a shift by 32 or more gives 0; a negative one counts as unsigned, hence also 0.
            offset = column * height - 32 * word
            in_column = (ones << offset.astype(jnp.uint32)) | (ones >> (-offset).astype(jnp.uint32))
            landing.append((above[word] | masks.bottom[word]) & ~taken & in_column)
        return tuple(landing)

    def _has_four(self, stones: Words) -> Array:
        """Returns bool [], True = four of these stones are in a line."""
        height = self.rows + 1
        fours = []
        for distance in (1, height, height - 1, height + 1):  # up, right, right-down, right-up
            pairs = _intersect(stones, _shift(stones, distance))
            fours += _intersect(pairs, _shift(pairs, 2 * distance))
        return reduce(or_, fours) != 0

    def _is_full(self, occupied: Words) -> Array:
        """Returns bool [], True = no column has room."""
        full = _masks(self.rows, self.columns).full
        missing = [~word & mask for word, mask in zip(occupied, full, strict=True)]
        return reduce(or_, missing) == 0

    def _pack(self, plane: Array) -> Words:
        """Packs a plane, bool [rows, columns], into a bitboard."""
        cells = _masks(self.rows, self.columns).cells
        # Every cell has its own bit, so the sum is the union.
        return tuple(jnp.sum(jnp.where(plane, c, np.uint32(0)), dtype=jnp.uint32) for c in cells)


class _Masks(NamedTuple):
    """Constant bitboards of one board size, on the host."""

    cells: np.ndarray  # uint32 [W, rows, columns], the bit of each cell; row 0 on top
    top: np.ndarray  # uint32 [W, columns], the bit of each column's top cell
    bottom: np.ndarray  # uint32 [W], the lowest cell of every column
    full: np.ndarray  # uint32 [W], all cells


@cache
def _masks(rows: int, columns: int) -> _Masks:
    words = -(-(rows + 1) * columns // 32)
    cells = np.zeros((words, rows, columns), np.uint32)
    for row in range(rows):
        for column in range(columns):
            word, bit = divmod(column * (rows + 1) + rows - 1 - row, 32)
            cells[word, row, column] = np.uint32(1 << bit)
    bottom = np.bitwise_or.reduce(cells[:, -1], axis=-1)
    full = np.bitwise_or.reduce(cells, axis=(1, 2))
    return _Masks(cells, cells[:, 0], bottom, full)


def _split(stones: Array) -> Words:
    """Splits a bitboard, uint32 [W], into its words."""
    return tuple(stones[word] for word in range(stones.shape[0]))


def _stack(stones_0: Words, stones_1: Words) -> Array:
    """Stacks the two players' words to uint32 [2, W]."""
    return jnp.stack([jnp.stack(stones_0), jnp.stack(stones_1)])


def _intersect(a: Words, b: Words) -> Words:
    """Returns the bits that two bitboards have in common."""
    return tuple(x & y for x, y in zip(a, b, strict=True))


def _shift(words: Words, distance: int) -> Words:
    """Moves bit i + distance to bit i; bits that would leave the bitboard are lost."""
    whole, part = divmod(distance, 32)

    def word(index: int) -> Array:
        return words[index] if 0 <= index < len(words) else jnp.uint32(0)

    if part == 0:
        return tuple(word(i + whole) for i in range(len(words)))
    return tuple(
        (word(i + whole) >> part) | (word(i + whole + 1) << (32 - part)) for i in range(len(words))
    )


def _bits_at(words: Words, masks: np.ndarray) -> Array:
    """Returns bool [...], True = the bitboard has the bit of `masks`, uint32 [W, ...], there."""
    # Explicit broadcasting, because implicit rank promotion is an error in this project's tests.
    shape = masks.shape[1:]
    hits = [jnp.broadcast_to(w, shape) & m for w, m in zip(words, masks, strict=True)]
    return reduce(or_, hits) != 0


def _check_gravity(board: np.ndarray) -> None:
    floating = np.argwhere((board[:-1] != 0) & (board[1:] == 0))
    if len(floating):
        row, column = (int(i) for i in floating[0])
        raise ValueError(
            f"connect_four: the stone in row {row + 1} of column {column + 1} hangs in the air"
        )
