"""The targets that the network learns: the policy target and the value target of each row."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array


def policy_target(policy: Array) -> Array:
    """Scales policies float32[n, A] to a sum of 1; rows that are all 0 stay 0."""
    return policy / jnp.maximum(policy.sum(axis=-1, keepdims=True), 1e-6)


def value_target(rows: Mapping[str, Array], root_value_weight: float) -> tuple[Array, Array]:
    """Mixes the game's result and the search's root value.

    Args:
        rows: with ``mover_outcome`` and ``value``, float32[n]; a ``value`` of NaN means that the
            row has no value target.
        root_value_weight: w in (1 − w) · result + w · root value.

    Returns:
        The target for the player to move, float32[n], and bool[n], True = the row has one. Rows
        without one hold a finite number, because NaN would reach the gradient.
    """
    outcome, root_value = rows["mover_outcome"], rows["value"]
    has_target = ~jnp.isnan(root_value)
    root_value = jnp.where(has_target, root_value, outcome)
    return (1 - root_value_weight) * outcome + root_value_weight * root_value, has_target
