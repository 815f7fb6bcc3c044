"""Budget 0: the network's own policy and value."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from games.game import Game, State
from selfplay.model.architecture import Evaluate, Params
from selfplay.search.base import SearchFn, SearchResult, evaluate_states


def make(game: Game, evaluate: Evaluate, noise_scale: float) -> SearchFn:
    """Builds a search without simulations.

    The move is drawn with Gumbel noise on the logits: from the policy at a scale of 1; at 0 it is
    the most likely action.
    """

    def search(params: Params, states: State, key: Array) -> SearchResult:
        leaves = evaluate_states(game, evaluate, params, states)
        logits, value, legal = leaves
        noise = jax.random.gumbel(key, logits.shape)
        scores = jnp.where(legal, logits + noise_scale * noise, -jnp.inf)
        action, policy = jnp.argmax(scores, axis=-1).astype(jnp.int32), leaves.policy
        return SearchResult(action, policy, value, policy)

    return search
