"""Compute multipliers: how many OOMs of training a better recipe, or search, saves at equal Elo."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.estimate import Estimate, Floats, InsufficientData, format_factor
from selfplay.scaling.rated_versions import Labels, RatedVersions
from selfplay.scaling.regression import regress


@dataclass(frozen=True, eq=False)
class Multiplier:
    """What B saves against A.

    Attributes:
        a: who is compared with,
        b: whom.
        ooms: of training FLOPs that B saves at equal Elo; above 0: B is the better one.
        slope: Elo per OOM of training, of both.
        p_parallel: float[...]: the p-value of equal slopes. Where it is small, what B saves changes
            with compute, and `ooms` holds in the middle of the data only.
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
    """Says how many times the training of `a` it is that `b` takes, if it saves these OOMs."""
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


def between(points: RatedVersions, a: str, b: str) -> Multiplier:
    """What recipe `b` saves against recipe `a`.

    Raises:
        InsufficientData: a recipe that no version has, FLOPs that are not known or do not differ,
            or a recipe with a single run.
    """
    return _compare(points, points.recipe, a, b)


def search_multiplier(points: RatedVersions, budget: str, low: float, high: float) -> Multiplier:
    """What more search adds to the same networks, in OOMs of training.

    Args:
        points: of which only networks that were rated at both budgets count.
        budget: the covariate that tells them, such as "simulations".
        low: the smaller budget; 0 for the raw network.
        high: the larger one.

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


def _compare(points: RatedVersions, labels: Labels, a: str, b: str) -> Multiplier:
    """Two parallel lines, Elo = α_r + β log10 C: their distance along C is (α_b - α_a) / β."""
    for name in (a, b):
        if name not in labels:
            choices = ", ".join(sorted(map(str, set(labels))))
            raise InsufficientData(f"no version is of {name!r}; choose from {choices}")
    taken: NDArray[np.bool_] = (labels == a) | (labels == b)
    points, is_b = points.select(taken), (labels[taken] == b).astype(float)
    spent = points.require("training")
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
