"""How the games of a segment begin, which moves are played, and the checks of SelfPlayConfig."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.acting import segment
from selfplay.acting.config import SelfPlayConfig
from selfplay.acting.start_states import random_opening
from selfplay.search.base import SearchResult


def chosen(policy: list[float], ply: int, temperature: float, rows: int = 20_000) -> np.ndarray:
    """Draws many moves at one ply from one policy; the search's own move is action 4."""
    result = SearchResult(
        jnp.full(rows, 4), jnp.tile(jnp.array([policy], jnp.float32), (rows, 1)), jnp.zeros(rows)
    )
    config = SelfPlayConfig(temperature=temperature, temperature_plies=3)
    return np.array(segment.choose(result, jnp.full(rows, ply), jax.random.key(ply), config))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 30.0])
def test_early_move_is_drawn_from_the_sharpened_policy(temperature: float) -> None:
    policy = np.array([0.5, 0.0, 0.3, 0.15, 0.05])
    expected = np.where(policy > 0, policy ** (1 / temperature), 0)
    expected /= expected.sum()
    for ply in (0, 2):
        drawn = np.bincount(chosen(policy.tolist(), ply, temperature), minlength=5) / 20_000
        assert drawn[1] == 0
        error = np.sqrt(expected * (1 - expected) / 20_000)
        np.testing.assert_array_less(np.abs(drawn - expected), 4.5 * error + 1e-9)


def test_late_move_is_the_searchs_and_temperature_0_takes_the_most_likely() -> None:
    policy = [0.2, 0.5, 0.3, 0.0, 0.0]
    assert set(chosen(policy, ply=3, temperature=1.0)) == {4}
    assert set(chosen(policy, ply=2, temperature=0.0)) == {1}


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_opening_has_the_configured_fraction_and_lengths(fraction: float) -> None:
    game, count, longest = games.make("connect_four"), 8000, 5
    config = SelfPlayConfig(random_opening_fraction=fraction, random_opening_plies=longest)
    states, ply = jax.jit(jax.vmap(lambda key: random_opening(game, config, key)))(
        jax.random.split(jax.random.key(0), count)
    )
    boards = np.array(jax.vmap(game.board)(states))
    np.testing.assert_array_equal((boards != 0).sum(axis=(1, 2)), ply)
    lengths = np.bincount(ply, minlength=longest + 1) / count
    expected = np.array([1 - fraction, *[fraction / longest] * longest])
    np.testing.assert_array_less(abs(lengths - expected), 4.5 * (0.25 / count) ** 0.5)
    assert lengths[0] == 1 - fraction or 0 < fraction < 1
    if fraction:  # the first stone: any column alike
        single = boards[np.array(ply) == 1][:, -1] != 0
        np.testing.assert_allclose(
            single.mean(axis=0), 1 / 7, atol=4.5 * 0.35 * len(single) ** -0.5
        )


def test_opening_never_ends_the_game() -> None:
    game = games.make("tic_tac_toe")
    config = SelfPlayConfig(random_opening_fraction=1.0, random_opening_plies=9)
    states, ply = jax.jit(jax.vmap(lambda key: random_opening(game, config, key)))(
        jax.random.split(jax.random.key(0), 500)
    )
    assert not jax.vmap(game.is_terminal)(states).any()
    assert {1, 4, 7, 8} <= set(ply.tolist()) and ply.max() < 9
    boards = np.array(jax.vmap(game.board)(states))
    np.testing.assert_array_equal((boards != 0).sum(axis=(1, 2)), ply)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"streams": 0}, r"selfplay\.streams .*got 0"),
        ({"batch_size": -1}, r"selfplay\.batch-size .*got -1"),
        ({"segment_length": 0}, r"selfplay\.segment-length .*got 0"),
        ({"temperature": -0.5}, r"selfplay\.temperature .*got -0\.5"),
        ({"temperature_plies": -1}, r"selfplay\.temperature-plies .*got -1"),
        ({"random_opening_plies": -3}, r"selfplay\.random-opening-plies .*got -3"),
        ({"random_opening_fraction": 1.5}, r"selfplay\.random-opening-fraction .*got 1\.5"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_config_out_of_range_is_rejected_with_option_and_value(
    bad: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SelfPlayConfig(**bad)


def test_config_counts_the_positions_of_an_iteration() -> None:
    assert SelfPlayConfig(streams=3, batch_size=5, segment_length=7).positions == 105
