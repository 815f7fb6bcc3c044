"""Runs that commit rows without training, for tests of trackers."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfplay.runs.identity import RunIdentity
from selfplay.runs.metrics_row import MetricsRow, Seconds, SelfPlayRow, StartRow
from selfplay.runs.run import Run


@dataclass(frozen=True)
class Config:
    """A config with one field."""

    lr: float = 0.5


def open_run(folder: Path) -> Run:
    """Opens a run, or begins one."""
    return Run.create_or_open(folder, Config())


def row_of(iteration: int) -> MetricsRow:
    """Returns the row of an iteration; its policy loss is 1 / iteration."""
    if iteration == 0:
        ledger = {"selfplay": 5.0}
        return StartRow(iteration=0, identity=RunIdentity("a", "b"), ledger=ledger)
    return SelfPlayRow(
        iteration=iteration,
        ledger={"ooms": 6.0 + iteration},
        seconds=Seconds(total=2.5 * iteration),
        played_by=iteration - 1,
        window=10,
        steps=2,
        learner={"policy_loss": 1 / iteration, "value_loss": math.nan},
        selfplay={"games": iteration},
    )


def commit(run: Run) -> None:
    """Commits the next iteration of a run."""
    run.commit(run.next_iteration, {"w": np.zeros(1)}, row_of(run.next_iteration).to_json())
