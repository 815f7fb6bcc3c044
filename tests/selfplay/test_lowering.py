"""Every program of a training can be lowered for GPUs and TPUs, on a machine without either."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

import configs
from selfplay.training.memory import programs

QUICK = ("connect_four_gpu", "go_9x9_gpu", "go_19x19_cluster", "hex_9")
UNKNOWN = ("custom_call", "xla_python_cpu_callback")


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
        cluster=replace(config.cluster, learner_devices=1),
    )
    seen = []
    for name, program in (programs(config, many=False) | programs(config, many=True)).items():
        traced = jax.jit(program.function).trace(*program.arguments)
        for platform in ("cuda", "tpu"):
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            assert not [word for word in UNKNOWN if word in text], f"{name} for {platform}"
            seen.append(name)
    assert np.unique(seen).tolist() == ["advance", "gradient", "start", "steps", "update"]
