"""The contract of every search, whatever the network says: legality, independent rows, keys.

The planted network treats rows independently; its parameters can put all mass on illegal actions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import Array

import games
from games.game import Game
from selfplay.model.architecture import Params, Prediction
from selfplay.search import gumbel, puct
from selfplay.search.algorithm import SearchAlgorithm
from selfplay.search.base import SearchResult
from selfplay.search.config import GumbelConfig, PuctConfig, SearchConfig
from selfplay.search.make import make_search
from selfplay.search.puct import dirichlet_over
from selfplay.testing.planted_trees import Linear
from selfplay.testing.search_reference import check_contract
from tests.selfplay.search.planted import quick_jit, random_positions

BATCH = 16
CONFIGS = {
    "gumbel": SearchConfig("gumbel", num_simulations=12),
    "puct": SearchConfig("puct", num_simulations=12),
    "raw": SearchConfig("puct", num_simulations=0),
    "raw_gumbel": SearchConfig("gumbel", num_simulations=0),
}
PLAIN = {"scale": np.float32(1.0), "boost": np.float32(0.0)}
each_search = pytest.mark.parametrize("name", list(CONFIGS))
each_game = pytest.mark.parametrize("rules", ["connect_four", "tic_tac_toe"])


def taken(game: Game, observations: Array) -> Array:
    """bool[B, A], the actions that a full column or a stone forbids."""
    occupied = observations.any(axis=-1)  # [B, H, W]
    return occupied[:, 0] if game.name == "connect_four" else occupied.reshape(-1, 9)


@cache
def searcher(rules: str, name: str, noisy: bool = True) -> Any:
    """``(params, states, key) → SearchResult`` on the host, batches of any size."""
    game = games.make(rules)
    linear = Linear(game, seed=2)

    def evaluate(params: Params, observations: Array) -> Prediction:
        logits, value, _ = linear({}, observations)
        forbidden = taken(game, observations).astype(jnp.float32)
        return Prediction(logits * params["scale"] + forbidden * params["boost"], value)

    config = CONFIGS[name]
    config = config if noisy else config.for_evaluation(config.num_simulations)
    program = quick_jit(make_search(game, evaluate, config))
    return lambda params, states, seed: jax.device_get(
        program(params, states, jax.random.key(seed))
    )


@cache
def positions(rules: str) -> tuple[Any, np.ndarray]:
    """Running positions [N, …], those with a single legal action first, and their legal actions."""
    game = games.make(rules)
    states, _ = random_positions(game, 200, seed=1, max_plies=game.max_plies - 1)
    if rules == "connect_four":  # random play hardly ever fills six columns
        states = jax.tree.map(lambda a, b: np.concatenate([a, b]), nearly_full(game), states)
    legal = np.array(jax.vmap(game.legal_actions)(states))
    order = np.argsort(legal.sum(axis=1), kind="stable")
    assert (legal.sum(axis=1)[order[:10]] == 1).all()
    return take(states, order), legal[order]


def nearly_full(game: Game) -> Any:
    """Boards without four in a line and with one column that is not full."""
    rows, columns = np.mgrid[:6, :7]
    full = np.where((rows + columns // 2) % 2 == 0, 1, -1).astype(np.int8)
    # As many stones as the player to move allows.
    cases = [(c, n, n % 2) for c in range(7) for n in (1, 2, 3, 4, 6) if n % 2 == 0 or c in (2, 3)]
    boards = np.array([np.where((columns == c) & (rows < n), 0, full) for c, n, _ in cases])
    return jax.device_get(jax.vmap(game.from_board)(boards, np.array([p for _, _, p in cases])))


def take(tree: Any, indices: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[np.asarray(indices)], tree)


def assert_same_bits(a: SearchResult, b: SearchResult) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


chosen = st.lists(st.integers(0, 199), min_size=BATCH, max_size=BATCH)
seeds = st.integers(0, 2**31 - 1)


# Slow ones: every search compiles for tic-tac-toe anyway, and is held on planted trees below.
@pytest.mark.parametrize(
    ("rules", "name"),
    [
        *(("tic_tac_toe", name) for name in CONFIGS),
        *(("connect_four", name) for name in ("raw", "raw_gumbel")),
        *(pytest.param("connect_four", n, marks=pytest.mark.slow) for n in ("gumbel", "puct")),
    ],
)
@settings(max_examples=25, deadline=None)
@example(rows=list(range(BATCH)), seed=0, scale=1.0, boost=1e4)
@given(
    rows=chosen,
    seed=seeds,
    scale=st.sampled_from([0.0, 1.0, 30.0]),
    boost=st.sampled_from([-1e4, 0.0, 10.0, 1e4]),
)
def test_search_never_chooses_or_targets_an_illegal_action(
    rules: str, name: str, rows: list[int], seed: int, scale: float, boost: float
) -> None:
    states, legal = take(positions(rules), rows)
    params = {"scale": np.float32(scale), "boost": np.float32(boost)}
    result = searcher(rules, name)(params, states, seed)
    assert legal[np.arange(BATCH), result.action].all()
    assert np.all(result.policy[~legal] == 0) and np.all(result.policy >= 0)
    np.testing.assert_allclose(result.policy.sum(axis=1), 1, atol=1e-5)
    assert np.all(np.abs(result.value) <= 1)
    single = legal.sum(axis=1) == 1
    np.testing.assert_array_equal(result.policy[single], legal[single].astype(np.float32))


@each_game
def test_budget_0_returns_the_networks_policy_and_value(rules: str) -> None:
    game, states = games.make(rules), take(positions(rules)[0], range(0, 200, 8))
    result = searcher(rules, "raw")(PLAIN, states, 0)
    for i, observation in enumerate(np.array(jax.vmap(game.observe)(states))):
        legal = np.array(game.legal_actions(take(states, i)))
        logits, value = Linear(game, seed=2).exact(observation)
        weights = np.where(legal, np.exp(logits - logits[legal].max()), 0)
        np.testing.assert_allclose(result.policy[i], weights / weights.sum(), atol=1e-5)
        np.testing.assert_allclose(result.value[i], value, atol=1e-5)


# PUCT comes nearest to an illegal action where unvisited ones look as good as their parent.
@pytest.mark.parametrize(
    ("algorithm", "config"),
    [
        (gumbel.make, GumbelConfig()),
        (puct.make, PuctConfig(pb_c_init=0.1, fpu_reduction=0.0)),
    ],
    ids=["gumbel", "puct"],
)
def test_search_keeps_the_contract_on_planted_trees(
    algorithm: SearchAlgorithm, config: GumbelConfig | PuctConfig
) -> None:
    check_contract(algorithm, config=config)


@each_search
@settings(max_examples=20, deadline=None)
@given(rows=chosen, others=chosen, kept=st.sets(st.integers(0, BATCH - 1), min_size=1), seed=seeds)
def test_search_treats_rows_of_a_batch_independently(
    name: str, rows: list[int], others: list[int], kept: set[int], seed: int
) -> None:
    ask, states = searcher("tic_tac_toe", name), positions("tic_tac_toe")[0]
    mixed = [rows[i] if i in kept else others[i] for i in range(BATCH)]
    one, two = (ask(PLAIN, take(states, indices), seed) for indices in (rows, mixed))
    assert_same_bits(take(one, sorted(kept)), take(two, sorted(kept)))


@each_search
def test_search_without_noise_ignores_key_and_place_in_the_batch(name: str) -> None:
    ask, states = searcher("tic_tac_toe", name, noisy=False), positions("tic_tac_toe")[0]
    shuffled = np.random.default_rng(0).permutation(200)
    first, second = ask(PLAIN, states, 0), ask(PLAIN, take(states, shuffled), 1)
    first = take(first, shuffled)
    top_two = np.sort(first.policy, axis=1)[:, -2:]
    if name == "puct":  # the key decides between equally many visits, and nothing else
        best = np.take_along_axis(second.policy, second.action[:, None], axis=1)[:, 0]
        np.testing.assert_array_equal(best, top_two[:, 1])
        clear = top_two[:, 1] > top_two[:, 0]
        assert clear.mean() > 0.5
        second = second._replace(action=np.where(clear, second.action, first.action))
    assert_same_bits(first, second)


@each_search
def test_search_with_noise_depends_on_its_key_only(name: str) -> None:
    ask, states = searcher("tic_tac_toe", name), positions("tic_tac_toe")[0]
    first = ask(PLAIN, states, 0)
    assert_same_bits(first, ask(PLAIN, states, 0))
    several = np.array(positions("tic_tac_toe")[1].sum(axis=1) > 1)
    differs = first.action != ask(PLAIN, states, 1).action
    assert not differs[~several].any() and differs[several].mean() > 0.2


@pytest.mark.parametrize("concentration", [0.1, 1.0, 10.83])
def test_dirichlet_noise_has_the_moments_of_its_distribution(concentration: float) -> None:
    """Over n legal actions, alpha = concentration / n: mean 1 / n, the textbook's variance."""
    draws = 5_000
    for n in (1, 2, 5, 7):
        legal = np.isin(np.arange(7), [3, 0, 6, 1, 5, 2, 4][:n])
        mask = jnp.asarray(legal)[None].repeat(draws, axis=0)
        noise = np.array(dirichlet_over(jax.random.key(n), mask, concentration), dtype=np.float64)
        assert np.all(noise[:, ~legal] == 0)
        np.testing.assert_allclose(noise.sum(axis=1), 1, atol=1e-5)
        variance = (1 / n) * (1 - 1 / n) / (concentration + 1)
        error = 5 * np.sqrt(variance / draws) + 1e-6  # five standard errors
        np.testing.assert_allclose(noise[:, legal].mean(axis=0), 1 / n, atol=error)
        # The squared deviation's own variance is at most the variance: it lies in [0, 1].
        np.testing.assert_allclose(noise[:, legal].var(axis=0), variance, atol=error)


def test_dirichlet_noise_is_0_where_nothing_is_legal() -> None:
    noise = dirichlet_over(jax.random.key(0), jnp.zeros((3, 7), bool), 1.0)
    np.testing.assert_array_equal(noise, np.zeros((3, 7)))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: SearchConfig(num_simulations=-1), r"search\.num-simulations .*-1"),
        (lambda: GumbelConfig(0), r"search\.gumbel\.max-considered-actions .*got 0"),
        (lambda: GumbelConfig(scale=-1.0), r"search\.gumbel\.scale .*got -1\.0"),
        (lambda: PuctConfig(dirichlet_fraction=1.5), r"search\.puct\.dirichlet-fraction .*1\.5"),
        (lambda: PuctConfig(dirichlet_fraction=-0.1), r"search\.puct\.dirichlet-fraction .*-0\.1"),
        (lambda: PuctConfig(temperature=-2.0), r"search\.puct\.temperature .*got -2\.0"),
        (
            lambda: PuctConfig(dirichlet_concentration=-3.0),
            r"search\.puct\.dirichlet-concentration .*got -3\.0",
        ),
    ],
)
def test_config_out_of_range_is_rejected_with_option_and_value(
    bad: Callable[[], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bad()
