"""Estimates: a number with its 95 % interval, its standard error and its unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]

NUMBERS: Final = ("value", "low", "high", "stderr", "df")  # the numeric fields of an estimate

FARTHEST: Final = 1000.0  # standard errors; data that allow more than this set no bound


class InsufficientData(ValueError):
    """The data cannot support an estimate; the message says why."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """An estimated number with its interval. Leading axes `[...]` are replicates, none for one.

    Attributes:
        value: float[...]: the estimate.
        low: float[...]: the lower end of its 95 % interval; -inf if the data set no bound.
        high: float[...]: the upper end; inf if the data set no bound.
        stderr: float[...]: the standard error; for a ratio to first order.
        df: float[...]: degrees of freedom of Student's t.
        unit: such as "Elo per OOM of training".
    """

    value: Floats
    low: Floats
    high: Floats
    stderr: Floats
    df: Floats
    unit: str

    @classmethod
    def student(cls, value: Floats, stderr: Floats, df: Floats, unit: str) -> "Estimate":
        """Makes an estimate with Student's symmetric interval."""
        with np.errstate(invalid="ignore"):
            half = np.where(stderr > 0, t_95(df) * stderr, 0.0)
        return cls(value, value - half, value + half, stderr, df, unit)

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """True = the interval is finite, bool[...]."""
        return np.isfinite(self.low) & np.isfinite(self.high)

    def covers(self, truth: float) -> NDArray[np.bool_]:
        """Tells whether the interval holds `truth`, bool[...]."""
        return (self.low <= truth) & (truth <= self.high)

    def p_below(self, bound: float) -> Floats:
        """Computes the one-sided p-value, float[...], of "it is at least `bound`"."""
        return stdtr(self.df, _statistic(self.value - bound, self.stderr))

    def p_above(self, bound: float) -> Floats:
        """Computes the one-sided p-value, float[...], of "it is at most `bound`"."""
        return stdtr(self.df, _statistic(bound - self.value, self.stderr))

    def p_equal(self, other: float) -> Floats:
        """Computes the two-sided p-value, float[...], of "it equals `other`"."""
        return 2 * stdtr(self.df, -np.abs(_statistic(self.value - other, self.stderr)))

    def reciprocal(self, unit: str) -> "Estimate":
        """Returns the estimate of 1 / value, without bounds if the interval holds 0."""
        with np.errstate(divide="ignore"):
            value, low, high = 1 / self.value, 1 / self.high, 1 / self.low
            stderr = self.stderr * np.square(value)
        bounded = self.low * self.high > 0  # both ends on the same side of 0
        low, high = np.where(bounded, low, -np.inf), np.where(bounded, high, np.inf)
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


def t_95(df: Floats) -> Floats:
    """Returns the 97.5 % quantile of Student's t, inf where it is beyond `FARTHEST`."""
    quantile = stdtrit(df, 0.975)
    return np.where(quantile > FARTHEST, np.inf, quantile)


def stack(estimates: Sequence[Estimate]) -> Estimate:
    """Stacks estimates of one unit along a new last axis."""
    numbers = {n: np.stack([getattr(e, n) for e in estimates], axis=-1) for n in NUMBERS}
    return Estimate(**numbers, unit=estimates[0].unit)


def decimals(half: float) -> int:
    """Counts the decimals that show the half-width of an interval with two significant figures."""
    return max(0, 1 - math.floor(math.log10(half))) if 0 < half < 10 else 0


def _statistic(distance: Floats, stderr: Floats) -> Floats:
    """Divides a distance by its standard error; 0 / 0 is 0, and x / 0 is infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, distance / stderr)


def format_factor(value: float) -> str:
    """Formats a ratio with three significant figures: "1.3", "2,580", "∞"."""
    if not np.isfinite(value):
        return "∞"
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"
