"""Optimizers and schedules of the learning rate, by name.

`Schedule` and `Optimizer` are decorators for functions of third parties:
``--learner.optimizer my_package.optimizers:lion?beta=0.9``. Keyword-only parameters are the options
behind the "?".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from optax.contrib import MuonDimensionNumbers

from games import plugins
from selfplay.learning.config import OPTIMIZER, SCHEDULE, LearnerConfig

NEWTON_SCHULZ: Final = 5  # steps of Muon's iteration
ADAM_RMS: Final = 0.2  # root mean square of AdamW's updates, over the learning rate


@dataclass(frozen=True)
class Schedule:
    """A way to make a schedule; as a decorator, it makes a function one.

    Attributes:
        make: ``make(config: LearnerConfig, total_steps: int, *, …)`` → a function of the gradient
            step, counted from 0, that returns its learning rate. `total_steps` are the run's.
    """

    make: Callable[..., optax.Schedule] = field(repr=False)


@dataclass(frozen=True)
class Optimizer:
    """A way to make an optimizer; as a decorator, it makes a function one.

    Attributes:
        make: ``make(config: LearnerConfig, schedule: optax.Schedule, *, …)`` → an optimizer of
            optax. Its gradients are clipped already. A count of steps in its state must be called
            ``count``, as optax's are: fingerprints set it behind the warm-up.
        flops: a parameter's shape → the FLOPs of updating it, 2 for each multiply-add of a matrix
            product; None: too few to count.
    """

    make: Callable[..., optax.GradientTransformation] = field(repr=False)
    flops: Callable[[tuple[int, ...]], int] | None = field(default=None, repr=False)


@Schedule
def warmup_cosine(config: LearnerConfig, total_steps: int) -> optax.Schedule:
    """Makes a schedule that rises linearly, holds, and falls along a cosine at the end of the run.

    It falls in the last `lr_decay_fraction` of the run. The warm-up is never cut short.
    """
    rate, warmup = config.learning_rate, config.warmup_steps
    falling = max(1, round(config.lr_decay_fraction * total_steps))
    cosine = optax.cosine_decay_schedule(rate, falling, alpha=config.final_lr_fraction)
    ends = [warmup, max(warmup, total_steps - falling)]
    return optax.join_schedules([*_rise_and_hold(config), cosine], ends)


@Schedule
def warmup_constant(config: LearnerConfig, total_steps: int) -> optax.Schedule:
    """Makes a schedule that rises linearly and then stays constant."""
    return optax.join_schedules(_rise_and_hold(config), [config.warmup_steps])


def _rise_and_hold(config: LearnerConfig) -> list[optax.Schedule]:
    """Returns the schedules of the warm-up and of the steps behind it."""
    return [
        optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps),
        optax.constant_schedule(config.learning_rate),
    ]


@Optimizer
def adamw(config: LearnerConfig, schedule: optax.Schedule) -> optax.GradientTransformation:
    """Makes AdamW (Loshchilov & Hutter 2019)."""
    return optax.adamw(schedule, weight_decay=config.weight_decay)


def _muon(
    config: LearnerConfig, schedule: optax.Schedule, *, momentum: float = 0.95
) -> optax.GradientTransformation:
    """Makes Muon for kernels, with AdamW for vectors, both with Nesterov's momentum.

    The momentum of a kernel is made orthogonal (Jordan et al. 2024). Kernels are matrices from
    inputs, those of all cells of a convolution's window, to outputs. Updates are scaled to the size
    of AdamW's (Liu et al. 2025), so learning rate and weight decay mean the same for both.
    """

    def matrices(params: optax.Params) -> Any:
        return jax.tree.map(
            lambda leaf: (
                MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)
                if leaf.ndim > 1
                else None
            ),
            params,
        )

    return optax.contrib.muon(
        schedule,
        ns_steps=NEWTON_SCHULZ,
        beta=momentum,
        weight_decay=config.weight_decay,
        adam_weight_decay=config.weight_decay,
        muon_weight_dimension_numbers=matrices,
        consistent_rms=ADAM_RMS,
    )


def _newton_schulz_flops(shape: tuple[int, ...]) -> int:
    """Counts the matrix products that make a kernel orthogonal: of m ≤ n, m²n + m³ + m²n a step."""
    if len(shape) < 2:
        return 0
    m, n = sorted((math.prod(shape[:-1]), shape[-1]))
    return NEWTON_SCHULZ * 2 * (2 * m * m * n + m**3)


muon = Optimizer(_muon, _newton_schulz_flops)


@Optimizer
def sgd(
    config: LearnerConfig,
    schedule: optax.Schedule,
    *,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Makes gradient descent with momentum, and weight decay that is decoupled from it."""
    return optax.chain(
        optax.trace(momentum, nesterov),
        optax.add_decayed_weights(config.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


_SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"warmup_cosine": warmup_cosine, "warmup_constant": warmup_constant}
)
_OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType({"adamw": adamw, "muon": muon, "sgd": sgd})


def make_optimizer(config: LearnerConfig, total_steps: int) -> optax.GradientTransformation:
    """Builds the optimizer of a run of `total_steps` gradient steps, with clipped gradients.

    Raises:
        ValueError: the optimizer or the schedule is unknown or not trusted, or has no such option.
    """
    named, options = plugins.resolve(SCHEDULE, config.schedule, _SCHEDULES, Schedule)
    spec = config.schedule
    schedule = plugins.build(SCHEDULE, spec, named.make, None, config, total_steps, **options)
    named, options = plugins.resolve(OPTIMIZER, config.optimizer, _OPTIMIZERS, Optimizer)
    spec, kind = config.optimizer, optax.GradientTransformation
    optimizer = plugins.build(OPTIMIZER, spec, named.make, kind, config, schedule, **options)
    return optax.chain(optax.clip_by_global_norm(config.gradient_clip), optimizer)


def flops(config: LearnerConfig, shapes: Iterable[tuple[int, ...]]) -> int:
    """Counts the FLOPs of one update of parameters with these shapes, gradients left out.

    Raises:
        ValueError: the optimizer is unknown or not trusted, or has no such option.
    """
    named, _ = plugins.resolve(OPTIMIZER, config.optimizer, _OPTIMIZERS, Optimizer)
    return sum(map(named.flops, shapes)) if named.flops else 0


def after_warmup(state: optax.OptState, config: LearnerConfig) -> optax.OptState:
    """Returns a fresh optimizer state whose step counts say that the warm-up is over."""
    if not optax.tree.get_all_with_path(state, "count"):
        return state
    return optax.tree.set(state, count=jnp.int32(config.warmup_steps))
