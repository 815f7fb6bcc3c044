"""Interpolation of Elo against training, to compare runs at equal training FLOPs.

A run's Elo at a level of training is a weighted sum of the ratings of the two versions around it.
With W the matrix of these weights, the runs' Elo is W·elo and its covariance is W·Σ·Wᵀ.
"""

import numpy as np
from numpy.typing import ArrayLike

from selfplay.scaling.estimate import Floats, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions

TOLERANCE = 0.01  # OOMs; the lengths of two seeds of a recipe differ by less


def interpolated(points: RatedVersions, level: ArrayLike) -> Floats:
    """Computes the weights float[..., R, N] that give each run's Elo at levels of training.

    A run is interpolated between its versions and never extrapolated: up to `TOLERANCE` outside
    their range the nearest version has all the weight, and farther out the run's row is NaN.

    Args:
        points: versions of one search budget.
        level: float[...], log10 FLOPs of training.

    Raises:
        InsufficientData: training FLOPs are unknown, or there are several search budgets.
    """
    spent, index = points.require("training"), points.run_index
    check_one_budget(points)
    weights = np.zeros((*np.shape(level), len(points.runs), len(points)))
    for run in range(len(points.runs)):
        versions = np.flatnonzero(index == run)
        shares = interpolation_weights(spent[versions], level)
        weights[..., run, versions] = shares
        weights[np.isnan(shares).any(axis=-1), run] = np.nan
    return weights


def interpolation_weights(x: Floats, level: ArrayLike) -> Floats:
    """Computes the weights float[..., n] of linear interpolation between n points.

    Up to `TOLERANCE` outside their range the nearest point has all the weight; farther out the
    weights are NaN.

    Args:
        x: float[n], the points, in any order.
        level: float[...], where to interpolate.
    """
    levels, order = np.asarray(level, float), np.argsort(x, kind="stable")
    units = np.eye(len(x))
    weights = np.stack([np.interp(levels, x[order], unit[order]) for unit in units], axis=-1)
    weights[(levels < x.min() - TOLERANCE) | (levels > x.max() + TOLERANCE)] = np.nan
    return weights


def common_range(points: RatedVersions) -> tuple[float, float]:
    """Computes the range of training, log10 FLOPs, in which every run has rated versions.

    If runs miss each other by at most `TOLERANCE`, the range is the middle between them. If they
    miss each other by more, its low end is above its high end.

    Raises:
        InsufficientData: training FLOPs are unknown.
    """
    spent, index = points.require("training"), points.run_index
    count = len(points.runs)
    low = max(float(spent[index == run].min()) for run in range(count))
    high = min(float(spent[index == run].max()) for run in range(count))
    if high < low <= high + TOLERANCE:
        low = high = (low + high) / 2
    return low, high


def check_one_budget(points: RatedVersions) -> None:
    """Checks that no run has several versions at the same training.

    Raises:
        InsufficientData: a run has; a search budget must be selected.
    """
    spent, index = points.require("training"), points.run_index
    for run, name in enumerate(points.runs):
        amounts, count = np.unique(spent[index == run], return_counts=True)
        if (count > 1).any():
            raise InsufficientData(
                f"run {name!r} has {count.max()} versions at 10^{amounts[np.argmax(count)]:.3g} "
                "FLOPs of training: select one search budget"
            )
