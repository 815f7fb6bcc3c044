"""Hex on rhombic boards: Red joins top and bottom, Blue joins left and right; no draws.

A cell (row, column) touches (row ± 1, column), (row, column ± 1), (row − 1, column + 1) and
(row + 1, column − 1). Both players see the board with their own edges at the top and the bottom:
for Blue it is transposed, in the observation **and in the actions**. Blue's action
row · size + column is the cell (column, row) of the board, so that one network serves both.

With `swap`, player 1 may answer the first move with the last action: the players exchange colors,
and player 0 continues as Blue. Players keep their numbers, so the outcome stays player 0's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import jax
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
from games.notation import cell_notation, hex_edges
from games.symmetry import cell_symmetries, half_turn, identity

MIN_SIZE, MAX_SIZE = 2, 13
START, END = 1, 2  # bits: a chain touches Red's top (Blue's left) edge, the bottom (right) edge


class HexState(NamedTuple):
    """One position of Hex: 2 bytes a cell up to 11×11."""

    chain: Array  # int8 or int16 [P], one stone's cell + 1, positive for Red; 0 where empty
    edges: Array  # uint8 [P], the edges that the stone's chain touches; 0 where empty
    swapped: Array  # bool [], True = player 0 is Blue
    status: Array  # uint8 [], the status byte of games/game.py


@dataclass(frozen=True)
class Hex(Game):
    """The rules of Hex.

    Attributes:
        size: rows and columns, 2 to 13.
        swap: player 1 may take over player 0's first move.

    Raises:
        ValueError: `size` is out of range.
    """

    size: int = 5
    swap: bool = False

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise ValueError(
                f"hex: size={self.size} is out of range; choose {MIN_SIZE}..{MAX_SIZE}"
            )

    @property
    def num_actions(self) -> int:
        """One action per cell, and the swap if it is allowed."""
        return self.size * self.size + self.swap

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Shape of an observation: (size, size, 2), with the swap (size, size, 3)."""
        return (self.size, self.size, 2 + self.swap)

    @property
    def max_plies(self) -> int:
        """The number of cells, plus one for the swap if it is allowed."""
        return self.num_actions

    def init(self) -> HexState:
        """Returns the empty board, player 0 to move as Red."""
        points = self.size * self.size
        return HexState(
            jnp.zeros(points, jnp.int8 if points < 128 else jnp.int16),
            jnp.zeros(points, jnp.uint8),
            jnp.bool_(False),
            jnp.zeros((), jnp.uint8),
        )

    def step(self, state: HexState, action: ArrayLike) -> HexState:
        """Puts a stone on a free cell of the mover's view, int [], or swaps.

        A terminal state is returned unchanged.
        """
        action = jnp.asarray(action, jnp.int32)
        player, blue = status_player(state.status), self.is_blue(state)
        swaps = action == self.size * self.size
        row, column = jnp.divmod(jnp.where(swaps, 0, action), self.size)
        cell = jnp.where(blue, column * self.size + row, row * self.size + column)
        chain, edges, won = self._place(state.chain, state.edges, cell, blue)
        no = jnp.bool_(False)
        after = HexState(
            jnp.where(swaps, state.chain, chain),
            jnp.where(swaps, state.edges, edges),
            state.swapped | swaps,
            pack_status(1 - player, ~swaps & won & (player == 0), ~swaps & won & (player == 1), no),
        )
        running = ~status_is_terminal(state.status)
        return jax.tree.map(lambda a, b: jnp.where(running, a, b), after, state)

    def legal_actions(self, state: HexState) -> Array:
        """Returns a mask, bool [A], True = legal, over the cells of the mover's view."""
        running = ~status_is_terminal(state.status)
        free = self._to_mover_view(state, state.chain == 0).reshape(-1) & running
        return jnp.append(free, self._can_swap(state)) if self.swap else free

    def observe(self, state: HexState) -> Array:
        """Returns bool [size, size, 2 or 3]: my stones, your stones, and whether I may swap.

        The planes are the view of the player to move, whose edges are at the top and the bottom.
        """
        signed = jnp.where(self.is_blue(state), -state.chain, state.chain)
        view = self._to_mover_view(state, signed)
        planes = [view > 0, view < 0]
        if self.swap:
            planes.append(jnp.broadcast_to(self._can_swap(state), (self.size, self.size)))
        return jnp.stack(planes, axis=-1)

    def is_terminal(self, state: HexState) -> Array:
        """Returns bool [], True = a player has joined the two edges."""
        return status_is_terminal(state.status)

    def outcome(self, state: HexState) -> Array:
        """Returns the result for player 0, float32 []: +1 or −1; 0 while the game runs."""
        return status_outcome(state.status)

    def player(self, state: HexState) -> Array:
        """Returns the player to move, int32 []."""
        return status_player(state.status)

    def is_blue(self, state: HexState) -> Array:
        """Returns bool [], True = the mover joins left and right, and sees the board transposed."""
        return (status_player(state.status) == 1) ^ state.swapped

    def board(self, state: HexState) -> Array:
        """Returns int8 [size, size]: +1 player 0's stones, −1 player 1's, 0 empty.

        The board is not transposed, whoever moves.
        """
        board = jnp.sign(state.chain).astype(jnp.int8).reshape(self.size, self.size)
        return jnp.where(state.swapped, -board, board)

    def view(self, state: HexState, grid: Array) -> Array:
        """Transposes a grid [size, size] if the player to move is Blue."""
        return self._to_mover_view(state, grid)

    def from_board(self, board: ArrayLike, player: ArrayLike) -> HexState:
        """Returns the position with these stones, int8 [size, size]; player 0 is Red.

        Raises:
            ValueError: `board` has the wrong shape.
        """
        if jnp.shape(board) != (self.size, self.size):
            raise ValueError(
                f"hex: board has shape {jnp.shape(board)}, not {(self.size, self.size)}"
            )
        cells = jnp.asarray(board, jnp.int8).reshape(-1)

        def put(carry: tuple[Array, ...], cell: Array) -> tuple[tuple[Array, ...], None]:
            chain, edges, won_0, won_1 = carry
            blue, taken = cells[cell] < 0, cells[cell] != 0
            new_chain, new_edges, won = self._place(chain, edges, cell, blue)
            won &= taken
            return (
                jnp.where(taken, new_chain, chain),
                jnp.where(taken, new_edges, edges),
                won_0 | (won & ~blue),
                won_1 | (won & blue),
            ), None

        blank, no = self.init(), jnp.bool_(False)
        carry, _ = jax.lax.scan(
            put, (blank.chain, blank.edges, no, no), jnp.arange(self.size * self.size)
        )
        chain, edges, won_0, won_1 = carry
        status = pack_status(jnp.asarray(player, jnp.int32), won_0, won_1, no)
        return HexState(chain, edges, no, status)

    @property
    def has_history(self) -> bool:
        """True: the label of a chain depends on the order of the moves."""
        return True

    @property
    def is_positional(self) -> bool:
        """True without the swap: a chain that joins the two edges wins."""
        return not self.swap

    def symmetries(self) -> Symmetries:
        """Returns 2 symmetries: the identity and the half turn. A swap stays a swap.

        Transposing the board and exchanging the colors is a symmetry as well, but it needs no entry
        here: both positions have the same observation and the same actions for the player to move.
        """
        return cell_symmetries(self.size, self.size, (identity, half_turn), others=self.swap)

    def notation(self) -> Notation:
        """Names cells of the board "a1" (top left), a letter for the column first; then "swap".

        Red joins the top and the bottom. Blue's actions are cells of the transposed view; their
        names are those of the board.
        """

        def transposed(blue: bool, action: int) -> int:
            row, column = divmod(action, self.size)
            return column * self.size + row if blue and action < self.size**2 else action

        def to_mover_view(state: State, action: int) -> int:
            return transposed(bool(self.is_blue(state)), action)

        def find_cell(state: State, action: int) -> Cell | None:
            if action == self.size**2:
                return None
            return divmod(transposed(not self.is_blue(state), action), self.size)

        def edges(state: State) -> str:
            return hex_edges(red="XO"[int(self.player(state)) ^ int(self.is_blue(state))])

        return replace(
            cell_notation(self.size, self.size, ("swap",) * self.swap),
            find_cell=find_cell,
            edges=edges,
            to_mover_view=to_mover_view,
        )

    def _place(
        self, chain: Array, edges: Array, cell: Array, blue: Array
    ) -> tuple[Array, Array, Array]:
        """Puts a stone on `cell`, int32 []; returns chains, edges, and whether its chain wins."""
        near_table, edge_table = _tables(self.size)
        sign = jnp.where(blue, -1, 1).astype(chain.dtype)
        near = jnp.asarray(near_table)[cell]
        ids = jnp.pad(chain, (0, 1))[near]
        mine = ids * sign > 0
        joined = jnp.any((chain[None, :] == ids[:, None]) & mine[:, None], axis=0)
        joined |= jnp.arange(chain.shape[0]) == cell
        cell_edges = jnp.asarray(edge_table)[blue.astype(jnp.int32), cell]
        chain_edges = jnp.where(mine, jnp.pad(edges, (0, 1))[near], 0)
        touched = jax.lax.reduce(chain_edges, np.uint8(0), jax.lax.bitwise_or, (0,)) | cell_edges
        label = (sign * (cell + 1)).astype(chain.dtype)
        return (
            jnp.where(joined, label, chain),
            jnp.where(joined, touched, edges),
            touched == START | END,
        )

    def _can_swap(self, state: HexState) -> Array:
        """Returns bool [], True = there is one stone, and nobody has swapped."""
        return (jnp.sum(state.chain != 0) == 1) & ~state.swapped & ~status_is_terminal(state.status)

    def _to_mover_view(self, state: HexState, plane: Array) -> Array:
        """Turns a plane [P] of the board into the mover's view, [size, size]."""
        grid = plane.reshape(self.size, self.size)
        return jnp.where(self.is_blue(state), grid.T, grid)


@cache
def _tables(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns neighbors, int32 [P, 6] (P off the board), and each color's edges, uint8 [2, P]."""
    padded = np.pad(np.arange(size * size).reshape(size, size), 1, constant_values=size * size)
    steps = ((-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0))
    views = [padded[1 + r : size + 1 + r, 1 + c : size + 1 + c].reshape(-1) for r, c in steps]
    rows = np.repeat(np.arange(size), size)
    edges = np.where(rows == 0, START, 0) | np.where(rows == size - 1, END, 0)
    blue = edges.reshape(size, size).T.reshape(-1)
    return np.stack(views, -1).astype(np.int32), np.stack([edges, blue]).astype(np.uint8)
