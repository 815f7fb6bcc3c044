"""Every preset is well-formed, and every game's small presets train, shrunk to seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import configs
import games
from selfplay.runs import metrics
from selfplay.runs.metrics_row import SelfPlayRow
from selfplay.training.config import TrainConfig
from selfplay.training.loop import train


def shrunk(preset: TrainConfig) -> TrainConfig:
    """The same game, algorithm and schedule in two small iterations, in this process."""
    return replace(
        preset,
        iterations=2,
        network=replace(preset.network, width=4, depth=1, head_width=4),
        search=replace(preset.search, num_simulations=4),
        selfplay=replace(
            preset.selfplay, streams=1, batch_size=16, segment_length=24, random_opening_plies=8
        ),
        learner=replace(preset.learner, batch_size=16, shards=2, warmup_steps=1),
        cluster=replace(preset.cluster, actors=0),
    )


@pytest.mark.parametrize("name", configs.PRESETS)
def test_preset_is_well_formed(name: str) -> None:
    config = configs.get(name)
    assert games.make(config.game).num_actions > 1
    doc = configs.PRESETS[name].__doc__
    assert doc and len(doc) > 20, "a preset says what it costs and what to expect"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hex_3", "go_5x5", "hex_5"])
def test_small_preset_trains(name: str, tmp_path: Path) -> None:
    run = train(shrunk(configs.get(name)), tmp_path / "run")
    rows = [row for row in metrics.read_rows(run.folder) if isinstance(row, SelfPlayRow)]
    assert run.next_iteration == 3
    assert len({row.digests["state"] for row in rows}) == 2
    assert all(np.isfinite(value) for row in rows for value in row.learner.values())
    assert rows[-1].steps > 0 and sum(row.selfplay["games"] for row in rows) > 0


@pytest.mark.parametrize("name", [name for name in configs.PRESETS if name.endswith("_gpu")])
def test_preset_for_one_accelerator_plays_in_the_process_of_the_learner(name: str) -> None:
    """Actors would play on CPUs, in float32, beside an idle card."""
    cluster = configs.get(name).cluster
    assert cluster.actors == 0 and not cluster.address
    assert not cluster.idle_accelerator("gpu", "NVIDIA H100 80GB HBM3")
