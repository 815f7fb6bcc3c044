"""Gumbel AlphaZero that proves results: mctx's search, with exact values wherever they are known.

A node is proven if its game is over, if one of its actions is proven to win, or if all of its
actions are proven; its value is then exact (as in MCTS-Solver, Winands et al. 2008). A proven node
is not searched again, and not averaged: a node that is not proven has the mean of its own
evaluation and of the values of its open actions, weighted by their visits, or the value of its best
proven action if that is more. Without a result in reach this is mctx's search.

Sequential halving at the root leaves proven actions out, and other actions take their places. Once
the root is proven, the remaining simulations change nothing, but they are evaluated nevertheless,
because all positions of a batch take the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mctx
import numpy as np
from jax import Array

from selfplay.model.architecture import Params
from selfplay.search import tree_growth
from selfplay.search.base import ILLEGAL_LOGIT, Mctx
from selfplay.search.tree_growth import Growing

NO_NODE = -1
QTransform = Callable[[Mctx, Array], Any]
"""``qtransform(tree, node) → float32[A]``, completed and scaled Q-values of one position."""


class Knowledge(NamedTuple):
    """What the search knows of a batch of trees, besides mctx's tree."""

    gumbel: Array  # float32[B, A], the root's noise
    proven: Array  # bool[B, N + 1], True = the node's value is exact


class ProvenSearch(NamedTuple):
    """The moves that a search chose, and its trees."""

    action: Array  # int32[B]
    tree: Mctx


def search(
    params: Params,
    key: Array,
    root: Mctx,
    expand: Callable[..., tuple[Mctx, Mctx]],
    num_simulations: int,
    legal: Array,
    qtransform: QTransform,
    max_considered_actions: int,
    gumbel_scale: float,
) -> ProvenSearch:
    """Searches a batch of positions.

    Args:
        params: of the network.
        key: draws the root's noise.
        root: mctx's root, whose logits are `ILLEGAL_LOGIT` where illegal.
        expand: mctx's recurrent function; a discount of 0 says that the game is over.
        num_simulations: N, the budget.
        legal: bool[B, A], True = legal.
        qtransform: completes and scales Q-values.
        max_considered_actions: actions sampled at the root.
        gumbel_scale: scale of the root's noise.
    """
    search_key, gumbel_key = jax.random.split(key)
    shape = root.prior_logits.shape
    knowledge = Knowledge(
        gumbel_scale * jax.random.gumbel(gumbel_key, shape),
        jnp.zeros((shape[0], num_simulations + 1), bool),
    )
    considered = jnp.array(_considered(max_considered_actions, num_simulations))

    def root_action(key: Any, tree: Mctx, node: Any) -> Any:
        scores = _scores(tree, node, qtransform)
        return _next_at_root(tree, node, scores, considered)

    def interior_action(key: Any, tree: Mctx, node: Any, depth: Any) -> Any:
        return _next_below_root(tree, node, qtransform)

    grow = tree_growth.simulation(params, expand, root_action, interior_action)

    def simulate(number: Any, state: Growing) -> Growing:
        before = state[1].replace(embeddings=())
        next_key, tree = grow(number, state)
        positions = tree.embeddings  # large, and without effect where nothing points at them
        tree = jax.vmap(_back_up, in_axes=(0, None))(tree.replace(embeddings=()), number + 1)
        done = before.extra_data.proven[:, before.ROOT_INDEX]
        tree = jax.tree.map(partial(jax.vmap(jnp.where), done), before, tree)
        return next_key, tree.replace(embeddings=positions)

    tree = mctx.search(
        params,
        search_key,
        root=root,
        recurrent_fn=expand,
        root_action_selection_fn=root_action,
        interior_action_selection_fn=interior_action,
        num_simulations=num_simulations,
        invalid_actions=~legal,
        extra_data=knowledge,
        loop_fn=tree_growth.in_place(simulate),
    )
    return ProvenSearch(jax.vmap(lambda tree: _chosen(tree, qtransform))(tree), tree)


def exact_policy(tree: Mctx, policy: Array) -> Array:
    """Leaves in the policies of proven roots, float32[B, A], only moves that reach their values.

    Other moves were not searched after the proof, and their completed values are not known to be
    worse. If no such move has a share, all of them get equal ones.
    """
    root = jnp.int32(tree.ROOT_INDEX)

    def one(tree: Mctx, policy: Array) -> Array:
        exact = _exact(tree, root)
        kept = jnp.where(exact, policy, 0.0)
        total = jnp.sum(kept)
        even = exact / jnp.maximum(jnp.sum(exact), 1)
        left = jnp.where(total > 0, kept / jnp.maximum(total, jnp.finfo(kept.dtype).tiny), even)
        return jnp.where(tree.extra_data.proven[root], left, policy)

    return jax.vmap(one)(tree, policy)


