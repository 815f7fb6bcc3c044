"""The learner: its bits on any number of devices, its average, and its fingerprint."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import games
from selfplay.learning import learner
from selfplay.learning.config import LearnerConfig
from selfplay.learning.learner import Learner, LearnerState
from selfplay.learning.loss import make_loss
from selfplay.learning.row_sources import RandomRows, batch_indices
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.runs.digest import digest
from tests.selfplay.learning.rows import PLAIN, TINY, Table, table
from tests.selfplay.search.planted import quick_jit


def build(
    config: LearnerConfig, kind: str = "mlp", width: int = 4, dtype: str = "float32", **options: Any
) -> Learner:
    shape: Any = {"kind": kind, "width": width, "depth": 1, "head_width": 4, "dtype": dtype}
    game = games.make("tic_tac_toe")
    model = network.make(game, NetworkConfig(**shape))
    defaults: dict[str, Any] = {"total_steps": 100, "seed": 5}
    return Learner(game, model, config, **defaults | options)


@cache
def plain() -> Learner:
    return build(PLAIN)


@cache
def on_one_device(kind: str) -> str:
    return fitted(build(TINY, kind, devices=1))


def fitted(fit: Learner) -> str:
    """Digest of the state and the metrics after four steps in two iterations."""
    state, first = fit.fit(fit.init(), table("tic_tac_toe"), 1, 2)
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
def test_fit_gives_the_same_bits_on_any_number_of_devices(kind: str, devices: int | None) -> None:
    assert len(jax.local_devices()) == 8
    assert fitted(build(TINY, kind, devices=devices)) == on_one_device(kind)


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
def test_many_steps_in_one_program_give_the_same_bits_on_any_number_of_devices(
    devices: int,
) -> None:
    assert fitted(build(TINY, devices=devices, many=True)) == on_one_device("mlp")


def test_chunks_of_steps_continue_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    source = table("tic_tac_toe")
    monkeypatch.setattr(learner, "CHUNK", 2)
    results = [
        fit.fit(fit.init(), source, 1, 5)
        for fit in (build(TINY, devices=1), build(TINY, devices=1, many=True))
    ]
    assert digest(results[0]) == digest(results[1])


def test_many_steps_leave_the_state_that_they_began_from() -> None:
    fit = build(TINY, devices=2, many=True)
    state = fit.init()
    before = digest(state)
    assert digest(fit.fit(state, table("tic_tac_toe"), 1, 1)[0]) != before
    assert digest(state) == before


def test_fit_does_not_depend_on_which_device_takes_which_shard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backwards = jax.local_devices()[::-1]
    monkeypatch.setattr(jax, "local_devices", lambda: backwards)
    assert fitted(build(TINY, "conv", devices=4)) == on_one_device("conv")


@pytest.mark.parametrize("devices", [3, 16])
def test_learner_rejects_devices_that_do_not_divide_the_shards(devices: int) -> None:
    with pytest.raises(ValueError, match=rf"divide learner\.shards \(8\).* 8 local.*got {devices}"):
        build(TINY, devices=devices)


def test_fit_depends_on_seed_and_iteration_only() -> None:
    fit, source = plain(), table("tic_tac_toe")
    start = fit.init()
    before = digest(start)
    results = [digest(fit.fit(start, source, iteration, 2)) for iteration in (1, 1, 2)]
    assert results[0] == results[1] != results[2]
    assert digest(start) == digest(fit.init()) == before, "the state was changed in place"
    assert digest(start.params) == digest(start.ema_params)
    assert digest(build(PLAIN, seed=6).init()) != before


def test_fingerprint_differs_with_arithmetic_and_not_with_devices_or_length() -> None:
    rows = table("tic_tac_toe").rows
    expected = build(TINY, devices=1).fingerprint(rows)
    # Neither the devices nor the length of the run enter it.
    assert build(TINY, devices=8, total_steps=7).fingerprint(rows) == expected
    assert build(TINY, devices=1, dtype="bfloat16").fingerprint(rows) != expected
    for change in ({"weight_decay": 0.1}, {"learning_rate": 0.1}):  # the optimizer's step enters it
        assert build(replace(TINY, **change), devices=1).fingerprint(rows) != expected  # pyright: ignore
    noise, params = RandomRows(rows, 32), network.pseudo_random(build(TINY)._init)
    shard = {name: array[None] for name, array in noise.gather(np.arange(32)).items()}
    zero = jnp.int32(0)
    vector = build(TINY)._gradient(params, shard, jax.random.key(0), zero, zero)
    gradient = np.asarray(vector)[: network.num_parameters(params)]
    _, unravel = ravel_pytree(params)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(unravel(jnp.asarray(gradient)))), (
        "the fingerprint is blind there"
    )


def test_gradient_is_the_mean_over_all_shards() -> None:
    config = replace(TINY, symmetries=False)
    evaluate = network.make(
        games.make("tic_tac_toe"), NetworkConfig("mlp", width=4, depth=1, head_width=4)
    ).apply
    fit, source = build(config, devices=1), table("tic_tac_toe")
    state, _ = fit.fit(fit.init(), source, 1, 3)  # away from the zero heads
    _, metrics = fit.fit(state, source, 2, 1)
    rows = source.gather(batch_indices(5, 2, source.size, 1, 32)[0])
    loss = make_loss(games.make("tic_tac_toe"), evaluate, config)
    whole = quick_jit(jax.grad(lambda params: loss(params, rows, jax.random.key(0))[0]))
    squares = [float((np.array(g, float) ** 2).sum()) for g in jax.tree.leaves(whole(state.params))]
    np.testing.assert_allclose(metrics["gradient_norm"], math.sqrt(sum(squares)), rtol=1e-4)


def test_ema_params_follow_their_formula_step_by_step() -> None:
    """A young average forgets fast: the decay is min(ema, (1 + step) / (10 + step))."""
    fit, source = plain(), table("tic_tac_toe")
    state = fit.init()
    for step, decay in enumerate([1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]):
        after: LearnerState = fit.fit(state, source, 1 + step, 1)[0]
        assert int(after.step) == step + 1
        for old, new, mean in zip(
            *map(jax.tree.leaves, (state.ema_params, after.params, after.ema_params)), strict=True
        ):
            wanted = np.array(old, float) * decay + np.array(new, float) * (1 - decay)
            np.testing.assert_allclose(mean, wanted, atol=1e-6)
        state = after
    assert digest(state.params) != digest(state.ema_params)


def test_fit_memorizes_a_tiny_data_set() -> None:
    rows = table("tic_tac_toe").rows
    distinct = np.unique(rows["planes"], axis=0, return_index=True)[1][:24]
    source = Table(table("tic_tac_toe").gather(distinct))
    config = replace(PLAIN, batch_size=24, learning_rate=0.02, root_value_weight=0.0)
    fit = build(config, width=24, total_steps=180)
    state, before = fit.fit(fit.init(), source, 1, 5)
    state, _ = fit.fit(state, source, 2, 160)
    _, after = fit.fit(state, source, 3, 15)
    assert before["policy_kl"] > 0.3 and before["value_loss"] > 0.3
    assert after["policy_kl"] < 0.02 and after["value_loss"] < 0.02
    assert math.isclose(
        after["policy_loss"], after["policy_kl"] + after["policy_entropy"], rel_tol=1e-4
    )


@pytest.mark.parametrize("size", [0, 5])
def test_fit_without_steps_keeps_the_state(size: int) -> None:
    """A short segment may finish no game, or too few for one step."""
    fit = plain()
    start = fit.init()
    after, metrics = fit.fit(start, Table(table("tic_tac_toe").gather(np.arange(size))), 1, 0)
    assert digest(after) == digest(start) and metrics == {}
