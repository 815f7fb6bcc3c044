"""A game of one's own: n stones in a row win on a square board; Gomoku, five on 7×7, by default.

A folder needs this file only, and the command finds it there:

    oomzero train small --game gomoku:Gomoku
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from games.game import ArrayLike, Game, Notation, Symmetries
from games.notation import cell_notation
from games.symmetry import SQUARE, cell_symmetries


class GomokuState(NamedTuple):
    """One position; `cells` is the board, row by row from the top."""

    cells: Array  # int8 [size * size]: +1 player 0's stone, -1 player 1's, 0 empty
    player: Array  # int32 [], the player to move: 0 or 1
    outcome: Array  # float32 [], for player 0: +1 won, -1 lost, 0 a draw or no end yet


@dataclass(frozen=True)
class Gomoku(Game):
    """The rules; its fields are the options, as in "gomoku:Gomoku?size=5&line=4".

    An action is the cell that gets a stone. `Game` documents the methods and has the others.
    """

    size: int = 7
    line: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.line <= self.size:
            raise ValueError(f"gomoku: line must be from 2 to size={self.size}, got {self.line}")

    @property
    def num_actions(self) -> int:
        return self.size**2

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.size, self.size, 2)

    @property
    def max_plies(self) -> int:
        return self.size**2

    def init(self) -> GomokuState:
        return GomokuState(jnp.zeros(self.size**2, jnp.int8), jnp.int32(0), jnp.float32(0))

    def step(self, state: GomokuState, action: ArrayLike) -> GomokuState:
        stone = (1 - 2 * state.player).astype(jnp.int8)  # the mover's: +1 or -1
        cells = state.cells.at[action].set(stone)
        won = has_line((cells == stone).reshape(self.size, self.size), self.line)
        after = GomokuState(cells, 1 - state.player, (won * stone).astype(jnp.float32))
        over = self.is_terminal(state)  # then the state stays as it is
        return jax.tree.map(lambda old, new: jnp.where(over, old, new), state, after)

    def legal_actions(self, state: GomokuState) -> Array:
        return (state.cells == 0) & ~self.is_terminal(state)

    def observe(self, state: GomokuState) -> Array:
        mine = state.cells * (1 - 2 * state.player)  # +1 a stone of the player to move
        return jnp.stack([mine == 1, mine == -1], axis=-1).reshape(self.observation_shape)

    def is_terminal(self, state: GomokuState) -> Array:
        return (state.outcome != 0) | jnp.all(state.cells != 0)

    def outcome(self, state: GomokuState) -> Array:
        return state.outcome

    def player(self, state: GomokuState) -> Array:
        return state.player

    def symmetries(self) -> Symmetries:
        return cell_symmetries(self.size, self.size, SQUARE)  # turns and mirror images

    def notation(self) -> Notation:
        return cell_notation(self.size, self.size)  # "a1" is at the top left


def has_line(stones: Array, length: int) -> Array:
    """Tells whether `length` stones are in a row, straight or diagonal; bool [n, n] → bool []."""
    padded = jnp.pad(stones, (0, length - 1))  # a stone that is rolled off the board lands here
    lines = []
    for down, right in ((1, 0), (0, 1), (1, 1), (1, -1)):
        steps = [jnp.roll(padded, (i * down, i * right), (0, 1)) for i in range(length)]
        lines.append(jnp.all(jnp.stack(steps), axis=0))
    return jnp.any(jnp.stack(lines))