def _considered(most: int, budget: int) -> np.ndarray:
    """Returns how many actions sequential halving considers, int32[most + 1, budget].

    The rows are numbers of actions to begin with, the columns simulations (Karnin et al. 2013).
    """
    table = np.ones((most + 1, budget), np.int32)
    for actions in range(2, most + 1):
        phases, left = math.ceil(math.log2(actions)), actions
        schedule: list[int] = []
        while len(schedule) < budget:
            schedule += [left] * left * max(1, budget // (phases * left))
            left = max(2, left // 2)
        table[actions] = schedule[:budget]
    return table


def _back_up(tree: Mctx, leaf: Array) -> Mctx:
    """Proves a new leaf if its game is over, and updates the nodes above it; one position."""
    over = tree.children_discounts[tree.parents[leaf], tree.action_from_parent[leaf]] == 0
    proven = tree.extra_data.proven.at[leaf].set(over)

    def update(state: tuple[Mctx, Array]) -> tuple[Mctx, Array]:
        tree, node = state
        knowledge, visits = tree.extra_data, tree.children_visits[node]
        q, closed = tree.qvalues(node), _closed(tree, node)
        best = jnp.max(jnp.where(closed, q, -jnp.inf))
        is_proven = (best >= 1) | jnp.all(closed | ~_legal(tree, node))
        weight = jnp.where(closed, 0, visits)
        mean = (tree.raw_values[node] + jnp.sum(weight * q)) / (1 + jnp.sum(weight))
        value = jnp.where(is_proven, best, jnp.maximum(mean, best))
        above = tree.parents[node]
        slot = jnp.where(above == NO_NODE, len(tree.parents), above)  # out of bounds: dropped
        tree = tree.replace(
            extra_data=knowledge._replace(proven=knowledge.proven.at[node].set(is_proven)),
            node_values=tree.node_values.at[node].set(value),
            children_values=tree.children_values.at[slot, tree.action_from_parent[node]].set(
                value, mode="drop"
            ),
        )
        return tree, above

    tree = tree.replace(extra_data=tree.extra_data._replace(proven=proven))
    state = tree, tree.parents[leaf]
    return jax.lax.while_loop(lambda state: state[1] != NO_NODE, update, state)[0]


def _closed(tree: Mctx, node: Array) -> Array:
    """Returns which actions of a node are proven, bool[A]."""
    children = tree.children_index[node]
    return (children >= 0) & tree.extra_data.proven[children]


def _legal(tree: Mctx, node: Array) -> Array:
    """Returns which actions of a node are legal, bool[A]."""
    return tree.children_prior_logits[node] > ILLEGAL_LOGIT / 2


def _exact(tree: Mctx, node: Array) -> Array:
    """Returns which actions of a proven node are proven to reach its value, bool[A]."""
    return _closed(tree, node) & (tree.qvalues(node) == tree.node_values[node])


def _open(tree: Mctx, node: Array) -> Array:
    """Returns which actions are legal and not proven, bool[A]; all legal ones if all are proven."""
    legal = _legal(tree, node)
    is_open = legal & ~_closed(tree, node)
    return jnp.where(jnp.any(is_open), is_open, legal)


def _scores(tree: Mctx, node: Array, qtransform: QTransform) -> Array:
    """Returns noise, logits and scaled Q-values of the root's actions together, float32[A]."""
    logits = tree.children_prior_logits[node]
    return tree.extra_data.gumbel + logits - jnp.max(logits) + qtransform(tree, node)


def _next_at_root(tree: Mctx, node: Array, scores: Array, considered: Array) -> Array:
    """Chooses the root's next action by sequential halving among those that are not proven.

    The actions that are still considered are the most visited ones, of equally visited ones those
    with the highest scores. The next action is the one of them that has the fewest visits.
    """
    is_open = _open(tree, node)
    number = jnp.minimum(jnp.sum(_legal(tree, node)), len(considered) - 1)
    left = considered[number, jnp.sum(tree.children_visits[node])]
    visits = jnp.where(is_open, tree.children_visits[node], -1)
    rank = jnp.argsort(jnp.lexsort((scores, visits)))  # the most visited action has A - 1
    is_considered = is_open & (rank >= len(rank) - left)
    fewest = jnp.min(jnp.where(is_considered, visits, jnp.iinfo(jnp.int32).max))
    is_next = is_considered & (visits == fewest)
    return jnp.argmax(jnp.where(is_next, scores, -jnp.inf)).astype(jnp.int32)


def _next_below_root(tree: Mctx, node: Array, qtransform: QTransform) -> Array:
    """Chooses an action whose share of visits is furthest below the improved policy's."""
    visits = tree.children_visits[node]
    policy = jax.nn.softmax(tree.children_prior_logits[node] + qtransform(tree, node))
    behind = policy - visits / (1 + jnp.sum(visits))
    is_open = _open(tree, node)
    return jnp.argmax(jnp.where(is_open, behind, -jnp.inf)).astype(jnp.int32)


def _chosen(tree: Mctx, qtransform: QTransform) -> Array:
    """Chooses the move of one position: among the most visited open actions and the proven ones.

    If the root is proven, it is one of the actions that reach the root's value.
    """
    root = jnp.int32(tree.ROOT_INDEX)
    visits, closed = tree.children_visits[root], _closed(tree, root)
    is_open = _legal(tree, root) & ~closed
    most = jnp.max(jnp.where(is_open, visits, -1))
    candidates = closed | (is_open & (visits == most))
    candidates = jnp.where(tree.extra_data.proven[root], _exact(tree, root), candidates)
    scores = _scores(tree, root, qtransform)
    return jnp.argmax(jnp.where(candidates, scores, -jnp.inf)).astype(jnp.int32)
