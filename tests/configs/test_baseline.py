"""Frozen presets stay frozen."""

import json
from pathlib import Path

import pytest

import configs
from selfplay.runs.codec import differing, from_json, to_json
from selfplay.training.config import TrainConfig

RECORDED = json.loads(Path(__file__).with_name("baseline.json").read_text())


@pytest.mark.parametrize("name", RECORDED)
def test_baseline_is_frozen(name: str) -> None:
    """A baseline preset equals the config that the published studies were trained with.

    Never renew the file: if a default has changed, write the value that it had in November 2026
    into configs/baseline.py.
    """
    recorded = to_json(from_json(TrainConfig, RECORDED[name]))
    assert differing(recorded, to_json(configs.get(name))) == {}


def test_every_baseline_is_recorded() -> None:
    assert {name for name in configs.PRESETS if name.endswith("_baseline")} == set(RECORDED)
