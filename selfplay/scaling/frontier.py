"""The frontier: the most Elo that each amount of training compute buys, and its slope.

Several recipes (sizes, say) each lead in a part of the range. A version is on the frontier if no
other recipe's mean curve lies above its own recipe's there. A curve is the mean over the runs that
have begun, straight between two versions of a run, and level behind its last one. The choice is
made between means over seeds, not between versions: the best of many versions is one that was
lucky. Where two recipes are equally good some of that luck remains.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import change_point
from selfplay.scaling.at_training import check_one_budget
from selfplay.scaling.change_point import ChangePointFit, SaturationTest
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData, stack
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import regress
from selfplay.scaling.slopes import per_training


@dataclass(frozen=True, eq=False)
class Frontier:
    """What training compute buys.

    Attributes:
        slope: Elo per OOM of training: of the line, or of the incline where strength saturates.
        saturation: the test that decided between the two.
        change_point_fit: the change-point fit; None where no saturation was found.
        on_frontier: bool[N], True = the version is on the frontier.
        slope_beyond: Elo per OOM of those on the frontier behind the incline; None where there is no
            incline, or too few of them to tell.
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
    """The frontier's slope; through a plateau no line is fitted.

    Raises:
        InsufficientData: training FLOPs that are not known or do not differ, too few versions, a
            single run on the frontier, or a batch of ratings.
    """
    on = on_frontier(points)
    chosen = points.select(on)
    found = change_point.saturation_test(chosen)
    if not found.significant:
        return Frontier(per_training(chosen), found, None, on)
    bent = change_point.fit(chosen)
    beyond = None
    with suppress(InsufficientData):
        beyond = per_training(chosen.select(~bent.on_slope))
    return Frontier(bent.slope, found, bent, on, beyond)


def curve(points: RatedVersions, found: Frontier, training: Floats) -> Estimate:
    """What the fit says at `training` float[M], log10 FLOPs: Elo, with intervals of the mean."""
    chosen = points.select(found.on_frontier)
    if found.change_point_fit is not None:
        return change_point.curve(chosen, found.change_point_fit, training)
    middle = chosen.training.mean()
    line = regress(chosen, np.stack([np.ones(len(chosen)), chosen.training - middle], axis=1))
    return stack([line.contrast(chosen.elo, [1, x - middle], "Elo") for x in training])


def on_frontier(points: RatedVersions) -> NDArray[np.bool_]:
    """bool[N], True = on the frontier.

    Raises:
        InsufficientData: training FLOPs that are not known, or a batch of ratings.
    """
    means, recipe = mean_curves(points)
    return means[recipe, np.arange(len(points))] >= means.max(axis=0)


def mean_curves(points: RatedVersions) -> tuple[Floats, Ints]:
    """Mean curves float[R, N] of all recipes at every version's training, and its recipe int[N].

    -inf where no run of a recipe has begun.

    Raises:
        InsufficientData: as `on_frontier`.
    """
    elo, spent = points.require_single().elo, points.require("training")
    check_one_budget(points)
    recipes, recipe = np.unique(points.recipe, return_inverse=True)
    total, count = np.zeros((2, len(recipes), len(elo)))
    for run in points.runs:
        for kind in set(recipe[points.run == run]):
            own = np.flatnonzero((points.run == run) & (recipe == kind))
            own = own[np.argsort(spent[own])]
            begun = spent >= spent[own[0]]
            total[kind] += np.where(begun, np.interp(spent, spent[own], elo[own]), 0.0)
            count[kind] += begun
    return np.where(count > 0, total / np.maximum(count, 1), -np.inf), recipe


def on_frontier_by(points: RatedVersions, covariate: str) -> NDArray[np.bool_]:
    """bool[N], True = on the frontier of those with its value of the covariate: its board, say."""
    values = points.require(covariate)
    on = np.zeros(len(points), bool)
    for value in np.unique(values):
        own = np.flatnonzero(values == value)
        on[own] = on_frontier(points.select(own))
    return on
