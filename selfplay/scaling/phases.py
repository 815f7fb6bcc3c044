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

from dataclasses import dataclass, fields, replace

import numpy as np

from selfplay.scaling import levels
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, InsufficientData, stack
from selfplay.scaling.partitions import (
    FLOOR,
    INCLINE,
    PLATEAU,
    Mask,
    admissible,
    closest,
    columns,
    covariate_column,
    groups,
)
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import Regression, regress
from selfplay.style.powers_of_ten import power

ENDS = ("value", "low", "high")
UNIT = "log10 FLOPs"
MEETING = 0.25  # caution of the degrees of freedom where two lines meet; see `Regression.ratio`
MISFIT = 0.025  # significance level at which a level of training is not of another phase


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


def predict(points: RatedVersions, training: Floats, floor: bool, plateau: bool) -> Floats:
    """Fits the phases to one set of ratings and evaluates them at `training` float[M], in Elo."""
    phase = closest(points, floor=floor, plateau=plateau)
    middle = points.training.mean()
    design = columns(points.training - middle, np.zeros((len(points), 0)), phase)
    values = np.linalg.lstsq(design, points.require_single().elo)[0].tolist()
    low = values.pop(0) if floor else -np.inf
    at, slope, *high = values
    return np.clip(at + slope * (training - middle), low, high[0] if high else np.inf)


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
    return regress(points, columns(x, np.zeros((len(x), 0)), phase))


def where(at: Estimate) -> str:
    """Writes a change point with its interval."""
    text = f"{power(float(at.value))} FLOPs"
    if at.bounded:
        text += f" ({power(float(at.low))} to {power(float(at.high))})"
    return text


def _fit_partition(points: RatedVersions, phase: Ints, spent: Floats, z: Floats) -> PhasesFit:
    """Fits the regressions of a partition, and derives all parameters."""
    middle, mean = spent.mean(), z.mean(axis=0)
    fitted = regress(points, columns(spent - middle, z - mean, phase))
    elo, size = points.elo, z.shape[1]
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
        parameters["take_off"] = _change_point(points, phase, FLOOR)
    if of_plateau:
        top, *top_cost = of_plateau
        level = top - sum(m * c for m, c in zip(mean, top_cost, strict=True))
        parameters["plateau"] = fitted.contrast(elo, top, "Elo")
        parameters["change_point"] = fitted.ratio(elo, top - zero, slope, UNIT, MEETING)
        parameters["level"] = fitted.contrast(elo, level, "Elo")
        if size == 1:
            delay = fitted.ratio(elo, top_cost[0] - cost[0], slope, "OOMs per unit")
            parameters["slope_cost"] = fitted.contrast(elo, -cost[0], "Elo per unit")
            parameters["plateau_cost"] = fitted.contrast(elo, -top_cost[0], "Elo per unit")
            parameters["delay"] = delay
        else:
            parameters["change_point"] = _change_point(points, phase, PLATEAU)
    return PhasesFit(
        slope=fitted.contrast(elo, slope, "Elo per OOM of training"),
        offset=fitted.contrast(elo, offset, "Elo"),
        phase=phase,
        **parameters,
    )


def _change_point(points: RatedVersions, phase: Ints, which: int) -> Estimate:
    """Estimates where the incline meets the floor or the plateau, without a covariate.

    A change point determines the partition that it makes, so the interval holds those that are not
    significantly wrong under their own partition: between two levels of training it is Fieller's
    interval of that partition. It continues behind a level where it reaches that level, unless the
    level then significantly departs from its new phase. So the interval allows for a closest
    partition that is not the true one.
    """
    best, spent = _meeting(points, phase, which), points.training
    places, means = levels.between(points), levels.means(points)
    own = spent[phase == which]
    first = int(np.sum(places < own.max() if which == FLOOR else places < own.min()))
    first -= which == PLATEAU  # the gap between levels that makes this partition
    low, high = np.full_like(best.value, np.inf), np.full_like(best.value, -np.inf)
    for step in (-1, 1):
        gap, inside = first, np.ones(best.value.shape, bool)
        while 0 <= gap < len(places) and inside.any():
            moved = _moved(phase, spent, places[gap], which)
            if not admissible(spent, np.zeros((len(spent), 0)), points.run_index, moved):
                break
            interval = _meeting(points, moved, which)
            begin = means[gap] if gap else -np.inf
            end = means[gap + 1] if gap + 1 < len(places) else np.inf
            meets = inside & (interval.low <= end) & (interval.high >= begin)
            if gap != first:
                meets &= _agrees(points, moved, moved != phase, which)
            low = np.where(meets, np.minimum(low, np.maximum(interval.low, begin)), low)
            high = np.where(meets, np.maximum(high, np.minimum(interval.high, end)), high)
            inside = meets | (gap == first)  # the lines of the closest partition may meet outside
            gap += step
    found = low <= high
    low = np.where(found, np.minimum(low, best.value), best.low)
    high = np.where(found, np.maximum(high, best.value), best.high)
    return replace(best, low=low, high=high)


def _agrees(points: RatedVersions, moved: Ints, changed: Mask, which: int) -> Mask:
    """Tests, bool[...], whether versions fit into the phase that a change point moves them to.

    Versions of an incline are above a floor, and those of a floor above a longer incline; on the
    side of the plateau they are below.
    """
    design = partition_regression(points, moved).columns
    try:
        extra = regress(points, np.column_stack([design, changed]))
        above = extra.contrast(points.elo, [*np.zeros(design.shape[1]), 1], "Elo")
    except InsufficientData:
        return np.ones(points.elo.shape[:-1], bool)
    return (above.p_above(0.0) if which == FLOOR else above.p_below(0.0)) >= MISFIT


def _meeting(points: RatedVersions, phase: Ints, which: int) -> Estimate:
    """Estimates where the incline of one partition meets the floor or the plateau."""
    fitted, middle = partition_regression(points, phase), points.training.mean()
    rows = np.eye(fitted.columns.shape[1])
    level = rows[0] if which == FLOOR else rows[-1]
    at, slope = rows[int(FLOOR in phase) :][:2]
    return fitted.ratio(points.elo, level - at + middle * slope, slope, UNIT, MEETING)


def _moved(phase: Ints, spent: Floats, place: float, which: int) -> Ints:
    """Moves the take-off, or the beginning of the plateau, to another place between levels."""
    if which == FLOOR:
        return np.where(spent < place, FLOOR, np.maximum(phase, INCLINE))
    return np.where(spent > place, PLATEAU, np.minimum(phase, INCLINE))


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
