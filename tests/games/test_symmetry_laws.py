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

EXPECTED = {"connect_four": 2, "tic_tac_toe": 8}
each_game = pytest.mark.parametrize("game", [games.make(n) for n in games.names()], ids=repr)


def random_positions(game: Game, size: int = 64) -> tuple[Any, jax.Array]:
    """States, [size, ...], at random plies, and an action in each (legal unless it is over)."""

    def ply(carry: Any, key: jax.Array) -> tuple[Any, None]:
        states, stop = carry
        logits = jnp.where(jax.vmap(game.legal_actions)(states), 0.0, -1e9)
        actions = jax.random.categorical(key, logits)
        after = jax.vmap(game.step)(states, actions)
        go_on = stop > 0

        def choose(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(go_on.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return (jax.tree.map(choose, after, states), stop - 1), None

    @jax.jit
    def play(keys: jax.Array) -> tuple[Any, jax.Array]:
        first = jax.tree.map(lambda x: jnp.broadcast_to(x, (size, *x.shape)), game.init())
        stop = jnp.arange(size) % (game.max_plies + 1)
        (states, _), _ = jax.lax.scan(ply, (first, stop), keys[1:])
        logits = jnp.where(jax.vmap(game.legal_actions)(states), 0.0, -1e9)
        return states, jax.random.categorical(keys[0], logits)

    return play(jax.random.split(jax.random.key(5), game.max_plies + 1))


@each_game
def test_permutations_and_identity_first(game: Game) -> None:
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
    group = symmetries(game)
    height, width, _ = game.observation_shape
    states, actions = random_positions(game)

    def check(index: jax.Array, state: Any, action: jax.Array) -> dict[str, tuple[Any, Any]]:
        def move_board(board: jax.Array) -> jax.Array:
            return transform_observation(group, index, board[..., None])[..., 0]

        image = game.from_board(move_board(game.board(state)), game.player(state))
        after = game.step(state, action)
        after_image = game.step(image, transform_action(group, index, action))
        return {
            "observation": (
                game.observe(image),
                transform_observation(group, index, game.observe(state)),
            ),
            "legal actions": (
                game.legal_actions(image),
                transform_policy(group, index, game.legal_actions(state)),
            ),
            "outcome": (game.outcome(image), game.outcome(state)),
            "board after a move": (game.board(after_image), move_board(game.board(after))),
            "outcome after a move": (game.outcome(after_image), game.outcome(after)),
            "player": (game.player(after_image), game.player(after)),
        }

    over_states = jax.vmap(check, (None, 0, 0))
    results = jax.jit(jax.vmap(over_states, (0, None, None)))(
        jnp.arange(len(group)), states, actions
    )
    for what, (image, wanted) in results.items():
        np.testing.assert_array_equal(image, wanted, err_msg=what)
    shape = results["observation"][0].shape
    assert shape == (len(group), 64, height, width, game.observation_shape[2])


def test_gathers_as_documented() -> None:
    group = Symmetries(np.array([[0, 1, 2, 3], [2, 0, 3, 1]], np.int32), np.array([[0, 1], [1, 0]]))
    planes = jnp.arange(8).reshape(2, 2, 2)
    moved = transform_observation(group, 1, planes)
    np.testing.assert_array_equal(moved.reshape(4, 2), planes.reshape(4, 2)[group.cells[1]])
    np.testing.assert_array_equal(
        transform_policy(group, 1, jnp.array([[3, 4], [5, 6]])), [[4, 3], [6, 5]]
    )
    assert transform_observation(group, 1, planes[None]).shape == (1, 2, 2, 2)


def test_action_of_a_rotation_goes_where_its_probability_goes() -> None:
    """Rotations are not their own inverse: the one place where gather and scatter differ."""
    group = symmetries(games.make("tic_tac_toe"))
    for index in range(8):
        for action in range(9):
            policy = jax.nn.one_hot(action, 9)
            image = int(transform_action(group, index, action))
            assert int(jnp.argmax(transform_policy(group, index, policy))) == image


def test_mirror_of_connect_four() -> None:
    group = symmetries(games.make("connect_four", rows=4, columns=5))
    np.testing.assert_array_equal(group.actions[1], [4, 3, 2, 1, 0])
    np.testing.assert_array_equal(group.cells[1][:5], [4, 3, 2, 1, 0])


def test_a_game_that_declares_none_has_the_identity() -> None:
    @dataclass(frozen=True)
    class Other:
        num_actions: int = 5
        observation_shape: tuple[int, int, int] = (2, 3, 4)

    group = symmetries(Other())  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(group.cells, np.arange(6)[None])
    np.testing.assert_array_equal(group.actions, np.arange(5)[None])
