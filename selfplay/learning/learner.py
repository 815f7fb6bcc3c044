"""The learner: gradient steps whose bits do not depend on the number of devices.

A batch is cut into a **fixed number of shards**, whose gradients are summed in their order. One
device works through all shards, eight take one each: the same additions in the same order, the same
bits. On CPUs each shard's gradient is one program, and the first device sums them; on accelerators
one program takes many steps (`many_steps`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh

from games.game import Game
from selfplay import rng
from selfplay.acting.row_schema import Rows
from selfplay.device_memory import Program
from selfplay.learning import loss_terms, many_steps
from selfplay.learning.config import LearnerConfig
from selfplay.learning.loss import make_loss, metric_names
from selfplay.learning.optimizer import after_warmup, make_optimizer
from selfplay.learning.row_sources import RandomRows, Source, batch_indices
from selfplay.model import network
from selfplay.model.architecture import Model, Params
from selfplay.runs.digest import digest

CHUNK = 16  # steps of one program; the devices hold the rows of two


class Diverged(RuntimeError):
    """A metric of the learner that is not finite; the message names the last good commit."""


def check_finite(metrics: Mapping[str, float], iteration: int, folder: Path) -> None:
    """Raises Diverged if a metric of an iteration of the run in `folder` is not finite."""
    if not all(np.isfinite(value) for value in metrics.values()):
        raise Diverged(
            f"training diverged in iteration {iteration}: {metrics}; the last good commit is "
            f"{iteration - 1} in {folder}"
        )


class LearnerState(NamedTuple):
    """Everything the learner carries from one iteration to the next."""

    params: Params
    ema_params: Params  # exponential moving average of params: what plays and is rated
    optimizer: optax.OptState
    step: Array  # int32[]


GradientFn = Callable[[Params, Rows, Array, Array, Array], Array]
"""``gradient(params, rows, key, step, shard) → vector``.

