"""The config of a run: what it imports, which fields may change, what it refuses."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selfplay.imitation.config import ImitationConfig
from selfplay.runs.codec import mutable_fields
from selfplay.training.config import NOT_IN_RECIPE, TrainConfig
from selfplay.training.loop import train
from tests.small_runs import PLAIN, ROOT


def test_config_imports_neither_jax_nor_rules() -> None:
    code = (
        "import sys, selfplay.training.config as c; c.TrainConfig(game='chess')\n"
        "print([n for n in ('jax', 'numpy', 'games.game', 'ray') if n in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_unknown_game_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="chess"):
        train(replace(PLAIN, game="chess"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_mutable_fields_are_those_without_effect_on_results() -> None:
    assert set(mutable_fields(TrainConfig)) == {
        *("cluster", "exam", "store"),
        *("elo.budgets", "elo.games", "elo.until_stderr", "elo.anchor"),
        "imitation.monitor_iterations",
    }


def test_recipe_leaves_out_seed_length_and_measurements() -> None:
    assert set(NOT_IN_RECIPE) == {"seed", "iterations", "cluster", "exam", "elo", "store"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"iterations": 0}, "iterations"),
        ({"init_from": "run@1", "imitation": ImitationConfig(dataset="experts")}, "init_from"),
    ],
)
def test_impossible_config_is_refused_by_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        TrainConfig(**options)
