"""A candidate for speed on an accelerator, which must give the same bytes as the code of today.

`scan_fit` is the learner's gradient of a shard and its update in one program, without work for the
host between the steps. It runs on one device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import optimization_barrier

from games.game import Game
from selfplay import rng
from selfplay.learning import learner, loss_terms
from selfplay.learning.config import LearnerConfig
from selfplay.learning.learner import LearnerState, Metrics
from selfplay.learning.row_sources import Source, batch_indices
from selfplay.model.architecture import Model

FitFn = Callable[[LearnerState, Source, int, int], tuple[LearnerState, Any]]
"""``fit(state, source, iteration, steps) → (state, metrics of the steps, on the device)``."""


class LearnerSetup(NamedTuple):
    """What a learner is built from."""

    game: Game
    model: Model
    config: LearnerConfig
    total_steps: int
    seed: int


def scan_fit(setup: LearnerSetup) -> FitFn:
    """Builds a fit that is one program: a scan over steps, and in each step a loop over shards.

    All batches are sent to the device at once. The loop runs the shards in order, and barriers keep
    XLA from merging the work of a shard with anything else. On a CPU, convolutions in loops compute
    other bits and take far longer (docs/decisions/0004), so this is for accelerators.
    """
    config, shards = setup.config, setup.config.shards
    gradient = learner._gradient_program(setup.game, setup.model, config)
    update = learner._update_program(config, setup.total_steps)
    names = [field.name for field in loss_terms.batch_fields(config)]

    @partial(jax.jit, donate_argnums=0)
    def all_steps(
        state: LearnerState, rows: dict[str, Array], key: Array
    ) -> tuple[LearnerState, Metrics]:
        def one_step(state: LearnerState, inputs: Any) -> tuple[LearnerState, Metrics]:
            rows, step = inputs

            def one_shard(shard: Array) -> Array:
                params, batch = optimization_barrier((state.params, rows))
                return gradient(params, batch, key, step, shard)

            vectors = optimization_barrier(jax.lax.map(one_shard, jnp.arange(shards)))
            return update(state, tuple(vectors))

        steps = len(rows[names[0]])
        return jax.lax.scan(one_step, state, (rows, jnp.arange(steps)))

    def fit(
        state: LearnerState, source: Source, iteration: int, steps: int
    ) -> tuple[LearnerState, Any]:
        state = jax.tree.map(jnp.copy, state)  # the caller's own stays valid
        size = config.batch_size
        indices = batch_indices(setup.seed, iteration, source.size, steps, size)
        rows = source.gather(indices.reshape(-1))
        cut = {
            name: rows[name].reshape(steps, shards, size // shards, *rows[name].shape[1:])
            for name in names
        }
        key = rng.key(setup.seed, rng.Purpose.AUGMENT, iteration)
        return all_steps(state, jax.device_put(cut), key)

    return fit
