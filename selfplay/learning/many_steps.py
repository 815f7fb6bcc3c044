"""Many gradient steps in one program, for accelerators: between them the host has nothing to do.

Each device computes the gradients of its shards, one after the other; all devices get all of them,
and sum them in the order of the shards, as step by step (`learner`). So 1, 2, 4 or 8 devices give
the same bits. While a device takes the steps of one program, the host gathers the rows of the next.

On a CPU, convolutions in loops take far longer and compute other bits (docs/decisions/0004).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "devices"
ONE, SHARED = PartitionSpec(), PartitionSpec(None, AXIS)

Metrics: TypeAlias = dict[str, Array]
Steps: TypeAlias = Callable[[Any, dict[str, Array], Array, Array, Array], tuple[Any, Metrics]]
"""``steps(state, rows, key, first, count) → (state, metrics)``.

Takes `count` steps, numbered from `first`; rows are [steps, shards, size, …], of at least as many.
Metrics are [steps], meaningless from `count` on. Overwrites the state.
"""


def mesh(devices: Sequence[Any]) -> Mesh:
    """Returns the devices in the order in which they take shards."""
    return Mesh(np.array(devices), (AXIS,))


def everywhere(devices: Mesh) -> NamedSharding:
    """Returns the placement of what every device has: the learner's state."""
    return NamedSharding(devices, ONE)


def by_shard(devices: Mesh) -> NamedSharding:
    """Returns the placement of rows [steps, shards, size, …]: each device has those it needs."""
    return NamedSharding(devices, SHARED)


def make(
    gradient: Callable[..., Array],
    update: Callable[..., tuple[Any, Metrics]],
    shards: int,
    devices: Mesh,
) -> Steps:
    """Builds the program.

    Args:
        gradient: `learner.GradientFn`.
        update: `learner.UpdateFn`.
        shards: of a batch.
        devices: divide the shards.
    """
    held = shards // devices.size

    def one_step(state: Any, rows: dict[str, Array], key: Array, step: Array) -> Any:
        first = jax.lax.axis_index(AXIS) * held

        def one_shard(shard: Array) -> Array:
            # Barriers keep XLA from merging the work of a shard with anything else.
            params, own = jax.lax.optimization_barrier((state.params, rows))
            return gradient(params, own, key, step, first + shard)

        vectors = jax.lax.optimization_barrier(jax.lax.map(one_shard, jnp.arange(held)))
        return update(state, tuple(jax.lax.all_gather(vectors, AXIS, tiled=True)))

    def steps(
        state: Any, rows: dict[str, Array], key: Array, first: Array, count: Array
    ) -> tuple[Any, Metrics]:
        def turn(number: Array, carry: tuple[Any, Metrics]) -> tuple[Any, Metrics]:
            state, history = carry
            batch = {name: array[number] for name, array in rows.items()}
            state, metrics = one_step(state, batch, key, first + number)
            return state, {
                name: column.at[number].set(metrics[name]) for name, column in history.items()
            }

        length = len(next(iter(rows.values())))
        batch = {name: array[0] for name, array in rows.items()}
        _, example = jax.eval_shape(one_step, state, batch, key, first)
        history = {name: jnp.zeros(length, value.dtype) for name, value in example.items()}
        return jax.lax.fori_loop(0, count, turn, (state, history))

    spread = jax.shard_map(
        steps,
        mesh=devices,
        in_specs=(ONE, SHARED, ONE, ONE, ONE),
        out_specs=ONE,
        check_vma=False,  # every device sums the same numbers in the same order
    )
    return jax.jit(spread, donate_argnums=0)
