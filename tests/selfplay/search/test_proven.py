"""Gumbel AlphaZero that proves results: exact values, and no simulation for what is known."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import pytest

import games
from selfplay.model.architecture import Prediction
from selfplay.players.solvers import solver_for
from selfplay.search import gumbel, proven
from selfplay.search.base import evaluate_states, expansion, root_of
from selfplay.search.config import GumbelConfig
from selfplay.testing.planted_trees import Linear, TreeGame, zero_evaluator
from selfplay.testing.search_reference import check_minimax, check_search
from tests.selfplay.search.planted import quick_jit, random_positions

PROVING = GumbelConfig(prove=True)
TREES, ACTIONS = 60, 3


@cache
def planted(depth: int) -> TreeGame:
    """Trees of losses, draws and wins, in which the players alternate."""
    rng = np.random.default_rng(depth)
    outcomes = rng.choice([-1.0, 0.0, 1.0], (TREES, ACTIONS**depth)).astype(np.float32)
    return TreeGame(ACTIONS, outcomes, np.tile(np.arange(depth + 1) % 2, (TREES, 1)))


def grown(
    game: Any,
    states: Any,
    budget: int,
    scale: float = 0.0,
    logits: np.ndarray | None = None,
    considered: int = 16,
) -> proven.ProvenSearch:
    """Searches with a network that values every position at 0, and has the same logits in all."""
    blank = np.zeros(game.num_actions) if logits is None else logits

    def evaluate(params: Any, observations: Any) -> Prediction:
        policy, value, _ = zero_evaluator(game)(params, observations)
        return Prediction(policy + jnp.asarray(blank, jnp.float32)[None], value)

    qtransform = partial(
        mctx.qtransform_completed_by_mix_value, value_scale=0.3, rescale_values=False
    )

    def search(states: Any) -> proven.ProvenSearch:
        leaves = evaluate_states(game, evaluate, {}, states)
        return proven.search(
            {},
            jax.random.key(0),
            root_of(leaves, states),
            expansion(game, evaluate),
            budget,
            leaves.legal,
            qtransform,
            considered,
            scale,
        )

    return jax.device_get(quick_jit(search)(states))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_budget_of_all_nodes_proves_the_exact_value(depth: int, scale: float) -> None:
    """No simulation is spent twice on a node, so as many as there are nodes below suffice."""
    game: Any = planted(depth)
    nodes = sum(ACTIONS**d for d in range(1, depth + 1))
    action, tree = grown(game, jax.vmap(game.init)(np.arange(TREES)), nodes, scale)
    exact = game.action_values()
    assert tree.extra_data.proven[:, 0].all()
    np.testing.assert_array_equal(tree.node_values[:, 0], exact.max(axis=1))
    np.testing.assert_array_equal(exact[np.arange(TREES), action], exact.max(axis=1))
    spent = tree.children_visits[:, 0].sum(axis=1)
    assert (spent <= nodes).all() and spent.min() < nodes  # wins end it early


def test_proven_positions_are_not_visited_again() -> None:
    """In a tree a node's visits end with its proof: those of a finished game are 1."""
    game: Any = planted(3)
    _, tree = grown(game, jax.vmap(game.init)(np.arange(TREES)), 30)
    over = (tree.children_discounts == 0) & (tree.children_visits > 0)
    assert over.sum() > 10 * TREES and (tree.children_visits[over] == 1).all()


def test_values_are_exact_where_proven_and_averages_elsewhere() -> None:
    """Compares every node of half-grown trees with its children; a proven action is a bound."""
    game: Any = planted(3)
    _, tree = grown(game, jax.vmap(game.init)(np.arange(TREES)), 14)
    is_proven, values = tree.extra_data.proven, tree.node_values
    checked = {True: 0, False: 0}
    for k in range(TREES):
        for node in np.flatnonzero(tree.node_visits[k] > 1):
            children = tree.children_index[k, node]
            visited = children >= 0
            visits = tree.children_visits[k, node]
            q = -values[k, children] + tree.children_rewards[k, node]
            closed = visited & is_proven[k, children]
            wins, all_closed = (q[closed] == 1).any(), closed.all()
            assert is_proven[k, node] == (wins or all_closed)
            is_open = visited & ~closed
            total = visits[is_open] @ q[is_open] + tree.raw_values[k, node]
            mean = total / (1 + visits[is_open].sum())
            least = q[closed].max(initial=-np.inf)
            expected = least if is_proven[k, node] else max(mean, least)
            np.testing.assert_allclose(values[k, node], expected, atol=1e-6)
            checked[bool(is_proven[k, node])] += 1
    assert min(checked.values()) > TREES // 2


