"""Global pooling, and networks that play on boards of several sizes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.model import network, residual
from selfplay.model.architecture import Architecture
from selfplay.model.blocks import pool, pool_for_value
from selfplay.model.config import NetworkConfig
from selfplay.testing.network_contract import check_architecture
from tests.selfplay.search.planted import random_params

ARCHITECTURES = {
    "conv": residual.conv,
    "nested": residual.nested,
    "attention": residual.attention,
}


def test_pools_by_hand() -> None:
    """A board of 4 × 4 is (4 − 14) / 10 = −1 in size; the mean of 1 to 16 is 8.5."""
    x = jnp.arange(1.0, 17.0).reshape(1, 4, 4, 1)
    np.testing.assert_allclose(pool(x), [[8.5, -8.5, 16.0]])
    np.testing.assert_allclose(pool_for_value(x), [[8.5, -8.5, 8.5 * 0.9]], rtol=1e-6)
    wide = jnp.ones((1, 2, 8, 1))
    np.testing.assert_allclose(pool(wide), [[1, -1, 1]], rtol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "rules", "options"),
    [
        (residual.conv, "connect_four", {"pooled": 2}),
        (residual.conv, "go?size=5", {"pooled": 1, "board_free": True}),
        (residual.nested, "tic_tac_toe", {"board_free": True}),
    ],
)
def test_architecture_keeps_the_contract(
    architecture: Architecture, rules: str, options: dict[str, Any]
) -> None:
    config = NetworkConfig(width=64, depth=2, head_width=32)
    check_architecture(architecture, games.make(rules), config, surplus=0.04, **options)


@pytest.mark.parametrize("kind", ["conv?pooled=1&board_free=true", *ARCHITECTURES])
def test_board_free_network_has_the_same_parameters_on_every_board(kind: str) -> None:
    spec = kind if "?" in kind else f"{kind}?board_free=true"
    config = NetworkConfig(spec, width=16, depth=2, head_width=8)
    go = [network.make(games.make(f"go?size={size}"), config) for size in (5, 9, 19)]
    shapes = [network.shapes(model.init) for model in go]
    assert shapes[0] == shapes[1] == shapes[2]
    params = random_params(go[0].init)
    game = games.make("go?size=9")
    logits, value, _ = go[1].apply(params, jax.vmap(game.observe)(_start(game)))
    assert logits.shape == (1, 82) and np.isfinite(logits).all() and abs(value[0]) <= 1


def _start(game: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[None], game.init())


@pytest.mark.parametrize("kind", ["conv", "conv?pooled=2"])
def test_dense_heads_belong_to_one_board(kind: str) -> None:
    config = NetworkConfig(kind, width=16, depth=2, head_width=8)
    five, nine = (
        network.shapes(network.make(games.make(f"go?size={n}"), config).init) for n in (5, 9)
    )
    assert five != nine


def test_a_stone_far_away_reaches_a_cell_by_pooling_alone() -> None:
    """In a corner of 9 × 9 one block sees four cells far; pooling sees the whole board."""
    game = games.make("go?size=9")
    seen = jnp.zeros((2, *game.observation_shape), bool).at[1, 8, 8, 0].set(True)
    for kind, reaches in (("conv?board_free=true", False), ("conv?board_free=true&pooled=1", True)):
        config = NetworkConfig(kind, width=16, depth=1, head_width=8)
        model = network.make(game, config, (("owner", "cells"),))
        owner = model.apply(random_params(model.init), seen).auxiliary["owner"]
        assert bool(owner[0, 0, 0] != owner[1, 0, 0]) == reaches, kind


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("conv?board_free=true", "this one has 7 actions and 42 cells"),
        ("conv?pooled=3", r"conv\?pooled=3: expected from 0 to the 2 blocks of network.depth"),
        ("mlp?board_free=true", "network mlp has no option 'board_free'"),
    ],
)
def test_what_a_game_or_size_does_not_allow_is_rejected(kind: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network.make(games.make("connect_four"), NetworkConfig(kind, depth=2))
