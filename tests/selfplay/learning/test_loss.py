"""The loss against slow NumPy, and the symmetries that it draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest

import games
from selfplay.acting.episode import Rows
from selfplay.learning.loss import make_loss
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.testing.planted_trees import Linear
from tests.selfplay.learning.rows import PLAIN, table
from tests.selfplay.search.planted import quick_jit

SHAPES = {"tic_tac_toe": (3, 3), "connect_four": (6, 7)}
each_game = pytest.mark.parametrize("rules", list(SHAPES))


def unpacked(rules: str, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Planes bool [N, H, W, 2] and legal bool [N, A]."""
    height, width = SHAPES[rules]
    bits = np.unpackbits(rows["planes"], axis=-1, count=height * width * 2).astype(bool)
    actions = rows["policy"].shape[1]
    legal = np.unpackbits(rows["legal"], axis=-1, count=actions).astype(bool)
    return bits.reshape(-1, height, width, 2), legal


def slow_losses(
    linear: Linear, planes: np.ndarray, legal: np.ndarray, policy: np.ndarray, goal: float
) -> tuple[float, float, float]:
    """Of one row: cross entropy, the target's entropy, squared error of the value."""
    logits, value = linear.exact(planes)
    target = policy.astype(float) / policy.astype(float).sum()
    log_policy = logits - np.log(np.exp(logits[legal]).sum())
    seen = target > 0
    cross_entropy = -float((target[seen] * log_policy[seen]).sum())
    return cross_entropy, -float((target[seen] * np.log(target[seen])).sum()), (value - goal) ** 2


@each_game
@pytest.mark.parametrize(("root_weight", "value_weight"), [(0.0, 1.0), (1.0, 0.5), (0.3, 2.0)])
def test_loss_is_cross_entropy_and_squared_error(
    rules: str, root_weight: float, value_weight: float
) -> None:
    game, rows = games.make(rules), table(rules).rows
    config = replace(PLAIN, root_value_weight=root_weight, value_weight=value_weight)
    linear = Linear(game, seed=1)
    loss = quick_jit(make_loss(game, linear, config))
    total, metrics = jax.device_get(loss({}, rows, jax.random.key(0)))
    goals = (1 - root_weight) * rows["mover_outcome"] + root_weight * rows["value"].astype(float)
    each = zip(*unpacked(rules, rows), rows["policy"], goals, strict=True)
    policy, entropy, value = np.mean([slow_losses(linear, *row) for row in each], axis=0)
    expected = {
        "loss": policy + value_weight * value,
        "policy_loss": policy,
        "policy_kl": policy - entropy,
        "policy_entropy": entropy,
        "value_loss": value,
    }
    assert metrics.keys() == expected.keys() and total == metrics["loss"]
    for name, wanted in expected.items():
        np.testing.assert_allclose(metrics[name], wanted, rtol=1e-4, err_msg=name)


def images(rules: str, planes: np.ndarray, policy: np.ndarray) -> list[tuple[Any, Any]]:
    """The position and its policy under every symmetry, by turning and mirroring arrays."""
    if rules == "connect_four":
        return [(planes, policy), (planes[:, ::-1], policy[::-1])]
    pairs = []
    for quarters in range(4):
        turned = np.rot90(planes, quarters), np.rot90(policy.reshape(3, 3), quarters)
        pairs += [turned, tuple(np.fliplr(x) for x in turned)]
    return [(board, grid.reshape(9)) for board, grid in pairs]


@each_game
def test_loss_transforms_position_and_policy_together(rules: str) -> None:
    """One row at a time: its loss is one of its images', and each image is drawn."""
    game, linear = games.make(rules), Linear(games.make(rules), seed=1)
    loss = make_loss(game, linear, replace(PLAIN, symmetries=True))
    metrics = quick_jit(jax.vmap(lambda rows, key: loss({}, rows, key)[1], (None, 0)))
    for i in (3, 17):
        rows = table(rules).gather(np.array([i]))
        planes, legal = unpacked(rules, rows)
        variants = [
            slow_losses(linear, image, allowed.astype(bool), policy, 0.0)[0]
            for (image, policy), (_, allowed) in zip(
                images(rules, planes[0], rows["policy"][0]),
                images(rules, planes[0], legal[0]),
                strict=True,
            )
        ]
        assert np.diff(np.sort(variants)).min() > 1e-3, "images that cannot be told apart"
        losses = np.array(metrics(rows, jax.random.split(jax.random.key(i), 400))["policy_loss"])
        distance = np.abs(losses[:, None] - np.array(variants))
        np.testing.assert_array_less(distance.min(axis=1), 1e-4)
        drawn = np.bincount(distance.argmin(axis=1), minlength=len(variants)) / 400
        np.testing.assert_allclose(drawn, 1 / len(variants), atol=0.09)
        # In one batch every row draws its own.
        many = table(rules).gather(np.full(400, i))
        mean = float(metrics(many, jax.random.split(jax.random.key(0), 1))["policy_loss"][0])
        assert abs(mean - np.mean(variants)) < 5 * np.std(variants) / 20


def test_row_without_a_value_trains_the_policy_only() -> None:
    """NaN rows give the gradient of the same batch with their value loss cut out; never a NaN."""
    game = games.make("tic_tac_toe")
    shape = NetworkConfig(kind="mlp", width=4, depth=1, head_width=4)
    init, evaluate, *_ = network.make(game, shape)
    params = jax.tree.map(lambda leaf: leaf + 0.1, init(jax.random.key(0)))
    rows = dict(table("tic_tac_toe").rows)
    without_value = np.arange(len(rows["value"])) % 3 == 0
    rows["value"] = np.where(without_value, np.float16(np.nan), rows["value"]).astype(np.float16)

    def gradient(weight: float, some: Rows) -> tuple[Any, Any]:
        loss = make_loss(game, evaluate, replace(PLAIN, value_weight=weight))
        return quick_jit(jax.grad(loss, has_aux=True))(params, some, jax.random.key(0))

    whole, metrics = gradient(1.0, rows)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((whole, metrics)))
    policy, _ = gradient(0.0, rows)
    rest = {name: array[~without_value] for name, array in rows.items()}
    with_value, without = gradient(1.0, rest)[0], gradient(0.0, rest)[0]
    share = (~without_value).mean()
    for ours, base, one, two in zip(
        *(jax.tree.leaves(tree) for tree in (whole, policy, with_value, without)), strict=True
    ):
        np.testing.assert_allclose(ours, base + share * (one - two), atol=1e-6)
