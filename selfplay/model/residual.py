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
from typing import NamedTuple, cast

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
from selfplay.model.blocks import (
    POOLS,
    Attention,
    NestedBottleneck,
    multiply_adds,
    pool,
    pool_for_value,
)
from selfplay.model.config import NetworkConfig

BRANCHES = {"nested": NestedBottleneck, "attention": Attention}
POOLED_SHARE = 4  # of a block's channels, one in so many is pooled
POLICY_CHANNELS = 8  # 1×1 convolutions in front of the tower's two heads
VALUE_CHANNELS = 4


class _Features(NamedTuple):
    """What the heads read; [B, H, W, …] or [B, …]."""

    trunk: Array
    policy: Array
    pooled: Array  # of heads that do not depend on the board's size
    value: Array


class Network(nn.Module):
    """``observation bool[B, H, W, C] → Prediction``."""

    kind: str  # "conv", "nested", "attention" or "mlp"
    config: NetworkConfig
    shape: Shape
    heads: Heads
    dtype: DTypeLike
    pooled: frozenset[int] = frozenset()  # blocks of "conv" with global pooling
    board_free: bool = False  # heads without parameters whose shape depends on the board's size

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
        trunk = self._norm("final_norm")(x)
        if self.kind != "mlp":
            value = nn.relu(self._layer(VALUE_CHANNELS, "value_in", kernel=1)(trunk))
            policy = nn.relu(self._layer(POLICY_CHANNELS, "policy_in", kernel=1)(trunk))
            if self.board_free:
                value = pool_for_value(value)
                pooled = nn.relu(self._layer(POLICY_CHANNELS, "policy_pooled", kernel=1)(trunk))
            else:
                value, policy = value.reshape(batch, -1), policy.reshape(batch, -1)
                pooled = policy
        else:
            value = policy = pooled = trunk
        value = nn.relu(nn.Dense(config.head_width, dtype=self.dtype, name="value_hidden")(value))
        if self.board_free:
            pooled = pool(pooled)
            bias = nn.Dense(POLICY_CHANNELS, dtype=self.dtype, name="policy_bias")(pooled)
            policy = nn.relu(policy + bias[:, None, None])
        features = _Features(trunk, policy, pooled, value)
        logits = self._output("policy", "actions", features)
        scalar = self._output("value", "scalar", features)
        return Prediction(
            logits,
            jnp.tanh(scalar),
            {name: self._output(f"{name}_head", kind, features) for name, kind in self.heads},
        )

    def _output(self, name: str, kind: HeadKind, features: _Features) -> Array:
        """Computes a head from the features of the policy, the trunk or the value."""
        rows, columns, _ = self.shape.observation
        zeros = nn.initializers.zeros_init()

        def dense(size: int, name: str, inputs: Array) -> Array:
            return nn.Dense(size, dtype=self.dtype, kernel_init=zeros, name=name)(inputs)

        if kind == "scalar":
            return dense(1, name, features.value)[:, 0].astype(jnp.float32)
        if kind == "cells" and self.kind == "mlp":
            output = dense(rows * columns, name, features.trunk)
            return output.astype(jnp.float32).reshape(-1, rows, columns)
        if kind == "cells":
            cells = self._layer(1, name, kernel=1, kernel_init=zeros)(features.trunk)
            return cells[..., 0].astype(jnp.float32)  # [B, H, W]
        if not self.board_free:
            return dense(self.shape.actions, name, features.policy).astype(jnp.float32)
        cells = self._layer(1, name, kernel=1, kernel_init=zeros)(features.policy)
        logits = cells.reshape(-1, rows * columns)
        if self.shape.actions > rows * columns:
            passing = dense(1, f"{name}_pass", features.pooled)
            logits = jnp.concatenate([logits, passing], axis=-1)
        return logits.astype(jnp.float32)

    def _branch(self, x: Array, block: int) -> Array:
        """Computes a residual branch, which is zero at first; see docs/decisions/0008."""
        if self.kind in BRANCHES:
            return BRANCHES[self.kind](self.dtype, name=f"block{block}")(x)
        width, zeros = self.config.width, nn.initializers.zeros_init()
        y = nn.relu(self._norm(f"block{block}_norm0")(x))
        before, y = y, self._layer(width, f"block{block}_layer0")(y)
        if block in self.pooled:
            channels = max(1, width // POOLED_SHARE)
            pooled = nn.relu(self._layer(channels, f"block{block}_pooled")(before))
            bias = nn.Dense(width, dtype=self.dtype, name=f"block{block}_bias")(pool(pooled))
            y = y + bias[:, None, None]
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
def conv(
    shape: Shape, config: NetworkConfig, heads: Heads, *, pooled: int = 0, board_free: bool = False
) -> Model:
    """Builds the residual tower of convolutions.

    Args:
        shape: of the game.
        config: the size.
        heads: auxiliary heads.
        pooled: blocks with global pooling (Wu 2019, appendix A.1), evenly spaced.
        board_free: heads that do not depend on the board's size, for games whose actions are the
            cells, or the cells and a pass.
    """
    if not 0 <= pooled <= config.depth:
        raise ValueError(
            f"network.kind conv?pooled={pooled}: expected from 0 to the {config.depth} blocks of "
            "network.depth"
        )
    blocks = frozenset((i + 1) * config.depth // (pooled + 1) for i in range(pooled))
    return _make("conv", shape, config, heads, blocks, board_free)


@Architecture
def nested(shape: Shape, config: NetworkConfig, heads: Heads, *, board_free: bool = False) -> Model:
    """Builds the tower of nested bottlenecks; see `conv` for the option."""
    return _make_tower("nested", shape, config, heads, board_free)


@Architecture
def attention(
    shape: Shape, config: NetworkConfig, heads: Heads, *, board_free: bool = False
) -> Model:
    """Builds the tower of transformer blocks over the cells, behind one convolution."""
    return _make_tower("attention", shape, config, heads, board_free)


@Architecture
def mlp(shape: Shape, config: NetworkConfig, heads: Heads) -> Model:
    """Builds the residual MLP, which sees the board as a flat vector."""
    return _make("mlp", shape, config, heads)


def _make_tower(
    kind: str, shape: Shape, config: NetworkConfig, heads: Heads, board_free: bool
) -> Model:
    """Builds a tower of `BRANCHES`; raises ValueError for a norm, because they have their own."""
    if config.norm != "none":
        raise ValueError(f"network.kind {kind} takes network.norm none, got {config.norm!r}")
    return _make(kind, shape, config, heads, frozenset(), board_free)


def _make(
    kind: str,
    shape: Shape,
    config: NetworkConfig,
    heads: Heads,
    pooled: frozenset[int] = frozenset(),
    board_free: bool = False,
) -> Model:
    rows, columns, _ = shape.observation
    if board_free and not 0 <= shape.actions - rows * columns <= 1:
        raise ValueError(
            f"network.kind {kind}?board_free=true is for games whose actions are the cells of the "
            f"board, or the cells and a pass; this one has {shape.actions} actions and "
            f"{rows * columns} cells"
        )

    @cache  # at the first use, because "auto" asks for the device
    def module() -> Network:
        dtype = jnp.dtype(config.resolved(jax.default_backend()).dtype)
        return Network(kind, config, shape, heads, dtype, pooled, board_free)

    def init(key: Array) -> Params:
        blank = jnp.zeros((1, *shape.observation), bool)
        return dict(module().init(key, blank)["params"])

    def apply(params: Params, observations: Array) -> Prediction:
        return cast("Prediction", module().apply({"params": params}, observations))

    def for_play(params: Params) -> Params:
        """Casts what layers multiply and add, once instead of at each use; norms use float32."""
        dtype = module().dtype

        def cast(part: Params) -> Params:
            if "kernel" in part:
                return {name: leaf.astype(dtype) for name, leaf in part.items()}
            return {
                name: cast(leaf) if isinstance(leaf, dict) else leaf for name, leaf in part.items()
            }

        return cast(params)

    flops = _flops(kind, shape, config, heads, len(pooled), board_free)
    return Model(init, apply, flops, for_play)


def _flops(
    kind: str, shape: Shape, config: NetworkConfig, heads: Heads, pooled: int, board_free: bool
) -> int:
    """Counts the FLOPs of evaluating one position; see `selfplay.model.flops` for what counts."""
    rows, columns, planes = shape.observation
    cells, width = rows * columns, config.width
    if kind == "mlp":
        trunk = cells * planes * width + config.depth * 2 * width * width
        heads_in, policy, value_in, cells_out = 0, width * shape.actions, width, width * cells
    else:
        trunk = cells * 9 * planes * width + config.depth * multiply_adds(kind, cells, width)
        channels = max(1, width // POOLED_SHARE)
        trunk += pooled * (cells * 9 * width * channels + POOLS * channels * width)
        heads_in = cells * width * (POLICY_CHANNELS + VALUE_CHANNELS)
        policy, value_in = cells * POLICY_CHANNELS * shape.actions, cells * VALUE_CHANNELS
        cells_out = width * cells  # a 1×1 convolution
    if board_free:
        heads_in += cells * width * POLICY_CHANNELS + POOLS * POLICY_CHANNELS**2
        passes = shape.actions - cells
        policy = cells * POLICY_CHANNELS + passes * POOLS * POLICY_CHANNELS
        value_in = POOLS * VALUE_CHANNELS
    per_head = {"actions": policy, "cells": cells_out, "scalar": config.head_width}
    main = policy + value_in * config.head_width + config.head_width
    return 2 * (trunk + heads_in + main + sum(per_head[kind] for _, kind in heads))
