"""The learner: its bits on any number of devices, its loss against slow NumPy, its optimizer."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from selfplay.acting.episode import Rows
from selfplay.learning import batches, learner
from selfplay.learning.config import LearnerConfig
from selfplay.learning.learner import Learner, LearnerState
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.runs.digest import digest
from tests.selfplay.search.planted import Linear, quick_jit, random_positions

SHAPES = {"tic_tac_toe": (3, 3), "connect_four": (6, 7)}
each_game = pytest.mark.parametrize("rules", list(SHAPES))
TINY = LearnerConfig(batch_size=32, warmup_steps=1, ema_decay=0.3)
PLAIN = replace(TINY, shards=1, symmetries=False)


@dataclass(frozen=True)
class Table:
    """A source of fixed rows."""

    rows: Rows

    @property
    def size(self) -> int:
        return len(self.rows["outcome"])

    def gather(self, indices: np.ndarray) -> Rows:
        return {name: array[indices] for name, array in self.rows.items()}


@cache
def table(rules: str) -> Table:
    """Random positions with random targets; policies are 0 where illegal and sum to about 1."""
    game, rng, count = games.make(rules), np.random.default_rng(0), 48
    states, _ = random_positions(game, count, seed=2, max_plies=6)
    planes = np.array(jax.vmap(game.observe)(states)).reshape(count, -1)
    legal = np.array(jax.vmap(game.legal_actions)(states))
    policy = rng.exponential(size=legal.shape) ** 2 * legal
    return Table(
        {
            "planes": np.packbits(planes, axis=-1),
            "legal": np.packbits(legal, axis=-1),
            "policy": (0.99 * policy / policy.sum(axis=1, keepdims=True)).astype(np.float16),
            "value": rng.uniform(-1, 1, count).astype(np.float16),
            "outcome": rng.integers(-1, 2, count).astype(np.int8),
        }
    )


def build(
    config: LearnerConfig, kind: str = "mlp", width: int = 4, dtype: str = "float32", **options: Any
) -> Learner:
    shape: Any = {"kind": kind, "width": width, "depth": 1, "head_width": 4, "dtype": dtype}
    game = games.make("tic_tac_toe")
    model = network.make_once(game, NetworkConfig(**shape))
    return Learner(game, model, config, **{"total_steps": 100, "seed": 5} | options)


@cache
def plain() -> Learner:
    return build(PLAIN)


@cache
def on_one_device(kind: str) -> str:
    return fitted(build(TINY, kind, devices=1))


def fitted(fit: Learner) -> str:
    """Digest of the state and the metrics after four steps in two iterations."""
    state, first = fit.fit(fit.initial(), table("tic_tac_toe"), 1, 2)
    return digest((*fit.fit(state, table("tic_tac_toe"), 2, 2), first))


@pytest.mark.parametrize(
    ("devices", "kind"),
    [(8, "mlp")]  # tests/selfplay/imitation/test_loop.py has a convolution on other devices
    + [
        pytest.param(devices, kind, marks=pytest.mark.slow)
        for kind in ("mlp", "conv")
        for devices in (2, 4, 8, None)
        if (devices, kind) != (8, "mlp")
    ],
)
def test_any_number_of_devices_gives_the_same_bits(kind: str, devices: int | None) -> None:
    assert len(jax.local_devices()) == 8
    assert fitted(build(TINY, kind, devices=devices)) == on_one_device(kind)


def test_it_does_not_matter_which_device_takes_which_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = jax.local_devices()[::-1]
    monkeypatch.setattr(jax, "local_devices", lambda: backwards)
    assert fitted(build(TINY, "conv", devices=4)) == on_one_device("conv")


@pytest.mark.parametrize("devices", [3, 16])
def test_devices_that_cannot_share_the_shards_are_refused(devices: int) -> None:
    with pytest.raises(ValueError, match=rf"divide learner\.shards \(8\).* 8 local.*got {devices}"):
        build(TINY, devices=devices)


def test_a_fit_follows_seed_and_iteration_and_nothing_else() -> None:
    fit, source = plain(), table("tic_tac_toe")
    start = fit.initial()
    before = digest(start)
    results = [digest(fit.fit(start, source, iteration, 2)) for iteration in (1, 1, 2)]
    assert results[0] == results[1] != results[2]
    assert digest(start) == digest(fit.initial()) == before, "the state was changed in place"
    assert digest(start.params) == digest(start.averaged)
    assert digest(build(PLAIN, seed=6).initial()) != before


def test_a_fingerprint_tells_arithmetic_from_arithmetic() -> None:
    rows = table("tic_tac_toe").rows
    here = build(TINY, devices=1).fingerprint(rows)
    assert (
        build(TINY, devices=8, total_steps=7).fingerprint(rows) == here
    )  # a longer run is no other
    assert build(TINY, devices=1, dtype="bfloat16").fingerprint(rows) != here
    for change in ({"weight_decay": 0.1}, {"learning_rate": 0.1}):  # it sees the optimizer's step
        assert build(replace(TINY, **change), devices=1).fingerprint(rows) != here  # pyright: ignore
    noise, made = batches.Noise(rows, 32), network.pseudo_random(build(TINY)._init)
    gradients, _ = build(TINY)._gradient(made, noise.gather(np.arange(32)), jax.random.key(0))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradients)), (
        "the fingerprint is blind there"
    )


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
def test_the_loss_is_cross_entropy_and_squared_error(
    rules: str, root_weight: float, value_weight: float
) -> None:
    game, rows = games.make(rules), table(rules).rows
    config = replace(PLAIN, root_value_weight=root_weight, value_weight=value_weight)
    linear = Linear(game, seed=1)
    loss = quick_jit(learner.make_loss(game, linear, config))
    total, metrics = jax.device_get(loss({}, rows, jax.random.key(0)))
    goals = (1 - root_weight) * rows["outcome"] + root_weight * rows["value"].astype(float)
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
def test_symmetries_move_position_and_policy_together(rules: str) -> None:
    """One row at a time: its loss is one of its images', and each image is drawn."""
    game, linear = games.make(rules), Linear(games.make(rules), seed=1)
    loss = learner.make_loss(game, linear, replace(PLAIN, symmetries=True))
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
        found = np.array(metrics(rows, jax.random.split(jax.random.key(i), 400))["policy_loss"])
        distance = np.abs(found[:, None] - np.array(variants))
        np.testing.assert_array_less(distance.min(axis=1), 1e-4)
        drawn = np.bincount(distance.argmin(axis=1), minlength=len(variants)) / 400
        np.testing.assert_allclose(drawn, 1 / len(variants), atol=0.09)
        # In one batch every row draws its own.
        many = table(rules).gather(np.full(400, i))
        mean = float(metrics(many, jax.random.split(jax.random.key(0), 1))["policy_loss"][0])
        assert abs(mean - np.mean(variants)) < 5 * np.std(variants) / 20


