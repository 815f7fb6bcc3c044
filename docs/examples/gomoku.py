"""A game of one's own: n stones in a row win on a square board; Gomoku, five on 7×7, by default.

The folder that holds this file needs nothing else:

    oomzero train small --game gomoku:Gomoku
    oomzero train small --game 'gomoku:Gomoku?size=5&line=4' --out runs/four_in_a_row
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from games.game import ArrayLike, BaseGame, Notation, Symmetries
from games.notation import cell_notation
from games.symmetry import SQUARE, grid_cells


class GomokuState(NamedTuple):
    """One position."""

    stones: Array  # int8 [size, size]: +1 player 0's, -1 player 1's, 0 empty
    player: Array  # int32 [], the player to move: 0 or 1
    outcome: Array  # float32 [], for player 0: +1 won, -1 lost, 0 a draw or no end yet


@dataclass(frozen=True)
class Gomoku(BaseGame):
    """The rules; fields are the options of the spec. An action is a cell: row * size + column."""

    size: int = 7
    line: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.line <= self.size:
            raise ValueError(f"gomoku: line must be from 2 to size={self.size}, got {self.line}")

    num_actions = property(lambda self: self.size**2)
    observation_shape = property(lambda self: (self.size, self.size, 2))
    max_plies = property(lambda self: self.size**2)

    def init(self) -> GomokuState:
        """Returns the empty board."""
        stones = jnp.zeros((self.size, self.size), jnp.int8)
        return GomokuState(stones, jnp.int32(0), jnp.float32(0))

    def step(self, state: GomokuState, action: ArrayLike) -> GomokuState:
        """Puts a stone of the player to move on a cell; a game that is over stays as it is."""
        mover = 1 - 2 * state.player  # +1 or -1
        stones = state.stones.reshape(-1).at[action].set(mover.astype(jnp.int8))
        stones = stones.reshape(self.size, self.size)
        won = has_line(stones == mover, self.line)
        after = GomokuState(stones, 1 - state.player, (won * mover).astype(jnp.float32))
        over = self.is_terminal(state)
        return jax.tree.map(lambda old, new: jnp.where(over, old, new), state, after)

    def legal_actions(self, state: GomokuState) -> Array:
        """Returns True for every empty cell while the game runs, bool [size²]."""
        return (state.stones == 0).reshape(-1) & ~self.is_terminal(state)

    def observe(self, state: GomokuState) -> Array:
        """Returns the stones of the player to move and the opponent's, bool [size, size, 2]."""
        mine = state.stones * (1 - 2 * state.player)
        return jnp.stack([mine == 1, mine == -1], axis=-1)

    def is_terminal(self, state: GomokuState) -> Array:
        """Returns whether a player has won or the board is full, bool []."""
        return (state.outcome != 0) | jnp.all(state.stones != 0)

    def outcome(self, state: GomokuState) -> Array:
        """Returns the result for player 0, float32 []."""
        return state.outcome

    def player(self, state: GomokuState) -> Array:
        """Returns the player to move, int32 []."""
        return state.player

    def symmetries(self) -> Symmetries:
        """Returns the turns and mirror images of the square, which move cells and actions alike."""
        cells = grid_cells(self.size, self.size, SQUARE)
        return Symmetries(cells, cells)

    def notation(self) -> Notation:
        """Returns names of moves, from "a1" at the top left."""
        return cell_notation(self.size, self.size)


def has_line(stones: Array, length: int) -> Array:
    """Tells whether `length` stones are in a row, down, across or diagonally; bool [n, n] → []."""
    padded = jnp.pad(stones, (0, length - 1))  # what is rolled out of the board comes back there
    runs = [padded] * 4
    for i in range(1, length):
        shifts = ((i, 0), (0, i), (i, i), (i, -i))
        runs = [r & jnp.roll(padded, s, (0, 1)) for r, s in zip(runs, shifts, strict=True)]
    return jnp.any(jnp.stack(runs))
