"""The peer's network: a ResNet v2 with BatchNorm, after pgx's AlphaZero example; see peer.py."""

# flax's modules hide their fields from type checkers.
# pyright: basic, reportCallIssue=false

from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

NUM_ACTIONS = 7


class Model(NamedTuple):
    """What the example calls a model: weights, and BatchNorm's running statistics."""

    params: Any
    batch_stats: Any


class _Block(nn.Module):
    num_channels: int
    training: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        y = x
        for _ in range(2):
            y = nn.relu(_norm(self.training)(y))
            y = nn.Conv(self.num_channels, (3, 3))(y)
        return x + y


def _norm(training: bool, name: str | None = None) -> nn.BatchNorm:
    """BatchNorm; outside training it uses its running statistics."""
    return nn.BatchNorm(not training, momentum=0.9, epsilon=1e-5, name=name)


class Network(nn.Module):
    """The example's ResNet v2 with its two heads."""

    num_channels: int
    num_blocks: int

    @nn.compact
    def __call__(self, observation: Array, training: bool) -> tuple[Array, Array]:
        x = nn.Conv(self.num_channels, (3, 3), name="stem")(observation.astype(jnp.float32))
        for i in range(self.num_blocks):
            x = _Block(self.num_channels, training, name=f"block_{i}")(x)
        x = nn.relu(_norm(training, "norm")(x))

        p = nn.Conv(2, (1, 1), name="policy_conv")(x)
        p = nn.relu(_norm(training, "policy_norm")(p))
        logits = nn.Dense(NUM_ACTIONS, name="policy")(p.reshape(p.shape[0], -1))

        v = nn.Conv(1, (1, 1), name="value_conv")(x)
        v = nn.relu(_norm(training, "value_norm")(v))
        v = nn.relu(nn.Dense(self.num_channels, name="value_hidden")(v.reshape(v.shape[0], -1)))
        value = jnp.tanh(nn.Dense(1, name="value")(v))[:, 0]
        return logits, value


def _network(model: Model) -> Network:
    """The network that `model` belongs to: its size is read off the weights."""
    blocks = sum(name.startswith("block_") for name in model.params)
    return Network(model.params["stem"]["kernel"].shape[-1], blocks)


@jax.jit
def apply(model: Model, observation: Array) -> tuple[Array, Array]:
    """Policy logits ``[B, 7]`` and value ``[B]`` for the player to move, in evaluation mode.

    `observation` is bool ``[B, 6, 7, 2]``: planes mine and theirs, row 0 the top row as printed,
    actions the columns 0 to 6 from the left. That is pgx's own layout (its discs fall to row 5),
    so nothing is flipped; `peer.check_orientation` holds pgx to it. Illegal (full) columns
    are not masked.
    """
    variables = {"params": model.params, "batch_stats": model.batch_stats}
    return cast(tuple[Array, Array], _network(model).apply(variables, observation, False))
