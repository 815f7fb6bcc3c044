"""A tracker of one's own: one line of CSV per iteration.

python launch/train.py connect_four_smoke --track tensorboard "my_tracker:my_tracker?file=loss.csv"
"""

from selfplay.runs.metrics_row import MetricsRow, SelfPlayRow
from selfplay.tracking.tracker import TrackedRun


def my_tracker(row: MetricsRow, run: TrackedRun, *, file: str = "losses.csv") -> None:
    """Appends iteration, FLOPs and policy loss to a file in the run's folder."""
    if isinstance(row, SelfPlayRow) and row.steps:
        values = row.iteration, row.ledger["ooms"], row.learner["policy_loss"]
        with open(run.folder / file, "a") as lines:
            print(*values, sep=",", file=lines)
