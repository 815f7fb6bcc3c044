"""Candidates for predicting larger runs: curves of Elo against training, of several shapes.

A candidate is a shape, fitted to all versions, to all versions with a shift that depends on the
size of the network, or to the versions on the frontier. The interval of a predicted rating has
three parts:

* the variance of the fit, estimated from the runs that it was fitted to;
* the variance of one more run, see `Regression.prediction`: G times as large, as a curve through G
  runs is a mean over G, and at least the scatter of single versions;
* the errors of the ratings on both sides, with their covariance from the ladder.

Student's t has the degrees of freedom of the fit, whose derivatives are the design of `regress`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import clipped_line, frontier, logistic
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, InsufficientData, stack
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.scaling.regression import Regression, regress

COVARIATE = "parameters"

Mask = NDArray[np.bool_]
Pieces: TypeAlias = list[tuple[Floats, Floats]]
"""Curves whose minimum is the prediction: Elo float[M], and its derivatives float[M, K]."""


@dataclass(frozen=True)
class Shape:
    """A curve with parameters float[K].

    Attributes:
        fit: fits elo float[R, N] at log10 FLOPs float[N] with a covariate float[N] or None, both
            less their means, and weights float[R, N]; returns parameters float[R, K], and True for
            those that the data do not determine, bool[R, K].
        evaluate: returns Elo float[R, N] and its derivatives float[R, N, K].
        pieces: of the curve with parameters float[K] beyond the data, at float[M].
    """

    fit: Callable[[Floats, Floats, Floats | None, Floats], tuple[Floats, Mask]]
    evaluate: Callable[[Floats, Floats, Floats | None], tuple[Floats, Floats]]
    pieces: Callable[[Floats, Floats, Floats | None], Pieces]


@dataclass(frozen=True)
class Candidate:
    """A way to predict larger runs.

    Attributes:
        name: in reports.
        shape: of the curve.
        over_sizes: True = the number of parameters shifts the curve.
        on_frontier: True = fitted to the versions on the frontier only.
    """

    name: str
    shape: Shape
    over_sizes: bool = False
    on_frontier: bool = False


@dataclass(frozen=True, eq=False)
class Predictor:
    """A candidate fitted to versions, a batch of R replicates or one.

    Attributes:
        candidate: the shape, and what it was fitted to.
        points: the versions.
        weights: float[R, N], 1 = fitted, 0 = not on the frontier.
        beta: float[R, K], the parameters.
        held: bool[R, K], True = the versions do not determine the parameter.
    """

    candidate: Candidate
    points: RatedVersions
    weights: Floats
    beta: Floats
    held: Mask

    def mean(self, training: Floats, parameters: Floats) -> Floats:
        """Evaluates the curve at log10 FLOPs and parameters float[M]; returns Elo float[..., M]."""
        x, z = self._coordinates(training, parameters)
        mean = self.candidate.shape.evaluate(self.beta, x, z)[0]
        return mean.reshape(*self.points.elo.shape[:-1], -1)

    def curve(self, training: Floats, parameters: Floats) -> Estimate:
        """Estimates the curve at float[M]: the mean Elo of runs like these, with its intervals."""
        return self._at(training, parameters, lambda group, row, _: (
            group.design.contrast(group.response, row, "Elo")
        ))  # fmt: skip

    def predict(
        self, training: Floats, parameters: Floats, shared: Floats, variance: Floats
    ) -> Estimate:
        """Predicts ratings that the same ladder gives to versions of one more run like these.

        Args:
            training: float[M], log10 FLOPs.
            parameters: float[M], log10.
            shared: float[M, N]: covariances of their ratings' errors with those of `points`, Elo².
            variance: float[M], of their ratings' errors, Elo².

        Returns:
            Predictions [..., M], without bounds where they depend on one run alone.

        Raises:
            InsufficientData: there is a single run, or the versions do not determine the curve.
        """
        return self._at(training, parameters, lambda group, row, at: (
            group.design.prediction(
                group.response, row, shared[at, group.chosen], float(variance[at])
            )
        ))  # fmt: skip

    def _at(
        self,
        training: Floats,
        parameters: Floats,
        estimate: "EstimateAt",
    ) -> Estimate:
        """Estimates something at float[M], from the linearized fits of all replicates: [..., M]."""
        x, z = self._coordinates(training, parameters)
        count, batch = len(self.beta), self.points.elo.shape[:-1]
        numbers = {name: np.full((count, len(x)), np.nan) for name in NUMBERS}
        for group in self._groups():
            part = self._estimate_group(group, x, z, estimate)
            for name in NUMBERS:
                numbers[name][group.replicates] = getattr(part, name)
        shaped = {name: values.reshape(*batch, -1) for name, values in numbers.items()}
        return Estimate(**shaped, unit="Elo")

    def _estimate_group(
        self,
        group: "_Group",
        x: Floats,
        z: Floats | None,
        estimate: "EstimateAt",
    ) -> Estimate:
        """Estimates something for the replicates [R] of a group, at float[M]: [R, M].

        A curve that is a minimum of pieces is estimated as the least of them.

        Raises:
            InsufficientData: no fitted version determines the curve at one of these places.
        """
        first, shape = group.replicates[0], self.candidate.shape
        used = group.used
        places: list[Estimate] = []
        for at in range(len(x)):
            there = x[[at]], None if z is None else z[[at]]
            ends: list[Estimate] = []
            for place in range(len(shape.pieces(self.beta[first], *there))):
                pieces = [shape.pieces(self.beta[r], *there)[place] for r in group.replicates]
                row = pieces[0][1][0]
                if row[~used & ~self.held[first]].any():
                    continue  # no version determines this piece
                try:
                    linear = estimate(group, row[used], at)
                except InsufficientData:  # it depends on one run alone
                    linear = _unbounded(len(group.replicates))
                moved = np.array([piece[0][0] for piece in pieces]) - linear.value
                moved_ends = {n: getattr(linear, n) + moved for n in ("value", "low", "high")}
                ends.append(replace(linear, **moved_ends))
            if not ends:
                raise InsufficientData("no fitted version determines the curve there")
            places.append(_least(ends))
        return stack(places)

    def _groups(self) -> "Iterator[_Group]":
        """Groups the replicates that have the same linearized design."""
        x, z = self._coordinates(self.points.training, self.points.parameters)
        elo = self.points.elo.reshape(len(self.beta), -1)
        mean, jacobian = self.candidate.shape.evaluate(self.beta, x, z)
        jacobian = np.where(self.held[:, None], 0.0, jacobian) * self.weights[..., None]
        members: dict[bytes, list[int]] = {}
        for replicate, design in enumerate(jacobian):
            members.setdefault(design.tobytes(), []).append(replicate)
        finite = np.where(np.isfinite(self.beta), self.beta, 0.0)
        for replicates in members.values():
            first = replicates[0]
            chosen = np.flatnonzero(self.weights[first])
            used = np.any(jacobian[first] != 0, axis=0)
            columns = jacobian[first][chosen][:, used]
            design = regress(self.points.select(chosen), columns)
            residuals = (elo - mean)[replicates][:, chosen]
            response = finite[replicates][:, used] @ columns.T + residuals
            yield _Group(np.array(replicates), chosen, used, design, response)

    def _coordinates(self, training: Floats, parameters: Floats) -> tuple[Floats, Floats | None]:
        """Takes the means of the fitted versions from log10 FLOPs and parameters."""
        x = training - self.points.training.mean()
        if not self.candidate.over_sizes:
            return x, None
        return x, parameters - self.points.require(COVARIATE).mean()


@dataclass(frozen=True, eq=False)
class _Group:
    """Replicates [R] with one linearized design.

    Attributes:
        replicates: int[R], which ones.
        chosen: int[N], the fitted versions.
        used: bool[K], the parameters that they determine.
        design: the regression on the derivatives by these parameters.
        response: float[R, N], of the linearized model.
    """

    replicates: Ints
    chosen: Ints
    used: Mask
    design: Regression
    response: Floats


EstimateAt: TypeAlias = Callable[[_Group, Floats, int], Estimate]
"""Estimates, for a group, the sum of parameters weighted by float[K], at a place of M."""


def fit(candidate: Candidate, points: RatedVersions) -> Predictor:
    """Fits a candidate.

    Raises:
        InsufficientData: training FLOPs or sizes are unknown or do not differ, or there are too few
            versions.
    """
    x = points.require("training") - points.training.mean()
    z = None
    if candidate.over_sizes:
        z = points.require(COVARIATE) - points.parameters.mean()
        if np.ptp(z) == 0:
            raise InsufficientData("all fitted versions have one size")
    elo = points.elo.reshape(-1, len(points))
    weights: Floats = np.ones_like(elo)
    if candidate.on_frontier:
        masks = [frontier.on_frontier(replace(points, elo=e)) for e in elo]
        weights = np.array(masks, np.float64)
    return Predictor(candidate, points, weights, *candidate.shape.fit(elo, x, z, weights))


def _unbounded(count: int) -> Estimate:
    """Makes estimates of 0 Elo float[count] with no bounds."""
    infinite, one = np.full(count, np.inf), np.ones(count)
    return Estimate(np.zeros(count), -infinite, infinite, infinite, one, "Elo")


def _fit_line(elo: Floats, x: Floats, z: Floats | None, weights: Floats) -> tuple[Floats, Mask]:
    """Fits a clipped line without a floor or a plateau; see `Shape.fit`."""
    if np.ptp(x) == 0:
        raise InsufficientData("all fitted versions have the same training")
    columns = np.stack([np.ones_like(x), x], axis=1)
    level, slope = np.linalg.pinv(columns) @ elo.T
    beta = np.stack([np.full_like(level, -np.inf), np.full_like(level, np.inf), level, slope], 1)
    return beta, np.isinf(beta)


def _pieces_of_line(beta: Floats, x: Floats, z: Floats | None) -> Pieces:
    """Returns the incline and the plateau, if there is one; see `Shape.pieces`."""
    open_ended = beta.copy()
    open_ended[clipped_line.FLOOR], open_ended[clipped_line.PLATEAU] = -np.inf, np.inf
    rising, rows = clipped_line.evaluate(open_ended[None], x, z)
    pieces = [(rising[0], rows[0])]
    if np.isfinite(beta[clipped_line.PLATEAU]):
        level = np.zeros_like(rows[0])
        level[:, clipped_line.PLATEAU] = 1.0
        pieces.append((np.full_like(x, beta[clipped_line.PLATEAU]), level))
    return pieces


def _piece_of_logistic(beta: Floats, x: Floats, z: Floats | None) -> Pieces:
    """Returns the curve as its only piece; see `Shape.pieces`."""
    mean, rows = logistic.evaluate(beta[None], x, z)
    return [(mean[0], rows[0])]


def _least(ends: list[Estimate]) -> Estimate:
    """Takes the estimate with the least value, and the least of the upper ends."""
    least = ends[0]
    for other in ends[1:]:
        lower = other.value < least.value
        numbers = {n: np.where(lower, getattr(other, n), getattr(least, n)) for n in NUMBERS}
        numbers["high"] = np.minimum(least.high, other.high)
        least = Estimate(**numbers, unit=least.unit)
    return least


def _fit_bent(elo: Floats, x: Floats, z: Floats | None, weights: Floats) -> tuple[Floats, Mask]:
    """Fits an incline and a plateau; see `Shape.fit`."""
    return clipped_line.least_squares(elo, x, z, weights, floor=False)


_PHASES = Shape(clipped_line.least_squares, clipped_line.evaluate, _pieces_of_line)
_BENT = Shape(_fit_bent, clipped_line.evaluate, _pieces_of_line)
_LOGISTIC = Shape(logistic.least_squares, logistic.evaluate, _piece_of_logistic)

LINE = Candidate("line", Shape(_fit_line, clipped_line.evaluate, _pieces_of_line))
CANDIDATES = (
    LINE,
    Candidate("phases", _PHASES),
    Candidate("phases over sizes", _PHASES, over_sizes=True),
    Candidate("bent line of the frontier", _BENT, on_frontier=True),
    Candidate("logistic", _LOGISTIC),
    Candidate("logistic over sizes", _LOGISTIC, over_sizes=True),
    Candidate("logistic of the frontier", _LOGISTIC, on_frontier=True),
)
