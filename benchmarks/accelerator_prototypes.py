"""Candidates for speed on an accelerator, which must give the same bytes as the code of today.

`scan_fit` is the learner's gradient of a shard and its update in one program, without work for the
host between the steps. `prototype_advance` is today's segment of
self-play with two changes: the weights are cast to the network's type once, and the search's
backward pass does not copy the tree. Each runs on one device.
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
from selfplay.acting.segment import Lanes, PlyRecord
from selfplay.learning import learner, loss_terms
from selfplay.learning.config import LearnerConfig
from selfplay.learning.learner import LearnerState, Metrics
from selfplay.learning.row_sources import Source, batch_indices
from selfplay.model.architecture import Model, Params

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


AdvanceFn = Callable[[Params, Lanes, Array], tuple[Lanes, PlyRecord]]


def prototype_advance(advance: AdvanceFn) -> AdvanceFn:
    """Casts the weights before `advance` scans over plies, and replaces mctx's backward pass.

    The replacement affects every search that this process compiles afterwards.
    """
    from mctx._src import search

    search.backward = backward  # pyright: ignore
    dtype = jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16

    def cast_and_advance(params: Params, lanes: Lanes, key: Array) -> tuple[Lanes, PlyRecord]:
        return advance(jax.tree.map(lambda x: x.astype(dtype), params), lanes, key)

    return cast_and_advance


def backward(tree: Any, leaf_index: Array) -> Any:
    """Propagates the values of new leaves to the roots, as mctx's function of this name.

    mctx runs one loop per lane under `vmap`, which selects between the old and the new tree in
    every turn: a copy of [B, N, A] arrays. Here lanes that have reached their root write outside
    the arrays, and XLA drops those writes.
    """
    lanes, nodes = jnp.arange(leaf_index.shape[0]), tree.node_values.shape[1]

    def put(array: Array, value: Array, *place: Array) -> Array:
        return array.at[(lanes, *place)].set(value, mode="drop", unique_indices=True)

    def is_running(loop: Any) -> Array:
        return jnp.any(loop[-1] != tree.ROOT_INDEX)

    def body(loop: Any) -> Any:
        node_values, node_visits, child_values, child_visits, value, node = loop
        running = node != tree.ROOT_INDEX  # [B]
        parent = jnp.where(running, tree.parents[lanes, node], tree.ROOT_INDEX)
        action = jnp.where(running, tree.action_from_parent[lanes, node], 0)
        reward = tree.children_rewards[lanes, parent, action]
        discounted = tree.children_discounts[lanes, parent, action] * value
        value = jnp.where(running, reward + discounted, value)
        count = node_visits[lanes, parent]
        mean = (node_values[lanes, parent] * count + value) / (count + 1.0)
        at = jnp.where(running, parent, nodes)
        visits = child_visits[lanes, parent, action] + 1
        return (
            put(node_values, mean, at),
            put(node_visits, count + 1, at),
            put(child_values, node_values[lanes, node], at, action),
            put(child_visits, visits, at, action),
            value,
            parent,
        )

    leaf_index = leaf_index.astype(jnp.int32)
    start = (
        *(tree.node_values, tree.node_visits, tree.children_values, tree.children_visits),
        *(tree.node_values[lanes, leaf_index], leaf_index),
    )
    values, visits, child_values, child_visits, _, _ = jax.lax.while_loop(is_running, body, start)
    return tree.replace(
        node_values=values,
        node_visits=visits,
        children_values=child_values,
        children_visits=child_visits,
    )
