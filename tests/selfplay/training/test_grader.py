"""Grading during training: an absent exam is skipped, a damaged one is an error before training."""

from dataclasses import replace
from pathlib import Path

import pytest

from selfplay.solved import suite
from selfplay.solved.config import ExamConfig
from selfplay.training.grader import ExamGrader
from selfplay.training.loop import train
from tests.small_runs import PLAIN

CONFIG = replace(PLAIN, game="connect_four", exam=ExamConfig(budgets=(0,), positions=10))


@pytest.fixture
def damaged_exam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the exam of Connect Four by one with an altered byte."""
    data = bytearray(suite.FILES["connect_four"].read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "exam.npz"
    path.write_bytes(data)
    monkeypatch.setattr(suite, "FILES", {"connect_four": path})


def test_game_without_an_exam_or_run_without_budgets_has_no_grader() -> None:
    assert ExamGrader.build(replace(CONFIG, game="tic_tac_toe")) is None
    assert ExamGrader.build(replace(CONFIG, exam=ExamConfig(budgets=()))) is None


def test_grader_grades_on_schedule_and_at_the_end() -> None:
    grader = ExamGrader.build(replace(CONFIG, exam=ExamConfig(budgets=(0,), every=3, positions=10)))
    assert grader and list(grader.searches) == [0]
    assert [i for i in range(1, 8) if grader.is_due(i, final=i == 7)] == [3, 6, 7]


@pytest.mark.usefixtures("damaged_exam")
def test_damaged_exam_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"exam\.npz"):
        train(CONFIG, tmp_path / "run")
    assert not (tmp_path / "run").exists()
