"""Auxiliary heads: a network without them ignores their parameters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import games
from games import plugins
from selfplay.model import network
from selfplay.model.architecture import Architecture, Heads, Model, Params, Prediction, Shape
from selfplay.model.config import NetworkConfig

GAME = games.make("tic_tac_toe")
HEADS: Heads = (("a", "actions"), ("b", "cells"), ("c", "scalar"))
SPEC = "my_strict_network:strict"


@Architecture
def strict(shape: Shape, config: NetworkConfig, heads: Heads, *, shifts: bool = False) -> Model:
    """A linear network that accepts exactly its own parameters."""
    cells = int(np.prod(shape.observation))
    names = [*(name for name, _ in heads), "main"]

    def init(key: Array) -> Params:
        width = {name: shape.actions for name in names} | {"main": shape.actions + 1}
        keys = [str(i) for i in range(len(names))] if shifts else names
        return {
            key: {"w": jnp.ones((cells, width[name]))}
            for key, name in zip(keys, names, strict=True)
        }

    def apply(params: Params, observations: Array) -> Prediction:
        assert set(params) == set(names)
        flat = observations.reshape(len(observations), -1).astype(jnp.float32)
        main = flat @ params["main"]["w"]
        return Prediction(main[:, 1:], jnp.tanh(main[:, 0]), {n: flat for n in names[:-1]})

    return Model(init, apply, 0)


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins._Trust, "paths", set())  # pyright: ignore[reportPrivateUsage]
    module: Any = ModuleType("my_strict_network")
    module.strict, module.__file__ = strict, __file__
    monkeypatch.setitem(sys.modules, "my_strict_network", module)
    plugins.trust([SPEC])
    yield
    network._make.cache_clear()  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("kind", ["conv", "mlp", SPEC])
def test_network_without_heads_ignores_their_parameters(kind: str) -> None:
    config = NetworkConfig(kind, width=4, depth=0, head_width=4)
    with_heads, bare = network.make(GAME, config, HEADS), network.make(GAME, config)
    params = jax.tree.map(lambda leaf: leaf + 0.1, with_heads.init(jax.random.key(0)))
    own = network.without_heads(bare, params)
    assert jax.tree.structure(own) == jax.tree.structure(network.shapes(bare.init))
    assert len(jax.tree.leaves(own)) < len(jax.tree.leaves(params))
    board = GAME.observe(GAME.init())[None]
    for expected, actual in zip(bare.apply(own, board), bare.apply(params, board), strict=True):
        np.testing.assert_array_equal(expected, actual) if len(expected) else None
    full = with_heads.apply(params, board)
    np.testing.assert_array_equal(full.policy_logits, bare.apply(params, board).policy_logits)
    assert set(full.auxiliary) == {"a", "b", "c"} and bare.apply(params, board).auxiliary == {}


def test_architecture_whose_heads_change_other_parameters_is_rejected() -> None:
    config = NetworkConfig(f"{SPEC}?shifts=true")
    params = network.shapes(network.make(GAME, config, HEADS).init)
    with pytest.raises(ValueError, match=r"0/w has shape \(18, 9\), expected \(18, 10\)"):
        network.without_heads(network.make(GAME, config), params)
