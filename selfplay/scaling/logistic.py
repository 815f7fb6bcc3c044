"""A logistic growth curve of Elo against training: a floor, a rise and a ceiling, without corners.

    Elo = floor + (ceiling - floor) / (1 + exp(-rate · (log10 C - middle - shift · z)))

for C FLOPs of training and a covariate z such as the size of the network, less its mean. Its
largest slope, (ceiling - floor) · rate / 4, is at the middle.

The fit is least squares with equal weights: a grid of starts, then Levenberg-Marquardt steps inside
bounds. The intervals are those of the linearized model: the derivatives at the solution are the
design of `regress`, so runs and the ratings' errors enter as everywhere. Data that show only a part
of the S push parameters to their bounds. Such a parameter is held there and has no interval, nor
has an end of the curve beyond the data.
"""

from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.descent import best_start, descend
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, InsufficientData, stack
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import Regression, regress

# Bounds, in units of the range of log10 FLOPs. From 10 to 90 % of a rise takes 4.4 / rate.
MIDDLE = (-0.25, 1.25)
RATE = (1.5, 45.0)
SHIFT = (-2.0, 2.0)  # over the range of the covariate
FLOOR, HEIGHT, MIDDLE_AT, RATE_AT, SHIFT_AT = range(5)  # places of the parameters

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """The parameters of a logistic curve.

    Attributes:
        floor: Elo before the rise.
        ceiling: Elo after it.
        middle: log10 FLOPs at which half of the rise is done, at the covariate's mean.
        slope: the largest slope, at the middle, Elo per OOM of training.
        shift: OOMs by which the middle moves per unit of the covariate; None without one.
        covariate: its name; None without one.
        mean: float[..., N], the curve at the fitted versions, Elo.
        parameters: float[..., K]: floor, ceiling - floor, middle, rate per OOM, and the shift if
            there is a covariate.
        held: bool[..., K], True = the parameter is at a bound.
    """

    floor: Estimate
    ceiling: Estimate
    middle: Estimate
    slope: Estimate
    shift: Estimate | None
    covariate: str | None
    mean: Floats
    parameters: Floats
    held: Mask

    def __str__(self) -> str:
        return f"at most {self.slope}, between a floor at {self.floor} and {self.ceiling}"


def fit(points: RatedVersions, covariate: str | None = None) -> LogisticFit:
    """Fits a logistic curve, with a covariate one whose middle depends on it linearly.

    Raises:
        InsufficientData: there are fewer versions than parameters, training FLOPs or the covariate
            are unknown or do not differ, no rise fits better than a constant, or there is a single
            run.
    """
    spent = points.require("training")
    z = _centered(points, covariate)
    elo = points.elo.reshape(-1, len(points))
    beta, held = least_squares(elo, spent, z)
    if (beta[:, HEIGHT] <= 0).any():
        raise InsufficientData("no logistic rise fits these ratings better than a constant")
    parts = [
        _estimates(replace(points, elo=row), z, b, h)
        for row, b, h in zip(elo, beta, held, strict=True)
    ]
    batch = points.elo.shape[:-1]

    def merged(name: str) -> Estimate:
        numbers = {
            field: np.reshape([getattr(part[name], field) for part in parts], batch)
            for field in NUMBERS
        }
        return Estimate(**numbers, unit=parts[0][name].unit)

    names = [field.name for field in fields(LogisticFit) if field.name in parts[0]]
    estimates = {name: merged(name) for name in names}
    return LogisticFit(
        **{"shift": None, **estimates},
        covariate=covariate,
        mean=evaluate(beta, spent, z)[0].reshape(*batch, -1),
        parameters=beta.reshape(*batch, -1),
        held=held.reshape(*batch, -1),
    )


def curve(
    points: RatedVersions, fitted: LogisticFit, training: Floats, at: Floats | float = 0.0
) -> Estimate:
    """Evaluates a fit at `training` float[M]: the mean Elo with its intervals.

    Args:
        points: the fitted versions; not a batch.
        fitted: their fit.
        training: log10 FLOPs.
        at: the covariate there, float[M], or one value.
    """
    z = _centered(points.require_single(), fitted.covariate)
    offset = 0.0
    if fitted.covariate:
        offset = np.asarray(at, np.float64) - points.require(fitted.covariate).mean()
    there = np.broadcast_to(offset, training.shape) if fitted.covariate else None
    mean, rows = evaluate(fitted.parameters[None], training, there)
    design, response = linearized(points, z, fitted.parameters, fitted.held)
    free = ~fitted.held
    ends = [
        _about(value, design.contrast(response, row[free], "Elo"))
        for value, row in zip(mean[0], rows[0], strict=True)
    ]
    return stack(ends)


def linearized(
    points: RatedVersions, z: Floats | None, beta: Floats, held: Mask
) -> tuple[Regression, Floats]:
    """Linearizes the model of one set of ratings at the parameters float[K].

    Returns:
        The regression on the derivatives by the parameters that are not held, and its response
        float[N], with the residuals of the curve.
    """
    mean, jacobian = (part[0] for part in evaluate(beta[None], points.training, z))
    design = jacobian[:, ~held]
    return regress(points, design), design @ beta[~held] + points.elo - mean


