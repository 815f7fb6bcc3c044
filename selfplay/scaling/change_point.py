"""Jones's change-point model of incline and plateau, and the test for saturation.

Jones (2021) describes the strength on boards of size b after C FLOPs of training by

    Elo = min(incline · log10 C - m · b + offset,  -p · b + level)

with five parameters, or three on a single board. If it is known which versions are on the incline,
these are two regressions. The fit tries the partitions that a change point could make and keeps the
one whose model, minimum included, is closest to the ratings (Hudson 1966). The intervals are those
of the regressions on that partition: the minimum is continuous, so a version on the wrong side of
the change point is close to it and changes little.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, InsufficientData, stack
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import regress
from selfplay.style.powers_of_ten import power

LEVEL = 0.05  # significance level of the saturation test
KNOTS = (0.25, 0.5, 0.75)  # where the test lets the line bend, as fractions of the range of x
STEPS = 25  # change points tried at either end of the covariate's range
ENDS = ("value", "low", "high")
MIN_INCLINE = 0.1  # the least fraction of the range of log10 FLOPs that an incline covers

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ChangePointFit:
    """Jones's parameters and what follows from them; a covariate's are None without one.

    Attributes:
        slope: Elo per OOM of training, on the incline.
        plateau: Elo on the plateau, at the covariate's mean.
        change_point: log10 FLOPs at which the plateau begins, at the covariate's mean.
        offset: Elo of the incline at 1 FLOP, at covariate 0.
        level: Elo of the plateau at covariate 0.
        slope_cost: Elo lost per unit of the covariate on the incline, Jones's m.
        plateau_cost: Elo lost per unit of the covariate on the plateau, Jones's p.
        delay: OOMs of training by which the plateau begins later, per unit of the covariate.
        on_slope: bool[..., N], True = the version is on the incline.
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
        where = f"{power(float(at.value))} FLOPs"
        if at.bounded:
            where += f" ({power(float(at.low))} to {power(float(at.high))})"
        return f"{self.slope} until {where}, then a plateau at {self.plateau}"


@dataclass(frozen=True, eq=False)
class SaturationTest:
    """A test of whether strength grows more slowly at the end.

    Attributes:
        p_value: float[...], of a straight line; Bonferroni-corrected over `KNOTS`.
        knot: float[...]: log10 FLOPs beyond which the slope falls most significantly.
        change: the change of the slope there, Elo per OOM.
    """

    p_value: Floats
    knot: Floats
    change: Estimate

    @property
    def significant(self) -> Mask:
        """True = the line bends down, at the 5 % level, bool[...]."""
        return self.p_value < LEVEL

    def __str__(self) -> str:
        if not self.significant:
            return f"no saturation in sight (p = {float(self.p_value):.2g})"
        return (
            f"saturates: beyond {power(float(self.knot), 1)} FLOPs the slope changes by "
            f"{self.change} (p = {float(self.p_value):.2g})"
        )


def saturation_test(points: RatedVersions, covariate: str | None = None) -> SaturationTest:
    """Tests whether the slope of Elo against log10 training FLOPs falls.

    A line that may bend at a fixed knot is a regression, so the test keeps its level. The knots
    share the level. With a covariate, they are fractions of the range at each of its values.

    Raises:
        InsufficientData: there are too few versions for a bent line, unknown values, or a single
            run.
    """
    spent = points.require("training")
    x, z = spent - spent.mean(), _covariate(points, covariate)
    low, high = np.zeros_like(x), np.zeros_like(x)
    for value in np.unique(z[:, 0]) if z.shape[1] else [None]:
        same = np.ones(len(x), bool) if value is None else z[:, 0] == value
        low[same], high[same] = x[same].min(), x[same].max()
    bends, tests = [], []
    for fraction in KNOTS:
        knot = low + fraction * (high - low)
        columns = np.column_stack([np.ones_like(x), x, z, np.maximum(x - knot, 0)])
        change = regress(points, columns).contrast(
            points.elo, [*np.zeros(columns.shape[1] - 1), 1], "Elo per OOM of training"
        )
        bends.append((float(knot.mean() + spent.mean()), change))
        tests.append(change.p_below(0.0))
    p_values = np.stack(tests)  # [knots, ...]
    best = np.argmin(p_values, axis=0)

    def chosen(values: list[Floats]) -> Floats:
        return np.choose(best, [np.asarray(value) for value in values])

    numbers = {name: chosen([getattr(bend, name) for _, bend in bends]) for name in NUMBERS}
    change = Estimate(**numbers, unit="Elo per OOM of training")
    knots = chosen([np.full(best.shape, knot) for knot, _ in bends])
    return SaturationTest(np.minimum(1, len(KNOTS) * p_values.min(axis=0)), knots, change)


