"""A network of one's own: a small transformer, whose tokens are the cells of the board.

oomzero train small --network.kind 'my_network:transformer?attention_heads=4'
"""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from selfplay.model.architecture import Architecture, Heads, Model, Params, Prediction, Shape
from selfplay.model.config import NetworkConfig


class Transformer(nn.Module):
    """``observations bool[B, H, W, C] → Prediction``; policy and value are the first heads."""

    shape: Shape
    config: NetworkConfig
    heads: Heads
    attention_heads: int

    @nn.compact
    def __call__(self, observations: Array) -> Prediction:
        (rows, columns, planes), width = self.shape.observation, self.config.width
        x = observations.reshape(-1, rows * columns, planes).astype(jnp.float32)  # tokens
        x = nn.Dense(width)(x) + self.param(
            "place", nn.initializers.normal(), (1, x.shape[1], width)
        )
        for _ in range(self.config.depth):
            x = x + nn.MultiHeadDotProductAttention(self.attention_heads)(nn.LayerNorm()(x))
            x = x + nn.Dense(width)(nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(x))))
        x = nn.LayerNorm()(x)
        features = {"actions": x.reshape(len(x), -1), "cells": x, "scalar": x.mean(axis=1)}
        size = {"actions": self.shape.actions, "cells": 1, "scalar": 1}
        shape = {"actions": (self.shape.actions,), "cells": (rows, columns), "scalar": ()}
        outputs = {}
        for name, kind in self.heads:  # zeros at first: all moves alike, all games even
            head = nn.Dense(size[kind], kernel_init=nn.initializers.zeros, name=name)
            outputs[name] = head(features[kind]).reshape(-1, *shape[kind])
        return Prediction(outputs.pop("policy"), jnp.tanh(outputs.pop("value")), outputs)


@Architecture
def transformer(
    shape: Shape, config: NetworkConfig, heads: Heads, *, attention_heads: int = 2
) -> Model:
    """Builds the transformer with `width` and `depth`; `attention_heads` must divide the width."""
    (rows, columns, planes), width = shape.observation, config.width
    if attention_heads < 1 or width % attention_heads:
        raise ValueError(f"attention_heads={attention_heads} must divide network.width={width}")
    cells = rows * columns
    every: Heads = (("policy", "actions"), ("value", "scalar"), *heads)
    module = Transformer(shape, config, every, attention_heads)

    def init(key: Array) -> Params:
        return dict(module.init(key, jnp.zeros((1, *shape.observation), bool))["params"])

    def apply(params: Params, observations: Array) -> Prediction:
        return module.apply({"params": params}, observations)  # pyright: ignore[reportReturnType]

    block = 12 * width**2 + 2 * cells * width  # multiply-adds of a cell: weights, and attention
    head = {"actions": cells * width * shape.actions, "cells": cells * width, "scalar": width}
    trunk = cells * (planes * width + config.depth * block)
    return Model(init, apply, 2 * (trunk + sum(head[kind] for _, kind in every)))
