"""What stands on a plateau: no line of any question goes through it."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import frontier
from selfplay.scaling.frontier import Frontier
from selfplay.scaling.rated_versions import RatedVersions

NEAR_PERFECT_ELO = 50.0  # Elo; so much below perfect play Jones (2021) calls nearly perfect


def has_reached(points: RatedVersions, level: float) -> NDArray[np.bool_]:
    """bool[N], True = its recipe's mean has been at `level` Elo by then.

    Raises:
        InsufficientData: as `frontier.on_frontier`.
    """
    curves, recipe = frontier.mean_curves(points)
    there, spent = curves[recipe, np.arange(len(points))] >= level, points.training
    since = np.array(
        [min(spent[there & (recipe == own)], default=np.inf) for own in range(len(curves))]
    )
    return spent >= since[recipe]


def not_saturated(
    points: RatedVersions, found: Mapping[float, Frontier | None], perfect: bool
) -> tuple[NDArray[np.bool_], str]:
    """bool[N], True = on no plateau; and a sentence about the others, if there are any.

    A version is on a plateau from where its own recipe's mean has come within the plateau's
    interval, or within `NEAR_PERFECT_ELO` of it: recipes get there at their own time. Where perfect play is
    at 0, a budget at which all are about as good as that from the beginning is a plateau, too.

    Args:
        points: of all budgets.
        found: search budget → its frontier.
        perfect: True = perfect play is at 0 Elo.
    """
    budgets, said = points.require("simulations"), []
    kept = np.ones(len(points), bool)
    for budget, one in found.items():
        own = budgets == budget
        if one is None:
            continue
        if one.change_point_fit is not None:
            top = one.change_point_fit.plateau
            level = float(min(top.low, top.value - NEAR_PERFECT_ELO))
            kept[own] = ~has_reached(points.select(own), level)
            share = f"{(own & ~kept).sum()} of {own.sum()}"
            said.append(f"{share} at {budget:g} simulations, where it begins at {level:+.0f} Elo")
        elif perfect and one.slope.low <= 0 and points.elo[own].mean() >= -NEAR_PERFECT_ELO:
            kept[own] = False
            said.append(f"all at {budget:g} simulations")
    if not said or not kept.any():
        return np.ones(len(points), bool), ""
    gone = sorted(set(points.recipe.tolist()) - set(points.recipe[kept].tolist()))
    said += [f"with them all of {', '.join(gone)}"] if gone else []
    return kept, f"Versions on a plateau are left out: {'; '.join(said)}."
