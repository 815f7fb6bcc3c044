"""A third party's game in few lines: Gomoku on a small board, with all that `Game` gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from games import Game


class Stones(NamedTuple):
    cells: Array  # int8 [size²], +1 player 0's
    player: Array  # int32 []


@dataclass(frozen=True)
class ThreeInARow(Game):
    """The first with three stones side by side in a row wins; otherwise it is a draw."""

    size: int = 4

    @property
    def num_actions(self) -> int:
        return self.size**2

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        return (self.size, self.size, 2)

    @property
    def max_plies(self) -> int:
        return self.size**2

    def init(self) -> Stones:
        return Stones(jnp.zeros(self.size**2, jnp.int8), jnp.int32(0))

    def step(self, state: Stones, action: Any) -> Stones:
        stone = (1 - 2 * state.player).astype(jnp.int8)
        cells = jnp.where(jnp.arange(self.size**2) == action, stone, state.cells)
        over = self.is_terminal(state)
        return Stones(
            jnp.where(over, state.cells, cells), jnp.where(over, state.player, 1 - state.player)
        )

    def legal_actions(self, state: Stones) -> Array:
        return (state.cells == 0) & ~self.is_terminal(state)

    def observe(self, state: Stones) -> Array:
        mine = (state.cells * (1 - 2 * state.player).astype(jnp.int8)).reshape(self.size, -1)
        return jnp.stack([mine > 0, mine < 0], axis=-1)

    def is_terminal(self, state: Stones) -> Array:
        return (self.outcome(state) != 0) | (state.cells != 0).all()

    def outcome(self, state: Stones) -> Array:
        rows = state.cells.reshape(self.size, -1).astype(jnp.float32)
        sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
        return (sums == 3).any().astype(jnp.float32) - (sums == -3).any().astype(jnp.float32)

    def player(self, state: Stones) -> Array:
        return state.player


@dataclass(frozen=True)
class Incomplete(Game):
    """A game that lacks most methods."""

    num_actions: int = 9  # pyright: ignore[reportIncompatibleMethodOverride]


@dataclass(frozen=True)
class Required(ThreeInARow):
    """A game with an option that has no default."""

    width: int = field(kw_only=True)
