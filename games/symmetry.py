"""The symmetries of each game: permutations of board and policy that the rules do not notice.

A symmetry acts as a gather, on planes and on policies alike:

    transformed_planes.reshape(H * W, C) = planes.reshape(H * W, C)[cells[s]]
    transformed_policy                   = policy[actions[s]]

so a position, its observation and its policy target move together. Symmetry 0 is the identity.
A game declares its symmetries by registering a function with `symmetries`; a game that does not
has the identity only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch

import jax.numpy as jnp
import numpy as np
from jax import Array

from games.connect_four import ConnectFour
from games.game import ArrayLike, Game
from games.go import Go
from games.hex import Hex
from games.tic_tac_toe import TicTacToe

GridMap = Callable[[np.ndarray], np.ndarray]
"""A rearrangement of an [H, W] grid into another of the same shape, such as `np.fliplr`."""


@dataclass(frozen=True, eq=False)
class Symmetries:
    """The S symmetries of a game as permutations, on the host; symmetry 0 is the identity."""

    cells: np.ndarray  # int32 [S, H * W], where each transformed cell comes from
    actions: np.ndarray  # int32 [S, A], where each transformed action's probability comes from

    def __len__(self) -> int:
        """Returns the number of symmetries S."""
        return len(self.cells)


@singledispatch
def symmetries(game: Game) -> Symmetries:
    """Returns the symmetries registered for the type of `game`; by default the identity."""
    height, width, _ = game.observation_shape
    return Symmetries(
        np.arange(height * width, dtype=np.int32)[None],
        np.arange(game.num_actions, dtype=np.int32)[None],
    )


@symmetries.register
def _(game: ConnectFour) -> Symmetries:
    """Returns 2 symmetries: the identity and the mirror image."""
    columns = np.arange(game.columns)
    return Symmetries(
        grid_cells(game.rows, game.columns, [_identity, np.fliplr]),
        np.stack([columns, columns[::-1]]).astype(np.int32),
    )


@symmetries.register
def _(game: Go) -> Symmetries:
    """Returns 8 symmetries: the rotations and reflections of the board. A pass stays a pass."""
    cells = grid_cells(game.size, game.size, SQUARE)
    passes = np.full((len(cells), 1), game.size * game.size, np.int32)
    return Symmetries(cells, np.concatenate([cells, passes], axis=1))


@symmetries.register
def _(game: Hex) -> Symmetries:
    """Returns 2 symmetries: the identity and the half turn. A swap stays a swap.

    Transposing the board and exchanging the colors is a symmetry as well, but it needs no entry
    here: both positions have the same observation and the same actions for the player to move.
    """
    cells = grid_cells(game.size, game.size, [_identity, _turned(2, mirrored=False)])
    swaps = np.full((len(cells), game.num_actions - game.size**2), game.size**2, np.int32)
    return Symmetries(cells, np.concatenate([cells, swaps], axis=1))


@symmetries.register
def _(game: TicTacToe) -> Symmetries:
    """Returns 8 symmetries: the rotations and reflections. Actions are cells, so both agree."""
    cells = grid_cells(3, 3, SQUARE)
    return Symmetries(cells, cells)


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


def _identity(grid: np.ndarray) -> np.ndarray:
    return grid


def _turned(quarters: int, mirrored: bool) -> GridMap:
    return lambda grid: np.rot90(grid.T if mirrored else grid, quarters)


SQUARE: tuple[GridMap, ...] = tuple(
    _turned(quarters, mirrored) for mirrored in (False, True) for quarters in range(4)
)
"""The eight symmetries of a square board, the identity first: four turns, four mirrored ones."""
