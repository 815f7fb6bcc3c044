"""Tic-tac-toe: the smallest game here, solved by enumeration, for tests and first steps.

Each player's stones are the low nine bits of a uint16; the cell in row r and column c is bit
3 r + c, and the action of the same number. A state takes 5 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import (
    ArrayLike,
    Game,
    Notation,
    Symmetries,
    pack_status,
    status_is_terminal,
    status_outcome,
    status_player,
)
from games.notation import cell_notation
from games.symmetry import SQUARE, cell_symmetries

_BITS = (1 << np.arange(9)).astype(np.uint16)
_LINES = np.array(
    [sum(1 << cell for cell in line) for line in (
        (0, 1, 2), (3, 4, 5), (6, 7, 8),
        (0, 3, 6), (1, 4, 7), (2, 5, 8),
        (0, 4, 8), (2, 4, 6),
    )],
    np.uint16,
)  # fmt: skip
_FULL = np.uint16((1 << 9) - 1)


class TicTacToeState(NamedTuple):
    """One position of tic-tac-toe, 5 bytes."""

    stones: Array  # uint16 [2], the bitboards of player 0 and player 1
    status: Array  # uint8 [], the status byte of games/game.py


@dataclass(frozen=True)
class TicTacToe(Game):
    """The rules of tic-tac-toe; action = row * 3 + column, row 0 on top."""

    @property
    def num_actions(self) -> int:
        """One action per cell."""
        return 9

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Shape of an observation: (3, 3, 2)."""
        return (3, 3, 2)

    @property
    def max_plies(self) -> int:
        """The number of cells: then the board is full."""
        return 9

    def init(self) -> TicTacToeState:
        """Returns the empty board, player 0 to move."""
        return TicTacToeState(jnp.zeros((2,), jnp.uint16), jnp.zeros((), jnp.uint8))

    def step(self, state: TicTacToeState, action: ArrayLike) -> TicTacToeState:
        """Puts a stone of the player to move on the empty cell `action`, int [].

        A terminal state is returned unchanged.
        """
        player = status_player(state.status)
        running = ~status_is_terminal(state.status)
        bit = jnp.uint16(1) << jnp.asarray(action, jnp.uint16)
        none = jnp.uint16(0)
        stones_0 = state.stones[0] | jnp.where(running & (player == 0), bit, none)
        stones_1 = state.stones[1] | jnp.where(running & (player == 1), bit, none)
        # Only the mover can have completed a line.
        won = _has_line(jnp.where(player == 0, stones_0, stones_1))
        full = (stones_0 | stones_1) == _FULL
        status = pack_status(1 - player, won & (player == 0), won & (player == 1), full)
        return TicTacToeState(
            jnp.stack([stones_0, stones_1]), jnp.where(running, status, state.status)
        )

    def legal_actions(self, state: TicTacToeState) -> Array:
        """Returns a mask, bool [9], True = the cell is empty; all False when terminal."""
        occupied = _cells(state.stones[0] | state.stones[1])
        return ~occupied & ~status_is_terminal(state.status)[None]

    def observe(self, state: TicTacToeState) -> Array:
        """Returns the planes "my stones" and "your stones" of the player to move, bool [3, 3, 2].

        No other plane is needed: the rules are the same for both players and depend on no history.
        """
        first = status_player(state.status) == 0
        mine = jnp.where(first, state.stones[0], state.stones[1])
        yours = jnp.where(first, state.stones[1], state.stones[0])
        return jnp.stack([_cells(mine), _cells(yours)], axis=-1).reshape(3, 3, 2)

    def is_terminal(self, state: TicTacToeState) -> Array:
        """Returns bool [], True = a player has three in a line, or the board is full."""
        return status_is_terminal(state.status)

    def outcome(self, state: TicTacToeState) -> Array:
        """Returns the result for player 0, float32 []: +1, 0 or -1; 0 while the game runs."""
        return status_outcome(state.status)

    def player(self, state: TicTacToeState) -> Array:
        """Returns the player to move, int32 []."""
        return status_player(state.status)

    def board(self, state: TicTacToeState) -> Array:
        """Returns int8 [3, 3]: +1 player 0's stones, -1 player 1's, 0 empty; row 0 on top."""
        planes = [_cells(stones).astype(jnp.int8) for stones in state.stones]
        return (planes[0] - planes[1]).reshape(3, 3)

    def from_board(self, board: ArrayLike, player: ArrayLike) -> TicTacToeState:
        """Returns the state with these stones, int8 [3, 3], and `player`, int [], to move.

        If both players have three in a line, the one who is not to move has won.

        Raises:
            ValueError: `board` has the wrong shape.
        """
        if jnp.shape(board) != (3, 3):
            raise ValueError(f"tic_tac_toe: board has shape {jnp.shape(board)}, not (3, 3)")
        cells, player = jnp.asarray(board, jnp.int8).reshape(9), jnp.asarray(player, jnp.int32)
        stones_0, stones_1 = _pack(cells == 1), _pack(cells == -1)
        line_0, line_1 = _has_line(stones_0), _has_line(stones_1)
        won_0 = line_0 & ~(line_1 & (player == 0))
        won_1 = line_1 & ~won_0
        full = (stones_0 | stones_1) == _FULL
        status = pack_status(player, won_0, won_1, full)
        return TicTacToeState(jnp.stack([stones_0, stones_1]), status)

    @property
    def is_positional(self) -> bool:
        """True: three in a line win."""
        return True

    def symmetries(self) -> Symmetries:
        """Returns 8 symmetries: the rotations and reflections."""
        return cell_symmetries(3, 3, SQUARE)

    def notation(self) -> Notation:
        """Names cells "a1" (top left) to "c3": a letter for the column, a number for the row."""
        return cell_notation(3, 3)


def _cells(stones: Array) -> Array:
    """Unpacks a bitboard, uint16 [], to bool [9]."""
    return (jnp.broadcast_to(stones, (9,)) & _BITS) != 0


def _pack(cells: Array) -> Array:
    """Packs cells, bool [9], into a bitboard, uint16 []."""
    return jnp.sum(jnp.where(cells, _BITS, np.uint16(0)), dtype=jnp.uint16)


def _has_line(stones: Array) -> Array:
    """Returns bool [], True = three of these stones, uint16 [], are in a line."""
    return jnp.any((jnp.broadcast_to(stones, (8,)) & _LINES) == _LINES)
