"""Rows with random targets, and the learner configs that the tests of learning share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import jax
import numpy as np

import games
from selfplay.acting.episode import Rows
from selfplay.learning.config import LearnerConfig
from tests.selfplay.search.planted import random_positions

TINY = LearnerConfig(batch_size=32, warmup_steps=1, ema_decay=0.3)
PLAIN = replace(TINY, shards=1, symmetries=False)


@dataclass(frozen=True)
class Table:
    """A source of fixed rows."""

    rows: Rows

    @property
    def size(self) -> int:
        return len(self.rows["mover_outcome"])

    def gather(self, indices: np.ndarray) -> Rows:
        return {name: array[indices] for name, array in self.rows.items()}


@cache
def table(rules: str) -> Table:
    """Random positions with random targets; policies are 0 where illegal and sum to about 1."""
    game, rng, count = games.make(rules), np.random.default_rng(0), 48
    states, _ = random_positions(game, count, seed=2, max_plies=6)
    planes = np.array(jax.vmap(game.observe)(states)).reshape(count, -1)
    legal = np.array(jax.vmap(game.legal_actions)(states))
    policy = rng.exponential(size=legal.shape) ** 2 * legal
    return Table(
        {
            "planes": np.packbits(planes, axis=-1),
            "legal": np.packbits(legal, axis=-1),
            "policy": (0.99 * policy / policy.sum(axis=1, keepdims=True)).astype(np.float16),
            "value": rng.uniform(-1, 1, count).astype(np.float16),
            "mover_outcome": rng.integers(-1, 2, count).astype(np.int8),
        }
    )