def fit(points: RatedVersions, covariate: str | None = None) -> ChangePointFit:
    """Fits the change-point model, with a covariate (Jones: the board's size) all five parameters.

    Run `saturation_test` first: without a plateau in the data the change point is meaningless.

    Raises:
        InsufficientData: the versions leave no place for a change point, values are unknown, or
            there is a single run.
    """
    spent = points.require("training")
    z = _covariate(points, covariate)
    elo = points.elo.reshape(-1, len(points))
    best = _closest(elo, spent - spent.mean(), z - z.mean(axis=0), points.run_index)
    if points.elo.ndim == 1:
        return _fit_partition(points, best[0], spent, z)
    partitions, which = np.unique(best, axis=0, return_inverse=True)
    parts = []
    for index, on_slope in enumerate(partitions):
        replicates = which.ravel() == index
        part = _fit_partition(replace(points, elo=elo[replicates]), on_slope, spent, z)
        parts.append((replicates, part))
    return _merge(parts, points.elo.shape[:-1], best)


def curve(points: RatedVersions, bend: ChangePointFit, training: Floats) -> Estimate:
    """Evaluates a fit without a covariate at `training` float[M]: mean Elo with its intervals.

    The model is the minimum of two lines, and so are the ends of the intervals.
    """
    spent = points.require("training")
    middle = spent.mean()
    steep, flat = _columns(spent - middle, np.zeros((len(spent), 0)), bend.on_slope)
    fitted = regress(points, np.column_stack([steep, flat]))
    top = fitted.contrast(points.elo, [0, 0, 1], "Elo")
    rising = stack([fitted.contrast(points.elo, [1, x - middle, 0], "Elo") for x in training])
    ends = {name: np.minimum(getattr(rising, name), getattr(top, name)) for name in ENDS}
    return replace(rising, **ends)


def _covariate(points: RatedVersions, name: str | None) -> Floats:
    """Returns the covariate as columns float[N, 1], or [N, 0] without one."""
    return points.require(name)[:, None] if name else np.zeros((len(points), 0))


