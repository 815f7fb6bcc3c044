"""A test of extrapolation: fit all runs except the largest ones, predict those, count the misses.

The rating of a held-out version is predicted from the line through the other runs. The error of the
prediction has three parts:

* the variance of the line, estimated from the runs that it was fitted to;
* the variance of one more run: G times as large, as a line through G runs is a mean over G, and at
  least the scatter of single versions;
* the errors of the ratings on both sides, with their covariance from the ladder.

Student's t has the degrees of freedom of the line.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.estimate import Estimate, Floats, InsufficientData, stack
from selfplay.scaling.rated_versions import Labels, RatedVersions
from selfplay.scaling.regression import regress
from selfplay.scaling.slopes import per_training


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """M held-out versions with more compute than all fitted versions, and their predictions.

    Attributes:
        held_out: the runs that were not fitted.
        reach: OOMs of training by which their last version is beyond all fitted versions.
        slope: Elo per OOM of training of the fitted versions.
        run: str[M].
        training: float[M], log10 FLOPs.
        rated: float[..., M], Elo.
        predicted: Elo [..., M], each with its 95 % prediction interval.
    """

    held_out: tuple[str, ...]
    reach: float
    slope: Estimate
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
        """True = the rating is inside its prediction interval, bool[..., M]."""
        return (self.predicted.low <= self.rated) & (self.rated <= self.predicted.high)

    @property
    def root_mean_square(self) -> Floats:
        """The root mean square of the errors over versions, float[...], Elo."""
        return np.sqrt(np.square(self.error).mean(axis=-1))

    def __str__(self) -> str:
        return (
            f"{self.covered.sum()} of {self.covered.size} held-out versions of "
            f"{len(self.held_out)} runs, up to {self.reach:.2g} OOMs beyond, are inside their 95 % "
            f"prediction intervals; errors are {float(self.error.mean()):+.0f} Elo in the mean, "
            f"{float(self.root_mean_square):.0f} Elo root mean square"
        )


def predict_largest(points: RatedVersions, min_reach: float) -> Extrapolation:
    """Holds out as few of the largest recipes as reach `min_reach` OOMs beyond the rest.

    Raises:
        InsufficientData: no choice of recipes reaches that far with two other runs to fit.
    """
    spent, reach = points.require("training"), 0.0
    most = {recipe: spent[points.recipe == recipe].max() for recipe in set(points.recipe)}
    order = sorted(most, key=lambda recipe: (-most[recipe], recipe))
    for count in range(1, len(order)):
        held_out = points.run[np.isin(points.recipe, order[:count])]
        with suppress(InsufficientData):
            extrapolation = predict_runs(points, sorted(set(held_out)))
            if extrapolation.reach >= min_reach:
                return extrapolation
            reach = max(reach, extrapolation.reach)
    raise InsufficientData(
        f"the largest runs go only {reach:.2g} OOMs beyond the others, not {min_reach}"
    )


def predict_runs(points: RatedVersions, held_out: Sequence[str]) -> Extrapolation:
    """Fits a line to all other runs and predicts the held-out ones beyond the fitted compute.

    Raises:
        InsufficientData: there is no such run, fewer than two others are left, or no held-out
            version has more training than they.
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
    fitted = points.select(~out)
    mean = fitted.training.mean()
    line = regress(fitted, np.stack([np.ones(len(fitted)), fitted.training - mean], axis=1))
    noise = points.covariance
    parts = [
        line.prediction(fitted.elo, [1.0, spent[at] - mean], noise[at, ~out], noise[at, at])
        for at in target
    ]
    return Extrapolation(
        held_out=tuple(held_out),
        reach=float(spent[target].max() - spent[~out].max()),
        slope=per_training(fitted),
        run=points.run[target],
        training=spent[target],
        rated=points.elo[..., target],
        predicted=stack(parts),
    )
