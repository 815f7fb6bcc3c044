"""Compute to reach a strength: the least training with which a recipe plays at a given Elo.

A run's strength is assumed not to fall: isotonic regression pools versions whose ratings fall, and
straight lines over log10 FLOPs connect the pools. A run's threshold is where this curve crosses the
given Elo. Its derivatives by the ratings are known, so the covariance of the ratings gives one of
the thresholds, and their mean over the runs of a recipe gets an interval like all other estimates.
No shape of the curve is assumed, so a plateau just above the level does not bias the threshold.

Jones (2021) reports it at 50 Elo below perfect play.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import regress
from selfplay.style.powers_of_ten import power

UNIT = "log10 FLOPs of training"


@dataclass(frozen=True, eq=False)
class Threshold:
    """The least training that reaches a strength, over recipes.

    Attributes:
        elo: the strength.
        recipe: the recipe with the least training, in the mean over its runs.
        training: that mean, log10 FLOPs.
        recipes_that_fall_short: recipe → how many of its runs do not reach the strength; these
            recipes are not compared.
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
            f"{power(float(t.value))} FLOPs ({power(low)} to {power(high)})"
        )
        if self.recipes_that_fall_short:
            count = len(self.recipes_that_fall_short)
            text += f"; of {count} other recipes not every run gets there"
        return text


def fit(points: RatedVersions, elo: float) -> Threshold:
    """Estimates the least training that reaches a strength, for versions of one search budget.

    The recipe is selected by the same runs that are averaged, so among several equally good recipes
    the estimate is that of the luckiest.

    Raises:
        InsufficientData: no recipe reaches the strength with all its runs, a run is there in its
            first version, FLOPs are unknown, or there is a single run.
        ValueError: the ratings are a batch.
    """
    spent = points.require_single().require("training")
    thresholds: dict[str, Estimate] = {}
    short: dict[str, int] = {}
    for recipe in dict.fromkeys(points.recipe.tolist()):
        versions = points.select(points.recipe == recipe)
        count = sum(_curve(versions, run).elo[-1] < elo for run in versions.runs)
        if count:
            short[recipe] = count
        else:
            thresholds[recipe] = _mean(versions, elo)
    if not thresholds:
        raise InsufficientData(
            f"no recipe gets to {elo:+.0f} Elo with all its runs, by {power(spent.max(), 1)} FLOPs"
        )
    best = min(thresholds, key=lambda recipe: float(thresholds[recipe].value))
    return Threshold(elo, best, thresholds[best], short)


def _mean(points: RatedVersions, elo: float) -> Estimate:
    """Averages the thresholds of one recipe's runs."""
    crossings = [_crossing(points, run, elo) for run in points.runs]
    gradient = np.stack([slope for _, slope in crossings])  # [runs, N]
    covariance = gradient @ points.covariance @ gradient.T
    means = RatedVersions.of(
        [at for at, _ in crossings], (covariance + covariance.T) / 2, points.runs
    )
    return regress(means, np.ones((len(means), 1))).contrast(means.elo, [1.0], UNIT)


class _Curve(NamedTuple):
    """A run's strength as it does not fall, over n versions in P pools of equal strength."""

    versions: Ints  # [n], indices of the run's versions by training
    elo: Floats  # [n], not falling
    pools: Ints  # [P + 1], where each pool begins among the n versions; the last is n


def _curve(points: RatedVersions, run: str) -> _Curve:
    """Fits a run's strength by isotonic regression on its versions, ordered by training."""
    versions = np.flatnonzero(points.run == run)
    versions = versions[np.argsort(points.training[versions], kind="stable")]
    fitted = isotonic_regression(points.elo[versions])
    return _Curve(versions, fitted.x, fitted.blocks)


def _crossing(points: RatedVersions, run: str, elo: float) -> tuple[float, Floats]:
    """Computes a run's threshold, and its derivatives by all ratings, float[N]."""
    versions, strengths, pools = _curve(points, run)
    after = int(np.searchsorted(strengths, elo))  # the first version that reaches it
    if not after:
        raise InsufficientData(
            f"run {run!r} is at {elo:+.0f} Elo in its first version, at "
            f"{power(float(points.training[versions[0]]))} FLOPs: rate more of them"
        )
    below, above = strengths[after - 1], strengths[after]
    x0, x1 = points.training[versions[after - 1]], points.training[versions[after]]
    share = (elo - below) / (above - below)
    gradient = np.zeros(len(points))
    for member, weight in ((after - 1, share - 1), (after, -share)):
        pool = int(np.searchsorted(pools, member, side="right")) - 1
        pooled = versions[pools[pool] : pools[pool + 1]]
        gradient[pooled] = weight * (x1 - x0) / (above - below) / len(pooled)
    return float(x0 + share * (x1 - x0)), gradient
