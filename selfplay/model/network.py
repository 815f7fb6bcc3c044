"""Policy-value networks, in flax.

A network maps one observation ``[H, W, C]`` to policy logits ``[A]`` and a value in [−1, 1],
the expected outcome **for the player to move**. Two kinds, sized by `width` and `depth`: a
residual convolutional tower (He et al. 2016) and a residual MLP. Both end in zero-initialized
heads, so an untrained network is uniform over actions and calls every position even.

Parameters are float32. Compute is float32 on CPU and bfloat16 on accelerators; logits and
value are always returned as float32.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.nn.initializers import Initializer
from jax.typing import DTypeLike

from games.game import Game
from selfplay.model.config import NetworkConfig

Params = dict[str, Any]
Evaluate = Callable[[Params, Array], tuple[Array, Array]]
"""``(params, observations bool[B, H, W, C]) → (policy logits float32[B, A], value float32[B])``"""


class Model(NamedTuple):
    """An architecture for one game, as two pure functions."""

    init: Callable[[Array], Params]  # key → fresh parameters
    apply: Evaluate


POLICY_CHANNELS = 8  # 1×1 convolutions in front of the tower's two heads
VALUE_CHANNELS = 4


class Network(nn.Module):
    """``observation bool[..., H, W, C] → (logits float32[..., A], value float32[...])``."""

    config: NetworkConfig
    num_actions: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, observation: Array) -> tuple[Array, Array]:  # [B, H, W, C]
        """Evaluates a batch of observations."""
        config, batch = self.config, observation.shape[0]
        x = observation.astype(self.dtype)
        if config.kind == "mlp":
            x = x.reshape(batch, -1)
        x = nn.relu(self._layer(config.width, "stem")(x))  # [B, H, W, width] or [B, width]
        for i in range(config.depth):
            x = x + self._branch(x, i)
        policy, value = self._norm("final_norm")(x), None
        if config.kind == "conv":
            value = nn.relu(self._layer(VALUE_CHANNELS, "value_in", kernel=1)(policy))
            policy = nn.relu(self._layer(POLICY_CHANNELS, "policy_in", kernel=1)(policy))
            value, policy = value.reshape(batch, -1), policy.reshape(batch, -1)
        else:
            value = policy
        value = nn.relu(nn.Dense(config.head_width, dtype=self.dtype, name="value_hidden")(value))
        zeros = nn.initializers.zeros_init()
        logits = nn.Dense(self.num_actions, dtype=self.dtype, kernel_init=zeros, name="policy")(
            policy
        )
        scalar = nn.Dense(1, dtype=self.dtype, kernel_init=zeros, name="value")(value)
        return logits.astype(jnp.float32), jnp.tanh(scalar[:, 0].astype(jnp.float32))

    def _branch(self, x: Array, block: int) -> Array:
        """Computes a residual branch, which is zero at first; see docs/decisions/0008."""
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
        if self.config.kind == "mlp":
            return nn.Dense(features, dtype=self.dtype, kernel_init=kernel_init, name=name)
        size = (kernel, kernel)
        return nn.Conv(features, size, dtype=self.dtype, kernel_init=kernel_init, name=name)

    def _norm(self, name: str) -> Callable[[Array], Array]:
        if self.config.norm == "none":
            return lambda x: x
        kind = nn.RMSNorm if self.config.norm == "rms" else nn.LayerNorm
        return kind(dtype=self.dtype, name=name)


def make(game: Game, config: NetworkConfig) -> Model:
    """Builds the network for a game's observations and actions.

    Equal shapes and configs give the same object in a process, so that programs that are cached by
    it are compiled once. The game itself may hold a traced komi, which has no hash.
    """
    return _make(game.num_actions, game.observation_shape, config)


@lru_cache(maxsize=16)
def _make(num_actions: int, observation_shape: tuple[int, ...], config: NetworkConfig) -> Model:
    dtype = config.dtype
    if dtype == "auto":
        dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    module = Network(config, num_actions, jnp.dtype(dtype))

    def init(key: Array) -> Params:
        blank = jnp.zeros((1, *observation_shape), bool)
        return dict(module.init(key, blank)["params"])

    def apply(params: Params, observations: Array) -> tuple[Array, Array]:
        return cast("tuple[Array, Array]", module.apply({"params": params}, observations))

    return Model(init, apply)


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
