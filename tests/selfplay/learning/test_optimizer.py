"""The optimizer seen from outside, by gradients chosen here; LearnerConfig's own checks.

Adam's update for a gradient that never changes is the learning rate itself.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.learning.config import LearnerConfig
from selfplay.learning.optimizer import flops, make_optimizer

PLAIN = LearnerConfig(warmup_steps=5, weight_decay=0.0, gradient_clip=1e9)
START = {"w": np.array([3.0, -2.0], np.float32)}


def updates(
    config: LearnerConfig, total_steps: int, gradients: list[np.ndarray]
) -> list[np.ndarray]:
    """The update that answers each gradient in turn; the parameters stay at `START`."""
    optimizer = make_optimizer(config, total_steps)
    update = jax.jit(optimizer.update)
    state, changes = optimizer.init(START), []
    for gradient in gradients:
        change, state = update({"w": gradient}, state, START)
        changes.append(np.array(change["w"]))
    return changes


def rates(config: LearnerConfig, total_steps: int, steps: int) -> np.ndarray:
    same = np.array([0.1, 0.1], np.float32)
    return np.array([-change[0] for change in updates(config, total_steps, [same] * steps)])


@pytest.mark.parametrize(
    ("total_steps", "decay", "final"), [(40, 0.5, 0.1), (40, 0.25, 0.0), (40, 1.0, 0.5)]
)
def test_learning_rate_warms_up_holds_and_falls_along_a_cosine(
    total_steps: int, decay: float, final: float
) -> None:
    config = replace(PLAIN, learning_rate=0.01, lr_decay_fraction=decay, final_lr_fraction=final)
    falling = round(decay * total_steps)
    start = max(5, total_steps - falling)  # the warm-up is never cut short
    expected = []
    for step in range(total_steps + 10):
        part = min(max(step - start, 0) / falling, 1.0)
        cosine = final + (1 - final) * (1 + math.cos(math.pi * part)) / 2
        expected.append(0.01 * min(step / 5, 1.0) * cosine)
    actual = rates(config, total_steps, total_steps + 10)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-8)
    assert math.isclose(actual[5], 0.01, rel_tol=1e-4), "the plateau"
    if start == total_steps - falling:
        np.testing.assert_allclose(actual[total_steps:], 0.01 * final, rtol=1e-4, atol=1e-8)


def test_weight_decay_is_decoupled_from_the_gradient() -> None:
    config = replace(PLAIN, learning_rate=0.01, weight_decay=0.3, lr_decay_fraction=0.0)
    still = updates(config, 100, [np.zeros(2, np.float32)] * 8)
    np.testing.assert_allclose(still[-1], -0.01 * 0.3 * START["w"], rtol=1e-5)
    moving = updates(config, 100, [np.ones(2, np.float32)] * 8)
    np.testing.assert_allclose(moving[-1], -0.01 * (1 + 0.3 * START["w"]), rtol=1e-4)


def test_clipping_scales_long_gradients_and_keeps_short_ones() -> None:
    config = replace(PLAIN, warmup_steps=0, gradient_clip=1.0, lr_decay_fraction=0.0)
    unit, short = np.array([0.6, 0.8], np.float32), np.array([0.3, -0.1], np.float32)
    clipped = updates(config, 100, [unit, 50 * unit, short])
    np.testing.assert_allclose(clipped, updates(config, 100, [unit, unit, short]), rtol=1e-5)
    unclipped = updates(replace(config, gradient_clip=1e9), 100, [unit, 50 * unit, short])
    assert np.abs(unclipped[2] - clipped[2]).max() > 1e-4
    free = updates(replace(config, gradient_clip=1e9), 100, [short, unit])
    np.testing.assert_allclose(updates(config, 100, [short, unit]), free, rtol=1e-5)


@pytest.mark.parametrize(
    ("new_rows", "expected"), [(0, 0), (3, 0), (9, 1), (32, 4), (100, 12), (800, 100), (10**6, 100)]
)
def test_config_steps_follow_new_rows_up_to_max_steps(new_rows: int, expected: int) -> None:
    """Every row is used `replay_ratio` times on average: 8 rows a step here."""
    config = LearnerConfig(batch_size=16, replay_ratio=2.0, max_steps=100)
    assert config.steps(new_rows) == expected


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"batch_size": 100, "shards": 8}, r"learner\.batch-size .*learner\.shards, got 100 and 8"),
        ({"batch_size": 0}, r"learner\.batch-size .*got 0 and 8"),
        ({"shards": 0}, r"learner\.batch-size .*got 512 and 0"),
        ({"replay_ratio": 0.0}, r"learner\.replay-ratio must be above 0, got 0\.0"),
        ({"learning_rate": -1e-3}, r"learner\.learning-rate must be above 0, got -0\.001"),
        ({"max_steps": 0}, r"learner\.max-steps must be above 0, got 0"),
        ({"root_value_weight": 1.1}, r"learner\.root-value-weight .*got 1\.1"),
        ({"ema_decay": -0.1}, r"learner\.ema-decay .*got -0\.1"),
        ({"lr_decay_fraction": 2.0}, r"learner\.lr-decay-fraction .*got 2\.0"),
        ({"final_lr_fraction": 1.5}, r"learner\.final-lr-fraction .*got 1\.5"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_config_out_of_range_is_rejected_with_option_and_value(
    bad: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        LearnerConfig(**bad)


def test_muon_makes_the_momentum_of_kernels_orthogonal() -> None:
    """Singular values of the update are nearly equal, and its size is that of AdamW's.

    Newton and Schulz's five steps leave singular values between 0.7 and 1.2 times the mean.
    """
    config = replace(PLAIN, optimizer="muon", warmup_steps=0, lr_decay_fraction=0.0)
    rng = np.random.default_rng(0)
    shapes = {"dense": (24, 8), "conv": (3, 3, 4, 16)}
    params = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    gradient = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    gradient["dense"][:, 0] *= 30
    optimizer = make_optimizer(config, 100)
    change, _ = jax.jit(optimizer.update)(gradient, optimizer.init(params), params)
    for name, update in change.items():
        matrix = np.array(update).reshape(-1, update.shape[-1])
        singular = np.linalg.svd(matrix, compute_uv=False)
        assert singular.max() / singular.min() < 2, name
        rms = np.sqrt(np.square(matrix).mean())
        assert rms == pytest.approx(0.2 * config.learning_rate, rel=0.25), name
        assert np.vdot(update, gradient[name]) < 0
    assert np.linalg.cond(gradient["dense"]) > 20


def test_muon_updates_vectors_as_adam_with_nesterov_momentum_does() -> None:
    """The first update is the learning rate times 1 + 0.9 · 0.1 / (1 − 0.81)."""
    config = replace(PLAIN, optimizer="muon", warmup_steps=0, lr_decay_fraction=0.0)
    (change,) = updates(config, 100, [np.array([0.5, -0.1], np.float32)])
    expected = config.learning_rate * (1 + 0.09 / 0.19) * np.array([-1, 1])
    np.testing.assert_allclose(change, expected, rtol=1e-4)


def test_flops_of_muon_are_those_of_its_matrix_products() -> None:
    """A kernel of 3 × 3 × 2 to 4 is a matrix of 18 × 4: 5 · 2 · (2 · 16 · 18 + 64)."""
    config = replace(PLAIN, optimizer="muon")
    assert flops(config, [(3, 3, 2, 4), (4,)]) == 5 * 2 * (2 * 16 * 18 + 64)
    assert flops(config, [(4, 18)]) == flops(config, [(18, 4)])
    assert flops(PLAIN, [(18, 4)]) == flops(replace(PLAIN, optimizer="sgd"), [(18, 4)]) == 0
