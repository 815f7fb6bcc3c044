"""Tests for the phases of a learning curve: does it bend up (take-off), and down (saturation)?

A line that may bend at a fixed knot is a regression, so a one-sided test of its bend is one of
Student's t. But an S-shaped curve hides both of its bends from a test with one knot: as a whole it
is nearly straight. So each bend is tested twice: in all versions, and without those that the other
bend would put into the other phase, which is that of the closest fit with that phase alone. Leaving
out versions at one end of a line does not bend it, and leaving out too few of the other phase bends
it against the alternative.

The smallest of the six p-values, for `KNOTS` with and without the other phase, counts `TESTS`
times. They are closely correlated: of straight lines, and of curves with the other bend alone, at
most 5 % are significant at 5 % (docs/decisions/0025-learning-curves.md).
"""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from selfplay.scaling import partitions
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, InsufficientData
from selfplay.scaling.partitions import FLOOR, PLATEAU, Mask
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import regress
from selfplay.style.powers_of_ten import power

LEVEL = 0.05  # significance level of the tests
KNOTS = (0.25, 0.5, 0.75)  # where a test lets the line bend, as fractions of the range of x
TESTS = 4  # as many independent tests are as severe as the six correlated ones
UNIT = "Elo per OOM of training"


@dataclass(frozen=True, eq=False)
class Bend:
    """A one-sided test of whether a learning curve bends.

    Attributes:
        up: True = for a take-off, where the slope grows; False = for saturation, where it falls.
        p_value: float[...], of no such bend.
        knot: float[...]: log10 FLOPs beyond which the slope changes most significantly.
        change: the change of the slope there, Elo per OOM.
    """

    up: bool
    p_value: Floats
    knot: Floats
    change: Estimate

    @property
    def significant(self) -> Mask:
        """True = the line bends, at the 5 % level, bool[...]."""
        return self.p_value < LEVEL

    def __str__(self) -> str:
        name, verb = ("take-off", "takes off") if self.up else ("saturation", "saturates")
        if not self.significant:
            return f"no {name} in sight (p = {float(self.p_value):.2g})"
        return (
            f"{verb}: beyond {power(float(self.knot), 1)} FLOPs the slope changes by "
            f"{self.change} (p = {float(self.p_value):.2g})"
        )


def take_off(points: RatedVersions) -> Bend:
    """Tests whether the slope of Elo against log10 training FLOPs grows, as after a floor.

    Raises:
        InsufficientData: as `saturation`.
    """
    return _smaller(_hinges(points, None, up=True), points, up=True)


def saturation(points: RatedVersions, covariate: str | None = None) -> Bend:
    """Tests whether the slope of Elo against log10 training FLOPs falls, as before a plateau.

    With a covariate, the knots are fractions of the range at each of its values, and no take-off is
    looked for.

    Raises:
        InsufficientData: there are too few versions for a bent line, unknown values, or a single
            run.
    """
    bend = _hinges(points, covariate, up=False)
    if covariate:
        return replace(bend, p_value=np.minimum(1, len(KNOTS) * bend.p_value))
    return _smaller(bend, points, up=False)


def _smaller(whole: Bend, points: RatedVersions, up: bool) -> Bend:
    """Tests again without the versions of the other phase, and keeps the smaller p-value."""
    with suppress(InsufficientData):  # no place for another phase
        phase = partitions.closest(points, floor=not up, plateau=up)
        inside = phase != (PLATEAU if up else FLOOR)
        for replicates, same, keep in partitions.groups(points, inside):
            with suppress(InsufficientData):
                part = _hinges(same.select(keep), None, up)
                whole = _merge(whole, part, replicates)
    return replace(whole, p_value=np.minimum(1, TESTS * whole.p_value))


def _hinges(points: RatedVersions, covariate: str | None, up: bool) -> Bend:
    """Tests for a bend at each of `KNOTS`, and returns the most significant one, uncorrected."""
    spent = points.require("training")
    x, z = spent - spent.mean(), partitions.covariate_column(points, covariate)
    low, high = np.zeros_like(x), np.zeros_like(x)
    for value in np.unique(z[:, 0]) if z.shape[1] else [None]:
        same = np.ones(len(x), bool) if value is None else z[:, 0] == value
        low[same], high[same] = x[same].min(), x[same].max()
    knots, changes, p_values = [], [], []
    for fraction in KNOTS:
        knot = low + fraction * (high - low)
        columns = np.column_stack([np.ones_like(x), x, z, np.maximum(x - knot, 0)])
        weights = [*np.zeros(columns.shape[1] - 1), 1]
        change = regress(points, columns).contrast(points.elo, weights, UNIT)
        knots.append(np.full(change.value.shape, knot.mean() + spent.mean()))
        changes.append(change)
        p_values.append(change.p_below(0.0) if not up else change.p_above(0.0))
    best = np.argmin(p_values, axis=0)
    numbers = {n: np.choose(best, [getattr(change, n) for change in changes]) for n in NUMBERS}
    return Bend(
        up, np.min(p_values, axis=0), np.choose(best, knots), Estimate(**numbers, unit=UNIT)
    )


def _merge(whole: Bend, part: Bend, replicates: Mask) -> Bend:
    """Replaces the tests of some replicates, bool[...], by those of `part` where p is smaller."""
    place = np.zeros(np.shape(whole.p_value), bool)
    place[replicates] = part.p_value < whole.p_value[replicates]

    def merged(before: Floats, after: Floats) -> Floats:
        filled = np.zeros_like(before)
        filled[replicates] = after
        return np.where(place, filled, before)

    numbers = {n: merged(getattr(whole.change, n), getattr(part.change, n)) for n in NUMBERS}
    return replace(
        whole,
        p_value=merged(whole.p_value, part.p_value),
        knot=merged(whole.knot, part.knot),
        change=Estimate(**numbers, unit=UNIT),
    )
