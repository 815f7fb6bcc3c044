"""A loaded version: single positions, batches, and its text."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.model.flops import Ledger
from selfplay.players.version import Version
from tests.selfplay.serve.analysts import untrained

ATOL = 1e-5


def positions(version: Version) -> list[Any]:
    """Returns four single states: the start, and those after moves to 0, 4 and 2."""
    step = jax.jit(version.game.step)
    states = [version.game.init()]
    for action in (0, 4, 2):
        states.append(step(states[-1], action))
    return states


def stacked(states: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def test_batch_is_evaluated_like_single_positions() -> None:
    version = untrained("tic_tac_toe")
    states = positions(version)
    logits, values, _ = version.evaluate(stacked(states))
    assert logits.shape == (4, version.game.num_actions) and values.shape == (4,)
    for state, row, value in zip(states, logits, values, strict=True):
        alone = version.evaluate(state)
        assert alone[0].shape == row.shape and alone[1].shape == ()
        np.testing.assert_allclose(row, alone[0], atol=ATOL)
        np.testing.assert_allclose(value, alone[1], atol=ATOL)


def test_any_leading_dimensions_make_a_batch() -> None:
    version = untrained("tic_tac_toe")
    states = stacked(positions(version))  # [4]
    logits, values, _ = version.evaluate(states)
    nested = jax.tree.map(lambda leaf: leaf.reshape(2, 1, 2, *leaf.shape[1:]), states)
    again, nested_values, _ = version.evaluate(nested)
    np.testing.assert_array_equal(again, logits.reshape(2, 1, 2, -1))
    np.testing.assert_array_equal(nested_values, values.reshape(2, 1, 2))
    empty = jax.tree.map(lambda leaf: leaf[:0], states)
    assert version.evaluate(empty)[0].shape == (0, 9)


# Every algorithm treats rows independently: tests/selfplay/search/test_search_contract.py.
@pytest.mark.parametrize("algorithm", ["gumbel", pytest.param("puct", marks=pytest.mark.slow)])
def test_batch_is_searched_like_single_positions(algorithm: str) -> None:
    version = untrained("tic_tac_toe").with_search(algorithm)
    states = positions(version)
    result = version.search(stacked(states), num_simulations=6)
    for i, state in enumerate(states):
        alone = version.search(state, num_simulations=6)
        assert int(result.action[i]) == int(alone.action) and alone.action.shape == ()
        np.testing.assert_allclose(result.policy[i], alone.policy, atol=ATOL)
        np.testing.assert_allclose(result.value[i], alone.value, atol=ATOL)


def test_other_than_a_state_of_the_game_is_rejected() -> None:
    version = untrained("tic_tac_toe")
    state = version.game.init()
    leaves, tree = jax.tree.flatten(state)
    uneven = jax.tree.unflatten(tree, [jnp.stack([leaves[0]] * 2), *leaves[1:]])
    other = untrained("connect_four").game.init()
    for wrong in (state[0], None, other, uneven, jax.tree.map(lambda leaf: leaf[..., None], state)):
        with pytest.raises(ValueError, match="not a state of TicTacToe"):
            version.evaluate(wrong)


def test_repr_is_one_line_with_the_facts() -> None:
    version = replace(untrained("go?size=3&komi=0.5"), name="runs/a@40", ledger=Ledger(0, 10**9, 0))
    for text in (repr(version), repr([version])):
        assert "\n" not in text and len(text) < 200 and text.isascii()
    parameters = sum(leaf.size for leaf in jax.tree.leaves(version.params))
    for fact in ("runs/a@40", "go?size=3&komi=0.5", "mlp", "16", f"{parameters:,}", "10^9.0"):
        assert fact in repr(version)
    assert re.search(r"\d\.\d+e\+\d+ FLOPs an evaluation", repr(version))
    assert "unknown FLOPs of training" in repr(untrained("tic_tac_toe"))
