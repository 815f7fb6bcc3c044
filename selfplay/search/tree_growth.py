"""One simulation on a batch of mctx's trees, which changes the trees in place.

mctx's own simulation updates the nodes above a new leaf in one loop per tree. Under `vmap` each
turn of that loop selects between the old and the new tree of every position, which copies them. The
simulation here computes the same bits with one loop over all trees; positions that have reached
their root write outside the arrays, and XLA drops that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from games.game import State
from selfplay.model.architecture import Params
from selfplay.search.base import Mctx

UNVISITED = -1
ROOT = 0

Growing: TypeAlias = tuple[Array, Mctx]
"""A key, and a batch of trees."""
Simulation = Callable[[Any, Growing], Growing]
"""``simulate(number, (key, tree)) → (key, tree)``, for simulations numbered from 0."""
Expand = Callable[[Params, Array, Array, State], tuple[Mctx, State]]
"""mctx's recurrent function; see `base.expansion`."""
Choose = Callable[..., Any]
"""Chooses an action, int32[], at a node of one tree."""


def simulation(
    params: Params,
    expand: Expand,
    choose_at_root: Choose,
    choose_below: Choose,
) -> Simulation:
    """Builds a simulation.

    Args:
        params: of the network.
        expand: plays an action and evaluates the next position.
        choose_at_root: ``choose(key, tree, node) → action`` at the root of one tree.
        choose_below: ``choose(key, tree, node, depth) → action`` at another node of it. All that is
            promised of `depth` is that it is above 0.
    """

    def descend(key: Array, tree: Mctx) -> tuple[Array, Array]:
        """Follows visited actions of one tree; returns the node where they end, and an action."""
        key, key_here = jax.random.split(key)
        action = choose_at_root(key_here, tree, jnp.int32(ROOT))

        def is_visited(state: tuple[Array, Array, Array]) -> Array:
            _, node, action = state
            return tree.children_index[node, action] != UNVISITED

        def walk(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            key, node, action = state
            child = tree.children_index[node, action]
            key, key_here = jax.random.split(key)
            return key, child, choose_below(key_here, tree, child, 1)

        _, node, action = jax.lax.while_loop(is_visited, walk, (key, jnp.int32(ROOT), action))
        return node, action

    def simulate(number: Any, state: Growing) -> Growing:
        key, tree = state
        key, walk_key, expand_key = jax.random.split(key, 3)
        walk_keys = jax.random.split(walk_key, len(tree.node_values))
        parent, action = jax.vmap(descend)(walk_keys, tree.replace(embeddings=()))
        tree = _add(tree, number + 1, parent, action, params, expand_key, expand)
        return key, _average(tree, number + 1)

    return simulate


def in_place(simulate: Simulation) -> Callable[..., Growing]:
    """Returns mctx's `loop_fn`, which runs this simulation instead of mctx's own."""

    def loop(start: int, stop: int, _: object, state: Growing) -> Growing:
        return jax.lax.fori_loop(start, stop, simulate, state)

    return loop


def _add(
    tree: Mctx,
    leaf: Any,
    parent: Array,
    action: Array,
    params: Params,
    key: Array,
    expand: Expand,
) -> Mctx:
    """Adds node `leaf` to every tree, below `action`, int32[B], at node `parent`, int32[B]."""
    lanes = jnp.arange(len(parent))
    states = jax.tree.map(lambda x: x[lanes, parent], tree.embeddings)
    step, states = expand(params, key, action, states)
    edge = lanes, parent, action
    return tree.replace(
        embeddings=jax.tree.map(lambda x, new: x.at[:, leaf].set(new), tree.embeddings, states),
        parents=tree.parents.at[:, leaf].set(parent),
        action_from_parent=tree.action_from_parent.at[:, leaf].set(action),
        raw_values=tree.raw_values.at[:, leaf].set(step.value),
        node_values=tree.node_values.at[:, leaf].set(step.value),
        node_visits=tree.node_visits.at[:, leaf].set(1),
        children_prior_logits=tree.children_prior_logits.at[:, leaf].set(step.prior_logits),
        children_index=tree.children_index.at[edge].set(leaf, unique_indices=True),
        children_rewards=tree.children_rewards.at[edge].set(step.reward, unique_indices=True),
        children_discounts=tree.children_discounts.at[edge].set(step.discount, unique_indices=True),
    )


def _average(tree: Mctx, leaf: Any) -> Mctx:
    """Averages the value of the new leaf into all nodes above it, turned to their movers."""
    lanes, nodes = jnp.arange(len(tree.node_values)), tree.node_values.shape[1]

    def put(array: Array, value: Array, *place: Array) -> Array:
        return array.at[(lanes, *place)].set(value, mode="drop", unique_indices=True)

    def is_below_root(state: tuple[Any, ...]) -> Array:
        return jnp.any(state[-1] != ROOT)

    def update(state: tuple[Any, ...]) -> tuple[Any, ...]:
        node_values, node_visits, child_values, child_visits, value, node = state
        is_below = node != ROOT
        parent = jnp.where(is_below, tree.parents[lanes, node], ROOT)
        action = jnp.where(is_below, tree.action_from_parent[lanes, node], 0)
        reward = tree.children_rewards[lanes, parent, action]
        discounted = tree.children_discounts[lanes, parent, action] * value
        value = jnp.where(is_below, reward + discounted, value)
        visits = node_visits[lanes, parent]
        mean = (node_values[lanes, parent] * visits + value) / (visits + 1.0)
        at = jnp.where(is_below, parent, nodes)  # out of bounds: dropped
        return (
            put(node_values, mean, at),
            put(node_visits, visits + 1, at),
            put(child_values, node_values[lanes, node], at, action),
            put(child_visits, child_visits[lanes, parent, action] + 1, at, action),
            value,
            parent,
        )

    value = tree.node_values[:, leaf]
    state = (
        *(tree.node_values, tree.node_visits, tree.children_values, tree.children_visits),
        *(value, jnp.full(len(lanes), leaf, jnp.int32)),
    )
    node_values, node_visits, child_values, child_visits, *_ = jax.lax.while_loop(
        is_below_root, update, state
    )
    return tree.replace(
        node_values=node_values,
        node_visits=node_visits,
        children_values=child_values,
        children_visits=child_visits,
    )
