"""A test of whether a fitted curve misses the means at the levels of training.

Seeds of a recipe are rated after the same training, so at each of these levels their scatter shows
how far a mean can be off by chance. The curve is compared with a free value at every level and
straight lines between them, which can depart from it in as many independent ways as there are more
levels than parameters. Slopes per OOM of search or of parameters are tested in the same way, with a
free value for every budget or size.

A Wald test of all departures at once needs more runs than departures, because it inverts their
covariance. Here the statistic is the sum of their squares over its expectation, which by Box's
approximation is an F (Brunner, Dette and Munk 1997). Its expectation comes from the differences
between runs (CR2) and the ratings' errors, as in all intervals; its degrees of freedom come from
the same covariance, corrected for the few runs that it is estimated from. Simulated at the 5 %
level, it rejects 3 to 6 % of curves that are right, with three and with five seeds
(docs/decisions/0025-learning-curves.md).

The test is about the form of the curve: recipes that differ at equal training count as scatter.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from selfplay.scaling import levels
from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import RatedVersions, indices
from selfplay.scaling.regression import Regression, regress

LEVEL = 0.05  # significance level
MOST = 12  # levels of training with a free value; if there are more, they are joined
DISTINCT = 0.25  # smaller departures, relative to the free values, are only jitter between seeds


@dataclass(frozen=True, eq=False)
class LackOfFit:
    """A test of a curve against free values.

    Attributes:
        p_value: float[...], of "the curve has the right form".
        departures: the number of independent ways in which the free values can depart from the
            curve. With 0 nothing can be tested, and the p-value is 1.
    """

    p_value: Floats
    departures: int

    @property
    def significant(self) -> bool:
        """True = the curve misses the levels' means, at the 5 % level; of one set of ratings."""
        return bool(self.p_value < LEVEL)

    def __str__(self) -> str:
        if not self.departures:
            return "too few levels for a test of fit"
        p = float(self.p_value)
        text = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
        return f"{'' if self.significant else 'no '}lack of fit ({text})"


def test(points: RatedVersions, columns: Floats, along: str = "training") -> LackOfFit:
    """Tests a least-squares curve.

    Args:
        points: the versions that were fitted.
        columns: float[N, K], the design of the fit; of a curve, its derivatives by parameters.
        along: the quantity whose form is tested.

    Raises:
        InsufficientData: the quantity is unknown, there is a single run, or one run alone decides.
    """
    free, count = _free_values(points, along), columns.shape[1]
    basis = np.linalg.qr(columns / np.sqrt(np.square(columns).sum(axis=0)))[0]
    directions, size, _ = np.linalg.svd(free - basis @ (basis.T @ free), full_matrices=False)
    least = DISTINCT * np.linalg.norm(free, axis=0).min()
    departures = int((size > least).sum())
    if not departures:
        return LackOfFit(np.ones(points.elo.shape[:-1]), 0)
    fitted = regress(points, np.column_stack([basis, directions[:, :departures]]))
    contrasts = np.eye(count + departures)[count:]  # orthonormal, as the columns are
    fitted.check(contrasts)
    return LackOfFit(_p_value(fitted, points.elo, contrasts), departures)


def _free_values(points: RatedVersions, along: str) -> Floats:
    """Builds the design float[N, L] of a free value at each of L levels of a quantity."""
    if along == "training":
        nodes = levels.means(points)
        if len(nodes) > MOST:
            parts = np.array_split(np.sort(points.training), MOST)
            nodes = np.unique([part.mean() for part in parts])
        return np.stack([np.interp(points.training, nodes, unit) for unit in np.eye(len(nodes))], 1)
    name = "simulations" if along == "search" and "simulations" in points.covariates else along
    index = indices(np.round(points.require(name), 3))
    return np.eye(index.max() + 1)[index]


def _p_value(fitted: Regression, elo: Floats, contrasts: Floats) -> Floats:
    """Tests whether C sums of coefficients, independent with variance 1 in versions, are all 0."""
    a, q = contrasts @ fitted.operator, contrasts @ fitted.spread  # [C, N], [G, C, N]
    each = np.einsum("...n,gcn->...gc", elo, q)
    of_runs = np.swapaxes(each, -1, -2) @ each
    noise, known = np.einsum("gcn,nm,gdm->cd", q, fitted.noise, q), a @ fitted.noise @ a.T
    squares, count, df = np.square(elo @ a.T).sum(axis=-1), len(a), len(fitted.runs) - 1
    between = np.maximum(_trace(of_runs) - _trace(noise), 0.0)
    expected = between + _trace(known)
    sigma2 = between / count
    # The square of an estimated covariance is too large on average, by the estimate's variance.
    square = np.square(of_runs).sum(axis=(-2, -1))
    if df > 1:
        square = square - np.square(_trace(of_runs)) / df
        square = df**2 / ((df + 2) * (df - 1)) * square
    square = square - 2 * sigma2 * _trace(noise) - np.square(noise).sum()
    square = np.clip(square, between * sigma2, np.square(between))
    all_errors = square + 2 * sigma2 * _trace(known) + np.square(known).sum()
    estimated = square + 2 * sigma2 * _trace(noise) + np.square(noise).sum()
    tiny = np.finfo(float).tiny  # if there are no errors at all
    ratio = squares / np.maximum(expected, tiny)
    squared = np.maximum(np.square(expected), tiny)
    above = squared / np.maximum(all_errors, tiny)
    below = df * squared / np.maximum(estimated, tiny)
    return np.asarray(fdtrc(above, below, ratio))


def _trace(matrix: Floats) -> Floats:
    """Sums the diagonals of float[..., C, C]; returns float[...]."""
    return np.einsum("...cc->...", matrix)
