"""Curves of Elo against training, read at equal training FLOPs by linear interpolation.

A run's Elo at a level of training is a weighted sum of the ratings of the two versions around it.
So with the matrix W of these weights the Elo of all runs is W·elo, and the covariance W·Σ·Wᵀ.
"""

import numpy as np
from numpy.typing import ArrayLike

from selfplay.scaling.estimate import Floats, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions

TOLERANCE = 0.01  # OOMs: the lengths of two seeds of a recipe differ by less


def interpolated(points: RatedVersions, level: ArrayLike) -> Floats:
    """Computes the weights float[..., R, N] that give each run's Elo at levels of training.

    A run is interpolated between its versions, and never extrapolated: up to `TOLERANCE` before its
    first version and behind its last one the nearest version stands for it, and farther out its row
    is NaN.

    Args:
        points: versions of one search budget.
        level: float[...], log10 FLOPs of training.

    Raises:
        InsufficientData: training FLOPs that are not known, or several search budgets.
    """
    spent, index = points.require("training"), points.run_index
    check_one_budget(points)
    weights = np.zeros((*np.shape(level), len(points.runs), len(points)))
    for run in range(len(points.runs)):
        own = np.flatnonzero(index == run)
        shares = interpolation_weights(spent[own], level)
        weights[..., run, own] = shares
        weights[np.isnan(shares).any(axis=-1), run] = np.nan
    return weights


def interpolation_weights(x: Floats, level: ArrayLike) -> Floats:
    """Computes the weights float[..., n] of linear interpolation between n places on an axis.

    Up to `TOLERANCE` outside of their range the nearest place has all the weight; farther out the
    weights are NaN.

    Args:
        x: float[n], the places, in any order.
        level: float[...], where on the axis.
    """
    levels, order = np.asarray(level, float), np.argsort(x, kind="stable")
    weights = np.stack([np.interp(levels, x[order], one[order]) for one in np.eye(len(x))], axis=-1)
    weights[(levels < x.min() - TOLERANCE) | (levels > x.max() + TOLERANCE)] = np.nan
    return weights


def common_range(points: RatedVersions) -> tuple[float, float]:
    """Finds the training, log10 FLOPs, from which and up to which every run has rated versions.

    Where no training is common to all runs, the first number is above the second one. Runs that
    miss each other by at most `TOLERANCE` meet in the middle.

    Raises:
        InsufficientData: training FLOPs that are not known.
    """
    spent, index = points.require("training"), points.run_index
    count = len(points.runs)
    low = max(float(spent[index == run].min()) for run in range(count))
    high = min(float(spent[index == run].max()) for run in range(count))
    if high < low <= high + TOLERANCE:
        low = high = (low + high) / 2
    return low, high


def check_one_budget(points: RatedVersions) -> None:
    """Raises InsufficientData if a run has several versions at the same training."""
    spent, index = points.require("training"), points.run_index
    for run, name in enumerate(points.runs):
        amounts, count = np.unique(spent[index == run], return_counts=True)
        if (count > 1).any():
            raise InsufficientData(
                f"run {name!r} has {count.max()} versions at 10^{amounts[np.argmax(count)]:.3g} "
                "FLOPs of training: select one search budget"
            )
