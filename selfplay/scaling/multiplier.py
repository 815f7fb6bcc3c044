"""Compute multipliers: how many OOMs of training a recipe, or search, saves at equal Elo."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.estimate import Estimate, Floats, InsufficientData, format_factor
from selfplay.scaling.rated_versions import Labels, RatedVersions
from selfplay.scaling.regression import regress


@dataclass(frozen=True, eq=False)
class Multiplier:
    """The training that B saves against A at equal Elo.

    Attributes:
        a: the recipe or budget that is compared with.
        b: the recipe or budget that is compared.
        ooms: OOMs of training, in FLOPs or seconds, that B saves; positive = B is better.
        slope: Elo per OOM of training, common to both.
        p_parallel: float[...]: the p-value of equal slopes. If it is small, the saving changes with
            compute, and `ooms` holds only in the middle of the data.
    """

    a: str
    b: str
    ooms: Estimate
    slope: Estimate
    p_parallel: Floats

    def __str__(self) -> str:
        return sentence(self.a, self.b, self.ooms) + (self._differ if self.ooms.bounded else "")

    @property
    def _differ(self) -> str:
        p = float(self.p_parallel)
        return f"; their slopes differ (p = {p:.2g})" if p < 0.05 else ""


def sentence(a: str, b: str, ooms: Estimate) -> str:
    """Says how much training `b` takes compared with `a`, if it saves these OOMs."""
    if not ooms.bounded:
        return f"these data set no bound on what `{b}` saves against `{a}`"
    saved = (float(ooms.value), float(ooms.low), float(ooms.high))
    if saved[1] < 0 < saved[2]:
        value, high, low = (10.0**-x for x in saved)
        text = f"`{b}` takes {format_factor(value)} times the training of `{a}` for the same Elo"
        return f"{text} ({format_factor(low)} to {format_factor(high)} times)"
    less = "less" if saved[0] >= 0 else "more"
    value, *ends = (10.0 ** (x if saved[0] >= 0 else -x) for x in saved)
    return (
        f"`{b}` takes {format_factor(value)}x {less} training than `{a}` for the same Elo "
        f"({format_factor(min(ends))}x to {format_factor(max(ends))}x {less})"
    )


def between(points: RatedVersions, a: str, b: str, cost: str = "training") -> Multiplier:
    """Estimates the training that recipe `b` saves against recipe `a`.

    Args:
        points: rated versions.
        a: the recipe that is compared with.
        b: the recipe that is compared.
        cost: what training costs: "training" for FLOPs, or the covariate "seconds".

    Raises:
        InsufficientData: no version is of one of the recipes, the cost is unknown or does not
            differ, or a recipe has a single run.
    """
    return _compare(points, points.recipe, a, b, cost)


def search_multiplier(points: RatedVersions, budget: str, low: float, high: float) -> Multiplier:
    """Estimates the OOMs of training that more search is worth to the same networks.

    Args:
        points: rated versions; only networks that were rated at both budgets count.
        budget: the covariate that holds the budget, such as "simulations".
        low: the smaller budget; 0 for the raw network.
        high: the larger budget.

    Raises:
        InsufficientData: as `between`.
    """
    values, networks = points.require(budget), points.network_index
    both = set(networks[values == low]) & set(networks[values == high])
    if not both:
        raise InsufficientData(f"no network was rated at {low:g} and at {high:g} {budget}")
    points = points.select(np.isin(networks, list(both)))
    labels = np.array([f"{value:g} {budget}" for value in points.require(budget)])
    return _compare(points, labels, f"{low:g} {budget}", f"{high:g} {budget}")


def _compare(
    points: RatedVersions, labels: Labels, a: str, b: str, cost: str = "training"
) -> Multiplier:
    """Fits two parallel lines Elo = α_r + β log10 C, which are (α_b - α_a) / β apart along C."""
    for name in (a, b):
        if name not in labels:
            choices = ", ".join(sorted(map(str, set(labels))))
            raise InsufficientData(f"no version is of {name!r}; choose from {choices}")
    compared: NDArray[np.bool_] = (labels == a) | (labels == b)
    points, is_b = points.select(compared), (labels[compared] == b).astype(float)
    spent = points.require(cost)
    x = spent - spent.mean()
    both = np.stack([1 - is_b, is_b, x], axis=1)
    fitted = regress(points, both)
    crossing = regress(points, np.column_stack([both, x * is_b]))
    return Multiplier(
        a=a,
        b=b,
        ooms=fitted.ratio(points.elo, [-1, 1, 0], [0, 0, 1], "OOMs of training"),
        slope=fitted.contrast(points.elo, [0, 0, 1], "Elo per OOM of training"),
        p_parallel=crossing.contrast(points.elo, [0, 0, 0, 1], "Elo per OOM").p_equal(0.0),
    )