`rows` are those of all shards of a device, [shards, size, …], `key` is the iteration's. The vector
holds the shard's gradient and metrics: one array to move instead of hundreds.
"""
Metrics = dict[str, Array]
UpdateFn = Callable[[LearnerState, tuple[Array, ...]], tuple[LearnerState, Metrics]]
"""``update(state, vectors) → (state, metrics)``, from all shards in order; overwrites the state."""


class Learner:
    """The compiled update of one configuration, without the state of the training."""

    def __init__(
        self,
        game: Game,
        model: Model,
        config: LearnerConfig,
        total_steps: int,
        seed: int,
        devices: int | None = None,
        *,
        many: bool | None = None,
    ) -> None:
        """Builds the programs, which compile at their first use.

        Args:
            game: the game whose positions are learned.
            model: the network for `game`, with the heads that `config`'s loss terms train.
            config: the section `learner`.
            total_steps: gradient steps of the whole run, for the schedule of the learning rate.
            seed: the run's seed.
            devices: number of local devices; None: as many as divide the shards.
            many: take many steps in one program; None: on accelerators.

        Raises:
            ValueError: there are fewer local devices, or they do not divide the shards; or a loss
                term, the optimizer or the schedule cannot be made.
        """
        self.config, self.seed = config, seed
        self._init = model.init
        available = jax.local_devices()
        if devices is None:
            devices = max(n for n in range(1, len(available) + 1) if config.shards % n == 0)
        elif devices > len(available) or config.shards % devices:
            raise ValueError(
                f"learner devices must divide learner.shards ({config.shards}) and be at most "
                f"the {len(available)} local ones, got {devices}"
            )
        self._devices = available[:devices]
        fields = loss_terms.batch_fields(config)
        self._stored = {field.name: field.stored(game) for field in fields}
        self._optimizer = make_optimizer(config, total_steps)
        self._gradient = _gradient_program(game, model, config)
        self._update = _update_program(config, total_steps)
        self.many = jax.default_backend() != "cpu" if many is None else many

    def init(self, params: Params | None = None) -> LearnerState:
        """Returns the state of version 0, with a fresh optimizer.

        Args:
            params: the parameters of version 0; None: fresh ones, drawn from the seed.
        """
        if params is None:
            params = self._init(rng.key(self.seed, rng.Purpose.INITIALIZE))
        state = LearnerState(
            params, jax.tree.map(jnp.copy, params), self._optimizer.init(params), jnp.int32(0)
        )
        return jax.device_put(state, self._devices[0])

    def programs(self) -> dict[str, Program]:
        """Returns the programs "gradient", of a shard, and "update"; or "steps", on one device."""
        state = jax.eval_shape(self.init)
        shards, size = self.config.shards, self.config.batch_size // self.config.shards
        key, number = jax.eval_shape(jax.random.key, 0), jax.ShapeDtypeStruct((), jnp.int32)

        def rows(*leading: int) -> dict[str, Any]:
            return {
                name: jax.ShapeDtypeStruct((*leading, size, *stored.shape), stored.dtype)
                for name, stored in self._stored.items()
            }

        if self.many:
            devices = many_steps.mesh(self._devices[:1])
            steps = _many_program(self._gradient, self._update, shards, devices)
            return {"steps": Program(steps, (state, rows(CHUNK, shards), key, number, number))}
        held = rows(shards // len(self._devices))
        gradient = Program(self._gradient, (state.params, held, key, number, number))
        vectors = (jax.eval_shape(self._gradient, *gradient.arguments),) * shards
        return {"gradient": gradient, "update": Program(self._update, (state, vectors))}

    def fingerprint(self, rows: Rows) -> str:
        """Returns a digest of one gradient step on pseudo-random rows in the format of `rows`.

        Two processes with the same fingerprint learn by the same arithmetic. Compiles the update.
        """
        state = self.init(network.pseudo_random(self._init))
        # The warm-up begins with a learning rate of 0, which would hide the optimizer's step.
        state = state._replace(optimizer=after_warmup(state.optimizer, self.config))
        return digest(self.fit(state, RandomRows(rows, self.config.batch_size), 0, 1))

    def fit(
        self, state: LearnerState, source: Source, iteration: int, steps: int
    ) -> tuple[LearnerState, dict[str, float]]:
        """Takes `steps` gradient steps on rows drawn from `source`.

        Returns:
            The state after them, and the means of the metrics over the steps ({} without steps).
        """
        home = self._devices[0]
        batches = self._batches(source, iteration, steps)
        key = rng.key(self.seed, rng.Purpose.AUGMENT, iteration)
        take = self._take_many if self.many else self._take_each
        state, history = take(jax.device_put(state, home), batches, key)
        if not history:
            return state, {}
        columns = jax.device_get(history)
        means = {
            name: float(np.mean(np.concatenate([np.atleast_1d(row[name]) for row in columns])))
            for name in columns[0]
        }
        return jax.device_put(state, home), means

    def _take_each(
        self, state: LearnerState, batches: Iterator[Rows], key: Array
    ) -> tuple[LearnerState, list[Metrics]]:
        """Takes the steps one by one; returns the state, and the metrics of each."""
        state = jax.tree.map(jnp.copy, state)  # updates overwrite the copy
        keys = [jax.device_put(key, device) for device in self._devices]
        history: list[Metrics] = []
        for step, rows in enumerate(batches):
            vectors = self._gradients(state.params, rows, keys, step)
            state, row = self._update(state, tuple(jax.device_put(vectors, self._devices[0])))
            history.append(row)
        return state, history

    def _take_many(
        self, state: LearnerState, batches: Iterator[Rows], key: Array
    ) -> tuple[LearnerState, list[Metrics]]:
        """Takes the steps in chunks; returns the state, and the metrics of each chunk."""
        devices = many_steps.mesh(self._devices)
        program = _many_program(self._gradient, self._update, self.config.shards, devices)
        by_shard = many_steps.by_shard(devices)
        state = jax.tree.map(jnp.copy, jax.device_put(state, many_steps.everywhere(devices)))
        key = jax.device_put(key, many_steps.everywhere(devices))
        history, first = list[Metrics](), 0
        while chunk := list(itertools.islice(batches, CHUNK)):
            filled = chunk + chunk[:1] * (CHUNK - len(chunk))  # one shape, one program
            rows = {name: np.stack([batch[name] for batch in filled]) for name in chunk[0]}
            numbers: Any = np.int32(first), np.int32(len(chunk))
            state, columns = program(state, jax.device_put(rows, by_shard), key, *numbers)
            history.append({name: column[: len(chunk)] for name, column in columns.items()})
            first += len(chunk)
        return state, history

    def _gradients(self, params: Params, rows: Rows, keys: list[Array], step: int) -> list[Array]:
        """Computes the vectors of all shards, in their order, each on the device of its shard.

        What a device needs is sent to it at once: many small copies would keep it waiting.
        """
        size = self.config.shards // len(self._devices)
        vectors: list[Array] = []
        for i, (device, key) in enumerate(zip(self._devices, keys, strict=True)):
            numbers = [np.int32(i * size + shard) for shard in range(size)]
            part = {name: array[i * size : (i + 1) * size] for name, array in rows.items()}
            weights, part, at, numbers = jax.device_put(
                (params, part, np.int32(step), numbers), device
            )
            vectors += [self._gradient(weights, part, key, at, shard) for shard in numbers]
        return vectors

    def _batches(self, source: Source, iteration: int, steps: int) -> Iterator[Rows]:
        """Yields the rows of each step, cut into shards: [shards, rows of a shard, …]."""
        size, shards = self.config.batch_size, self.config.shards
        for indices in batch_indices(self.seed, iteration, source.size, steps, size):
            rows = source.gather(indices)
            yield {
                name: rows[name].reshape(shards, size // shards, *rows[name].shape[1:])
                for name in self._stored
            }


@lru_cache(maxsize=16)
def _gradient_program(game: Game, model: Model, config: LearnerConfig) -> GradientFn:
    """Returns the jitted gradient of the loss on one shard.

    It is called shard by shard: inside a loop of XLA's, the backward pass of a convolution is 25
    times slower on CPU.
    """
    gradient = jax.grad(make_loss(game, model.apply, config), has_aux=True)

    def vector(params: Params, rows: Rows, key: Array, step: Array, shard: Array) -> Array:
        def take(array: Array) -> Array:
            return jax.lax.dynamic_index_in_dim(array, shard % len(array), keepdims=False)

        drawn = jax.random.fold_in(jax.random.fold_in(key, step), shard)
        both = gradient(params, jax.tree.map(take, rows), drawn)
        return ravel_pytree(jax.lax.optimization_barrier(both))[0]

    return jax.jit(vector)


@lru_cache(maxsize=16)
def _many_program(
    gradient: GradientFn, update: UpdateFn, shards: int, devices: Mesh
) -> many_steps.Steps:
    """Returns the program of many steps, which learners of one configuration share."""
    return many_steps.make(gradient, update, shards, devices)


@lru_cache(maxsize=16)
def _update_program(config: LearnerConfig, total_steps: int) -> UpdateFn:
    """Returns the jitted optimizer step, which sums the shards' gradients in order."""
    optimizer = make_optimizer(config, total_steps)

    def update(state: LearnerState, vectors: tuple[Array, ...]) -> tuple[LearnerState, Metrics]:
        metrics = dict.fromkeys(metric_names(config), jnp.float32(0))
        _, unravel = ravel_pytree((state.params, metrics))
        gradient, row = unravel(_ordered_mean(*vectors))
        updates, moments = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        # A young average must not remember the random start: its decay grows with the steps.
        decay = jnp.minimum(config.ema_decay, (1.0 + state.step) / (10.0 + state.step))
        ema_params = jax.tree.map(
            lambda a, p: a * decay + p * (1 - decay), state.ema_params, params
        )
        new = LearnerState(params, ema_params, moments, state.step + 1)  # pyright: ignore
        return new, {**row, "gradient_norm": optax.tree.norm(gradient)}

    return jax.jit(update, donate_argnums=0)


def _ordered_mean(*shards: Array) -> Array:
    """Returns the mean over shards, added in their order."""
    total = shards[0]
    for shard in shards[1:]:
        total = total + shard
    return total / len(shards)
