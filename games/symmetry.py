"""Symmetries of games: how they act on observations, policies and actions, and how to make them.

A symmetry is a permutation of board and policy that the rules do not notice. It acts as a gather,
on planes and on policies alike:

    transformed_planes.reshape(H * W, C) = planes.reshape(H * W, C)[cells[s]]
    transformed_policy                   = policy[actions[s]]

so a position, its observation and its policy target move together. Symmetry 0 is the identity.
`Game.symmetries` returns them; a game that does not define it has the identity only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import ArrayLike, Symmetries

GridMap = Callable[[np.ndarray], np.ndarray]
"""A rearrangement of an [H, W] grid into another of the same shape, such as `np.fliplr`."""


def transform_observation(group: Symmetries, index: ArrayLike, observation: Array) -> Array:
    """Applies symmetry `index`, int [], to an observation [..., H, W, C]; keeps shape and dtype.

    Use `jax.vmap` over `index` and `observation` to draw a symmetry per sample.
    """
    *batch, height, width, channels = observation.shape
    flat = observation.reshape(*batch, height * width, channels)
    return jnp.take(flat, jnp.asarray(group.cells)[index], axis=-2).reshape(observation.shape)


def transform_policy(group: Symmetries, index: ArrayLike, policy: Array) -> Array:
    """Applies symmetry `index`, int [], to a policy (or any per-action array) [..., A]."""
    return jnp.take(policy, jnp.asarray(group.actions)[index], axis=-1)


def transform_action(group: Symmetries, index: ArrayLike, action: ArrayLike) -> Array:
    """Applies symmetry `index`, int [], to an action, int []; returns int32 []."""
    return jnp.argmax(jnp.asarray(group.actions)[index] == action).astype(jnp.int32)


def grid_cells(height: int, width: int, maps: Sequence[GridMap]) -> np.ndarray:
    """Computes the cell permutation of each map of an [H, W] grid, int32 [S, H * W]."""
    grid = np.arange(height * width, dtype=np.int32).reshape(height, width)
    return np.stack([np.ascontiguousarray(f(grid)).reshape(-1) for f in maps])


def cell_symmetries(
    height: int, width: int, maps: Sequence[GridMap], others: int = 0
) -> Symmetries:
    """Makes the symmetries of a game whose action row * W + column is a cell.

    Args:
        height: rows H of the board.
        width: its columns W.
        maps: the symmetries of the board, the identity first, such as `SQUARE`.
        others: the number of further actions, such as a pass; every symmetry keeps them.
    """
    cells = grid_cells(height, width, maps)
    kept = np.arange(height * width, height * width + others, dtype=np.int32)
    return Symmetries(cells, np.hstack([cells, np.tile(kept, (len(cells), 1))]))


def identity(grid: np.ndarray) -> np.ndarray:
    """Returns the grid unchanged: the first map of every game."""
    return grid


def half_turn(grid: np.ndarray) -> np.ndarray:
    """Turns the grid by 180 degrees."""
    return grid[::-1, ::-1]


def _turned(quarters: int, mirrored: bool) -> GridMap:
    return lambda grid: np.rot90(grid.T if mirrored else grid, quarters)


SQUARE: tuple[GridMap, ...] = tuple(
    _turned(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)
)
"""The eight symmetries of a square board, the identity first: four turns, four mirrored ones."""
