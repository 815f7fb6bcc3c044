"""The learning curve of one or several recipes: the phases that the ratings show, or a logistic.

A floor or a plateau is fitted if its bend is significant (`bends`). The curve in phases is used
unless it misses the means at the levels of training significantly (`lack_of_fit`) and a logistic
curve does not, and predicts left-out runs better: then corners are not what the ratings show. This
keeps a right curve in phases in about 95 of 100 studies, so its intervals need no allowance for the
choice.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from selfplay.scaling import bends, lack_of_fit, logistic, partitions, phases
from selfplay.scaling.bends import Bend
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.lack_of_fit import LackOfFit
from selfplay.scaling.logistic import LogisticFit
from selfplay.scaling.phases import PhasesFit
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.slopes import Slope
from selfplay.style.powers_of_ten import power

STEEP = 0.5  # a logistic's incline is where its slope is at least this part of the largest one


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Elo against training.

    Attributes:
        take_off: the test that decided on the floor.
        saturation: the test that decided on the plateau.
        in_phases: the fit in phases; a line if neither bend is significant.
        logistic: the smooth curve that describes these versions better; None if it does not.
        lack_of_fit: the test of the curve in phases.
        slope: on the incline, or the largest of the logistic curve.
    """

    take_off: Bend
    saturation: Bend
    in_phases: PhasesFit
    logistic: LogisticFit | None
    lack_of_fit: LackOfFit
    slope: Slope

    @property
    def bent(self) -> bool:
        """True = more than a line."""
        fit = self.in_phases
        return bool(self.logistic or fit.floor or fit.plateau)

    def __str__(self) -> str:
        fit, smooth = self.in_phases, self.logistic
        if smooth is not None:
            where = power(float(smooth.middle.value), 1)
            return (
                f"a smooth curve, as a curve in phases shows {self.lack_of_fit}; steepest at "
                f"{where} FLOPs: {self.slope}"
            )
        text = str(self.slope)
        if fit.take_off is not None:
            text = f"a floor at {fit.floor} until {phases.where(fit.take_off)}, then {text}"
        if fit.change_point is not None:
            where = phases.where(fit.change_point)
            return f"{text}, then a plateau at {fit.plateau} from {where} on"
        if fit.take_off is not None:
            return f"{text}, {self.saturation}"
        p_up, p_down = (float(bend.p_value) for bend in (self.take_off, self.saturation))
        tests = f"take-off p = {p_up:.2g}, saturation p = {p_down:.2g}"
        return f"{text}, no bend in sight ({tests})"


def fit(points: RatedVersions) -> LearningCurve:
    """Fits a learning curve to one set of ratings.

    Raises:
        InsufficientData: training FLOPs are unknown or do not differ, there are too few versions to
            test for a bend, or there is a single run.
        ValueError: the ratings are a batch.
    """
    points.require_single()
    up, down = bends.take_off(points), bends.saturation(points)
    phase = choose_phases(points, up, down)
    floor, plateau = partitions.FLOOR in phase, partitions.PLATEAU in phase
    in_phases = phases.fit(points, floor=floor, plateau=plateau)
    test = lack_of_fit.test(points, phases.partition_regression(points, phase).columns)
    if test.significant:
        with suppress(InsufficientData):
            smooth = logistic.fit(points)
            inside = points.training.min() < smooth.middle.value < points.training.max()
            if inside and smooth.slope.bounded:
                steepest = _steepest(points, smooth)
                fits = not steepest.lack_of_fit.significant
                if fits and _predicts_better(points, floor, plateau):
                    return LearningCurve(up, down, in_phases, smooth, test, steepest)
    stretch = _stretch(points, in_phases)
    slope = Slope.on(in_phases.slope, "training", stretch, test)
    return LearningCurve(up, down, in_phases, None, test, slope)


def choose_phases(points: RatedVersions, up: Bend, down: Bend, level: float = bends.LEVEL) -> Ints:
    """Divides versions, int[..., N], into the phases whose bends are significant at `level`.

    If the versions leave no place for both change points, the more significant bend counts.
    """
    phase = np.zeros(points.elo.shape, np.int64)
    floor, plateau = up.p_value < level, down.p_value < level
    first = up.p_value < down.p_value
    for wanted in product((False, True), repeat=3):
        same = (floor == wanted[0]) & (plateau == wanted[1]) & (first == wanted[2])
        if not same.any() or not any(wanted[:2]):
            continue
        batch = replace(points, elo=points.elo[same])
        fallback = (True, False) if wanted[2] else (False, True)
        for chosen in (wanted[:2], fallback):
            with suppress(InsufficientData):
                phase[same] = partitions.closest(batch, floor=chosen[0], plateau=chosen[1])
                break
    return phase


def evaluate(points: RatedVersions, curve: LearningCurve, training: Floats) -> Estimate:
    """Evaluates a fit at `training` float[M], log10 FLOPs: mean Elo with its intervals."""
    if curve.logistic is not None:
        return logistic.curve(points, curve.logistic, training)
    return phases.curve(points, curve.in_phases, training)


def _predicts_better(points: RatedVersions, floor: bool, plateau: bool) -> bool:
    """Checks whether the logistic curve of the other runs is closer to each run's versions.

    Raises:
        InsufficientData: the other runs do not determine the curves.
    """
    in_phases = smooth = 0.0
    for run in points.runs:
        out = points.run == run
        others, spent, elo = points.select(~out), points.training[out], points.elo[out]
        predicted = phases.predict(others, spent, floor, plateau)
        in_phases += float(np.square(elo - predicted).sum())
        parameters = logistic.fit(others).parameters
        predicted = logistic.evaluate(parameters[None], spent, None)[0][0]
        smooth += float(np.square(elo - predicted).sum())
    return smooth < in_phases


def _steepest(points: RatedVersions, smooth: LogisticFit) -> Slope:
    """Describes the largest slope of a logistic curve, and where it is at least half as steep."""
    rate, middle = (float(smooth.parameters[k]) for k in (logistic.RATE_AT, logistic.MIDDLE_AT))
    half = 2 * np.arccosh(1 / np.sqrt(STEEP)) / rate  # slope / largest = 1 / cosh²(rate · x / 2)
    columns = logistic.linearized(points, None, smooth.parameters, smooth.held)[0].columns
    ends = np.clip([middle - half, middle + half], points.training.min(), points.training.max())
    stretch = (float(ends[0]), float(ends[1]))
    return Slope.on(smooth.slope, "training", stretch, lack_of_fit.test(points, columns))


def _stretch(points: RatedVersions, fitted: PhasesFit) -> tuple[float, float]:
    """Returns where the incline begins and ends, log10 FLOPs."""
    ends = float(points.training.min()), float(points.training.max())
    changes = (fitted.take_off, fitted.change_point)
    low, high = (
        end if at is None else float(np.clip(at.value, *ends))
        for end, at in zip(ends, changes, strict=True)
    )
    return low, high
