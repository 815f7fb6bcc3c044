"""Playout-cap randomization: which plies are searched fully, what others record, and the cost."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import games
from selfplay.acting import episode, segment
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.cost import evaluations_per_segment
from selfplay.acting.stream_player import StreamPlayer
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search

GAME = games.make("tic_tac_toe")
NETWORK = NetworkConfig("mlp", width=8, depth=1, head_width=4)
MODEL = network.make(GAME, NETWORK)
SEARCH = SearchConfig(num_simulations=12)
CAPPED = SelfPlayConfig(
    batch_size=6,
    segment_length=8,
    temperature_plies=0,
    random_opening_fraction=0.0,
    full_search_fraction=0.25,
    fast_simulations=2,
)


@pytest.mark.parametrize(("fraction", "full"), [(1.0, 8), (0.25, 2), (0.3, 2), (0.07, 1)])
def test_share_of_the_plies_is_exact_and_drawn_for_each_segment(fraction: float, full: int) -> None:
    config = SelfPlayConfig(segment_length=8, full_search_fraction=fraction)
    keys = jax.random.split(jax.random.key(0), 400)
    drawn = np.array(jax.vmap(lambda key: segment.full_searches(config, key))(keys))
    assert (drawn.sum(axis=1) == full).all() and config.full_plies == full
    error = np.sqrt(full / 8 * (1 - full / 8) / 400)
    np.testing.assert_array_less(abs(drawn.mean(axis=0) - full / 8), 4.5 * error + 1e-9)


@pytest.mark.parametrize("fast", [0, 2])
def test_fast_plies_are_searched_without_noise_and_teach_no_policy(fast: int) -> None:
    """Compares a segment with its plies one by one."""
    config = SelfPlayConfig(**{**vars(CAPPED), "fast_simulations": fast})
    params = network.pseudo_random(MODEL.init)
    start, advance = segment.make(GAME, MODEL.apply, SEARCH, config)
    lanes, key = start(jax.random.key(1)), jax.random.key(7)
    _, record = jax.jit(advance)(params, lanes, key)
    whole = jax.jit(make_search(GAME, MODEL.apply, SEARCH.for_self_play()))
    quick = jax.jit(make_search(GAME, MODEL.apply, SEARCH.for_evaluation(fast)))
    full = np.array(segment.full_searches(config, key))
    state, t = lanes.state, 0
    for t in range(config.segment_length):
        search_key, _, _ = jax.random.split(jax.random.fold_in(key, t), 3)
        result = (whole if full[t] else quick)(params, state, search_key)
        fields = {name: np.array(leaf[t]) for name, leaf in record.fields.items()}
        np.testing.assert_array_equal(fields["action"], result.action)
        np.testing.assert_allclose(fields["value"], result.value, atol=2e-3)
        expected = np.array(result.policy) if full[t] else np.zeros((6, 9))
        np.testing.assert_allclose(fields["policy"], expected, atol=2e-3)
        if record.over[t].any():
            break  # new games begin
        state = jax.vmap(GAME.step)(state, result.action)
    assert t >= 4 and len(set(full[: t + 1])) == 2


@pytest.mark.parametrize(
    ("fraction", "fast", "evaluations"),
    [(1.0, 2, 6 * 8 * 13), (0.25, 2, 6 * (2 * 13 + 6 * 3)), (0.25, 0, 6 * (2 * 13 + 6 * 1))],
)
def test_cost_counts_both_budgets(fraction: float, fast: int, evaluations: int) -> None:
    config = SelfPlayConfig(
        batch_size=6, segment_length=8, full_search_fraction=fraction, fast_simulations=fast
    )
    assert evaluations_per_segment(SEARCH, config) == evaluations


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"full_search_fraction": 1.5}, r"full-search-fraction must be from 0 to 1, got 1\.5"),
        ({"full_search_fraction": 0.01}, r"is 0\.01, less than one of a segment's 32 plies"),
        ({"fast_simulations": -1}, r"selfplay\.fast-simulations must be at least 0, got -1"),
    ],
)
def test_share_without_a_full_ply_is_rejected(bad: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SelfPlayConfig(**bad)  # pyright: ignore[reportArgumentType]


def test_only_fully_searched_plies_become_rows_if_fast_ones_are_not_to_be() -> None:
    fields = SimpleNamespace(
        policy=np.array([[0, 0], [1, 0], [0, 0], [0, 1], [0, 0], [0, 0], [1, 0]], np.float16),
        action=np.arange(7),
        last=np.array([0, 0, 1, 0, 0, 1, 1], bool),  # games of three, three and one ply
    )
    rows = episode.with_policy(vars(fields))
    assert rows["action"].tolist() == [1, 3, 6]
    assert rows["last"].tolist() == [True, True, True]
    longer = vars(fields) | {"policy": np.ones((7, 2)), "last": fields.last}
    np.testing.assert_array_equal(episode.with_policy(longer)["last"], fields.last)
    none = episode.with_policy(vars(fields) | {"policy": np.zeros((7, 2))})
    assert len(none["last"]) == len(none["action"]) == 0


def test_stream_without_fast_rows_plays_the_same_games() -> None:
    def play(fast_rows: bool) -> dict[str, np.ndarray]:
        config = replace(CAPPED, fast_rows=fast_rows)
        spec = StreamSpec("tic_tac_toe", NETWORK, SEARCH, config, 0)
        player = StreamPlayer.from_spec(spec)
        params, carry = network.pseudo_random(MODEL.init), player.start(0)
        parts = []
        for iteration in (1, 2, 3):
            carry, rows = player.play(params, carry, iteration, 0, 0)
            parts.append(rows)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    every, some = play(True), play(False)
    full = every["policy"].any(axis=-1)
    assert 0 < np.sum(full) < np.size(full)
    for name in ("planes", "value", "mover_outcome", "ply"):
        np.testing.assert_array_equal(every[name][full], some[name])
    assert CAPPED.rows == CAPPED.positions == 4 * replace(CAPPED, fast_rows=False).rows