def _partitions(x: Floats, z: Floats, run: Ints) -> Iterator[Mask]:
    """Yields masks bool[N], True = on the incline, that change points linear in z can make.

    Skips partitions that a regression cannot fit without any one of the runs, because an interval
    needs that.
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
    for on_slope in np.unique(np.stack([x <= place for place in places]), axis=0):
        steep, flat = _columns(x, z, on_slope)
        if (
            _spread(x[on_slope], z[on_slope]) > MIN_INCLINE * _spread(x, z)
            and _identifiable_without_any_run(steep[on_slope], run[on_slope])
            and _identifiable_without_any_run(flat[~on_slope], run[~on_slope])
        ):
            yield on_slope


def _spread(x: Floats, z: Floats) -> float:
    """Computes the range of log10 FLOPs at equal covariates; 0 without versions."""
    if not len(x):
        return 0.0
    level = np.column_stack([np.ones_like(x), z])
    return float(np.ptp(x - level @ np.linalg.pinv(level) @ x))


def _identifiable_without_any_run(columns: Floats, run: Ints) -> bool:
    """Checks that the columns keep their full rank if any one run is left out."""
    return len(run) > 0 and all(
        np.linalg.matrix_rank(columns[run != index]) == columns.shape[1] for index in set(run)
    )


def _columns(x: Floats, z: Floats, on_slope: Mask) -> tuple[Floats, Floats]:
    """Builds the design of the incline, float[N, 2 + z], and of the plateau, float[N, 1 + z].

    A version's row is 0 in the design that it does not belong to.
    """
    ones = np.ones_like(x)
    steep, flat = np.column_stack([ones, x, z]), np.column_stack([ones, z])
    return steep * on_slope[:, None], flat * ~on_slope[:, None]


def _closest(elo: Floats, x: Floats, z: Floats, run: Ints) -> Mask:
    """Finds the partition bool[R, N] with the smallest sum of squares for each of elo [R, N]."""
    least = np.full(len(elo), np.inf)
    best = np.zeros(elo.shape, bool)
    everywhere = np.ones(len(x), bool), np.zeros(len(x), bool)
    on_incline, on_plateau = (_columns(x, z, e)[k] for k, e in enumerate(everywhere))
    for on_slope in _partitions(x, z, run):
        steep, flat = _columns(x, z, on_slope)
        rising = elo @ np.linalg.pinv(steep).T @ on_incline.T
        level = elo @ np.linalg.pinv(flat).T @ on_plateau.T
        squares = np.square(elo - np.minimum(rising, level)).sum(axis=1)
        better = squares < least
        least = np.where(better, squares, least)
        best[better] = on_slope
    if not np.isfinite(least).all():
        raise InsufficientData(
            f"{len(x)} versions leave no place for a change point: on each board, an incline takes "
            "at least two levels of training, and a plateau one"
        )
    return best


def _fit_partition(
    points: RatedVersions, on_slope: Mask, spent: Floats, z: Floats
) -> ChangePointFit:
    """Fits both regressions of a partition, and derives all parameters."""
    middle, mean = spent.mean(), z.mean(axis=0)
    steep, flat = _columns(spent - middle, z - mean, on_slope)
    fitted, elo = regress(points, np.column_stack([steep, flat])), points.elo
    at, slope, *costs = np.eye(steep.shape[1] + flat.shape[1])
    size = z.shape[1]
    cost, top, top_cost = costs[:size], costs[size], costs[size + 1 :]
    offset = at - middle * slope - sum(m * c for m, c in zip(mean, cost, strict=True))
    level = top - sum(m * c for m, c in zip(mean, top_cost, strict=True))
    per_unit = "Elo per unit"
    has_cost = size == 1
    return ChangePointFit(
        slope=fitted.contrast(elo, slope, "Elo per OOM of training"),
        plateau=fitted.contrast(elo, top, "Elo"),
        change_point=fitted.ratio(elo, top - at + middle * slope, slope, "log10 FLOPs"),
        offset=fitted.contrast(elo, offset, "Elo"),
        level=fitted.contrast(elo, level, "Elo"),
        slope_cost=fitted.contrast(elo, -cost[0], per_unit) if has_cost else None,
        plateau_cost=fitted.contrast(elo, -top_cost[0], per_unit) if has_cost else None,
        delay=fitted.ratio(elo, top_cost[0] - cost[0], slope, "OOMs per unit")
        if has_cost
        else None,
        on_slope=on_slope,
    )


def _merge(
    parts: list[tuple[Mask, ChangePointFit]], batch: tuple[int, ...], on_slope: Mask
) -> ChangePointFit:
    """Merges the fits of parts of a batch, each with its mask over replicates, into one."""

    def merged(name: str) -> Estimate | None:
        first = getattr(parts[0][1], name)
        if first is None:
            return None
        columns = {field: np.empty(len(on_slope)) for field in NUMBERS}
        for replicates, part in parts:
            for field, column in columns.items():
                column[replicates] = getattr(getattr(part, name), field)
        shaped = {field: column.reshape(batch) for field, column in columns.items()}
        return Estimate(**shaped, unit=first.unit)

    names = [field.name for field in fields(ChangePointFit) if field.name != "on_slope"]
    estimates = {name: merged(name) for name in names}
    return replace(parts[0][1], on_slope=on_slope.reshape(*batch, -1), **estimates)
