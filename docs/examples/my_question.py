"""Asks one more question in a report: what does an order of magnitude (OOM) of time buy?

oomzero report ../../studies/hex_4 --questions my_question:TIME
"""

import numpy as np
from matplotlib.axes import Axes

from selfplay.report.evidence import Evidence
from selfplay.report.figures import one_panel
from selfplay.report.findings import Finding
from selfplay.report.questions import Question
from selfplay.report.table import Table
from selfplay.scaling.estimate import Estimate
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import regress


def per_time(points: RatedVersions) -> Estimate:
    """Fits Elo per OOM of wall-clock training time: one line through all versions."""
    seconds = points.require("seconds")  # float[N], log10
    line = np.stack([np.ones_like(seconds), seconds - seconds.mean()], axis=1)
    return regress(points, line).contrast(points.elo, [0, 1], "Elo per OOM of seconds")


def of_time(evidence: Evidence) -> Finding:
    """Answers with an interval over runs; if the data do not allow one, the report says why."""
    points = evidence.at_budget  # below any plateau, at the search budget with most versions
    slope = per_time(points)
    seconds, elo = points.require("seconds"), points.elo
    numbers = zip(points.run.tolist(), seconds.tolist(), elo.tolist(), strict=True)
    table = Table(("run", "seconds_log10", "elo"), list(numbers))

    def draw(axes: Axes) -> None:
        axes.plot(seconds, elo, "o")
        axes.set(xlabel="seconds of training, log10", ylabel="Elo")

    figure = one_panel(draw, table, "Each dot is a version.")
    return Finding([f"{slope}."], figure, note=evidence.budget_note, results=[slope])


TIME = Question("time", "What does wall-clock time buy?", of_time)
