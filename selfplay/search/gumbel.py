"""Gumbel AlphaZero (Danihelka et al. 2022), on mctx."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import mctx
from jax import Array

from games.game import Game, State
from selfplay.model.architecture import Evaluate, Params
from selfplay.search import proven, tree_growth
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import (
    Leaves,
    Mctx,
    SearchFn,
    SearchResult,
    evaluate_states,
    expansion,
    root_of,
)
from selfplay.search.config import GumbelConfig


@SearchAlgorithm
def make(
    game: Game, evaluate: Evaluate, num_simulations: int, noise: bool, *, config: GumbelConfig
) -> SearchFn:
    """Builds the search at a budget of at least 1."""
    expand = expansion(game, evaluate)
    qtransform = partial(
        mctx.qtransform_completed_by_mix_value,
        value_scale=config.c_scale,
        maxvisit_init=config.c_visit,
        rescale_values=config.rescale_values,
    )
    at_root = partial(
        mctx.gumbel_muzero_root_action_selection,
        num_simulations=num_simulations,
        max_num_considered_actions=config.max_considered_actions,
        qtransform=qtransform,
    )
    below_root = partial(mctx.gumbel_muzero_interior_action_selection, qtransform=qtransform)
    scale = config.scale if noise else 0.0

    def prove(params: Params, states: State, key: Array, leaves: Leaves) -> SearchResult:
        root = root_of(leaves, states)
        action, tree = proven.search(
            params,
            key,
            root,
            expand,
            num_simulations,
            leaves.legal,
            qtransform,
            config.max_considered_actions,
            scale,
        )
        completed = jax.vmap(qtransform, in_axes=(0, None))(tree, tree.ROOT_INDEX)
        improved = jnp.where(leaves.legal, jax.nn.softmax(leaves.logits + completed), 0.0)
        policy = proven.exact_policy(tree, improved)
        exact = tree.node_values[:, tree.ROOT_INDEX]
        value = jnp.where(
            tree.extra_data.proven[:, tree.ROOT_INDEX], exact, _root_value(tree, policy)
        )
        return SearchResult(action, policy, jnp.clip(value, -1.0, 1.0), leaves.policy)

    def search(params: Params, states: State, key: Array) -> SearchResult:
        leaves = evaluate_states(game, evaluate, params, states)
        if config.prove:
            return prove(params, states, key, leaves)
        simulate = tree_growth.simulation(params, expand, at_root, below_root)
        output: Mctx = mctx.gumbel_muzero_policy(
            params,
            key,
            root_of(leaves, states),
            expand,
            num_simulations,
            invalid_actions=~leaves.legal,
            loop_fn=tree_growth.in_place(simulate),
            max_num_considered_actions=config.max_considered_actions,
            gumbel_scale=scale,
            qtransform=qtransform,
        )
        policy = jnp.where(leaves.legal, output.action_weights, 0.0)
        value = jnp.clip(_root_value(output.search_tree, policy), -1.0, 1.0)
        return SearchResult(output.action.astype(jnp.int32), policy, value, leaves.policy)

    return search


def _root_value(tree: Mctx, policy: Array) -> Array:
    """Returns the root's value under the improved policy, float32[B].

    Sequential halving gives every considered action its share of visits, however bad it is, so the
    mean over simulations would be too low. The visited actions' Q-values are weighted by the
    improved policy instead.
    """
    summary = tree.summary()
    weight = jnp.where(summary.visit_counts > 0, policy, 0.0)  # [B, A]
    total = jnp.sum(weight, axis=-1)
    mean = jnp.sum(weight * summary.qvalues, axis=-1) / jnp.maximum(total, 1e-6)
    return jnp.where(total > 1e-6, mean, summary.value)
