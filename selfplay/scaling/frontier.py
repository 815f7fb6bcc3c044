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

from selfplay.scaling import phases as change_point
from selfplay.scaling.at_training import check_one_budget
from selfplay.scaling.phases import PhasesFit as ChangePointFit
from selfplay.scaling.bends import Bend as SaturationTest
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData, stack
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import regress
from selfplay.scaling.slopes import per_training


@dataclass(frozen=True, eq=False)
class Frontier:
    """A fit of Elo against training to the versions on the frontier.

    Attributes:
        slope: Elo per OOM of training: of the line, or of the incline if strength saturates.
        saturation: the test that decided between the two.
        change_point_fit: incline and plateau; None if saturation was not significant.
        on_frontier: bool[N], True = the version is on the frontier.
        slope_beyond: Elo per OOM of training of the frontier's versions beyond the change point;
            None if there is no change point, or too few versions beyond it.
    """

    slope: Estimate
    saturation: SaturationTest
    change_point_fit: ChangePointFit | None
    on_frontier: NDArray[np.bool_]
    slope_beyond: Estimate | None = None

    def __str__(self) -> str:
        if self.change_point_fit is None:
            return f"{self.slope}, {self.saturation}"
        if self.slope_beyond is not None and self.slope_beyond.low > 0:
            return f"{self.change_point_fit}, which still rises, by {self.slope_beyond}"
        return str(self.change_point_fit)


def fit(points: RatedVersions) -> Frontier:
    """Fits a line to the frontier, or an incline and a plateau if strength saturates.

    Raises:
        InsufficientData: training FLOPs are unknown or do not differ, there are too few versions,
            or a single run is on the frontier.
        ValueError: the ratings are a batch.
    """
    mask = on_frontier(points)
    chosen = points.select(mask)
    saturation = change_point.saturation_test(chosen)
    if not saturation.significant:
        return Frontier(per_training(chosen), saturation, None, mask)
    bend = change_point.fit(chosen)
    slope_beyond = None
    with suppress(InsufficientData):
        slope_beyond = per_training(chosen.select(~bend.on_slope))
    return Frontier(bend.slope, saturation, bend, mask, slope_beyond)


def curve(points: RatedVersions, frontier: Frontier, training: Floats) -> Estimate:
    """Evaluates the fit at `training` float[M], log10 FLOPs: mean Elo with its intervals."""
    chosen = points.select(frontier.on_frontier)
    if frontier.change_point_fit is not None:
        return change_point.curve(chosen, frontier.change_point_fit, training)
    middle = chosen.training.mean()
    line = regress(chosen, np.stack([np.ones(len(chosen)), chosen.training - middle], axis=1))
    return stack([line.contrast(chosen.elo, [1, x - middle], "Elo") for x in training])


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
