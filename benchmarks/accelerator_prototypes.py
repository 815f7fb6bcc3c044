"""Candidates for speed on an accelerator, which must give the same bytes as the code of today.

`flat_fit` and `scan_fit` are forerunners of the learner: today's gradient of a shard and today's
update, with less work for the host between them. `prototype_advance` is today's segment of
self-play with two changes: the weights are cast to the network's type once, and the search's
backward pass does not copy the tree. Each runs on one device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.lax import optimization_barrier

from games.game import Game
from selfplay import rng
from selfplay.acting.row_schema import Rows
from selfplay.acting.segment import Lanes, PlyRecord
from selfplay.learning import learner, loss_terms
from selfplay.learning.config import LearnerConfig
from selfplay.learning.learner import LearnerState, Metrics
from selfplay.learning.row_sources import Source, batch_indices
from selfplay.model import network
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


def flat_fit(setup: LearnerSetup) -> FitFn:
    """Builds a fit that calls one program per shard, as today, with fewer arrays in between.

    A step's rows are sent to the device once, and each call takes its shard out of them. A call
    returns its gradient as one vector, so that the update has 8 arguments instead of hundreds. The
    keys of all steps come from one program. The update overwrites the state.
    """
    shards = setup.config.shards
    gradient, apply = _shard_gradient(setup), _update(setup)
    step_keys = _step_keys(setup)

    @jax.jit
    def gradient_of_shard(
        params: Params, rows: dict[str, Array], keys: Array, step: Array, index: Array
    ) -> tuple[Array, Metrics]:
        part = {
            name: jax.lax.dynamic_index_in_dim(x, index, keepdims=False) for name, x in rows.items()
        }
        return gradient(params, part, jax.random.fold_in(keys[step], index))

    update = jax.jit(apply, donate_argnums=0)
    numbers = [jax.device_put(np.int32(i)) for i in range(shards)]

    def fit(
        state: LearnerState, source: Source, iteration: int, steps: int
    ) -> tuple[LearnerState, Any]:
        state = jax.tree.map(jnp.copy, state)  # the caller's own stays valid
        keys = step_keys(iteration, steps)
        history = []
        for step, indices in enumerate(_batches(setup, source, iteration, steps)):
            rows = source.gather(indices)
            rows, t = jax.device_put((_split(setup, rows, (shards,)), np.int32(step)))
            results = [gradient_of_shard(state.params, rows, keys, t, i) for i in numbers]
            gradients, metrics = zip(*results, strict=True)
            state, row = update(state, gradients, metrics)
            history.append(row)
        return state, history

    return fit


def scan_fit(setup: LearnerSetup) -> FitFn:
    """Builds a fit that is one program: a scan over steps, and in each step a loop over shards.

    All batches are sent to the device at once. The loop runs the shards in order, and barriers keep
    XLA from merging the work of a shard with anything else. On a CPU, convolutions in loops compute
    other bits and take far longer (docs/decisions/0004), so this is for accelerators.
    """
    shards = setup.config.shards
    gradient, apply = _shard_gradient(setup), _update(setup)
    step_keys = _step_keys(setup)

    @partial(jax.jit, donate_argnums=0)
    def all_steps(
        state: LearnerState, rows: dict[str, Array], keys: Array
    ) -> tuple[LearnerState, Metrics]:
        def one_step(state: LearnerState, inputs: Any) -> tuple[LearnerState, Metrics]:
            rows, key = inputs

            def one_shard(inputs: Any) -> tuple[Array, Metrics]:
                part, index = inputs
                params, part = optimization_barrier((state.params, part))
                return gradient(params, part, jax.random.fold_in(key, index))

            stacked = jax.lax.map(one_shard, (rows, jnp.arange(shards)))
            stacked, metrics = optimization_barrier(stacked)
            split = [{name: x[i] for name, x in metrics.items()} for i in range(shards)]
            return apply(state, tuple(stacked), tuple(split))

        return jax.lax.scan(one_step, state, (rows, keys))

    def fit(
        state: LearnerState, source: Source, iteration: int, steps: int
    ) -> tuple[LearnerState, Any]:
        state = jax.tree.map(jnp.copy, state)
        indices = _batches(setup, source, iteration, steps)
        rows = _split(setup, source.gather(indices.reshape(-1)), (steps, shards))
        return all_steps(state, jax.device_put(rows), step_keys(iteration, steps))

    return fit


def _shard_gradient(
    setup: LearnerSetup,
) -> Callable[[Params, dict[str, Array], Array], tuple[Array, Metrics]]:
    """Returns today's gradient of a shard, with the gradient as one vector."""
    program = learner._gradient_program(setup.game, setup.model, setup.config)

    def gradient(params: Params, rows: dict[str, Array], key: Array) -> tuple[Array, Metrics]:
        tree, metrics = optimization_barrier(program(params, rows, key))  # pyright: ignore
        return ravel_pytree(tree)[0], metrics

    return gradient


def _update(setup: LearnerSetup) -> Callable[..., tuple[LearnerState, Metrics]]:
    """Returns today's update of gradients that are vectors, summed in the order of the shards."""
    program = learner._update_program(setup.config, setup.total_steps)
    zeros = jax.tree.map(lambda s: np.zeros(s.shape, s.dtype), network.shapes(setup.model.init))
    _, unravel = ravel_pytree(zeros)

    def update(
        state: LearnerState, gradients: tuple[Array, ...], metrics: tuple[Metrics, ...]
    ) -> tuple[LearnerState, Metrics]:
        mean = unravel(learner._ordered_mean(*gradients))
        return program(state, (mean,), (jax.tree.map(learner._ordered_mean, *metrics),))

    return update


def _step_keys(setup: LearnerSetup) -> Callable[[int, int], Array]:
    """Returns ``keys(iteration, steps)``: the keys that today's learner derives one by one."""

    @partial(jax.jit, static_argnums=1)
    def keys(iteration: int, steps: int) -> Array:
        def key(step: Array) -> Array:
            return rng.key(setup.seed, rng.Purpose.AUGMENT, iteration, step)

        return jax.vmap(key)(jnp.arange(steps))

    return keys


def _batches(setup: LearnerSetup, source: Source, iteration: int, steps: int) -> np.ndarray:
    """Returns the rows of every step's batch, int64[steps, batch_size]."""
    return batch_indices(setup.seed, iteration, source.size, steps, setup.config.batch_size)


def _split(setup: LearnerSetup, rows: Rows, leading: tuple[int, ...]) -> Rows:
    """Cuts the fields that a learner reads into shards: [N, …] → [*leading, size, …]."""
    size = setup.config.batch_size // setup.config.shards
    names = [field.name for field in loss_terms.batch_fields(setup.config)]
    return {name: rows[name].reshape(*leading, size, *rows[name].shape[1:]) for name in names}


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
