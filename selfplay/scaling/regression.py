"""Least squares on rated versions, with intervals over whole runs and the ratings' own errors.

Ratings are y = Xβ + u + e. What runs of one recipe differ in, u, is independent between runs and
anything within one; its covariance is estimated. The ratings' errors e have a covariance S that the
ladder knows, and that ties all runs together. With β = A y and the residuals H y = (I - X A) y:

* each run's part of the variance is taken from its own residuals, CR2 (Bell and McCaffrey 2002;
  Pustejovsky and Tipton 2018): scaled by the inverse root of what H leaves of it, so that it is
  unbiased where versions differ independently, and in balanced designs whatever u is;
* what S contributes to these residuals is subtracted, in expectation, and A S Aᵀ is added. So an
  error that runs share, such as the anchor's, counts once, and is not divided by their number;
* Satterthwaite's degrees of freedom: a number of runs less one for what is estimated, infinite for
  what is known, by their shares. The share of what is estimated is the larger of two estimates,
  over runs and over versions; with the smaller one intervals cover too rarely.

95 % intervals for a slope cover 94 to 95.5 % with 5 runs and 93.5 to 96.5 % with 3, by what runs
differ in; a bootstrap over runs covers far less (docs/decisions/0016-students-t-over-runs.md).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions

TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Regression:
    """A design of N versions and K coefficients, ready for any ratings. See `regress`."""

    runs: list[str]  # [G]: their labels
    noise: Floats  # [N, N]: S
    columns: Floats  # [N, K]: X
    operator: Floats  # [K, N]: A
    spread: Floats  # [G, K, N]: a run's CR2 part of the variance is the square of this times y
    unseen: Floats  # [G, K, K]: the part of A Aᵀ that a run's residuals say nothing about
    versions_left: float  # the trace of H Hᵀ
    noise_left: float  # the trace of H S Hᵀ

    def coefficients(self, elo: Floats) -> Floats:
        """float[..., K]."""
        return elo @ self.operator.T

    def contrast(self, elo: Floats, weights: ArrayLike, unit: str) -> Estimate:
        """The sum of the coefficients times `weights` float[K], of ratings float[..., N].

        Raises:
            InsufficientData: one run alone decides it.
        """
        c = np.asarray(weights, np.float64)
        parts = self._parts(elo, c[None])
        variance = parts.between[..., 0, 0] + parts.known[0, 0]
        df = parts.df(np.ones((*elo.shape[:-1], 1)))
        return Estimate.student(elo @ (c @ self.operator), np.sqrt(variance), df, unit)

    def ratio(self, elo: Floats, above: ArrayLike, below: ArrayLike, unit: str) -> Estimate:
        """A ratio of two such sums, with Fieller's interval (1954).

        It holds every ratio θ at which `above` - θ `below` is not significant. Where `below` may
        be 0, what it holds is no interval; -inf to inf is said then.

        Raises:
            InsufficientData: one run alone decides one of them.
        """
        pair = np.stack([np.asarray(above, np.float64), np.asarray(below, np.float64)])
        a, b = np.moveaxis(elo @ (pair @ self.operator).T, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = a / b
        along = np.stack([np.ones_like(value), -np.where(np.isfinite(value), value, 0.0)], axis=-1)
        parts = self._parts(elo, pair)
        variance, df = parts.between + parts.known, parts.df(along)
        t2 = stdtrit(df, 0.975) ** 2
        # (a - θb)² ≤ t² (v_aa - 2 θ v_ab + θ² v_bb), a quadratic in θ
        square = b**2 - t2 * variance[..., 1, 1]
        middle = a * b - t2 * variance[..., 0, 1]
        constant = a**2 - t2 * variance[..., 0, 0]
        root = np.maximum(middle**2 - square * constant, 0)  # not below 0 where `square` is above
        bounded = square > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            half = np.sqrt(root) / square
            low = np.where(bounded, middle / square - half, -np.inf)
            high = np.where(bounded, middle / square + half, np.inf)
            stderr = np.sqrt(_form(along, variance)) / np.abs(b)
        return Estimate(value, low, high, stderr, df, unit)

    def prediction(self, elo: Floats, row: ArrayLike, shared: Floats, own: float) -> Estimate:
        """The rating that the same ladder will give to a version of one more run like these.

        That run's variance is the number of runs times that of a sum over them, and at least what
        versions scatter by.

        Args:
            elo: float[..., N], of the fitted versions.
            row: float[K], the version's row of the design.
            shared: float[N]: covariances of its rating's error with theirs, Elo².
            own: the variance of its rating's error, Elo².

        Raises:
            InsufficientData: one run alone decides it.
        """
        c = np.asarray(row, np.float64)
        a = c @ self.operator
        parts = self._parts(elo, c[None])
        between = parts.between[..., 0, 0]
        another = np.maximum(len(self.runs) * between, parts.scatter)
        known = a @ self.noise @ a + own - 2 * a @ shared
        df = parts.df(np.ones((*elo.shape[:-1], 1)), 1 + len(self.runs), known)
        return Estimate.student(elo @ a, np.sqrt(between + another + known), df, "Elo")

    def _parts(self, elo: Floats, contrasts: Floats) -> "_Parts":
        """What the variance of `contrasts` float[C, K] consists of."""
        hidden = np.sum(contrasts @ self.unseen * contrasts, axis=-1)  # [G, C]
        alone = (hidden > TINY * np.square(contrasts @ self.operator).sum(axis=-1)).any(axis=1)
        if alone.any():
            raise InsufficientData(
                f"run {self.runs[int(np.argmax(alone))]!r} alone decides this number, and one run "
                "does not tell how much runs differ: add another seed"
            )
        a, q = contrasts @ self.operator, contrasts @ self.spread  # [C, N], [G, C, N]
        size, flat = q.shape[:2], q.reshape(-1, q.shape[-1])
        each = (elo @ flat.T).reshape(*elo.shape[:-1], *size)
        of_runs = np.swapaxes(each, -1, -2) @ each
        noise = (flat @ self.noise @ flat.T).reshape(*size, *size).transpose(0, 2, 1, 3)
        unit = (flat @ flat.T).reshape(*size, *size).transpose(0, 2, 1, 3)
        left = elo - self.coefficients(elo) @ self.columns.T
        excess = np.square(left).sum(axis=-1) - self.noise_left
        return _Parts(
            between=_positive(of_runs - np.einsum("ggcd->cd", noise), a @ a.T),
            known=a @ self.noise @ a.T,
            unit=a @ a.T,
            scatter=np.maximum(excess, 0) / self.versions_left,
            by_unit=unit,
            by_noise=noise,
        )


class _Parts(NamedTuple):
    """The variance of C sums of coefficients, and what Satterthwaite's formula needs."""

    between: Floats  # [..., C, C]: estimated from how runs differ
    known: Floats  # [C, C]: from the ratings' errors
    unit: Floats  # [C, C]: as if versions differed independently, with variance 1
    scatter: Floats  # [...]: the variance of single versions beside their ratings' errors
    by_unit: Floats  # [G, G, C, C]: covariances of the runs' parts, with variance 1
    by_noise: Floats  # [G, G, C, C]: the same from the ratings' errors

    def df(self, along: Floats, times: int = 1, known: Floats | float | None = None) -> Floats:
        """Degrees of freedom float[...] of the sum times `along` float[..., C].

        `times` as much is estimated, and `known` is the rest if that is not what the sum has.
        """
        unit = _form(along, self.unit)
        known = _form(along, self.known) if known is None else known
        sigma2 = np.maximum(self.scatter, _form(along, self.between) / unit)
        total = times * sigma2 * unit + known
        exact = total <= 0  # no errors at all: any scale will do
        sigma2, total = np.where(exact, 1.0, sigma2), np.where(exact, times * unit, total)
        by_unit = np.einsum("...c,ghcd,...d->...gh", along, self.by_unit, along)
        by_noise = np.einsum("...c,ghcd,...d->...gh", along, self.by_noise, along)
        pairs = times * (sigma2[..., None, None] * by_unit + by_noise)
        return np.square(total) / np.square(pairs).sum(axis=(-2, -1))


