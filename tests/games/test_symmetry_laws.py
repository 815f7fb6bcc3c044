"""How symmetries act, and which games have; their laws are in the contract of games."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.game import Symmetries
from games.symmetry import (
    SQUARE,
    cell_symmetries,
    half_turn,
    identity,
    transform_action,
    transform_observation,
    transform_policy,
)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("connect_four", 2),
        ("go?size=5", 8),
        ("hex?size=4", 2),
        ("hex?size=3&swap=true", 2),
        ("tic_tac_toe", 8),
        ("pgx:connect_four", 1),
    ],
)
def test_game_has_its_number_of_symmetries(name: str, count: int) -> None:
    assert len(games.make(name).symmetries()) == count


def test_transforms_gather_as_documented() -> None:
    group = Symmetries(np.array([[0, 1, 2, 3], [2, 0, 3, 1]], np.int32), np.array([[0, 1], [1, 0]]))
    planes = jnp.arange(8).reshape(2, 2, 2)
    moved = transform_observation(group, 1, planes)
    np.testing.assert_array_equal(moved.reshape(4, 2), planes.reshape(4, 2)[group.cells[1]])
    np.testing.assert_array_equal(
        transform_policy(group, 1, jnp.array([[3, 4], [5, 6]])), [[4, 3], [6, 5]]
    )
    assert transform_observation(group, 1, planes[None]).shape == (1, 2, 2, 2)


def test_action_moves_where_its_probability_moves() -> None:
    """Rotations are not their own inverse: the one place where gather and scatter differ."""
    group = games.make("tic_tac_toe").symmetries()
    for index in range(8):
        for action in range(9):
            policy = jax.nn.one_hot(action, 9)
            image = int(transform_action(group, index, action))
            assert int(jnp.argmax(transform_policy(group, index, policy))) == image


def test_mirror_of_connect_four_reverses_the_columns() -> None:
    group = games.make("connect_four", rows=4, columns=5).symmetries()
    np.testing.assert_array_equal(group.actions[1], [4, 3, 2, 1, 0])
    np.testing.assert_array_equal(group.cells[1][:5], [4, 3, 2, 1, 0])


def test_cell_symmetries_keep_other_actions() -> None:
    group = cell_symmetries(2, 3, (identity, half_turn), others=2)
    np.testing.assert_array_equal(group.cells, [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]])
    np.testing.assert_array_equal(group.actions[1], [5, 4, 3, 2, 1, 0, 6, 7])
    assert group.cells.dtype == group.actions.dtype == np.int32
    assert len(cell_symmetries(3, 3, SQUARE)) == 8


def test_game_without_declared_symmetries_has_the_identity() -> None:
    group = games.make("pgx:connect_four").symmetries()
    np.testing.assert_array_equal(group.cells, np.arange(42)[None])
    np.testing.assert_array_equal(group.actions, np.arange(7)[None])
