"""Learning curves in up to three phases: floor, incline and plateau.

Near random play strength does not depend on training yet, and near perfect play it does not depend
on it any more. In between, Elo is a line over log10 of the FLOPs C of training:

    Elo = min(max(floor, incline · log10 C + offset), plateau)

without the floor, the plateau, or both if the versions do not show them; `bends` tests for that.
Jones (2021) describes the incline and the plateau on boards of size b by

    Elo = min(incline · log10 C - m · b + offset,  -p · b + level)

with five parameters, or three on a single board: the special case without a floor and with the
board as covariate.

If it is known which versions are in which phase, these are separate regressions. The fit tries the
partitions that change points could make and keeps the one whose model, minimum and maximum
included, is closest to the ratings (Hudson 1966). Change points are tried only between levels of
training: the same level of several seeds is never divided. The intervals are those of the
regressions on that partition: the model is continuous, so a version on the wrong side of a change
point is close to it and changes little.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import levels
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, InsufficientData, stack
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import Regression, regress
from selfplay.style.powers_of_ten import power

STEPS = 25  # change points tried at either end of the covariate's range
PLACES = 25  # change points tried at most without a covariate
ENDS = ("value", "low", "high")
MIN_INCLINE = 0.1  # the least fraction of the range of log10 FLOPs that an incline covers

FLOOR, INCLINE, PLATEAU = -1, 0, 1

Mask = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class PhasesFit:
    """A learning curve in phases; what belongs to an absent phase or covariate is None.

    Attributes:
        slope: Elo per OOM of training, on the incline.
        floor: Elo before the take-off.
        plateau: Elo on the plateau, at the covariate's mean.
        take_off: log10 FLOPs at which the incline begins.
        change_point: log10 FLOPs at which the plateau begins, at the covariate's mean.
        offset: Elo of the incline at 1 FLOP, at covariate 0.
        level: Elo of the plateau at covariate 0.
        slope_cost: Elo lost per unit of the covariate on the incline, Jones's m.
        plateau_cost: Elo lost per unit of the covariate on the plateau, Jones's p.
        delay: OOMs of training by which the plateau begins later, per unit of the covariate.
        phase: int[..., N], each version's `FLOOR`, `INCLINE` or `PLATEAU`.
    """

    slope: Estimate
    floor: Estimate | None
    plateau: Estimate | None
    take_off: Estimate | None
    change_point: Estimate | None
    offset: Estimate
    level: Estimate | None
    slope_cost: Estimate | None
    plateau_cost: Estimate | None
    delay: Estimate | None
    phase: Ints

    @property
    def on_incline(self) -> Mask:
        """True = the version is on the incline, bool[..., N]."""
        return self.phase == INCLINE

    def __str__(self) -> str:
        text = str(self.slope)
        if self.take_off is not None:
            text = f"a floor at {self.floor} until {where(self.take_off)}, then {text}"
        if self.change_point is not None:
            text += f" until {where(self.change_point)}, then a plateau at {self.plateau}"
        return text


def fit(
    points: RatedVersions,
    covariate: str | None = None,
    *,
    floor: bool = False,
    plateau: bool = True,
) -> PhasesFit:
    """Fits the phases, with a covariate (Jones: the board's size) all of his five parameters.

    Test first, with `bends`, which phases there are: the change point of an absent one is
    meaningless.

    Args:
        points: the versions.
        covariate: a quantity that shifts the plateau and the incline; not with a floor.
        floor: True = the curve begins with a floor.
        plateau: True = the curve ends with a plateau.

    Raises:
        InsufficientData: the versions leave no place for a change point, values are unknown, or
            there is a single run.
        ValueError: a floor with a covariate.
    """
    if floor and covariate:
        raise ValueError("a floor is fitted without a covariate")
    phase = closest(points, covariate, floor=floor, plateau=plateau)
    spent, z = points.require("training"), covariate_column(points, covariate)
    if points.elo.ndim == 1:
        return _fit_partition(points, phase, spent, z)
    parts = [
        (replicates, _fit_partition(same, partition, spent, z))
        for replicates, same, partition in groups(points, phase)
    ]
    return _merge(parts, phase)


def closest(
    points: RatedVersions, covariate: str | None = None, *, floor: bool, plateau: bool
) -> Ints:
    """Finds the partition int[..., N] into phases whose model is closest to the ratings.

    Raises:
        InsufficientData: the versions leave no place for a change point, or values are unknown.
    """
    spent, z = points.require("training"), covariate_column(points, covariate)
    if not floor and not plateau:
        return np.zeros(points.elo.shape, np.int64)
    x, z = spent - spent.mean(), z - z.mean(axis=0)
    elo = points.elo.reshape(-1, len(points))
    least, best = np.full(len(elo), np.inf), np.zeros(elo.shape, np.int64)
    for phase in _partitions(points, x, z, floor, plateau):
        squares = np.square(elo - _predictions(elo, x, z, phase)).sum(axis=1)
        better = squares < least
        least = np.where(better, squares, least)
        best[better] = phase
    if not np.isfinite(least).all():
        where = "on each board, " if covariate else ""
        raise InsufficientData(
            f"{len(x)} versions leave no place for a change point: {where}an incline takes at "
            "least two levels of training, and a floor or a plateau one"
        )
    return best.reshape(points.elo.shape)


def groups(
    points: RatedVersions, labels: NDArray[T]
) -> Iterator[tuple[Mask, RatedVersions, NDArray[T]]]:
    """Groups the replicates of a batch by equal labels [..., N].

    Yields:
        A mask bool[...] of replicates, their versions with ratings [R, N], and their labels [N].
    """
    flat = labels.reshape(-1, len(points))
    distinct, which = np.unique(flat, axis=0, return_inverse=True)
    which = which.reshape(labels.shape[:-1])
    for index, row in enumerate(distinct):
        replicates = which == index
        yield replicates, replace(points, elo=points.elo[replicates]), row


def mean(fitted: PhasesFit, training: Floats) -> Floats:
    """Evaluates a single fit without a covariate at `training` float[M]: Elo, without intervals."""
    low = -np.inf if fitted.floor is None else float(fitted.floor.value)
    high = np.inf if fitted.plateau is None else float(fitted.plateau.value)
    return np.clip(float(fitted.offset.value) + float(fitted.slope.value) * training, low, high)


def curve(points: RatedVersions, fitted: PhasesFit, training: Floats) -> Estimate:
    """Evaluates a fit without a covariate at `training` float[M]: mean Elo with its intervals.

    The model is a line between two levels, and so are the ends of the intervals.
    """
    spent = points.require("training")
    middle = spent.mean()
    regression = partition_regression(points, fitted.phase)
    size = regression.columns.shape[1]
    first = int(fitted.floor is not None)
    line, elo = np.zeros((len(training), size)), points.elo
    line[:, first], line[:, first + 1] = 1, training - middle
    rising = stack([regression.contrast(elo, row, "Elo") for row in line])
    ends = {name: getattr(rising, name) for name in ENDS}
    if fitted.floor is not None:
        ends = {n: np.maximum(e, getattr(fitted.floor, n)[..., None]) for n, e in ends.items()}
    if fitted.plateau is not None:
        ends = {n: np.minimum(e, getattr(fitted.plateau, n)[..., None]) for n, e in ends.items()}
    return replace(rising, **ends)


def partition_regression(points: RatedVersions, phase: Ints) -> Regression:
    """Prepares the regressions of one partition: floor, incline at the mean and slope, plateau.

    Without a covariate, and without the columns of absent phases.
    """
    x = points.training - points.training.mean()
    return regress(points, _columns(x, np.zeros((len(x), 0)), phase))


def covariate_column(points: RatedVersions, name: str | None) -> Floats:
    """Returns the covariate as columns float[N, 1], or [N, 0] without one."""
    return points.require(name)[:, None] if name else np.zeros((len(points), 0))


def where(at: Estimate) -> str:
    """Writes a change point with its interval."""
    text = f"{power(float(at.value))} FLOPs"
    if at.bounded:
        text += f" ({power(float(at.low))} to {power(float(at.high))})"
    return text


def _partitions(
    points: RatedVersions, x: Floats, z: Floats, floor: bool, plateau: bool
) -> Iterator[Ints]:
    """Yields phases int[N] that change points, linear in z, can make.

    Skips partitions that a regression cannot fit without any one of the runs, because an interval
    needs that.
    """
    whole, run = _spread(x, z), points.run_index
    places = levels.between(points) - points.training.mean()
    for begin, end in _places(x, z, places, floor, plateau):
        phase = np.where(x > end, PLATEAU, np.where(x > begin, INCLINE, FLOOR))
        rising = phase == INCLINE
        if _spread(x[rising], z[rising]) <= MIN_INCLINE * whole:
            continue
        columns = _columns(x, z, phase)
        present = (phase == FLOOR).any(), (phase == PLATEAU).any()
        if present == (floor, plateau) and _identifiable_without_any_run(columns, run):
            yield phase


def _places(
    x: Floats, z: Floats, places: Floats, floor: bool, plateau: bool
) -> Iterator[tuple[Floats, Floats]]:
    """Yields where the incline begins and ends at each version's covariate, float[N] both."""
    none = np.full(len(x), np.inf)
    if z.shape[1]:
        first, last = (z[:, 0] == end for end in (z.min(), z.max()))
        share = (z[:, 0] - z.min()) / max(np.ptp(z), 1e-300)
        at_first, at_last = (
            np.linspace(x[end].min(), x[end].max(), STEPS) for end in (first, last)
        )
        ends = np.stack([a + (b - a) * share for a in at_first for b in at_last])
        _, distinct = np.unique(x <= ends, axis=0, return_index=True)
        yield from ((-none, ends[index]) for index in distinct)
        return
    if len(places) > PLACES:
        places = places[np.unique(np.linspace(0, len(places) - 1, PLACES).astype(int))]
    for begin in places if floor else [-np.inf]:
        for end in places if plateau else [np.inf]:
            if begin < end:
                yield np.full(len(x), begin), np.full(len(x), end)


def _spread(x: Floats, z: Floats) -> float:
    """Computes the range of log10 FLOPs at equal covariates; 0 without versions."""
    if not len(x):
        return 0.0
    level = np.column_stack([np.ones_like(x), z])
    return float(np.ptp(x - level @ np.linalg.pinv(level) @ x))


def _identifiable_without_any_run(columns: Floats, run: Ints) -> bool:
    """Checks that the columns keep their full rank if any one run is left out."""
    return all(
        np.linalg.matrix_rank(columns[run != index]) == columns.shape[1] for index in set(run)
    )


def _columns(x: Floats, z: Floats, phase: Ints) -> Floats:
    """Builds the design: floor [1], incline [1, x, z], plateau [1, z], if there are such versions.

    A version's row is 0 in the columns of the other phases.
    """
    ones = np.ones_like(x)[:, None]
    level, line = np.column_stack([ones, z]), np.column_stack([ones, x, z])
    parts = [(FLOOR, level), (INCLINE, line), (PLATEAU, level)]
    present = [(phase == which)[:, None] * part for which, part in parts if which in phase]
    return np.column_stack(present)


def _predictions(elo: Floats, x: Floats, z: Floats, phase: Ints) -> Floats:
    """Evaluates the model of one partition, float[R, N], fitted to each of elo [R, N]."""
    ones = np.ones_like(x)
    level, line = np.column_stack([ones, z]), np.column_stack([ones, x, z])

    def fitted(columns: Floats, which: int) -> Floats:
        own = phase == which
        return elo[:, own] @ np.linalg.pinv(columns[own]).T @ columns.T

    predicted = fitted(line, INCLINE)
    if FLOOR in phase:
        predicted = np.maximum(predicted, fitted(level, FLOOR))
    if PLATEAU in phase:
        predicted = np.minimum(predicted, fitted(level, PLATEAU))
    return predicted


def _fit_partition(points: RatedVersions, phase: Ints, spent: Floats, z: Floats) -> PhasesFit:
    """Fits the regressions of a partition, and derives all parameters."""
    middle, mean = spent.mean(), z.mean(axis=0)
    fitted = regress(points, _columns(spent - middle, z - mean, phase))
    elo, size, flops = points.elo, z.shape[1], "log10 FLOPs"
    rows = list(np.eye(fitted.columns.shape[1]))
    bottom = rows.pop(0) if FLOOR in phase else None
    (at, slope, *cost), of_plateau = rows[: 2 + size], rows[2 + size :]
    zero = at - middle * slope  # the incline at 1 FLOP, at the covariate's mean
    offset = zero - sum(m * c for m, c in zip(mean, cost, strict=True))
    parameters: dict[str, Estimate | None] = dict.fromkeys(
        ("floor", "take_off", "plateau", "change_point", "level")
    )
    parameters |= dict.fromkeys(("slope_cost", "plateau_cost", "delay"))
    if bottom is not None:
        parameters["floor"] = fitted.contrast(elo, bottom, "Elo")
        parameters["take_off"] = fitted.ratio(elo, bottom - zero, slope, flops)
    if of_plateau:
        top, *top_cost = of_plateau
        level = top - sum(m * c for m, c in zip(mean, top_cost, strict=True))
        parameters["plateau"] = fitted.contrast(elo, top, "Elo")
        parameters["change_point"] = fitted.ratio(elo, top - zero, slope, flops)
        parameters["level"] = fitted.contrast(elo, level, "Elo")
        if size == 1:
            delay = fitted.ratio(elo, top_cost[0] - cost[0], slope, "OOMs per unit")
            parameters["slope_cost"] = fitted.contrast(elo, -cost[0], "Elo per unit")
            parameters["plateau_cost"] = fitted.contrast(elo, -top_cost[0], "Elo per unit")
            parameters["delay"] = delay
    return PhasesFit(
        slope=fitted.contrast(elo, slope, "Elo per OOM of training"),
        offset=fitted.contrast(elo, offset, "Elo"),
        phase=phase,
        **parameters,
    )


def _merge(parts: list[tuple[Mask, PhasesFit]], phase: Ints) -> PhasesFit:
    """Merges the fits of parts of a batch, each with its mask over replicates, into one."""
    batch = phase.shape[:-1]

    def merged(name: str) -> Estimate | None:
        first = getattr(parts[0][1], name)
        if first is None:
            return None
        numbers = {field: np.empty(batch) for field in NUMBERS}
        for replicates, part in parts:
            for field, column in numbers.items():
                column[replicates] = getattr(getattr(part, name), field)
        return Estimate(**numbers, unit=first.unit)

    names = [field.name for field in fields(PhasesFit) if field.name != "phase"]
    estimates = {name: merged(name) for name in names}
    return replace(parts[0][1], phase=phase, **estimates)