def test_gradients_are_the_mean_over_all_shards() -> None:
    config = replace(TINY, symmetries=False)
    evaluate = network.make(
        games.make("tic_tac_toe"), NetworkConfig("mlp", width=4, depth=1, head_width=4)
    ).apply
    fit, source = build(config, devices=1), table("tic_tac_toe")
    state, _ = fit.fit(fit.initial(), source, 1, 3)  # away from the zero heads
    _, metrics = fit.fit(state, source, 2, 1)
    rows = source.gather(batches.batch_indices(5, 2, source.size, 1, 32)[0])
    loss = learner.make_loss(games.make("tic_tac_toe"), evaluate, config)
    whole = quick_jit(jax.grad(lambda params: loss(params, rows, jax.random.key(0))[0]))
    squares = [float((np.array(g, float) ** 2).sum()) for g in jax.tree.leaves(whole(state.params))]
    np.testing.assert_allclose(metrics["gradient_norm"], math.sqrt(sum(squares)), rtol=1e-4)


def test_the_average_follows_its_formula_step_by_step() -> None:
    """A young average forgets fast: the decay is min(ema, (1 + step) / (10 + step))."""
    fit, source = plain(), table("tic_tac_toe")
    state = fit.initial()
    for step, decay in enumerate([1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]):
        after: LearnerState = fit.fit(state, source, 1 + step, 1)[0]
        assert int(after.step) == step + 1
        for old, new, mean in zip(
            *map(jax.tree.leaves, (state.averaged, after.params, after.averaged)), strict=True
        ):
            wanted = np.array(old, float) * decay + np.array(new, float) * (1 - decay)
            np.testing.assert_allclose(mean, wanted, atol=1e-6)
        state = after
    assert digest(state.params) != digest(state.averaged)


