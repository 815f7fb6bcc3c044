"""The exported contract of searches: a perfect search keeps it, and broken ones do not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import Array

from selfplay.model.architecture import Evaluate, Params
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import ILLEGAL_LOGIT, SearchFn, SearchResult, evaluate_states
from selfplay.testing.search_reference import check_contract, check_minimax, check_search


@partial(SearchAlgorithm, evaluations_per_move=lambda num_simulations: 1)
def exhaustive(
    game: Any, evaluate: Evaluate, num_simulations: int, noise: bool, *, fault: str = ""
) -> SearchFn:
    """Builds a search that plays every game to its end; the network only breaks ties.

    Args:
        game: the game, of a few plies.
        evaluate: the network.
        num_simulations: unused.
        noise: unused.
        fault: the law to break.
    """
    del num_simulations, noise
    actions = jnp.arange(game.num_actions)

    def action_values(states: Any, depth: int) -> Array:  # [B, A], for the player to move
        children = jax.vmap(lambda s: jax.vmap(game.step, in_axes=(None, 0))(s, actions))(states)
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), children)
        mover = jnp.repeat(jax.vmap(game.player)(states), game.num_actions)
        outcome = jax.vmap(game.outcome)(flat)
        value = jnp.where(mover == 0, outcome, -outcome)
        if depth > 1:
            deeper = action_values(flat, depth - 1).max(axis=1)
            deeper = jnp.where(jax.vmap(game.player)(flat) == mover, deeper, -deeper)
            value = jnp.where(jax.vmap(game.is_terminal)(flat), value, deeper)
        legal = jax.vmap(game.legal_actions)(states)
        legal = legal | (fault == "inside")
        return jnp.where(legal, value.reshape(legal.shape), -2.0)

    def search(params: Params, states: Any, key: Array) -> SearchResult:
        logits, guess, legal = evaluate_states(game, evaluate, params, states)
        values = action_values(states, game.max_plies)
        weights = 1e-3 * jnp.where(legal, logits, 0.0) + 100 * values
        weights = jnp.where(legal, weights, ILLEGAL_LOGIT)
        if fault == "key":
            weights = weights + jax.random.normal(key, weights.shape)
        policy = jax.nn.softmax(weights) * (1.1 if fault == "sum" else 1.0)
        if fault == "weight":
            policy = jnp.where(legal, policy, 0.01)
        action = jnp.argmax(weights, axis=1).astype(jnp.int32)
        if fault == "illegal":
            action = jnp.argmin(weights, axis=1).astype(jnp.int32)
        if fault in ("worst", "not best"):
            action = jnp.argmin(jnp.where(legal, weights, jnp.inf), axis=1).astype(jnp.int32)
        value = jnp.clip(values.max(axis=1), -1.0, 1.0)
        if fault == "sign":  # for player 0, not for the player to move
            value = jnp.where(jax.vmap(game.player)(states) == 0, value, -value)
        if fault == "blind":
            value = guess
        if fault == "range":
            value = 1.5 * value
        if fault == "rows":
            value = 0.9 * value + 0.05 * jnp.mean(guess)
        if fault == "type":
            policy = policy.astype(jnp.float16)
        if fault == "shape":
            value = value[:, None]
        return SearchResult(action, policy, value)

    return search


def test_perfect_search_keeps_every_law() -> None:
    check_search(exhaustive)


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("type", r"policy must be float32\[48, 3\], got float16\[48, 3\]"),
        ("shape", r"value must be float32\[48\], got float32\[48, 1\]"),
        ("illegal", "the search chose an illegal action"),
        ("weight", "the policy has weight on illegal actions"),
        ("sum", "the policy is no probability distribution"),
        ("range", "a value lies outside of"),
        ("rows", "a row's result depends on the other rows of its batch"),
        ("key", r'randomness="none" is not true'),
        ("inside", "the search plays illegal actions inside its tree"),
        ("blind", "the value of a position is not near 1 where every game is won"),
    ],
)
def test_broken_search_is_rejected_with_the_law(fault: str, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_contract(exhaustive, fault=fault)


def test_wrong_claim_is_rejected_with_the_law() -> None:
    law = r"evaluations_per_move\(120\) is 121, but the network evaluated 1 positions a move"
    with pytest.raises(AssertionError, match=law):
        check_contract(SearchAlgorithm(exhaustive.make))
    ties = replace(exhaustive, randomness="ties")
    with pytest.raises(AssertionError, match="a move has not the policy's highest weight"):
        check_contract(ties, fault="not best")
    with pytest.raises(AssertionError, match=r'randomness="ties" is not true'):
        check_contract(ties, fault="key")


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("worst", r"\d+ of 24 actions are not the only best one where .* order \(0, 1, 0\)"),
        ("sign", r"a value for the player to move is off by 2\.00, .* order \(1, 0, 0\)"),
    ],
)
def test_search_that_misses_the_reference_is_rejected(fault: str, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_minimax(exhaustive, fault=fault)
