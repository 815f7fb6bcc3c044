"""Builds networks: the registry of architectures, and what every network's parameters allow.

A network maps one observation ``[H, W, C]`` to policy logits ``[A]`` and a value in [−1, 1],
the expected outcome **for the player to move**, and to what auxiliary heads predict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
from jax import Array

from games import plugins
from games.game import Game
from selfplay.model import residual
from selfplay.model.architecture import Architecture, Heads, Model, Params, Prediction, Shape
from selfplay.model.config import KIND, NetworkConfig

_ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "conv": residual.conv,
        "nested": residual.nested,
        "attention": residual.attention,
        "mlp": residual.mlp,
    }
)


def make(game: Game, config: NetworkConfig, heads: Heads = ()) -> Model:
    """Builds the network for a game's observations and actions.

    Equal shapes and configs give the same object in a process, so that programs that are cached by
    it are compiled once. The game itself may hold a traced komi, which has no hash.

    Args:
        game: the game.
        config: architecture and size.
        heads: auxiliary heads, which the learner's loss terms ask for.

    Raises:
        ValueError: the architecture is unknown or not trusted, or has no such option.
    """
    return _make(Shape.of(game), config, heads)


@lru_cache(maxsize=16)
def _make(shape: Shape, config: NetworkConfig, heads: Heads) -> Model:
    architecture, options = plugins.resolve(KIND, config.kind, _ARCHITECTURES, Architecture)
    spec, make_model = config.kind, architecture.make
    model = plugins.build(KIND, spec, make_model, Model, shape, config, heads, **options)
    if heads:
        return model

    def apply(params: Params, observations: Array) -> Prediction:
        return model.apply(without_heads(model, params), observations)

    return model._replace(apply=apply)


def without_heads(model: Model, params: Params) -> Params:
    """Returns the parameters of a model without heads, out of those of the model with heads.

    Raises:
        ValueError: a parameter is not among them, or has another shape there.
    """

    def part(like: Params, tree: Params, path: str) -> Params:
        return {name: leaf(x, tree.get(name), f"{path}{name}") for name, x in like.items()}

    def leaf(like: Any, value: Any, path: str) -> Any:
        if isinstance(like, dict):
            return part(like, value if isinstance(value, dict) else {}, f"{path}/")
        if getattr(value, "shape", None) != like.shape:
            raise ValueError(
                f"these are not the parameters of this network: {path} has shape "
                f"{getattr(value, 'shape', None)}, expected {like.shape}. (For auxiliary heads, an "
                "architecture may only add parameters.)"
            )
        return value

    return part(shapes(model.init), params, "")


@lru_cache(maxsize=16)
def shapes(init: Callable[[Array], Params]) -> Params:
    """Returns the shapes and types of the parameters as a tree of ``jax.ShapeDtypeStruct``."""
    return jax.eval_shape(init, jax.random.key(0))


def pseudo_random(init: Callable[[Array], Params]) -> Params:
    """Returns the parameters that fingerprints use; the zeros of fresh ones would hide much."""
    rng = np.random.Generator(np.random.Philox(0))
    return jax.tree.map(
        lambda s: (rng.standard_normal(s.shape) * max(s.size, 1) ** -0.25).astype(s.dtype),
        shapes(init),
    )


def num_parameters(params: Params) -> int:
    """Counts the numbers in a tree of parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
