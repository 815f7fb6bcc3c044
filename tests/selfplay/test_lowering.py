"""Every program of a training can be lowered for GPUs and TPUs, on a machine without either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import configs
import games
from selfplay import rng
from selfplay.acting import stream_player
from selfplay.learning import loss_terms
from selfplay.learning.learner import Learner
from selfplay.model import network
from selfplay.training.config import TrainConfig

QUICK = ("connect_four_gpu", "go_9x9_gpu", "go_19x19_cluster", "hex_9")
UNKNOWN = ("custom_call", "xla_python_cpu_callback")


def programs(config: TrainConfig) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """Yields the programs that a training runs on its devices, with the shapes of their arguments.

    A device takes part of the shards.
    """
    game = games.make(config.game)
    fields = loss_terms.row_fields(config.learner.losses)
    model = network.make(game, config.network, loss_terms.heads(config.learner.losses))
    start, advance = stream_player._programs(  # pyright: ignore[reportPrivateUsage]
        game, model, config.search, config.selfplay, fields
    )
    key = rng.key(0, rng.Purpose.PLAY, 1, 0)
    yield "start", start, (key,)
    lanes, params = jax.eval_shape(start, key), network.shapes(model.init)
    yield "advance", advance, (params, lanes, key)
    learner = Learner(game, model, config.learner, 1000, 0, devices=1)
    state = jax.eval_shape(learner.init)
    size = config.learner.batch_size // config.learner.shards
    rows = {
        field.name: jax.ShapeDtypeStruct((2, size, *stored.shape), stored.dtype)
        for field in loss_terms.batch_fields(config.learner)
        for stored in [field.stored(game)]
    }
    number = jnp.int32(1)
    arguments = (params, rows, key, number, number)
    yield "gradient", learner._gradient, arguments  # pyright: ignore[reportPrivateUsage]
    vector = jax.eval_shape(learner._gradient, *arguments)  # pyright: ignore[reportPrivateUsage]
    vectors = (vector,) * config.learner.shards
    yield "update", learner._update, (state, vectors)  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    "preset",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in configs.PRESETS
    ],
)
@pytest.mark.parametrize("algorithm", ["gumbel", "puct"])
def test_programs_of_a_preset_lower_for_cuda_and_tpu(preset: str, algorithm: str) -> None:
    config = configs.get(preset)
    config = replace(
        config,
        network=replace(config.network, dtype="bfloat16"),
        search=replace(config.search, algorithm=algorithm),
    )
    seen = []
    for name, program, arguments in programs(config):
        traced = program.trace(*arguments)
        for platform in ("cuda", "tpu"):
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            assert not [word for word in UNKNOWN if word in text], f"{name} for {platform}"
            seen.append(name)
    assert np.unique(seen).tolist() == ["advance", "gradient", "start", "update"]
