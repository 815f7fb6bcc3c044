"""Estimates before a run: FLOPs are those that the run's own ledger ends with."""

from dataclasses import replace
from pathlib import Path

import pytest

from selfplay.learner import LearnerConfig
from selfplay.store import metrics
from selfplay.study import estimate
from selfplay.train import train
from tests.runs import PLAIN


def test_flops_are_the_ledgers(tmp_path: Path) -> None:
    config = replace(PLAIN, iterations=3)
    train(config, tmp_path / "run")
    spent = metrics.read(tmp_path / "run")[-1]["ledger"]
    found = estimate.ledger(config)
    assert found.selfplay == spent["selfplay"]
    assert found.learning == pytest.approx(spent["learning"], rel=0.5)  # few rows at first
    assert found.imitation == 0


def test_time_grows_with_the_work_and_is_measured_once() -> None:
    config = replace(PLAIN, learner=LearnerConfig(batch_size=16, shards=2, max_steps=1))
    some = estimate.seconds(config)
    assert some > 0
    assert estimate.seconds(replace(config, iterations=60, seed=3)) == pytest.approx(10 * some)
    assert estimate._iteration.cache_info().currsize == 1