def evaluate(beta: Floats, training: Floats, z: Floats | None) -> tuple[Floats, Floats]:
    """Evaluates curves with parameters float[R, K] at float[N].

    Returns:
        Elo float[R, N], and its derivatives by the parameters float[R, N, K].
    """
    height, rate = beta[:, [HEIGHT]], beta[:, [RATE_AT]]
    away = training - beta[:, [MIDDLE_AT]]
    if z is not None:
        away = away - beta[:, [SHIFT_AT]] * z
    share = 1 / (1 + np.exp(-np.clip(rate * away, -500, 500)))
    steep = height * share * (1 - share)
    columns = [np.ones_like(share), share, -steep * rate, steep * away]
    if z is not None:
        columns.append(-steep * rate * z)
    return beta[:, [FLOOR]] + height * share, np.stack(columns, axis=-1)


def least_squares(
    elo: Floats, training: Floats, z: Floats | None, weights: Floats | None = None
) -> tuple[Floats, Mask]:
    """Fits curves to elo float[R, N], with a covariate float[N] of mean 0 or None.

    Args:
        elo: the ratings.
        training: float[N], log10 FLOPs.
        z: the covariate.
        weights: float[R, N], of the squares; equal if left out.

    Returns:
        The parameters float[R, K], whose height is 0 where no rise fits better than a constant, and
        True for those at a bound, bool[R, K].

    Raises:
        InsufficientData: there are too few versions, or nothing differs.
    """
    count = 4 if z is None else 5
    spread = float(np.ptp(training))
    if elo.shape[1] < count or spread == 0 or (z is not None and np.ptp(z) == 0):
        raise InsufficientData(
            f"{elo.shape[1]} versions over {spread:.2g} OOMs of training do not determine the "
            f"{count} parameters of a logistic curve: vary more of what is fitted"
        )
    weights = np.ones_like(elo) if weights is None else weights
    low, high = _bounds(training, z)
    middles = np.linspace(low[MIDDLE_AT], high[MIDDLE_AT], 13)
    rates = np.geomspace(low[RATE_AT], high[RATE_AT], 6)
    shifts = [0.0] if z is None else list(np.linspace(low[SHIFT_AT], high[SHIFT_AT], 17))
    shapes = np.array([[0.0, 1.0, *shape][:count] for shape in product(middles, rates, shifts)])
    best, floor, height = best_start(elo, weights, evaluate(shapes, training, z)[0])
    beta = np.take(shapes, best, axis=0)
    beta[:, FLOOR], beta[:, HEIGHT] = floor, height
    beta = descend(lambda b: evaluate(b, training, z), elo, weights, beta, low, high)
    edge = 1e-6 * np.where(np.isfinite(high - low), high - low, 0.0)
    return beta, (beta <= low + edge) | (beta >= high - edge)


def _bounds(training: Floats, z: Floats | None) -> tuple[Floats, Floats]:
    """Returns the least and the largest values of the parameters, float[K] each."""
    spread, first = float(np.ptp(training)), float(training.min())
    ends = [(-np.inf, np.inf), (0.0, np.inf)]
    ends.append((first + MIDDLE[0] * spread, first + MIDDLE[1] * spread))
    ends.append((RATE[0] / spread, RATE[1] / spread))
    if z is not None:
        ends.append((SHIFT[0] * spread / np.ptp(z), SHIFT[1] * spread / np.ptp(z)))
    low, high = np.array(ends).T
    return low, high


def _centered(points: RatedVersions, covariate: str | None) -> Floats | None:
    """Returns the covariate less its mean, float[N], or None without one."""
    if covariate is None:
        return None
    values = points.require(covariate)
    return values - values.mean()


def _estimates(
    points: RatedVersions, z: Floats | None, beta: Floats, held: Mask
) -> dict[str, Estimate]:
    """Estimates the parameters of one set of ratings by name, with intervals."""
    design, response = linearized(points, z, beta, held)
    size = len(beta)
    unit = np.eye(size)
    gradients = {
        "floor": (unit[FLOOR], beta[FLOOR], "Elo"),
        "ceiling": (unit[FLOOR] + unit[HEIGHT], beta[FLOOR] + beta[HEIGHT], "Elo"),
        "middle": (unit[MIDDLE_AT], beta[MIDDLE_AT], "log10 FLOPs"),
        "slope": (
            (beta[RATE_AT] * unit[HEIGHT] + beta[HEIGHT] * unit[RATE_AT]) / 4,
            beta[HEIGHT] * beta[RATE_AT] / 4,
            "Elo per OOM of training",
        ),
    }
    if z is not None:
        gradients["shift"] = (unit[SHIFT_AT], beta[SHIFT_AT], "OOMs per unit")
    low, high = _bounds(points.training, z)
    flat = held[RATE_AT] and beta[RATE_AT] < np.sqrt(low[RATE_AT] * high[RATE_AT])
    late = beta[MIDDLE_AT] > (low[MIDDLE_AT] + high[MIDDLE_AT]) / 2
    unknown = {
        "floor": flat or (held[MIDDLE_AT] and not late),
        "ceiling": flat or (held[MIDDLE_AT] and late),
        "middle": held[MIDDLE_AT],
        "slope": held[RATE_AT] or held[MIDDLE_AT],
        "shift": z is not None and held[SHIFT_AT],
    }
    estimates = {}
    for name, (gradient, value, text) in gradients.items():
        if unknown[name]:
            numbers = map(np.float64, (value, -np.inf, np.inf, np.inf, 1.0))
            estimates[name] = Estimate(*map(np.asarray, numbers), unit=text)
            continue
        linear = design.contrast(response, gradient[~held], text)
        estimates[name] = _about(value, linear)
    return estimates


def _about(value: Floats | np.float64, estimate: Estimate) -> Estimate:
    """Moves an estimate, with its interval, to a value."""
    moved = value - estimate.value
    ends = {name: getattr(estimate, name) + moved for name in ("value", "low", "high")}
    return replace(estimate, **ends)
