"""PUCT with Dirichlet noise and first-play urgency, by default AlphaZero's, on mctx."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import mctx
from jax import Array
from jax.typing import ArrayLike

from games.game import Game, State
from selfplay.model.architecture import Evaluate, Params
from selfplay.search import tree_growth
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import (
    ILLEGAL_LOGIT,
    Leaves,
    Mctx,
    SearchFn,
    SearchResult,
    evaluate_states,
    expansion,
    root_of,
)
from selfplay.search.config import PuctConfig

PRIOR_STDEV = 0.4  # of values, before any are seen
PRIOR_VISITS = 2.0


@partial(SearchAlgorithm, randomness="ties")
def make(
    game: Game, evaluate: Evaluate, num_simulations: int, noise: bool, *, config: PuctConfig
) -> SearchFn:
    """Builds the search at a budget of at least 1."""
    if not noise:
        config = replace(config, dirichlet_fraction=0.0, temperature=0.0)
    expand = expansion(game, evaluate)
    qtransform = partial(puct_q, config=config)
    below_root = partial(
        mctx.muzero_action_selection,
        qtransform=qtransform,
        pb_c_init=config.pb_c_init,
        pb_c_base=config.pb_c_base,
    )
    at_root = partial(below_root, depth=0)

    def search(params: Params, states: State, key: Array) -> SearchResult:
        leaves = evaluate_states(game, evaluate, params, states)
        noise_key, search_key = jax.random.split(key)
        root = root_of(leaves, states)
        if config.dirichlet_fraction > 0:
            root = root.replace(prior_logits=_with_noise(noise_key, leaves, config))
        simulate = tree_growth.simulation(params, expand, at_root, below_root)
        output: Mctx = mctx.muzero_policy(
            params,
            search_key,
            root,
            expand,
            num_simulations,
            invalid_actions=~leaves.legal,
            loop_fn=tree_growth.in_place(simulate),
            qtransform=qtransform,
            dirichlet_fraction=0.0,
            pb_c_init=config.pb_c_init,
            pb_c_base=config.pb_c_base,
            temperature=config.temperature,
        )
        policy = jnp.where(leaves.legal, output.action_weights, 0.0)
        # PUCT visits as it would play, so the mean over simulations is the value under `policy`.
        tree = output.search_tree
        value = jnp.clip(tree.node_values[:, tree.ROOT_INDEX], -1.0, 1.0)
        return SearchResult(output.action.astype(jnp.int32), policy, value, leaves.policy)

    return search


def _with_noise(key: Array, leaves: Leaves, config: PuctConfig) -> Array:
    """Returns the root's logits after Dirichlet noise was mixed into its prior, float32[B, A]."""
    noise = dirichlet_over(key, leaves.legal, config.dirichlet_concentration)
    mixed = (1 - config.dirichlet_fraction) * jax.nn.softmax(leaves.logits)
    mixed = mixed + config.dirichlet_fraction * noise
    return jnp.where(leaves.legal, jnp.log(jnp.maximum(mixed, 1e-20)), ILLEGAL_LOGIT)


def dirichlet_over(key: Array, legal: Array, concentration: float) -> Array:
    """Draws symmetric Dirichlet noise over each row's legal actions, float32[B, A], 0 elsewhere."""
    count = jnp.maximum(legal.sum(axis=-1, keepdims=True), 1)  # [B, 1]
    alpha = jnp.broadcast_to(concentration / count, legal.shape)
    # Logarithms of gamma draws: small concentrations underflow otherwise.
    draws = jnp.where(legal, jax.random.loggamma(key, alpha), -jnp.inf)
    draws = jnp.where(legal.any(axis=-1, keepdims=True), draws, 0.0)
    return jnp.where(legal, jax.nn.softmax(draws), 0.0)


def puct_q(tree: Mctx, node: ArrayLike, config: PuctConfig) -> Array:
    """Returns AlphaZero's (q + 1)/2 of a node's actions, float32[A], with first-play urgency.

    Illegal actions sink below every legal one. mctx's default rescales values between their
    minimum and maximum; since outcomes lie in [−1, 1], that would only exaggerate noise.

    Where exploration depends on the spread of values, it is the values that are divided by its
    factor, because mctx adds the exploration itself.
    """
    logits = tree.children_prior_logits[node]  # [A]
    visited = tree.children_visits[node] > 0
    mass = jnp.sum(jnp.where(visited, jax.nn.softmax(logits), 0.0))
    reduction = jnp.where(node == tree.ROOT_INDEX, 0.0, config.fpu_reduction * jnp.sqrt(mass))
    unvisited_q = jnp.maximum(tree.node_values[node] - reduction, -1.0)
    q = jnp.where(visited, tree.qvalues(node), unvisited_q)
    legal = logits > ILLEGAL_LOGIT / 2
    # Below a terminal node nothing matters but depth. If its children all sank alike, they would
    # form a chain that every further visit walks to the end.
    score = (q + 1.0) / 2.0
    if config.stdev_scale:
        score = score / exploration_factor(tree, node, config.stdev_scale)
    return jnp.where(legal | ~legal.any(), score, ILLEGAL_LOGIT / 4)


def exploration_factor(tree: Mctx, node: ArrayLike, scale: float) -> Array:
    """Returns 1 + `scale` · (σ / σ₀ − 1), float32[]: more exploration where values differ more.

    σ is the standard deviation of a node's own evaluation and its children's values, weighted by
    their visits, with a prior of σ₀ that has the weight of two visits. This is KataGo's "dynamic
    variance-scaled cPUCT" (2021) with its constants, but KataGo takes σ over single playouts.
    """
    visits, q = tree.children_visits[node], tree.qvalues(node)
    own, weight = tree.raw_values[node], 1.0 + jnp.sum(visits)
    mean = (own + jnp.sum(visits * q)) / weight
    squares = (own**2 + jnp.sum(visits * q**2)) / weight
    prior = (mean**2 + PRIOR_STDEV**2) * PRIOR_VISITS
    variance = (prior + squares * weight) / (PRIOR_VISITS + weight - 1) - mean**2
    stdev = jnp.where(weight > 1, jnp.sqrt(jnp.maximum(variance, 0.0)), PRIOR_STDEV)
    return 1 + scale * (stdev / PRIOR_STDEV - 1)