def regress(points: RatedVersions, columns: ArrayLike) -> Regression:
    """Prepare least squares of ratings on `columns` float[N, K], with runs as the clusters.

    All versions count alike: weights taken from the ratings would make intervals too narrow.

    Args:
        points: whose runs and covariance count; their ratings are not looked at.
        columns: the design.

    Raises:
        InsufficientData: one run, or columns that these versions cannot tell apart.
    """
    x = np.asarray(columns, np.float64)
    if len(points.runs) < 2:
        raise InsufficientData(
            f"intervals are over whole runs and take at least 2, got 1: {points.runs[0]!r}"
        )
    size = np.sqrt(np.square(x).sum(axis=0))
    scaled = x / np.where(size > 0, size, 1)
    singular = np.linalg.svd(scaled, compute_uv=False)
    rank = int((singular > TINY * singular[0]).sum())
    if rank < x.shape[1]:
        raise InsufficientData(
            f"{len(x)} versions tell {rank} of {x.shape[1]} coefficients apart: vary more of what "
            "is fitted"
        )
    operator = np.linalg.pinv(scaled) / size[:, None]
    residual = np.eye(len(x)) - x @ operator
    index = points.run_index
    spread, unseen = [], []
    for run in range(len(points.runs)):
        own = index == run
        rows = residual[own]
        values, vectors = np.linalg.eigh(rows @ rows.T)
        seen = values > TINY
        inverse_root = (vectors[:, seen] / np.sqrt(values[seen])) @ vectors[:, seen].T
        spread.append(operator[:, own] @ inverse_root @ rows)
        hidden = operator[:, own] @ vectors[:, ~seen]
        unseen.append(hidden @ hidden.T)
    return Regression(
        runs=points.runs,
        noise=points.covariance,
        columns=x,
        operator=operator,
        spread=np.array(spread),
        unseen=np.array(unseen),
        versions_left=float(np.square(residual).sum()),
        noise_left=float(np.sum(residual @ points.covariance * residual)),
    )


def _form(along: Floats, matrix: Floats) -> Floats:
    """float[...]: the quadratic form of float[..., C, C] at float[..., C]."""
    return np.einsum("...c,...cd,...d->...", along, matrix, along)


def _positive(matrix: Floats, unit: Floats) -> Floats:
    """The nearest float[..., C, C] without negative variances, in units of `unit` [C, C].

    In these units it is the same whatever the contrasts are measured in.
    """
    if len(unit) == 1:
        return np.maximum(matrix, 0.0)
    lower = np.linalg.cholesky(unit)
    inverse = np.linalg.inv(lower)
    values, vectors = np.linalg.eigh(inverse @ matrix @ inverse.T)
    root = lower @ vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    return root @ np.swapaxes(root, -1, -2)
