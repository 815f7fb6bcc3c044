"""The frontier: the most Elo that each amount of training compute buys, and its slope.

Several recipes (for example sizes) may each lead in a part of the range. A version is on the
frontier if no other recipe's mean curve is above its own recipe's at its training. A mean curve
averages the runs that have a version by then; each run is interpolated between its versions and
constant after its last one. Recipes are compared by means over seeds, not by versions, because the
best of many versions is the one with the luckiest error. Between two equally good recipes some of
that selection bias remains.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import learning_curve
from selfplay.scaling.at_training import check_one_budget
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.learning_curve import LearningCurve
from selfplay.scaling.partitions import PLATEAU
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.slopes import Slope, per_training


@dataclass(frozen=True, eq=False)
class Frontier:
    """A fit of Elo against training to the versions on the frontier.

    Attributes:
        curve: the learning curve of these versions.
        on_frontier: bool[N], True = the version is on the frontier.
        slope_beyond: Elo per OOM of training of the frontier's versions on the plateau; None
            without one, or with too few versions on it.
    """

    curve: LearningCurve
    on_frontier: NDArray[np.bool_]
    slope_beyond: Slope | None = None

    @property
    def slope(self) -> Slope:
        """Elo per OOM of training, on the incline."""
        return self.curve.slope

    def __str__(self) -> str:
        if self.slope_beyond is not None and self.slope_beyond.low > 0:
            return f"{self.curve}, which still rises, by {self.slope_beyond}"
        return str(self.curve)


def fit(points: RatedVersions) -> Frontier:
    """Fits a learning curve to the frontier.

    Raises:
        InsufficientData: training FLOPs are unknown or do not differ, there are too few versions,
            or a single run is on the frontier.
        ValueError: the ratings are a batch.
    """
    mask = on_frontier(points)
    chosen = points.select(mask)
    curve, slope_beyond = learning_curve.fit(chosen), None
    if curve.logistic is None:
        with suppress(InsufficientData):
            slope_beyond = per_training(chosen.select(curve.in_phases.phase == PLATEAU))
    return Frontier(curve, mask, slope_beyond)


def evaluate(points: RatedVersions, frontier: Frontier, training: Floats) -> Estimate:
    """Evaluates the fit at `training` float[M], log10 FLOPs: mean Elo with its intervals."""
    return learning_curve.evaluate(points.select(frontier.on_frontier), frontier.curve, training)


def on_frontier(points: RatedVersions) -> NDArray[np.bool_]:
    """Marks the versions on the frontier, bool[N].

    Raises:
        InsufficientData: training FLOPs are unknown, or there are several search budgets.
        ValueError: the ratings are a batch.
    """
    means, recipe = mean_curves(points)
    return means[recipe, np.arange(len(points))] >= means.max(axis=0)


def mean_curves(points: RatedVersions) -> tuple[Floats, Ints]:
    """Evaluates the mean curve of every recipe at every version's training.

    Returns:
        Elo float[R, N], -inf before the first version of a recipe; and each version's recipe
        int[N], an index into the R recipes in alphabetical order.

    Raises:
        InsufficientData, ValueError: as `on_frontier`.
    """
    elo, spent = points.require_single().elo, points.require("training")
    check_one_budget(points)
    recipes, recipe = np.unique(points.recipe, return_inverse=True)
    total, count = np.zeros((2, len(recipes), len(elo)))
    for run in points.runs:
        for index in set(recipe[points.run == run]):
            versions = np.flatnonzero((points.run == run) & (recipe == index))
            versions = versions[np.argsort(spent[versions])]
            begun = spent >= spent[versions[0]]
            curve_of_run = np.interp(spent, spent[versions], elo[versions])
            total[index] += np.where(begun, curve_of_run, 0.0)
            count[index] += begun
    return np.where(count > 0, total / np.maximum(count, 1), -np.inf), recipe


def on_frontier_by(points: RatedVersions, covariate: str) -> NDArray[np.bool_]:
    """Marks the versions, bool[N], on the frontier of all with their value of the covariate.

    For example, a frontier for each size of the board. Raises as `on_frontier` does.
    """
    values = points.require(covariate)
    mask = np.zeros(len(points), bool)
    for value in np.unique(values):
        same = np.flatnonzero(values == value)
        mask[same] = on_frontier(points.select(same))
    return mask
