"""A network and a search of a third party, as its package would contain them."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from games.game import Game
from selfplay.model.architecture import (
    Architecture,
    Evaluate,
    Heads,
    Model,
    Params,
    Prediction,
    Shape,
)
from selfplay.model.config import NetworkConfig
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import ILLEGAL_LOGIT, SearchFn, SearchResult, expansion


@Architecture
def dense(shape: Shape, config: NetworkConfig, heads: Heads, *, hidden: int = 8) -> Model:
    """Builds a network with one hidden layer, which has no auxiliary heads."""
    del config
    assert not heads
    rows, columns, planes = shape.observation
    inputs, outputs = rows * columns * planes, shape.actions + 1

    def init(key: Array) -> Params:
        hidden_weights = jax.random.normal(key, (inputs, hidden)) * inputs**-0.5
        return {"hidden": hidden_weights, "out": jnp.zeros((hidden, outputs))}

    def apply(params: Params, observations: Array) -> Prediction:
        flat = observations.reshape(len(observations), -1).astype(jnp.float32)
        y = jax.nn.relu(flat @ params["hidden"]) @ params["out"]
        return Prediction(y[:, 1:], jnp.tanh(y[:, 0]))

    return Model(init, apply, 2 * hidden * (inputs + outputs))


@partial(SearchAlgorithm, evaluations_per_move=lambda sims: sims, randomness="result")
def sampled(
    game: Game, evaluate: Evaluate, num_simulations: int, noise: bool, *, weight: float = 2.0
) -> SearchFn:
    """Builds a search that evaluates random children of the root, but not the root."""
    expand = expansion(game, evaluate)
    weight = weight / 2 if noise else weight

    def search(params: Params, states: Any, key: Array) -> SearchResult:
        legal = jax.vmap(game.legal_actions)(states)

        def simulate(total: tuple[Array, Array], key: Array) -> tuple[tuple[Array, Array], None]:
            action = jax.random.categorical(key, jnp.where(legal, 0.0, ILLEGAL_LOGIT))
            output, _ = expand(params, key, action, states)
            chosen = jax.nn.one_hot(action, game.num_actions)
            value = output.reward + output.discount * output.value
            return (total[0] + chosen, total[1] + chosen * value[:, None]), None

        nothing = (jnp.zeros(legal.shape), jnp.zeros(legal.shape))
        (visits, values), _ = jax.lax.scan(
            simulate, nothing, jax.random.split(key, num_simulations)
        )
        mean = values / jnp.maximum(visits, 1.0)
        policy = jax.nn.softmax(jnp.where(legal, weight * mean + 0.1 * visits, ILLEGAL_LOGIT))
        value = jnp.sum(policy * mean, axis=1)
        return SearchResult(jnp.argmax(policy, axis=1).astype(jnp.int32), policy, value)

    return search
