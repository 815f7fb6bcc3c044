"""Policy surprise: how far the search's policy is from the network's.

The policy learns most from positions at which the search disagrees with the network. KataGo writes
its rows in proportion to this divergence (Wu 2020, "policy surprise weighting"); here the learner
draws rows in that proportion, see `selfplay.learning.row_sources.by_surprise`.
"""

from __future__ import annotations

from typing import Final

import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from selfplay.acting.row_schema import Episodes, Played, RowField

MIN_PROBABILITY: Final = 1e-9


def _divergence(game: Game, played: Played) -> Array:
    """Computes KL(search's policy ‖ network's policy) in nats, float32[B]; 0 without a policy."""
    policy, prior = played.result.policy, played.result.prior
    assert prior is not None
    ratio = jnp.log(jnp.maximum(policy, MIN_PROBABILITY) / jnp.maximum(prior, MIN_PROBABILITY))
    return jnp.maximum(jnp.sum(policy * ratio, axis=-1), 0.0)


def _relative_surprise(game: Game, episodes: Episodes) -> np.ndarray:
    """Divides each divergence by its mean over the rows of the game that have a policy."""
    divergence = episodes.rows["divergence"].astype(np.float64)
    has_policy = episodes.rows["policy"].any(axis=1)
    size = len(divergence)
    total = np.bincount(episodes.end, divergence * has_policy, size)[episodes.end]
    count = np.bincount(episodes.end, has_policy, size)[episodes.end]
    is_known = has_policy & (total > 0)
    return np.where(is_known, count * divergence / np.where(is_known, total, 1.0), 1.0)


RELATIVE_SURPRISE: Final = RowField(
    "relative_surprise",
    "KL(search's policy ‖ network's) over its mean in the game; 1: no policy, or no divergence",
    "float16",
    finish=_relative_surprise,
    reads=(
        RowField(
            "divergence", "KL(search's policy ‖ network's) in nats", "float32", record=_divergence
        ),
    ),
    missing=1,
)
