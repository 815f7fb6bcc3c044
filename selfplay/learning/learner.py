"""The learner: loss, optimizer, and an update whose bits do not depend on the device count.

A batch is cut into a **fixed number of shards**. Each shard's gradient is one program on one
device; the sums then run over shards in their order, on the first device. One device works
through all shards, eight take one each: the same additions in the same order, the same bits.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from games import symmetry
from games.game import Game
from selfplay import rng
from selfplay.acting.episode import Rows
from selfplay.learning.batches import BATCH_FIELDS, Noise, Source, batch_indices, unpack
from selfplay.learning.config import LearnerConfig
from selfplay.model import network
from selfplay.model.network import Evaluate, Model, Params
from selfplay.runs.digest import digest


class Diverged(RuntimeError):
    """Learning left the numbers; the message names the last good commit."""


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
    averaged: Params  # exponential moving average of params: what plays and is rated
    optimizer: Any
    step: Array  # int32[]


class Learner:
    """Compiled update of one configuration; holds no state of the training itself."""

    def __init__(
        self,
        game: Game,
        model: Model,
        config: LearnerConfig,
        total_steps: int,
        seed: int,
        devices: int | None = None,
    ) -> None:
        """Compile-ready learner over `devices` local devices (None: as many as divide the shards).

        `total_steps` is the run's length in steps, for the learning rate's schedule.
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
        self._optimizer = make_optimizer(config, total_steps)
        self._gradient = _gradient_program(game, model, config)
        self._update = _update_program(config, total_steps)

    def initial(self, params: Params | None = None) -> LearnerState:
        """Version 0: these parameters, or fresh ones, drawn from the seed; a fresh optimizer."""
        if params is None:
            params = self._init(rng.key(self.seed, rng.Purpose.INITIALISE))
        state = LearnerState(
            params, jax.tree.map(jnp.copy, params), self._optimizer.init(params), jnp.int32(0)
        )
        return jax.device_put(state, self._devices[0])

    def fingerprint(self, rows: Rows) -> str:
        """A digest of one step on pseudo-random rows, shaped as `rows` (of any length).

        Two processes with the same fingerprint learn by the same arithmetic. Compiles the update.
        """
        state = self.initial(network.pseudo_random(self._init))
        # Behind the warm-up, which begins with a rate of 0, so that the optimizer's step counts.
        late = jax.tree.map(self._warmed_up, state.optimizer)
        state = state._replace(optimizer=late)
        return digest(self.fit(state, Noise(rows, self.config.batch_size), 0, 1))

    def _warmed_up(self, leaf: Array) -> Array:
        """A count of the optimizer's as after the warm-up; its moments as they are."""
        return leaf if leaf.ndim else leaf + self.config.warmup_steps

    def fit(
        self, state: LearnerState, source: Source, iteration: int, steps: int
    ) -> tuple[LearnerState, dict[str, float]]:
        """`steps` gradient steps on rows drawn from `source`; mean metrics over the steps."""
        home = self._devices[0]
        state = jax.device_put(state, home)
        history = []
        for batch in self._batches(source, iteration, steps):
            params = [jax.device_put(state.params, device) for device in self._devices]
            shards = []
            for i, shard in enumerate(batch):
                at = i * len(self._devices) // len(batch)
                rows, key = jax.device_put(shard, self._devices[at])
                shards.append(self._gradient(params[at], rows, key))
            gradients, metrics = zip(*jax.device_put(shards, home), strict=True)
            state, row = self._update(state, gradients, metrics)
            history.append(row)
        if not history:
            return state, {}
        columns = jax.device_get(history)
        means = {name: float(np.mean([row[name] for row in columns])) for name in columns[0]}
        return state, means

    def _batches(
        self, source: Source, iteration: int, steps: int
    ) -> Iterator[list[tuple[Rows, Array]]]:
        """Each step's shards: rows, and the key that their symmetries are drawn from.

        All keys of a step are made before its first gradient is: behind it, in the first device's
        queue, they would keep the other devices waiting.
        """
        shards, size = self.config.shards, self.config.batch_size // self.config.shards
        order = batch_indices(self.seed, iteration, source.size, steps, self.config.batch_size)
        for step, indices in enumerate(order):
            flat = source.gather(indices)
            parts = [slice(i * size, (i + 1) * size) for i in range(shards)]
            key = rng.key(self.seed, rng.Purpose.AUGMENT, iteration, step)
            shard_keys = [jax.random.fold_in(key, i) for i in range(shards)]
            rows = [{n: flat[n][part] for n in BATCH_FIELDS} for part in parts]
            yield list(zip(rows, shard_keys, strict=True))


@lru_cache(maxsize=16)
def _gradient_program(game: Game, model: Model, config: LearnerConfig) -> Any:
    """Returns the jitted ``(params, rows, key) → (gradient, metrics)`` of one shard.

    Called shard by shard: inside a loop of XLA's, the backward pass of a convolution is 25 times
    slower on CPU.
    """
    return jax.jit(jax.grad(make_loss(game, model.apply, config), has_aux=True))


