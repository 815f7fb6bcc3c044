"""The optimizer: AdamW with clipped gradients and a learning rate that warms up and falls."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from selfplay.learning.config import LearnerConfig


def make_optimizer(config: LearnerConfig, total_steps: int) -> optax.GradientTransformation:
    """Builds the optimizer of a run of `total_steps` gradient steps.

    The learning rate rises linearly during the warm-up, holds, and falls along a cosine in the
    last `lr_decay_fraction` of the run. The warm-up is never cut short.
    """
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


def after_warmup(state: optax.OptState, config: LearnerConfig) -> optax.OptState:
    """Returns a fresh optimizer state whose step counts say that the warm-up is over."""
    return optax.tree.set(state, count=jnp.int32(config.warmup_steps))
