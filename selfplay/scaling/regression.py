"""Least squares on rated versions, with intervals over whole runs and the ratings' own errors.

The model is y = Xβ + u + e for ratings y. The differences u between runs of one recipe are
independent between runs and arbitrary within a run; their covariance is estimated. The ratings'
errors e have a known covariance S from the ladder, which connects all runs. The coefficients are
A y, and the residuals are H y = (I - X A) y.

* Each run's part of the variance is estimated from its residuals by CR2 (Bell and McCaffrey 2002;
  Pustejovsky and Tipton 2018). They are scaled by the inverse root of the run's block of H Hᵀ, so
  the estimate is unbiased if versions differ independently, and in balanced designs for any u.
* The expected contribution of S to these residuals is subtracted, and A S Aᵀ is added. So an error
  that all runs share, such as the anchor's, counts once and is not divided by their number.
* The degrees of freedom are Satterthwaite's: about the number of runs less one for the estimated
  part, infinite for the known part, weighted by their shares. The estimated part's share is the
  larger of two estimates: from these residuals, which are few numbers, and from two variances that
  all residuals determine, of runs' levels and of versions within runs. With the smaller one,
  intervals cover too rarely.

95 % intervals of a slope cover 94 to 95.5 % with 5 runs and 93.5 to 96.5 % with 3, depending on how
runs differ; a bootstrap over runs covers far less (docs/decisions/0016-students-t-over-runs.md).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from selfplay.scaling.estimate import Estimate, Floats, InsufficientData, t_95
from selfplay.scaling.rated_versions import RatedVersions

LEAST = 0.5  # of the variance from the ratings' errors, in the variance of a ratio
TINY = 1e-9  # relative size of what counts as 0


@dataclass(frozen=True, eq=False)
class Regression:
    """A least-squares design of N versions and K coefficients, for any ratings; see `regress`."""

    runs: list[str]  # [G]: the labels of the runs
    noise: Floats  # [N, N]: S
    columns: Floats  # [N, K]: X
    operator: Floats  # [K, N]: A
    spread: Floats  # [G, K, N]: the square of this times y is a run's CR2 part of the variance
    unseen: Floats  # [G, K, K]: the part of A Aᵀ that a run's residuals do not determine
    member: Floats  # [G, N]: 1 for a run's versions
    squares: Floats  # [2, 2]: what levels and versions of variance 1 add to `_components`' squares
    square_noise: Floats  # [2]: what the ratings' errors add to them

    def coefficients(self, elo: Floats) -> Floats:
        """Computes the coefficients, float[..., K]."""
        return elo @ self.operator.T

    def contrast(self, elo: Floats, weights: ArrayLike, unit: str) -> Estimate:
        """Estimates the coefficients' sum, weighted by float[K], for ratings float[..., N].

        Raises:
            InsufficientData: it depends on one run alone.
        """
        c = np.asarray(weights, np.float64)
        parts = self._parts(elo, c[None])
        variance = parts.between[..., 0, 0] + parts.known[0, 0]
        df = parts.df(np.ones((*elo.shape[:-1], 1)))
        return Estimate.student(elo @ (c @ self.operator), np.sqrt(variance), df, unit)

    def ratio(
        self,
        elo: Floats,
        above: ArrayLike,
        below: ArrayLike,
        unit: str,
        caution: float = 1.0,
    ) -> Estimate:
        """Estimates the ratio of two weighted sums, with the interval of Fieller (1954).

        The interval holds every ratio θ at which `above` - θ `below` is not significant. If `below`
        may be 0, these ratios form no bounded interval, and it is -inf to inf.

        The variance may be as little as `LEAST` of that from the ratings' errors. If it were never
        less, intervals would cover too often where runs hardly differ, as where two lines meet.

        Args:
            elo: float[..., N].
            above: float[K], weights of the numerator.
            below: float[K], weights of the denominator.
            unit: of the ratio.
            caution: see `_Parts.df`; less than 1 where runs hardly differ.

        Raises:
            InsufficientData: one of the sums depends on one run alone.
        """
        pair = np.stack([np.asarray(above, np.float64), np.asarray(below, np.float64)])
        a, b = np.moveaxis(elo @ (pair @ self.operator).T, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = a / b
        along = np.stack([np.ones_like(value), -np.where(np.isfinite(value), value, 0.0)], axis=-1)
        parts = self._parts(elo, pair)
        df = parts.df(along, caution=caution)
        t2 = np.minimum(t_95(df), 1 / TINY)[..., None, None] ** 2
        either = parts.known + parts.excess, LEAST * parts.known + 0 * parts.excess
        ends = [_fieller(a, b, t2 * variance) for variance in either]
        low, high = np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])
        variance = np.maximum(_form(along, either[0]), _form(along, either[1]))
        with np.errstate(divide="ignore", invalid="ignore"):
            stderr = np.sqrt(variance) / np.abs(b)
        return Estimate(value, low, high, stderr, df, unit)

    def prediction(self, elo: Floats, row: ArrayLike, shared: Floats, variance: float) -> Estimate:
        """Predicts the rating that the same ladder gives to a version of one more run like these.

        The variance of that run is as many times that of the fit as runs determine it, and at least
        the scatter of versions. Where runs have different versions, a prediction is a mean over
        those that show that part of the curve; their number is that of equal weights with the same
        sum of squares.

        Args:
            elo: float[..., N], of the fitted versions.
            row: float[K], the version's row of the design.
            shared: float[N]: covariances of its rating's error with theirs, Elo².
            variance: of its rating's error, Elo².

        Raises:
            InsufficientData: the prediction depends on one run alone.
        """
        c = np.asarray(row, np.float64)
        a = c @ self.operator
        parts = self._parts(elo, c[None])
        between = parts.between[..., 0, 0]
        of_runs = self.member @ a
        count = float(np.square(of_runs.sum()) / np.square(of_runs).sum())
        another = np.maximum(count * between, parts.scatter)
        known = a @ self.noise @ a + variance - 2 * a @ shared
        df = parts.df(np.ones((*elo.shape[:-1], 1)), 1 + len(self.runs), known)
        # if the ratings' errors hide the differences between runs, that formula goes to 0
        df = np.maximum(df, max(count - 1, 1.0))
        return Estimate.student(elo @ a, np.sqrt(between + another + known), df, "Elo")

    def check(self, contrasts: Floats) -> None:
        """Checks that no sum of coefficients, weights float[C, K], depends on one run alone.

        Raises:
            InsufficientData: one does.
        """
        hidden = np.sum(contrasts @ self.unseen * contrasts, axis=-1)  # [G, C]
        alone = (hidden > TINY * np.square(contrasts @ self.operator).sum(axis=-1)).any(axis=1)
        if alone.any():
            raise InsufficientData(
                f"run {self.runs[int(np.argmax(alone))]!r} alone decides this number, and one run "
                "does not show how much runs differ: add another seed"
            )

    def _components(self, elo: Floats) -> tuple[Floats, Floats, Floats]:
        """Estimates variances, float[...] Elo²: of single versions, and the two that make it up.

        These are of runs' levels and of versions within runs. They follow from the squares of all
        residuals and of those within runs. With one version a run, runs' levels have none.
        """
        residuals = elo - self.coefficients(elo) @ self.columns.T
        inside = residuals - _run_means(residuals, self.member)
        whole = np.square(residuals).sum(axis=-1) - self.square_noise[0]
        within = np.square(inside).sum(axis=-1) - self.square_noise[1]
        (level, version), (level_within, version_within) = self.squares
        scatter = np.maximum(whole / version, 0.0)
        determinant = level * version_within - level_within * version
        if determinant < TINY * level * version:
            return scatter, np.zeros_like(scatter), scatter
        of_level = (whole * version_within - within * version) / determinant
        of_version = (within * level - whole * level_within) / determinant
        of_version = np.where(of_level < 0, scatter, np.maximum(of_version, 0.0))
        return scatter, np.maximum(of_level, 0.0), of_version

    def _parts(self, elo: Floats, contrasts: Floats) -> "_Parts":
        """Splits the variance of `contrasts` float[C, K] into its parts."""
        self.check(contrasts)
        a, q = contrasts @ self.operator, contrasts @ self.spread  # [C, N], [G, C, N]
        size, flat = q.shape[:2], q.reshape(-1, q.shape[-1])
        each = (elo @ flat.T).reshape(*elo.shape[:-1], *size)
        of_runs = np.swapaxes(each, -1, -2) @ each
        noise = (flat @ self.noise @ flat.T).reshape(*size, *size).transpose(0, 2, 1, 3)
        unit = (flat @ flat.T).reshape(*size, *size).transpose(0, 2, 1, 3)
        scatter, of_level, of_version = self._components(elo)
        a_level, q_level = a @ self.member.T, flat @ self.member.T  # sums over each run
        return _Parts(
            between=_positive(of_runs - np.einsum("ggcd->cd", noise), a @ a.T),
            excess=of_runs - np.einsum("ggcd->cd", noise),
            known=a @ self.noise @ a.T,
            unit=a @ a.T,
            level=a_level @ a_level.T,
            scatter=scatter,
            of_level=of_level,
            of_version=of_version,
            by_unit=unit,
            by_level=(q_level @ q_level.T).reshape(*size, *size).transpose(0, 2, 1, 3),
            by_noise=noise,
        )


class _Parts(NamedTuple):
    """The parts of the variance of C sums of coefficients, for Satterthwaite's formula."""

    between: Floats  # [..., C, C]: estimated from the differences between runs
    excess: Floats  # [..., C, C]: the same, of which variances may be below 0
    known: Floats  # [C, C]: from the ratings' errors
    unit: Floats  # [C, C]: as if versions differed independently, with variance 1
    level: Floats  # [C, C]: as if runs differed in their levels alone, with variance 1
    scatter: Floats  # [...]: the variance of single versions, without ratings' errors, Elo²
    of_level: Floats  # [...]: its part from runs' levels
    of_version: Floats  # [...]: its part from versions within runs
    by_unit: Floats  # [G, G, C, C]: covariances of the runs' parts, from versions of variance 1
    by_level: Floats  # [G, G, C, C]: the same from levels of variance 1
    by_noise: Floats  # [G, G, C, C]: the same from the ratings' errors

    def df(
        self,
        along: Floats,
        times: int = 1,
        known: Floats | float | None = None,
        caution: float = 1.0,
    ) -> Floats:
        """Computes the degrees of freedom, float[...], of the sums combined by float[..., C].

        Args:
            along: the weights of the sums.
            times: how many times the estimated variance counts.
            known: the known variance; that of the combination when left out.
            caution: 1 = the estimated part's share is the larger of both estimates, 0 = it is that
                from the runs' residuals in these sums.
        """
        known = _form(along, self.known) if known is None else known
        estimated = _form(along, self.between)
        unit = _form(along, self.unit)
        expected = self.of_version * unit + self.of_level * _form(along, self.level)
        variance = estimated + caution * np.maximum(expected - estimated, 0.0)
        total = times * variance + known
        exact = total <= 0  # no errors at all: any scale will do
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(expected > 0, variance / expected, 0.0)
            alone = np.where(exact, 1.0, variance) / unit
        of_version = np.where(expected > 0, scale * self.of_version, alone)
        total = np.where(exact, times * unit, total)
        parts = (
            (self.by_unit, times * of_version),
            (self.by_level, times * scale * self.of_level),
            (self.by_noise, np.full(np.shape(total), float(times))),
        )
        pairs = sum(
            np.einsum("...c,ghcd,...d->...gh", along, part, along) * size[..., None, None]
            for part, size in parts
        )
        return np.square(total) / np.square(pairs).sum(axis=(-2, -1))


