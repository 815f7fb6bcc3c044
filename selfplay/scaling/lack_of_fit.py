"""A test of whether a fitted curve misses the means at the levels of training.

Seeds of a recipe are rated after the same training, so at each of these levels their scatter shows
how far a mean can be off by chance. The curve is compared with a free value at every level and
straight lines between them, which can depart from it in as many independent ways as there are more
levels than parameters.

A Wald test of all departures at once needs more runs than departures, because it inverts their
covariance. Here the statistic is the sum of their squares over its expectation, which by Box's
approximation is an F (Brunner, Dette and Munk 1997). Its expectation comes from the differences
between runs (CR2) and the ratings' errors, as in all intervals; its degrees of freedom come from
the same covariance, corrected for the few runs that it is estimated from. Simulated, it rejects 3
to 6 % of curves that are right at the 5 % level, with three and with five seeds, and fewer where
only the ratings err and the phases follow these errors (docs/decisions/0025-learning-curves.md).

The test is about the form of the curve: recipes that differ at equal training count as scatter.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import Regression, regress

LEVEL = 0.05  # significance level


@dataclass(frozen=True, eq=False)
class LackOfFit:
    """A test of a curve against the means at each level of training.

    Attributes:
        p_value: float[...], of "the curve has the right form".
        departures: how many more levels there are than parameters. With 0 nothing can be tested,
            and the p-value is 1.
    """

    p_value: Floats
    departures: int

    def __str__(self) -> str:
        if not self.departures:
            return "too few levels of training for a test of fit"
        return f"lack of fit p = {float(self.p_value):.2g}"


def test(points: RatedVersions, columns: Floats) -> LackOfFit:
    """Tests a least-squares curve.

    Args:
        points: the versions that were fitted.
        columns: float[N, K], the design of the fit; of a curve, its derivatives by parameters.

    Raises:
        InsufficientData: training FLOPs are unknown, there is a single run, or one run alone
            decides.
    """
    nodes, count = levels(points), columns.shape[1]
    basis = np.linalg.qr(columns / np.sqrt(np.square(columns).sum(axis=0)))[0]
    free = np.stack([np.interp(points.training, nodes, unit) for unit in np.eye(len(nodes))], 1)
    directions, size, _ = np.linalg.svd(free - basis @ (basis.T @ free), full_matrices=False)
    departures = max(0, min(len(nodes) - count, int((size > 1e-6).sum())))
    if not departures:
        return LackOfFit(np.ones(points.elo.shape[:-1]), 0)
    fitted = regress(points, np.column_stack([basis, directions[:, :departures]]))
    contrasts = np.eye(count + departures)[count:]  # orthonormal, as the columns are
    fitted.check(contrasts)
    return LackOfFit(_p_value(fitted, points.elo, contrasts), departures)


def levels(points: RatedVersions) -> Floats:
    """Computes the levels of training, float[L]: as many as a run has versions.

    They are the means of L groups of equally many versions, ordered by training. For seeds with one
    schedule, that is the training of each of their versions.
    """
    spent = np.sort(points.require("training"))
    counts = np.unique(points.run, return_counts=True)[1]
    count = min(int(np.median(counts)), len(np.unique(spent)))
    return np.unique([part.mean() for part in np.array_split(spent, count)])


def _p_value(fitted: Regression, elo: Floats, contrasts: Floats) -> Floats:
    """Tests whether C sums of coefficients, independent with variance 1 in versions, are all 0."""
    a, q = contrasts @ fitted.operator, contrasts @ fitted.spread  # [C, N], [G, C, N]
    each = np.einsum("...n,gcn->...gc", elo, q)
    of_runs = np.swapaxes(each, -1, -2) @ each
    noise, known = np.einsum("gcn,nm,gdm->cd", q, fitted.noise, q), a @ fitted.noise @ a.T
    squares, count, runs = np.square(elo @ a.T).sum(axis=-1), len(a), len(fitted.runs) - 1

    def trace(matrix: Floats) -> Floats:
        return np.einsum("...cc->...", matrix)

    between = np.maximum(trace(of_runs) - trace(noise), 0.0)
    expected = between + trace(known)
    sigma2 = between / count
    # Each square of an estimated covariance is too large on average by its own variance.
    square = np.square(of_runs).sum(axis=(-2, -1))
    if runs > 1:
        excess = square - np.square(trace(of_runs)) / runs
        square = runs**2 / ((runs + 2) * (runs - 1)) * excess
    square = square - 2 * sigma2 * trace(noise) - np.square(noise).sum()
    square = np.clip(square, between * sigma2, np.square(between))
    all_errors = square + 2 * sigma2 * trace(known) + np.square(known).sum()
    estimated = square + 2 * sigma2 * trace(noise) + np.square(noise).sum()
    tiny = np.finfo(float).tiny  # where there are no errors at all
    df = np.square(expected) / np.maximum(all_errors, tiny)
    residual_df = np.square(expected) * runs / np.maximum(estimated, tiny)
    return np.asarray(fdtrc(df, residual_df, squares / np.maximum(expected, tiny)))