def test_proof_agrees_with_the_solver_in_late_positions() -> None:
    """Four empty cells have at most 64 positions below, so every root is proven."""
    game = games.make("tic_tac_toe")
    states, _ = random_positions(game, 300, seed=3, max_plies=8)
    empty = (np.array(jax.vmap(game.board)(states)) == 0).sum(axis=(1, 2))
    late = jax.tree.map(lambda leaf: leaf[empty <= 4], states)
    action, tree = grown(game, late, 64)
    scores = np.sign(solver_for(game)(late))
    exact = scores.max(axis=1)
    assert tree.extra_data.proven[:, 0].all() and len(set(exact.tolist())) == 3
    np.testing.assert_array_equal(tree.node_values[:, 0], exact)
    np.testing.assert_array_equal(scores[np.arange(len(action)), action], exact)


def test_policy_of_a_proven_root_has_only_moves_that_reach_its_value() -> None:
    """Where the network dislikes the winning move, its completed values alone would keep others."""
    game = games.make("tic_tac_toe")
    states, _ = random_positions(game, 300, seed=3, max_plies=8)
    evaluate = Linear(game, seed=1)
    search = gumbel.make.make(game, evaluate, 64, False, config=PROVING)
    result = jax.device_get(quick_jit(search)({}, states, jax.random.key(0)))
    _, tree = grown(game, states, 64)
    sure = np.array(tree.extra_data.proven[:, 0])
    scores = np.sign(solver_for(game)(states))
    best = scores == scores.max(axis=1, keepdims=True)
    empty = (np.array(jax.vmap(game.board)(states)) == 0).sum(axis=(1, 2))
    assert sure[empty <= 4].all()
    late = result.policy[empty <= 4]
    np.testing.assert_allclose(late.sum(axis=1), 1, atol=1e-5)
    assert (late[~best[empty <= 4]] == 0).all()
    assert (result.policy[empty > 6] > 0).sum() > 100  # where nothing is proven, all legal moves


@pytest.mark.parametrize(("budget", "noise"), [(5, False), (100, True)])
def test_without_results_in_reach_it_is_the_same_search(budget: int, noise: bool) -> None:
    game = games.make("hex?size=6")
    states, _ = random_positions(game, 24, seed=0, max_plies=1)
    results = []
    for config in (GumbelConfig(), PROVING):
        search = gumbel.make.make(game, Linear(game, seed=1), budget, noise, config=config)
        results.append(jax.device_get(quick_jit(search)({}, states, jax.random.key(5))))
    np.testing.assert_array_equal(results[0].action, results[1].action)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_schedule_is_that_of_sequential_halving() -> None:
    """24 simulations: eight actions once, four of them twice more, then two."""
    assert proven._considered(8, 24)[8].tolist() == [8] * 8 + [4] * 8 + [2] * 8
    assert proven._considered(8, 3).tolist() == [[1] * 3] * 2 + [[n] * 3 for n in (2, *range(3, 9))]


def test_actions_that_are_proven_lost_make_room_for_others() -> None:
    """Three considered actions lose to any reply, so two simulations prove each; two are left."""
    outcomes = np.repeat([-1.0, -1.0, -1.0, 0.0, 0.0], 5).astype(np.float32)[None]
    game: Any = TreeGame(5, outcomes, np.array([[0, 1, 0]]))
    first = np.log([1.0, 1.0, 1.0, 0.01, 0.01])
    state = jax.vmap(game.init)(np.arange(1))
    action, tree = grown(game, state, 12, logits=first, considered=3)
    visits = tree.children_visits[0, 0]
    assert visits[:3].tolist() == [2, 2, 2] and visits[3:].min() >= 2 and visits.sum() == 12
    assert action[0] >= 3 and tree.node_values[0, 0] == 0  # at least a draw, or its estimate


def test_search_that_proves_keeps_the_contract_and_finds_perfect_play() -> None:
    check_search(gumbel.make, config=PROVING)


def test_search_that_proves_finds_the_best_action_among_draws() -> None:
    check_minimax(gumbel.make, config=PROVING, draws=True, budget=39)  # the nodes below a root
