"""The training that a strength takes: the least compute with which a recipe plays at a given Elo.

A run's strength is taken not to fall: isotonic regression pools the versions whose ratings do, and
a straight line over log10 FLOPs joins the pools. Where it crosses the level is the run's threshold,
and how its versions' ratings move it is known; so thresholds have a covariance, as ratings have
one, and their mean over the runs of a recipe has the same interval as every other number here.
No curve is assumed, so a plateau just above the level does no harm.

Jones (2021) asks it at 50 Elo below perfect play.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import regress

UNIT = "log10 FLOPs of training"


@dataclass(frozen=True, eq=False)
class Threshold:
    """What a strength takes.

    Attributes:
        elo: the strength.
        recipe: the one that takes the least, in the mean over its runs.
        training: log10 FLOPs.
        recipes_that_fall_short: recipe → how many of its runs do not get there; these recipes are not compared.
    """

    elo: float
    recipe: str
    training: Estimate
    recipes_that_fall_short: dict[str, int]

    def __str__(self) -> str:
        t = self.training
        low, high = float(t.low), float(t.high)
        text = (
            f"`{self.recipe}` gets to {self.elo:+.0f} Elo with the least training, "
            f"10^{float(t.value):.2f} FLOPs (10^{low:.2f} to 10^{high:.2f})"
        )
        if self.recipes_that_fall_short:
            text += (
                f"; of {len(self.recipes_that_fall_short)} other recipes not every run gets there"
            )
        return text


def fit(points: RatedVersions, elo: float) -> Threshold:
    """The least training for a strength. Points are of one search budget.

    The recipe is chosen by the same runs: of several equally good ones the luckiest.

    Raises:
        InsufficientData: no recipe gets there with all its runs, one is there in a first version,
            FLOPs that are not known, a single run, or a batch of ratings.
    """
    spent = points.require_single().require("training")
    found: dict[str, Estimate] = {}
    short: dict[str, int] = {}
    for recipe in dict.fromkeys(points.recipe.tolist()):
        own = points.select(points.recipe == recipe)
        late = sum(_curve(own, run)[1].x[-1] < elo for run in own.runs)
        if late:
            short[recipe] = late
        else:
            found[recipe] = _mean(own, elo)
    if not found:
        raise InsufficientData(
            f"no recipe gets to {elo:+.0f} Elo with all its runs, by 10^{spent.max():.1f} FLOPs"
        )
    best = min(found, key=lambda recipe: float(found[recipe].value))
    return Threshold(elo, best, found[best], short)


def _mean(points: RatedVersions, elo: float) -> Estimate:
    """Of one recipe, over its runs."""
    crossings = [_crossing(points, run, elo) for run in points.runs]
    gradient = np.stack([slope for _, slope in crossings])  # [runs, N]
    covariance = gradient @ points.covariance @ gradient.T
    means = RatedVersions.of(
        [at for at, _ in crossings], (covariance + covariance.T) / 2, points.runs
    )
    return regress(means, np.ones((len(means), 1))).contrast(means.elo, [1.0], UNIT)


def _curve(points: RatedVersions, run: str) -> tuple[Ints, Any]:
    """A run's versions int[n] by training, and their strengths as they do not fall."""
    own = np.flatnonzero(points.run == run)
    own = own[np.argsort(points.training[own], kind="stable")]
    return own, isotonic_regression(points.elo[own])


def _crossing(points: RatedVersions, run: str, elo: float) -> tuple[float, Floats]:
    """A run's threshold, and its change per Elo of every rating, float[N]."""
    own, fitted = _curve(points, run)
    after = int(np.searchsorted(fitted.x, elo))  # the first version that is there
    if not after:
        raise InsufficientData(
            f"run {run!r} is at {elo:+.0f} Elo in its first version, at "
            f"10^{points.training[own[0]]:.2f} FLOPs: rate more of them"
        )
    below, above = fitted.x[after - 1], fitted.x[after]
    x0, x1 = points.training[own[after - 1]], points.training[own[after]]
    share = (elo - below) / (above - below)
    gradient = np.zeros(len(points))
    for member, weight in ((after - 1, share - 1), (after, -share)):
        pool = int(np.searchsorted(fitted.blocks, member, side="right")) - 1
        pooled = own[fitted.blocks[pool] : fitted.blocks[pool + 1]]
        gradient[pooled] = weight * (x1 - x0) / (above - below) / len(pooled)
    return float(x0 + share * (x1 - x0)), gradient
