"""The batched PUCT against a slow exact one: the same visits, moves and values."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest

import games
from games.game import Game
from selfplay.search.base import SearchResult
from selfplay.search.config import PuctConfig, SearchConfig
from selfplay.search.make import make_search
from selfplay.testing.planted_trees import Linear
from tests.selfplay.search import reference_puct
from tests.selfplay.search.planted import quick_jit, random_positions

POSITIONS = 24
EXPLORING = PuctConfig(2.5, 50.0, 0.6, dirichlet_fraction=0.0, temperature=0.0)
PUCT = SearchConfig("puct", puct=PuctConfig(dirichlet_fraction=0.0, temperature=0.0))
CLEAR = 1e-5  # a lead that float32 and the search's tie-breaking noise (1e-7) cannot turn
GAMES = {"tic_tac_toe": 5, "connect_four": 34}  # and the most random moves before the search


@cache
def positions(name: str) -> tuple[Game, Linear, Any, np.ndarray]:
    game = games.make(name)
    states, player = random_positions(game, POSITIONS, seed=3, max_plies=GAMES[name])
    assert set(player) == {0, 1}
    return game, Linear(game, seed=5), states, player


def run(game: Game, evaluate: Linear, config: SearchConfig, states: Any) -> SearchResult:
    program = quick_jit(make_search(game, evaluate, config))
    return jax.device_get(program({}, states, jax.random.key(0)))


def both(name: str, config: SearchConfig) -> tuple[SearchResult, list[Any], np.ndarray]:
    """The search's result, the reference's at every position, and where all was clear."""
    game, evaluate, states, _ = positions(name)
    result = run(game, evaluate, config, states)
    exact = [
        reference_puct.search(
            game,
            evaluate.exact,
            jax.tree.map(lambda leaf, i=i: leaf[i], states),
            config.num_simulations,
            config.puct.pb_c_init,
            config.puct.pb_c_base,
            config.puct.fpu_reduction,
            config.puct.stdev_scale,
        )
        for i in range(POSITIONS)
    ]
    clear = np.array([reference.margin > CLEAR for reference in exact])
    assert clear.mean() > 0.8, "the planted evaluator leaves too many near-ties"
    return result, exact, clear


# A larger budget's tree contains the smaller one's: few budgets say much.
CASES = [
    ("tic_tac_toe", PUCT, 1),
    pytest.param("tic_tac_toe", PUCT, 9, marks=pytest.mark.slow),
    ("tic_tac_toe", PUCT, 64),
    ("connect_four", PUCT, 64),
    ("connect_four", replace(PUCT, puct=EXPLORING), 40),
    ("connect_four", replace(PUCT, puct=replace(PUCT.puct, stdev_scale=0.85)), 40),
]


@pytest.mark.parametrize(("name", "config", "budget"), CASES)
def test_puct_equals_the_reference_visit_for_visit(
    name: str, config: SearchConfig, budget: int
) -> None:
    result, exact, clear = both(name, replace(config, num_simulations=budget))
    for i in np.flatnonzero(clear):
        visits = np.rint(result.policy[i] * budget).astype(int)
        np.testing.assert_array_equal(visits, exact[i].visits, f"position {i}")
        np.testing.assert_allclose(result.policy[i], exact[i].visits / budget, atol=1e-6)
        np.testing.assert_allclose(result.value[i], exact[i].value, atol=1e-5)
        most = np.flatnonzero(exact[i].visits == exact[i].visits.max())
        assert result.action[i] in most, f"position {i}"
    players = positions(name)[3][clear]
    assert set(players) == {0, 1}, "both players must have moved"


def test_puct_draws_moves_in_proportion_to_visits() -> None:
    game, evaluate, states, _ = positions("tic_tac_toe")
    rows, temperature = 3000, 0.5
    same = jax.tree.map(lambda leaf: leaf[:1].repeat(rows, axis=0), states)
    config = replace(PUCT, num_simulations=20, puct=replace(PUCT.puct, temperature=temperature))
    result = run(game, evaluate, config, same)
    np.testing.assert_array_equal(result.policy, result.policy[:1].repeat(rows, axis=0))
    expected = result.policy[0].astype(float) ** (1 / temperature)
    expected /= expected.sum()
    drawn = np.bincount(result.action, minlength=game.num_actions) / rows
    assert np.all(drawn[expected == 0] == 0)
    error = np.sqrt(expected * (1 - expected) / rows)
    np.testing.assert_array_less(np.abs(drawn - expected), 4.5 * error + 1e-9)
