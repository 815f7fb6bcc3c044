"""A number, its 95 % interval, and the sentence that says both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]

NUMBERS = ("value", "low", "high", "stderr", "df")  # of an estimate


class InsufficientData(ValueError):
    """A question that these data cannot answer; the message says why."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """What was estimated. Leading axes `[...]` are replicates; a single estimate has none.

    Attributes:
        value: float[...]: the estimate.
        low: float[...]: where its 95 % interval begins; -inf where the data set no bound.
        high: float[...]: where it ends.
        stderr: float[...]: the standard error; of a ratio, to first order.
        df: float[...]: degrees of freedom of Student's t.
        unit: what it counts, as in "Elo per OOM of training".
    """

    value: Floats
    low: Floats
    high: Floats
    stderr: Floats
    df: Floats
    unit: str

    @classmethod
    def student(cls, value: Floats, stderr: Floats, df: Floats, unit: str) -> "Estimate":
        """With Student's symmetric interval."""
        half = stdtrit(df, 0.975) * stderr
        return cls(value, value - half, value + half, stderr, df, unit)

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """bool[...], True = the interval is finite."""
        return np.isfinite(self.low) & np.isfinite(self.high)

    def covers(self, truth: float) -> NDArray[np.bool_]:
        """bool[...], True = the interval holds `truth`."""
        return (self.low <= truth) & (truth <= self.high)

    def p_below(self, bound: float) -> Floats:
        """float[...]: the one-sided p-value of "not below `bound`"; small: it is below."""
        return stdtr(self.df, _statistic(self.value - bound, self.stderr))

    def p_equal(self, other: float) -> Floats:
        """float[...]: the two-sided p-value of "it is `other`"."""
        return 2 * stdtr(self.df, -np.abs(_statistic(self.value - other, self.stderr)))

    def reciprocal(self, unit: str) -> "Estimate":
        """1 / the value: of an interval that holds 0, all numbers."""
        with np.errstate(divide="ignore"):
            value, low, high = 1 / self.value, 1 / self.high, 1 / self.low
            stderr = self.stderr * np.square(value)
        one_side = self.low * self.high > 0
        low, high = np.where(one_side, low, -np.inf), np.where(one_side, high, np.inf)
        return Estimate(value, low, high, stderr, self.df, unit)

    def __str__(self) -> str:
        if np.ndim(self.value):
            return f"{np.size(self.value)} estimates in {self.unit}"
        value, low, high = (float(x) for x in (self.value, self.low, self.high))
        if not self.bounded:
            return f"{value:+.3g} {self.unit}, with no bound that these data could set"
        digits = decimals((high - low) / 2)
        if abs(high + low - 2 * value) < 0.05 * (high - low):
            return f"{value:+.{digits}f} ± {(high - low) / 2:.{digits}f} {self.unit}"
        return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f}) {self.unit}"


def stack(estimates: Sequence[Estimate]) -> Estimate:
    """Several estimates of one unit as one, along a new last axis."""
    numbers = {n: np.stack([getattr(one, n) for one in estimates], axis=-1) for n in NUMBERS}
    return Estimate(**numbers, unit=estimates[0].unit)


def decimals(half: float) -> int:
    """Digits behind the point that show the half-width of an interval with two figures."""
    return max(0, 1 - math.floor(math.log10(half))) if 0 < half < 10 else 0


def _statistic(distance: Floats, stderr: Floats) -> Floats:
    """Distance in standard errors; an exact number is infinitely far from any other."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, distance / stderr)


def format_factor(value: float) -> str:
    """Writes a ratio for people: "1.3", "2,580", "∞"."""
    if not np.isfinite(value):
        return "∞"
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"