def test_a_tiny_data_set_is_learned_by_heart() -> None:
    rows = table("tic_tac_toe").rows
    distinct = np.unique(rows["planes"], axis=0, return_index=True)[1][:24]
    source = Table(table("tic_tac_toe").gather(distinct))
    config = replace(PLAIN, batch_size=24, learning_rate=0.02, root_value_weight=0.0)
    fit = build(config, width=24, total_steps=180)
    state, before = fit.fit(fit.initial(), source, 1, 5)
    state, _ = fit.fit(state, source, 2, 160)
    _, after = fit.fit(state, source, 3, 15)
    assert before["policy_kl"] > 0.3 and before["value_loss"] > 0.3
    assert after["policy_kl"] < 0.02 and after["value_loss"] < 0.02
    assert math.isclose(
        after["policy_loss"], after["policy_kl"] + after["policy_entropy"], rel_tol=1e-4
    )


@pytest.mark.parametrize("size", [0, 5])
def test_an_iteration_without_steps_leaves_the_state_as_it_is(size: int) -> None:
    """A short segment may finish no game, or too few for one step."""
    fit = plain()
    start = fit.initial()
    after, metrics = fit.fit(start, Table(table("tic_tac_toe").gather(np.arange(size))), 1, 0)
    assert digest(after) == digest(start) and metrics == {}


@settings(max_examples=50, deadline=None)
@given(
    size=st.integers(1, 60),
    steps=st.integers(1, 8),
    batch=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_batches_pass_over_all_rows_without_repeats(
    size: int, steps: int, batch: int, seed: int
) -> None:
    order = batches.batch_indices(seed, 3, size, steps, batch)
    assert order.shape == (steps, batch) and order.dtype == np.int64
    flat = order.reshape(-1)
    for start in range(0, len(flat), size):
        part = flat[start : start + size]
        assert len(set(part)) == len(part)
        assert len(part) < size or set(part) == set(range(size))
    np.testing.assert_array_equal(order, batches.batch_indices(seed, 3, size, steps, batch))


def test_batches_differ_between_iterations_seeds_and_passes() -> None:
    first = batches.batch_indices(0, 1, 50, 2, 50)
    assert np.any(first[0] != first[1])
    for other in (batches.batch_indices(0, 2, 50, 2, 50), batches.batch_indices(1, 1, 50, 2, 50)):
        assert np.mean(first == other) < 0.2


@pytest.mark.parametrize("shape", [(6, 7, 2), (3, 3, 2), (9,), (8,), (1,)], ids=str)
def test_packed_bits_come_back(shape: tuple[int, ...]) -> None:
    bits = np.random.default_rng(0).random((50, *shape)) < 0.5
    packed = np.packbits(bits.reshape(50, -1), axis=-1)
    back = np.array(batches.unpack(jax.device_put(packed), shape))
    assert back.dtype == bool
    np.testing.assert_array_equal(back, bits)


def test_a_row_without_a_value_teaches_the_policy_alone() -> None:
    """NaN rows give the gradient of the same batch with their value loss cut out; never a NaN."""
    game = games.make("tic_tac_toe")
    shape = NetworkConfig(kind="mlp", width=4, depth=1, head_width=4)
    init, evaluate = network.make(game, shape)
    params = jax.tree.map(lambda leaf: leaf + 0.1, init(jax.random.key(0)))
    rows = dict(table("tic_tac_toe").rows)
    untaught = np.arange(len(rows["value"])) % 3 == 0
    rows["value"] = np.where(untaught, np.float16(np.nan), rows["value"]).astype(np.float16)

    def gradient(weight: float, some: Rows) -> tuple[Any, Any]:
        loss = learner.make_loss(game, evaluate, replace(PLAIN, value_weight=weight))
        return quick_jit(jax.grad(loss, has_aux=True))(params, some, jax.random.key(0))

    found, metrics = gradient(1.0, rows)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((found, metrics)))
    policy, _ = gradient(0.0, rows)
    kept = {name: array[~untaught] for name, array in rows.items()}
    with_value, without = gradient(1.0, kept)[0], gradient(0.0, kept)[0]
    share = (~untaught).mean()
    for ours, base, one, two in zip(
        *(jax.tree.leaves(tree) for tree in (found, policy, with_value, without)), strict=True
    ):
        np.testing.assert_allclose(ours, base + share * (one - two), atol=1e-6)