@lru_cache(maxsize=16)
def _update_program(config: LearnerConfig, total_steps: int) -> Any:
    """Returns the jitted optimizer step: the shards' gradients are summed in order."""
    optimizer = make_optimizer(config, total_steps)

    def apply(
        state: LearnerState,
        gradients: tuple[Params, ...],
        metrics: tuple[dict[str, Array], ...],
    ) -> tuple[LearnerState, dict[str, Array]]:
        mean = jax.tree.map(_ordered_mean, *gradients)
        updates, moments = optimizer.update(mean, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        # A young average must not remember the random start: its decay grows with the steps.
        decay = jnp.minimum(config.ema_decay, (1.0 + state.step) / (10.0 + state.step))
        averaged = jax.tree.map(lambda a, p: a * decay + p * (1 - decay), state.averaged, params)
        new = LearnerState(params, averaged, moments, state.step + 1)  # pyright: ignore
        row = jax.tree.map(_ordered_mean, *metrics)
        return new, {**row, "gradient_norm": optax.tree.norm(mean)}

    return jax.jit(apply)


def _ordered_mean(*shards: Array) -> Array:
    total = shards[0]
    for shard in shards[1:]:
        total = total + shard
    return total / len(shards)


def make_optimizer(config: LearnerConfig, total_steps: int) -> optax.GradientTransformation:
    """AdamW with clipping; the rate warms up, holds, and falls along a cosine at the end."""
    falling = max(1, round(config.lr_decay_fraction * total_steps))
    schedule = optax.join_schedules(
        [
            optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps),
            optax.constant_schedule(config.learning_rate),
            optax.cosine_decay_schedule(
                config.learning_rate, falling, alpha=config.final_lr_fraction
            ),
        ],
        [config.warmup_steps, max(config.warmup_steps, total_steps - falling)],
    )
    return optax.chain(
        optax.clip_by_global_norm(config.gradient_clip),
        optax.adamw(schedule, weight_decay=config.weight_decay),
    )


def make_loss(
    game: Game, evaluate: Evaluate, config: LearnerConfig
) -> Callable[[Params, Rows, Array], tuple[Array, dict[str, Array]]]:
    """``loss(params, rows, key) → (mean loss, metrics)``; `key` draws the symmetries.

    A row whose ``value`` is NaN teaches the policy only; one without a policy, the value only.
    """
    board = symmetry.symmetries(game)
    cells, actions = np.asarray(board.cells), np.asarray(board.actions)  # [S, H·W], [S, A]

    def loss(params: Params, rows: Rows, key: Array) -> tuple[Array, dict[str, Array]]:
        observation = unpack(jnp.asarray(rows["planes"]), game.observation_shape)
        legal = unpack(jnp.asarray(rows["legal"]), (game.num_actions,))
        target = jnp.asarray(rows["policy"]).astype(jnp.float32)  # [n, A]
        if config.symmetries and len(cells) > 1:
            pick = jax.random.randint(key, (legal.shape[0],), 0, len(cells))
            flat = observation.reshape(*observation.shape[:1], -1, observation.shape[-1])
            flat = jnp.take_along_axis(flat, jnp.asarray(cells)[pick][:, :, None], axis=1)
            observation = flat.reshape(observation.shape)
            permuted = jnp.asarray(actions)[pick]
            legal = jnp.take_along_axis(legal, permuted, axis=1)
            target = jnp.take_along_axis(target, permuted, axis=1)
        target = target / jnp.maximum(target.sum(axis=-1, keepdims=True), 1e-6)

        logits, value = evaluate(params, observation)
        log_policy = jax.nn.log_softmax(jnp.where(legal, logits, -1e9))
        cross_entropy = -jnp.sum(jnp.where(target > 0, target * log_policy, 0.0), axis=-1)
        entropy = -jnp.sum(
            jnp.where(target > 0, target * jnp.log(jnp.maximum(target, 1e-9)), 0.0), axis=-1
        )
        outcome = jnp.asarray(rows["outcome"]).astype(jnp.float32)
        found = jnp.asarray(rows["value"]).astype(jnp.float32)
        # NaN = a value not to be learnt: replaced before it is used, or its gradient would be NaN.
        taught = ~jnp.isnan(found)
        found = jnp.where(taught, found, outcome)
        goal = (1 - config.root_value_weight) * outcome + config.root_value_weight * found
        value_loss = jnp.mean(jnp.where(taught, (value - goal) ** 2, 0.0))
        policy_loss = jnp.mean(cross_entropy)
        total = policy_loss + config.value_weight * value_loss
        metrics = {
            "loss": total,
            "policy_loss": policy_loss,
            "policy_kl": jnp.mean(cross_entropy - entropy),
            "policy_entropy": jnp.mean(entropy),
            "value_loss": value_loss,  # rows that teach no value count as 0
        }
        return total, metrics

    return loss
