"""Trackers get every committed row once, and none of them can stop a run."""

import threading
from pathlib import Path

import pytest

from selfplay.runs.metrics_row import MetricsRow, StartRow
from selfplay.tracking import feed, tracker_specs
from selfplay.tracking.feed import tracked
from selfplay.tracking.tracker import TrackedRun, Tracker, scalars
from tests.selfplay.tracking.tracked_runs import commit, open_run


def train(folder: Path, rows: int, *trackers: Tracker | type) -> list[str]:
    """Commits rows to a run that is tracked; returns what was announced."""
    announced: list[str] = []
    with open_run(folder) as run, tracked(run, tracker_specs.resolve(trackers), announced.append):
        for _ in range(rows):
            commit(run)
    return announced


def test_tracker_gets_each_committed_row_once_and_the_run(tmp_path: Path) -> None:
    got: list[tuple[MetricsRow, TrackedRun]] = []
    train(tmp_path / "run", 3, lambda row, run: got.append((row, run)))
    train(tmp_path / "run", 2, lambda row, run: got.append((row, run)))
    assert [row.iteration for row, _ in got] == [0, 1, 2, 3, 4]
    assert isinstance(got[0][0], StartRow) and got[0][1].identity == got[0][0].identity
    runs = [run for _, run in got]
    assert {run.folder for run in runs} == {tmp_path / "run"} and runs[0].name == "run"
    assert runs[0].config == {"lr": 0.5} and runs[0] == runs[4]


def test_id_of_a_run_outlives_a_resume_and_differs_from_its_copy(tmp_path: Path) -> None:
    ids: list[str] = []
    for name in ("run", "run", "copy"):
        train(tmp_path / name, 1, lambda row, run: ids.append(run.id))
    assert ids[0] == ids[1] != ids[2] and len(ids[0]) == 16 and int(ids[0], 16)


def test_scalars_are_the_finite_numbers_of_a_row_by_path(tmp_path: Path) -> None:
    rows: list[MetricsRow] = []
    train(tmp_path / "run", 2, lambda row, run: rows.append(row))
    values = scalars(rows[1])
    assert values["learner/policy_loss"] == 1.0 and values["steps"] == 2.0
    assert "learner/value_loss" not in values  # it is NaN
    assert all(type(value) is float for value in values.values())


class Failing:
    """A tracker that fails in its constructor, at a row, or when it is closed."""

    at = ""
    rows = 0

    def __init__(self) -> None:
        self.fail("open")

    def __call__(self, row: MetricsRow, run: TrackedRun) -> None:
        type(self).rows += 1
        self.fail("row")

    def close(self) -> None:
        self.fail("close")

    def fail(self, at: str) -> None:
        if at == self.at:
            raise SystemExit(f"cannot\n{at}") if at == "row" else ValueError(f"cannot\n{at}")


@pytest.mark.parametrize("at", ["open", "row", "close"])
def test_failing_tracker_is_announced_once_and_leaves_the_run_alone(
    tmp_path: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[int] = []
    monkeypatch.setattr(Failing, "rows", 0)
    monkeypatch.setattr(Failing, "at", at)
    announced = train(tmp_path, 3, Failing, lambda row, run: others.append(row.iteration))
    assert others == [0, 1, 2]
    error = f"SystemExit: cannot {at}" if at == "row" else f"cannot {at}"
    assert announced == [f"tracker Failing is off, and the run is not affected: {error}"]
    assert Failing.rows == {"open": 0, "row": 1, "close": 3}[at]


def test_hanging_tracker_holds_up_neither_the_rows_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CLOSING_SECONDS", 0.2)
    free, others = threading.Event(), []

    def hanging(row: MetricsRow, run: TrackedRun) -> None:
        free.wait()

    announced = train(tmp_path, 3, hanging, lambda row, run: others.append(row.iteration))
    free.set()
    assert others == [0, 1, 2]
    assert len(announced) == 1 and announced[0].startswith("tracker hanging is off")


def test_run_without_trackers_tracks_nothing(tmp_path: Path) -> None:
    assert train(tmp_path / "run", 2) == []
    assert not (tmp_path / "run" / "tensorboard").exists()
