"""Detects saturated versions, which are excluded from all slope fits."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import frontier
from selfplay.scaling.frontier import Frontier
from selfplay.scaling.rated_versions import RatedVersions

NEAR_PERFECT_ELO = 50.0  # Jones (2021) calls this far below perfect play nearly perfect


def has_reached(points: RatedVersions, level: float) -> NDArray[np.bool_]:
    """Marks the versions, bool[N], whose recipe's mean curve has reached `level` Elo by then.

    Raises:
        InsufficientData: as `frontier.on_frontier`.
    """
    curves, recipe = frontier.mean_curves(points)
    above, spent = curves[recipe, np.arange(len(points))] >= level, points.training
    first = np.array(
        [min(spent[above & (recipe == index)], default=np.inf) for index in range(len(curves))]
    )
    return spent >= first[recipe]


def not_saturated(
    points: RatedVersions, frontiers: Mapping[float, Frontier | None], perfect: bool
) -> tuple[NDArray[np.bool_], str]:
    """Marks the versions that still improve, and says which ones do not.

    A version is saturated once the mean curve of its recipe has come within the plateau's interval,
    or within `NEAR_PERFECT_ELO` of the plateau; each recipe gets there at its own compute. If
    perfect play is at 0 Elo, a budget is also saturated if all its versions are about that good and
    their slope may be 0.

    Args:
        points: versions of all budgets.
        frontiers: search budget → its frontier; None if it could not be fitted.
        perfect: True = perfect play is at 0 Elo.

    Returns:
        bool[N], True = not saturated (all True if otherwise none would be left), and a sentence
        about the others, which is "" without any.
    """
    budgets, notes = points.require("simulations"), []
    improving = np.ones(len(points), bool)
    for budget, frontier_fit in frontiers.items():
        at_budget = budgets == budget
        if frontier_fit is None:
            continue
        bend, slope = frontier_fit.change_point_fit, frontier_fit.slope
        if bend is not None:
            level = float(min(bend.plateau.low, bend.plateau.value - NEAR_PERFECT_ELO))
            improving[at_budget] = ~has_reached(points.select(at_budget), level)
            share = f"{(at_budget & ~improving).sum()} of {at_budget.sum()}"
            notes.append(f"{share} at {budget:g} simulations, where it begins at {level:+.0f} Elo")
        elif perfect and slope.low <= 0 and points.elo[at_budget].mean() >= -NEAR_PERFECT_ELO:
            improving[at_budget] = False
            notes.append(f"all at {budget:g} simulations")
    if not notes or not improving.any():
        return np.ones(len(points), bool), ""
    missing = sorted(set(points.recipe.tolist()) - set(points.recipe[improving].tolist()))
    notes += [f"with them all of {', '.join(missing)}"] if missing else []
    return improving, f"Versions on a plateau are left out: {'; '.join(notes)}."
