"""Incline and plateau: Jones's change-point model, and the test for whether there is a plateau.

Jones (2021) describes the strength on boards of size b after C FLOPs of training by

    Elo = min(incline · log10 C - m · b + offset,  -p · b + level)

with five parameters; three on a single board. Given which versions stand on the incline, these are
two regressions. The fit goes through the partitions that a change point could make and keeps the
one whose model, minimum included, is closest to the ratings (Hudson 1966). Intervals are those of
the regressions on it: as the minimum is continuous, a version on the wrong side of the change point
is one near it, and moves little.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, InsufficientData, stack
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import regress

LEVEL = 0.05  # of the test
KNOTS = (0.25, 0.5, 0.75)  # of the range of log10 FLOPs: where the test lets the line bend
STEPS = 25  # of the change point's grid, at either end of the covariate's range
ENDS = ("value", "low", "high")
SPREAD = 0.1  # the share of the range of log10 FLOPs that an incline has at least

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ChangePointFit:
    """Jones's parameters, and what follows from them. What belongs to a covariate may be None.

    Attributes:
        slope: Elo per OOM of training, on the incline.
        plateau: Elo on the plateau, at the covariate's mean.
        change_point: log10 FLOPs at which the plateau begins, at the covariate's mean.
        offset: Elo of the incline at 1 FLOP, at covariate 0.
        level: Elo of the plateau at covariate 0.
        slope_cost: Elo lost per unit of the covariate on the incline: m.
        plateau_cost: Elo lost per unit of the covariate on the plateau: p.
        delay: OOMs of training by which the plateau begins later per unit of the covariate.
        on_slope: bool[N], True = on the incline.
    """

    slope: Estimate
    plateau: Estimate
    change_point: Estimate
    offset: Estimate
    level: Estimate
    slope_cost: Estimate | None
    plateau_cost: Estimate | None
    delay: Estimate | None
    on_slope: Mask

    def __str__(self) -> str:
        at = self.change_point
        where = f"10^{float(at.value):.2f} FLOPs"
        if at.bounded:
            where += f" (10^{float(at.low):.2f} to 10^{float(at.high):.2f})"
        return f"{self.slope} until {where}, then a plateau at {self.plateau}"


@dataclass(frozen=True, eq=False)
class SaturationTest:
    """Whether strength grows more slowly at the end.

    Attributes:
        p_value: float[...], of one straight line; Bonferroni's, over the places of `KNOTS`.
        knot: float[...]: log10 FLOPs behind which the slope falls most surely.
        change: by how much the slope changes there, Elo per OOM.
    """

    p_value: Floats
    knot: Floats
    change: Estimate

    @property
    def significant(self) -> Mask:
        """bool[...], True = the line bends down, at the level of 5 %."""
        return self.p_value < LEVEL

    def __str__(self) -> str:
        if not self.significant:
            return f"no saturation in sight (p = {float(self.p_value):.2g})"
        return (
            f"saturates: beyond 10^{float(self.knot):.1f} FLOPs the slope changes by "
            f"{self.change} (p = {float(self.p_value):.2g})"
        )


def saturation_test(points: RatedVersions, covariate: str | None = None) -> SaturationTest:
    """Test whether the slope of Elo against log10 training FLOPs falls.

    A line that may bend at a fixed place is a regression, so the test keeps its level whatever the
    truth; three places share it. With a covariate, places are within the range of each value of it.

    Raises:
        InsufficientData: too few versions for a bent line, unknown values, or a single run.
    """
    spent = points.require("training")
    x, z = spent - spent.mean(), _covariate(points, covariate)
    low, high = np.zeros_like(x), np.zeros_like(x)
    for value in np.unique(z[:, 0]) if z.shape[1] else [None]:
        own = np.ones(len(x), bool) if value is None else z[:, 0] == value
        low[own], high[own] = x[own].min(), x[own].max()
    bends, tests = [], []
    for share in KNOTS:
        place = low + share * (high - low)
        columns = np.column_stack([np.ones_like(x), x, z, np.maximum(x - place, 0)])
        change = regress(points, columns).contrast(
            points.elo, [*np.zeros(columns.shape[1] - 1), 1], "Elo per OOM of training"
        )
        bends.append((float(place.mean() + spent.mean()), change))
        tests.append(change.p_below(0.0))
    p_values = np.stack(tests)  # [hinges, ...]
    best = np.argmin(p_values, axis=0)

    def chosen(values: list[Floats]) -> Floats:
        return np.choose(best, [np.asarray(value) for value in values])

    numbers = {name: chosen([getattr(bend, name) for _, bend in bends]) for name in NUMBERS}
    change = Estimate(**numbers, unit="Elo per OOM of training")
    places = chosen([np.full(best.shape, place) for place, _ in bends])
    return SaturationTest(np.minimum(1, len(KNOTS) * p_values.min(axis=0)), places, change)


def fit(points: RatedVersions, covariate: str | None = None) -> ChangePointFit:
    """The change-point model; with a covariate (Jones: the board's size) its five parameters.

    Ask `saturation_test` first: without a plateau in the data the change point means nothing.

    Raises:
        InsufficientData: no place for a change point, unknown values, or a single run.
    """
    spent = points.require("training")
    z = _covariate(points, covariate)
    elo = points.elo.reshape(-1, len(points))
    best = _closest(elo, spent - spent.mean(), z - z.mean(axis=0), points.run_index)
    if points.elo.ndim == 1:
        return _given(points, best[0], spent, z)
    partitions, which = np.unique(best, axis=0, return_inverse=True)
    parts = []
    for at, below in enumerate(partitions):
        own = which.ravel() == at
        parts.append((own, _given(replace(points, elo=elo[own]), below, spent, z)))
    return _together(parts, points.elo.shape[:-1], best)


def curve(points: RatedVersions, found: ChangePointFit, training: Floats) -> Estimate:
    """Elo of a fit without a covariate at `training` float[M], with intervals of the mean.

    The model is the lesser of two lines, and so are the interval's ends.
    """
    spent = points.require("training")
    middle = spent.mean()
    steep, flat = _columns(spent - middle, np.zeros((len(spent), 0)), found.on_slope)
    fitted = regress(points, np.column_stack([steep, flat]))
    top = fitted.contrast(points.elo, [0, 0, 1], "Elo")
    rising = stack([fitted.contrast(points.elo, [1, x - middle, 0], "Elo") for x in training])
    ends = {name: np.minimum(getattr(rising, name), getattr(top, name)) for name in ENDS}
    return replace(rising, **ends)


def _covariate(points: RatedVersions, name: str | None) -> Floats:
    """float[N, 1], or [N, 0] without one."""
    return points.require(name)[:, None] if name else np.zeros((len(points), 0))


def _partitions(x: Floats, z: Floats, run: Ints) -> Iterator[Mask]:
    """bool[N], True = on the incline: what change points on a line over the covariate can make.

    Either side is fitted without any one of the runs, too: an interval needs that.
    """
    if z.shape[1]:
        first, last = (z[:, 0] == end for end in (z.min(), z.max()))
        share = (z[:, 0] - z.min()) / max(np.ptp(z), 1e-300)
        at_first, at_last = (
            np.linspace(x[end].min(), x[end].max(), STEPS) for end in (first, last)
        )
        places = [a + (b - a) * share for a in at_first for b in at_last]
    else:
        places = [np.full(len(x), value) for value in np.unique(x)]
    for below in np.unique(np.stack([x <= place for place in places]), axis=0):
        steep, flat = _columns(x, z, below)
        if (
            _spread(x[below], z[below]) > SPREAD * _spread(x, z)
            and _stands(steep[below], run[below])
            and _stands(flat[~below], run[~below])
        ):
            yield below


def _spread(x: Floats, z: Floats) -> float:
    """The range of log10 FLOPs at equal covariates; 0 for none."""
    if not len(x):
        return 0.0
    level = np.column_stack([np.ones_like(x), z])
    return float(np.ptp(x - level @ np.linalg.pinv(level) @ x))


def _stands(columns: Floats, run: Ints) -> bool:
    """Whether a regression can do without any one of the runs."""
    return len(run) > 0 and all(
        np.linalg.matrix_rank(columns[run != one]) == columns.shape[1] for one in set(run)
    )


def _columns(x: Floats, z: Floats, below: Mask) -> tuple[Floats, Floats]:
    """The incline's columns float[N, 2 + z], 0 above it, and the plateau's float[N, 1 + z]."""
    ones = np.ones_like(x)
    steep, flat = np.column_stack([ones, x, z]), np.column_stack([ones, z])
    return steep * below[:, None], flat * ~below[:, None]


def _closest(elo: Floats, x: Floats, z: Floats, run: Ints) -> Mask:
    """bool[R, N]: the partition of the fit with the smallest squares, for each of elo [R, N]."""
    least = np.full(len(elo), np.inf)
    best = np.zeros(elo.shape, bool)
    everywhere = np.ones(len(x), bool), np.zeros(len(x), bool)
    on_incline, on_plateau = (_columns(x, z, e)[k] for k, e in enumerate(everywhere))
    for below in _partitions(x, z, run):
        steep, flat = _columns(x, z, below)
        rising = elo @ np.linalg.pinv(steep).T @ on_incline.T
        level = elo @ np.linalg.pinv(flat).T @ on_plateau.T
        squares = np.square(elo - np.minimum(rising, level)).sum(axis=1)
        better = squares < least
        least = np.where(better, squares, least)
        best[better] = below
    if not np.isfinite(least).all():
        raise InsufficientData(
            f"{len(x)} versions leave no place for a change point: an incline takes two levels of "
            "training or more, and a plateau one, on each board"
        )
    return best


def _given(points: RatedVersions, below: Mask, spent: Floats, z: Floats) -> ChangePointFit:
    """The two regressions, and what follows from them."""
    middle, mean = spent.mean(), z.mean(axis=0)
    steep, flat = _columns(spent - middle, z - mean, below)
    fitted, elo = regress(points, np.column_stack([steep, flat])), points.elo
    at, slope, *costs = np.eye(steep.shape[1] + flat.shape[1])
    size = z.shape[1]
    cost, top, top_cost = costs[:size], costs[size], costs[size + 1 :]
    offset = at - middle * slope - sum(m * c for m, c in zip(mean, cost, strict=True))
    level = top - sum(m * c for m, c in zip(mean, top_cost, strict=True))
    lost = "Elo per unit"
    one = size == 1
    return ChangePointFit(
        slope=fitted.contrast(elo, slope, "Elo per OOM of training"),
        plateau=fitted.contrast(elo, top, "Elo"),
        change_point=fitted.ratio(elo, top - at + middle * slope, slope, "log10 FLOPs"),
        offset=fitted.contrast(elo, offset, "Elo"),
        level=fitted.contrast(elo, level, "Elo"),
        slope_cost=fitted.contrast(elo, -cost[0], lost) if one else None,
        plateau_cost=fitted.contrast(elo, -top_cost[0], lost) if one else None,
        delay=fitted.ratio(elo, top_cost[0] - cost[0], slope, "OOMs per unit") if one else None,
        on_slope=below,
    )


def _together(
    parts: list[tuple[Mask, ChangePointFit]], batch: tuple[int, ...], below: Mask
) -> ChangePointFit:
    """Fits of parts of a batch as the fit of the batch."""

    def joined(name: str) -> Estimate | None:
        if getattr(parts[0][1], name) is None:
            return None
        columns = {field: np.empty(len(below)) for field in NUMBERS}
        for own, part in parts:
            for field, column in columns.items():
                column[own] = getattr(getattr(part, name), field)
        shaped = {field: column.reshape(batch) for field, column in columns.items()}
        return Estimate(**shaped, unit=getattr(parts[0][1], name).unit)

    names = [field.name for field in fields(ChangePointFit) if field.name != "on_slope"]
    whole: dict[str, Any] = {name: joined(name) for name in names}
    return ChangePointFit(**whole, on_slope=below.reshape(*batch, -1))
