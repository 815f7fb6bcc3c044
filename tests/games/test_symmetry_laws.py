"""A symmetry moves positions, moves and observations together, and changes nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from games.game import Game
from games.symmetry import (
    Symmetries,
    symmetries,
    transform_action,
    transform_observation,
    transform_policy,
)

EXPECTED = {"connect_four": 2, "go": 8, "hex": 2, "tic_tac_toe": 8}
SMALL = [
    games.make(name)
    for name in ("connect_four", "tic_tac_toe", "go?size=5", "hex?size=4", "hex?size=3&swap=true")
]
each_game = pytest.mark.parametrize("game", SMALL, ids=repr)


LANES = 48


def play_images(game: Game, group: Symmetries) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """[T, S, B, …]: what games show, moved by each symmetry; and what the moved moves show."""
    indices = jnp.arange(len(group))

    def look(state: Any) -> dict[str, jax.Array]:
        return {
            "observation": game.observe(state),
            "legal actions": game.legal_actions(state),
            "outcome": game.outcome(state),
            "player": game.player(state),
            "board": game.board(state),
        }

    def moved(index: jax.Array, seen: dict[str, jax.Array]) -> dict[str, jax.Array]:
        board = transform_observation(group, index, seen["board"][..., None])[..., 0]
        return seen | {
            "observation": transform_observation(group, index, seen["observation"]),
            "legal actions": transform_policy(group, index, seen["legal actions"]),
            "board": board,
        }

    def ply(states: Any, key: jax.Array) -> tuple[Any, Any]:
        seen = jax.vmap(jax.vmap(look))(states)
        first = jax.tree.map(lambda x: x[0], seen)
        logits = jnp.where(first["legal actions"], 0.0, -1e9)
        actions = jax.random.categorical(key, logits)
        images = jax.vmap(lambda i: jax.vmap(lambda a: transform_action(group, i, a))(actions))(
            indices
        )
        wanted = jax.vmap(lambda i: jax.vmap(lambda s: moved(i, s))(first))(indices)
        return jax.vmap(jax.vmap(game.step))(states, images), (wanted, seen)

    lanes = (len(group), LANES)
    states = jax.tree.map(lambda x: jnp.broadcast_to(x, (*lanes, *x.shape)), game.init())
    keys = jax.random.split(jax.random.key(5), game.max_plies + 1)
    return jax.jit(lambda: jax.lax.scan(ply, states, keys)[1])()


@each_game
def test_symmetries_are_a_group_with_the_identity_first(game: Game) -> None:
    group = symmetries(game)
    height, width, _ = game.observation_shape
    assert len(group) == EXPECTED.get(game.name, len(group))
    for table, length in ((group.cells, height * width), (group.actions, game.num_actions)):
        assert table.dtype == np.int32 and table.shape == (len(group), length)
        np.testing.assert_array_equal(
            np.sort(table, axis=1), np.tile(np.arange(length), (len(group), 1))
        )
        np.testing.assert_array_equal(table[0], np.arange(length))
    pairs = {(tuple(c), tuple(a)) for c, a in zip(group.cells, group.actions, strict=True)}
    assert len(pairs) == len(group), "each symmetry once"
    for c, a in zip(group.cells, group.actions, strict=True):
        products = {
            (tuple(c[d]), tuple(a[b])) for d, b in zip(group.cells, group.actions, strict=True)
        }
        assert products == pairs, "one after the other is a symmetry again"


@each_game
def test_symmetries_commute_with_the_rules(game: Game) -> None:
    """Whole games: what history forbids is turned with the board."""
    group = symmetries(game)
    wanted, seen = play_images(game, group)
    for what in wanted:
        np.testing.assert_array_equal(seen[what], wanted[what], err_msg=what)
    assert seen["observation"].shape[1:] == (len(group), LANES, *game.observation_shape)


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
    group = symmetries(games.make("tic_tac_toe"))
    for index in range(8):
        for action in range(9):
            policy = jax.nn.one_hot(action, 9)
            image = int(transform_action(group, index, action))
            assert int(jnp.argmax(transform_policy(group, index, policy))) == image


def test_mirror_of_connect_four_reverses_the_columns() -> None:
    group = symmetries(games.make("connect_four", rows=4, columns=5))
    np.testing.assert_array_equal(group.actions[1], [4, 3, 2, 1, 0])
    np.testing.assert_array_equal(group.cells[1][:5], [4, 3, 2, 1, 0])


def test_game_without_declared_symmetries_has_the_identity() -> None:
    @dataclass(frozen=True)
    class Other:
        num_actions: int = 5
        observation_shape: tuple[int, int, int] = (2, 3, 4)

    group = symmetries(Other())  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(group.cells, np.arange(6)[None])
    np.testing.assert_array_equal(group.actions, np.arange(5)[None])