def regress(points: RatedVersions, columns: ArrayLike) -> Regression:
    """Prepares least squares of ratings on a design, with runs as the clusters.

    All versions have the same weight: weights from the ratings would make intervals too narrow.

    Args:
        points: the versions; only their runs and covariance are used, not their ratings.
        columns: float[N, K], the design.

    Raises:
        InsufficientData: there is one run, or these versions do not determine all coefficients.
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
            f"{len(x)} versions determine {rank} of {x.shape[1]} coefficients: vary more of what "
            "is fitted"
        )
    operator = np.linalg.pinv(scaled) / size[:, None]
    residual = np.eye(len(x)) - x @ operator
    index = points.run_index
    member = np.eye(len(points.runs))[index].T
    both = residual, residual - _run_means(residual.T, member).T
    spread, unseen = [], []
    for run in range(len(points.runs)):
        versions = index == run
        rows = residual[versions]
        values, vectors = np.linalg.eigh(rows @ rows.T)
        seen = values > TINY
        inverse_root = (vectors[:, seen] / np.sqrt(values[seen])) @ vectors[:, seen].T
        spread.append(operator[:, versions] @ inverse_root @ rows)
        hidden = operator[:, versions] @ vectors[:, ~seen]
        unseen.append(hidden @ hidden.T)
    return Regression(
        runs=points.runs,
        noise=points.covariance,
        columns=x,
        operator=operator,
        spread=np.array(spread),
        unseen=np.array(unseen),
        member=member,
        squares=np.array(
            [[np.square(part @ member.T).sum(), np.square(part).sum()] for part in both]
        ),
        square_noise=np.array([np.sum(part @ points.covariance * part) for part in both]),
    )


def _run_means(values: Floats, member: Floats) -> Floats:
    """Replaces values float[..., N] by their means over each run, member float[G, N]."""
    return values @ member.T @ (member / member.sum(axis=1, keepdims=True))


def _fieller(a: Floats, b: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Computes the ends of {θ: (a - θb)² ≤ v_aa - 2 θ v_ab + θ² v_bb}, float[...].

    They are inf and -inf if no θ is in this set, -inf and inf if it has no bound.
    """
    square = b**2 - variance[..., 1, 1]
    middle = a * b - variance[..., 0, 1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        under_root = middle**2 - square * (a**2 - variance[..., 0, 0])
        half = np.sqrt(np.maximum(under_root, 0)) / square
        low = np.where(square > 0, middle / square - half, -np.inf)
        high = np.where(square > 0, middle / square + half, np.inf)
    empty = (square > 0) & (under_root < 0)
    return np.where(empty, np.inf, low), np.where(empty, -np.inf, high)


def _form(along: Floats, matrix: Floats) -> Floats:
    """Evaluates quadratic forms float[..., C, C] at float[..., C]; returns float[...]."""
    return np.einsum("...c,...cd,...d->...", along, matrix, along)


def _positive(matrix: Floats, unit: Floats) -> Floats:
    """Projects float[..., C, C] to the nearest matrix without negative variances.

    Distances are measured in units of `unit` [C, C], so the result does not depend on the units of
    the contrasts.
    """
    if len(unit) == 1:
        return np.maximum(matrix, 0.0)
    lower = np.linalg.cholesky(unit)
    inverse = np.linalg.inv(lower)
    values, vectors = np.linalg.eigh(inverse @ matrix @ inverse.T)
    root = lower @ vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    return root @ np.swapaxes(root, -1, -2)
