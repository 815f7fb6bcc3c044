"""The built-in architectures, in flax: residual towers over the board, and a residual MLP.

The tower of convolutions is He et al.'s (2016), sized by `width` and `depth`; other towers have the
branches of `blocks`. All end in zero-initialized heads, so an untrained network is uniform over
actions and calls every position even.

Parameters are float32. Compute is float32 on CPU and bfloat16 on accelerators; predictions are
always returned as float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from selfplay.model.architecture import (
    Architecture,
    HeadKind,
    Heads,
    Model,
    Params,
    Prediction,
    Shape,
)
from selfplay.model.blocks import Attention, NestedBottleneck, multiply_adds
from selfplay.model.config import NetworkConfig

BRANCHES = {"nested": NestedBottleneck, "attention": Attention}
POLICY_CHANNELS = 8  # 1×1 convolutions in front of the tower's two heads
VALUE_CHANNELS = 4


class Network(nn.Module):
    """``observation bool[B, H, W, C] → Prediction``."""

    kind: str  # "conv", "nested", "attention" or "mlp"
    config: NetworkConfig
    shape: Shape
    heads: Heads
    dtype: DTypeLike

    @nn.compact
    def __call__(self, observation: Array) -> Prediction:  # [B, H, W, C]
        """Evaluates a batch of observations."""
        config, batch = self.config, observation.shape[0]
        x = observation.astype(self.dtype)
        if self.kind == "mlp":
            x = x.reshape(batch, -1)
        x = nn.relu(self._layer(config.width, "stem")(x))  # [B, H, W, width] or [B, width]
        for i in range(config.depth):
            x = x + self._branch(x, i)
        trunk = policy = self._norm("final_norm")(x)
        if self.kind != "mlp":
            value = nn.relu(self._layer(VALUE_CHANNELS, "value_in", kernel=1)(policy))
            policy = nn.relu(self._layer(POLICY_CHANNELS, "policy_in", kernel=1)(policy))
            value, policy = value.reshape(batch, -1), policy.reshape(batch, -1)
        else:
            value = policy
        value = nn.relu(nn.Dense(config.head_width, dtype=self.dtype, name="value_hidden")(value))
        zeros = nn.initializers.zeros_init()
        logits = nn.Dense(self.shape.actions, dtype=self.dtype, kernel_init=zeros, name="policy")(
            policy
        )
        scalar = nn.Dense(1, dtype=self.dtype, kernel_init=zeros, name="value")(value)
        return Prediction(
            logits.astype(jnp.float32),
            jnp.tanh(scalar[:, 0].astype(jnp.float32)),
            {name: self._head(name, kind, trunk, policy, value) for name, kind in self.heads},
        )

    def _head(self, name: str, kind: HeadKind, trunk: Array, policy: Array, value: Array) -> Array:
        """Computes an auxiliary head from the features of the policy, the trunk or the value."""
        rows, columns, _ = self.shape.observation
        name, zeros = f"{name}_head", nn.initializers.zeros_init()
        if kind == "cells" and self.kind != "mlp":
            cells = self._layer(1, name, kernel=1, kernel_init=zeros)(trunk)
            return cells[..., 0].astype(jnp.float32)  # [B, H, W]
        features = {"actions": policy, "cells": trunk, "scalar": value}[kind]
        size = {"actions": self.shape.actions, "cells": rows * columns, "scalar": 1}[kind]
        output = nn.Dense(size, dtype=self.dtype, kernel_init=zeros, name=name)(features)
        shape = {"actions": (size,), "cells": (rows, columns), "scalar": ()}[kind]
        return output.astype(jnp.float32).reshape(-1, *shape)

    def _branch(self, x: Array, block: int) -> Array:
        """Computes a residual branch, which is zero at first; see docs/decisions/0008."""
        if self.kind in BRANCHES:
            return BRANCHES[self.kind](self.dtype, name=f"block{block}")(x)
        width, zeros = self.config.width, nn.initializers.zeros_init()
        y = nn.relu(self._norm(f"block{block}_norm0")(x))
        y = self._layer(width, f"block{block}_layer0")(y)
        y = nn.relu(self._norm(f"block{block}_norm1")(y))
        return self._layer(width, f"block{block}_layer1", kernel_init=zeros)(y)

    def _layer(
        self, features: int, name: str, kernel: int = 3, kernel_init: Initializer | None = None
    ) -> nn.Module:
        """Makes a layer of the trunk: dense, or a convolution of `kernel` × `kernel` cells."""
        kernel_init = kernel_init or nn.initializers.he_normal()
        if self.kind == "mlp":
            return nn.Dense(features, dtype=self.dtype, kernel_init=kernel_init, name=name)
        size = (kernel, kernel)
        return nn.Conv(features, size, dtype=self.dtype, kernel_init=kernel_init, name=name)

    def _norm(self, name: str) -> Callable[[Array], Array]:
        if self.config.norm == "none":
            return lambda x: x
        kind = nn.RMSNorm if self.config.norm == "rms" else nn.LayerNorm
        return kind(dtype=self.dtype, name=name)


@Architecture
def conv(shape: Shape, config: NetworkConfig, heads: Heads) -> Model:
    """Builds the residual tower of convolutions."""
    return _make("conv", shape, config, heads)


@Architecture
def nested(shape: Shape, config: NetworkConfig, heads: Heads) -> Model:
    """Builds the tower of nested bottlenecks."""
    return _make_tower("nested", shape, config, heads)


@Architecture
def attention(shape: Shape, config: NetworkConfig, heads: Heads) -> Model:
    """Builds the tower of transformer blocks over the cells, behind one convolution."""
    return _make_tower("attention", shape, config, heads)


@Architecture
def mlp(shape: Shape, config: NetworkConfig, heads: Heads) -> Model:
    """Builds the residual MLP, which sees the board as a flat vector."""
    return _make("mlp", shape, config, heads)


def _make_tower(kind: str, shape: Shape, config: NetworkConfig, heads: Heads) -> Model:
    """Builds a tower of `BRANCHES`; raises ValueError for a norm, because they have their own."""
    if config.norm != "none":
        raise ValueError(f"network.kind {kind} takes network.norm none, got {config.norm!r}")
    return _make(kind, shape, config, heads)


def _make(kind: str, shape: Shape, config: NetworkConfig, heads: Heads) -> Model:
    @cache  # at the first use, because "auto" asks for the device
    def module() -> Network:
        dtype = config.dtype
        if dtype == "auto":
            dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
        return Network(kind, config, shape, heads, jnp.dtype(dtype))

    def init(key: Array) -> Params:
        blank = jnp.zeros((1, *shape.observation), bool)
        return dict(module().init(key, blank)["params"])

    def apply(params: Params, observations: Array) -> Prediction:
        return cast("Prediction", module().apply({"params": params}, observations))

    return Model(init, apply, _flops(kind, shape, config, heads))


def _flops(kind: str, shape: Shape, config: NetworkConfig, heads: Heads) -> int:
    """Counts the FLOPs of evaluating one position; see `selfplay.model.flops` for what counts."""
    rows, columns, planes = shape.observation
    cells, width = rows * columns, config.width
    if kind == "mlp":
        trunk = cells * planes * width + config.depth * 2 * width * width
        heads_in, policy_in, value_in = 0, width, width
        cells_in = width
    else:
        trunk = cells * 9 * planes * width + config.depth * multiply_adds(kind, cells, width)
        heads_in = cells * width * (POLICY_CHANNELS + VALUE_CHANNELS)
        policy_in, value_in = cells * POLICY_CHANNELS, cells * VALUE_CHANNELS
        cells_in = width  # a 1×1 convolution
    main = policy_in * shape.actions + value_in * config.head_width + config.head_width
    per_head = {
        "actions": policy_in * shape.actions,
        "cells": cells_in * cells,
        "scalar": config.head_width,
    }
    return 2 * (trunk + heads_in + main + sum(per_head[kind] for _, kind in heads))
