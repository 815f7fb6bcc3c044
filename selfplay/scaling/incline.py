"""Selects the versions on the incline: slopes and multipliers are compared on these alone.

A floor and a plateau flatten every line through them, the more the earlier a recipe reaches them,
and at equal Elo a plateau says nothing about training. So each recipe's versions at each search
budget are divided into phases by the change points of their own curve, along training: choosing
versions by their Elo would choose those with lucky errors. Leaving out a version that belongs to
the incline costs little and biases nothing, so a bend counts here at `LEVEL`, not only where it is
certain.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import bends, learning_curve, slopes
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.partitions import FLOOR, INCLINE, PLATEAU
from selfplay.scaling.rated_versions import Ints, RatedVersions

LEVEL = 0.2  # significance level of a bend
NEAR_PERFECT_ELO = 50.0  # Jones (2021) calls this far below perfect play nearly perfect


def on_incline(points: RatedVersions, perfect: bool) -> tuple[NDArray[np.bool_], str]:
    """Marks the versions on the incline of their recipe and budget, and counts the others.

    Args:
        points: versions of all budgets.
        perfect: True = perfect play is at 0 Elo. A recipe that plays about that well at all its
            levels of training, and whose slope may be 0, is then on the plateau.

    Returns:
        bool[N], True = on the incline (all True if otherwise none would be left), and a sentence
        about the others, which is "" without any.
    """
    budgets, notes = points.require_single().require("simulations"), []
    phase = phases_of_recipes(points, perfect)
    for budget in np.unique(budgets):
        at_budget = phase[budgets == budget]
        before, beyond = (int((at_budget == which).sum()) for which in (FLOOR, PLATEAU))
        sides = [f"{before} before the take-off"] if before else []
        sides += [f"{beyond} on a plateau"] if beyond else []
        if sides:
            notes.append(f"{' and '.join(sides)} of {len(at_budget)} at {budget:g} simulations")
    rising = phase == INCLINE
    if not notes or not rising.any():
        return np.ones(len(points), bool), ""
    missing = sorted(set(points.recipe.tolist()) - set(points.recipe[rising].tolist()))
    notes += [f"with them all of {', '.join(missing)}"] if missing else []
    return rising, f"Versions off the incline are left out: {'; '.join(notes)}."


def phases_of_recipes(points: RatedVersions, perfect: bool = False) -> Ints:
    """Divides each recipe's versions at each budget into phases, int[..., N].

    Recipes with a single run, which do not show how much runs differ, share one curve.
    """
    phase = np.full(points.elo.shape, INCLINE)
    for chosen in _curves(points):
        phase[..., chosen] = _phases_of(points.select(chosen), perfect)
    return phase


def _curves(points: RatedVersions) -> Iterator[NDArray[np.bool_]]:
    """Yields masks bool[N] of the versions that share a curve."""
    budgets, recipe = points.require("simulations"), points.recipe
    for budget in np.unique(budgets):
        single = np.zeros(len(points), bool)
        for name in np.unique(recipe[budgets == budget]):
            chosen = (budgets == budget) & (recipe == name)
            if len(set(points.run[chosen])) > 1:
                yield chosen
            else:
                single |= chosen
        if single.any():
            yield single


def _phases_of(points: RatedVersions, perfect: bool) -> Ints:
    """Divides the versions of one curve, int[..., N]; all are on the incline if in doubt."""
    try:
        up, down = bends.take_off(points), bends.saturation(points)
        phase = learning_curve.choose_phases(points, up, down, LEVEL)
        level = points.elo.mean(axis=-1) >= -NEAR_PERFECT_ELO
        perfected = perfect & level & (slopes.per_training(points).low <= 0)
    except InsufficientData:
        return np.full(points.elo.shape, INCLINE)
    return np.where(perfected[..., None], PLATEAU, phase)
