"""Tests of extrapolation: fit all runs but the largest, predict those, and use what predicts best.

A candidate (`candidates`) is fitted to all other runs and predicts the versions of the held-out
ones that had more training. Which candidate to use is decided without the held-out runs: among the
fitted runs, the largest are held out once more, and the candidate with the least root mean square
error there is chosen. A curve is thus chosen by its predictions, not by its fit to the ratings
(Alabdulmohsin et al. 2022).

Which curve is right stays uncertain. The interval of the chosen candidate therefore also holds how
far the others disagree with it: their squared distance, weighted by the inverse square of their
mean square errors there (Buckland et al. 1997 add such a variance).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import candidates
from selfplay.scaling.candidates import CANDIDATES, LINE, Candidate, Predictor
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import Labels, RatedVersions
from selfplay.style.powers_of_ten import power

T = TypeVar("T")

FORECAST = 0.5  # OOMs of training beyond the largest run


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """M held-out versions with more compute than all fitted versions, and their predictions.

    Attributes:
        held_out: the runs that were not fitted.
        reach: OOMs of training by which their last version is beyond all fitted versions.
        predictor: the fitted candidate.
        run: str[M].
        training: float[M], log10 FLOPs.
        rated: float[..., M], Elo.
        predicted: Elo [..., M], each with its 95 % prediction interval.
    """

    held_out: tuple[str, ...]
    reach: float
    predictor: Predictor
    run: Labels
    training: Floats
    rated: Floats
    predicted: Estimate

    @property
    def error(self) -> Floats:
        """Rated minus predicted Elo, float[..., M]; positive = stronger than predicted."""
        return self.rated - self.predicted.value

    @property
    def covered(self) -> NDArray[np.bool_]:
        """True = the rating is inside its prediction interval, bool[..., M]; False without one."""
        bounded = self.predicted.bounded
        return bounded & (self.predicted.low <= self.rated) & (self.rated <= self.predicted.high)

    @property
    def root_mean_square(self) -> Floats:
        """The root mean square of the errors over versions, float[...], Elo."""
        return np.sqrt(np.square(self.error).mean(axis=-1))

    def __str__(self) -> str:
        return (
            f"{self.covered.sum()} of {self.covered.size} held-out versions of "
            f"{len(self.held_out)} runs, up to {self.reach:.2g} OOMs beyond the fitted ones, are "
            "inside their 95 % prediction intervals; errors are "
            f"{float(self.error.mean()):+.0f} Elo in the mean, "
            f"{float(self.root_mean_square):.0f} Elo root mean square"
        )


@dataclass(frozen=True, eq=False)
class Trial:
    """What a candidate predicted, or why it did not.

    Attributes:
        candidate: its curve.
        chosen_by: its predictions of the largest of the runs that are fitted in `tested`.
        tested: its predictions of the largest of all runs.
    """

    candidate: Candidate
    chosen_by: Extrapolation | InsufficientData
    tested: Extrapolation | InsufficientData


@dataclass(frozen=True, eq=False)
class Comparison:
    """The trials of all candidates, and the test and the forecast of the best one.

    Attributes:
        trials: of every candidate.
        best: the candidate with the least error in `chosen_by`, of those whose predictions have
            bounds; the first of these if there is no such test.
        test: its predictions of the largest runs, with the disagreement of the others.
        weights: of the candidates that predict the largest runs, by name; see `trust`.
        at: log10 FLOPs of the forecast, `FORECAST` OOMs beyond the largest run.
        forecast: Elo of one more run with that training, of the size of the largest run, fitted to
            all runs; None if the best candidate cannot be fitted to them.
    """

    trials: tuple[Trial, ...]
    best: Candidate
    test: Extrapolation
    weights: Mapping[str, float]
    at: float
    forecast: Estimate | None

    def __str__(self) -> str:
        text = f"predicted by the {self.best.name}, {self.test}"
        if self.forecast is None:
            return text
        at = f"{power(self.at, 1)} FLOPs of training"
        return f"{text}. The forecast for one more run, with {at}, is {self.forecast}"


def compare(
    points: RatedVersions, min_reach: float, among: Sequence[Candidate] = CANDIDATES
) -> Comparison:
    """Predicts the largest runs by the candidate that predicts the largest of the others best.

    Args:
        points: versions of one search budget.
        min_reach: OOMs of training between fitted and predicted runs, in both steps.
        among: the candidates.

    Raises:
        InsufficientData: no runs reach that far with two others to fit, or no candidate can be
            fitted.
    """
    trials = _trials(points, min_reach, among)
    able = [(t, t.tested) for t in trials if isinstance(t.tested, Extrapolation)]
    usable = [k for k, (_, test) in enumerate(able) if test.predicted.bounded.all()]
    if not usable:
        raise _reason(trials)
    errors = np.array(
        [
            t.chosen_by.root_mean_square if isinstance(t.chosen_by, Extrapolation) else np.inf
            for t, _ in able
        ]
    )
    trial, test = able[usable[int(np.argmin(errors[usable]))]]
    weights = trust(errors)
    means = np.stack([t.predicted.value for _, t in able])
    spread = disagreement(weights, means, test.predicted.value)
    comparison = Comparison(
        trials,
        trial.candidate,
        replace(test, predicted=widened(test.predicted, spread)),
        dict(zip([t.candidate.name for t, _ in able], weights.tolist(), strict=True)),
        float(points.training.max()) + FORECAST,
        None,
    )
    return replace(comparison, forecast=_forecast(points, comparison))


def _trials(
    points: RatedVersions, min_reach: float, among: Sequence[Candidate]
) -> tuple[Trial, ...]:
    """Lets each candidate predict the largest of the fitted runs, and the largest of all."""
    held_out = largest_runs(points, min_reach)
    fitted = points.select(~np.isin(points.run, held_out))

    def chosen_by(candidate: Candidate) -> Extrapolation:
        return predict_runs(fitted, largest_runs(fitted, min_reach), candidate)

    def tested(candidate: Candidate) -> Extrapolation:
        return predict_runs(points, held_out, candidate)

    return tuple(Trial(c, _or_reason(chosen_by, c), _or_reason(tested, c)) for c in among)


def _reason(trials: Sequence[Trial]) -> InsufficientData:
    """Says why no candidate predicts the largest runs."""
    reasons = [t.tested for t in trials if isinstance(t.tested, InsufficientData)]
    return next(iter(reasons), None) or InsufficientData(
        "every prediction of the largest runs depends on one run alone: add another seed"
    )


def _forecast(points: RatedVersions, comparison: Comparison) -> Estimate | None:
    """Predicts one more run beyond the largest one; None if the data do not determine it."""
    at = np.array([comparison.at])
    size = points.parameters[[int(np.argmax(points.training))]]
    try:
        forecast = one_more_run(points, comparison, at, size)
    except InsufficientData:
        return None
    return Estimate(**{name: getattr(forecast, name)[0] for name in NUMBERS}, unit="Elo")


def one_more_run(
    points: RatedVersions, comparison: Comparison, training: Floats, parameters: Floats
) -> Estimate:
    """Predicts the Elo of one more run by the best candidate, fitted to `points`.

    Args:
        points: all runs, or all but the held-out ones.
        comparison: says which candidate is the best, and how much others count.
        training: float[M], log10 FLOPs.
        parameters: float[M], log10.

    Raises:
        InsufficientData: the versions do not determine the best candidate's curve.
    """
    best = candidates.fit(comparison.best, points).predict(
        training, parameters, np.zeros((len(training), len(points))), np.zeros(len(training))
    )
    means: list[Floats] = []
    weights: list[float] = []
    for trial in comparison.trials:
        weight = comparison.weights.get(trial.candidate.name, 0.0)
        fitted = _or_reason(lambda c: candidates.fit(c, points), trial.candidate)
        if weight and isinstance(fitted, Predictor):
            means.append(fitted.mean(training, parameters))
            weights.append(weight)
    shares = np.array(weights) / sum(weights)
    return widened(best, disagreement(shares, np.stack(means), best.value))


def trust(errors: Floats) -> Floats:
    """Weighs candidates by their root mean square errors float[K, ...], infinite where unknown.

    Returns:
        Weights float[K, ...] that sum to 1; equal ones if no error is known.
    """
    least = errors.min(axis=0)
    known = np.isfinite(least)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(errors == least, 1.0, least / errors)  # 0 where unknown
    weights = np.where(known, ratios**4, 1.0)
    return weights / weights.sum(axis=0)


def disagreement(weights: Floats, predicted: Floats, best: Floats) -> Floats:
    """Computes the mean squared distance, float[..., M], of predictions from the best one.

    Args:
        weights: float[K, ...], of the candidates.
        predicted: float[K, ..., M], Elo.
        best: float[..., M], Elo.
    """
    return (weights[..., None] * np.square(predicted - best)).sum(axis=0)


def widened(predicted: Estimate, spread: Floats) -> Estimate:
    """Adds a variance float[..., M] to predictions."""
    stderr = np.sqrt(np.square(predicted.stderr) + spread)
    return Estimate.student(predicted.value, stderr, predicted.df, predicted.unit)


def largest_runs(points: RatedVersions, min_reach: float) -> list[str]:
    """Lists the runs of as few of the largest recipes as reach `min_reach` OOMs beyond the rest.

    Raises:
        InsufficientData: no choice of recipes reaches that far with two other runs to fit.
    """
    spent, reach = points.require("training"), 0.0
    most = {recipe: spent[points.recipe == recipe].max() for recipe in set(points.recipe)}
    order = sorted(most, key=lambda recipe: (-most[recipe], recipe))
    for count in range(1, len(order)):
        out = np.isin(points.run, points.run[np.isin(points.recipe, order[:count])])
        if len(set(points.run[~out])) < 2:
            break
        reach = max(reach, float(spent[out].max() - spent[~out].max()))
        if reach >= min_reach:
            return sorted(set(points.run[out].tolist()))
    raise InsufficientData(
        f"the largest runs go only {reach:.2g} OOMs beyond the others, not {min_reach}"
    )


def predict_runs(
    points: RatedVersions, held_out: Sequence[str], candidate: Candidate = LINE
) -> Extrapolation:
    """Fits a candidate to all other runs and predicts the held-out ones beyond their compute.

    Raises:
        InsufficientData: there is no such run, the others do not determine the curve, or no
            held-out version has more training than they.
    """
    missing = sorted(set(held_out) - set(points.runs))
    if missing or not held_out:
        choices = ", ".join(points.runs)
        raise InsufficientData(f"hold out some of the runs {choices}; got {list(held_out)}")
    spent = points.require("training")
    out = np.isin(points.run, list(held_out))
    if out.all():
        raise InsufficientData("all runs are held out: nothing is left to fit")
    target = np.flatnonzero(out & (spent > spent[~out].max()))
    if not len(target):
        raise InsufficientData(
            f"no version of {', '.join(held_out)} has more training than the fitted runs, so there "
            "is nothing to extrapolate"
        )
    predictor = candidates.fit(candidate, points.select(~out))
    noise = points.covariance
    predicted = predictor.predict(
        spent[target],
        points.parameters[target],
        noise[np.ix_(target, ~out)],
        np.diag(noise)[target],
    )
    return Extrapolation(
        held_out=tuple(held_out),
        reach=float(spent[target].max() - spent[~out].max()),
        predictor=predictor,
        run=points.run[target],
        training=spent[target],
        rated=points.elo[..., target],
        predicted=predicted,
    )


def _or_reason(predict: Callable[[Candidate], T], candidate: Candidate) -> T | InsufficientData:
    """Returns the candidate's predictions, or the reason why there are none."""
    try:
        return predict(candidate)
    except InsufficientData as reason:
        return reason
