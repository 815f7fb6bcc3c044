"""Extrapolation put to the test: fit all but the largest runs, predict them, count the misses.

A held-out version's rating is predicted from the line through the other runs. What it may be off
by has three parts: the line's own variance, from the runs it was fitted to; that of one more run
like them, which is the number of runs times as large (a line through G runs is a mean over G), and
no less than what single versions scatter by; and the ratings' errors, of both sides and with all
that they share, which the ladder knows. Student's t has the degrees of freedom of the line.
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
    """M held-out versions beyond the compute of all that was fitted.

    Attributes:
        held_out: the runs that were not fitted.
        reach: OOMs of training by which their last version is beyond all that was fitted.
        slope: Elo per OOM of training, of what was fitted.
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
        """float[..., M]: rated less predicted, Elo; above 0: stronger than predicted."""
        return self.rated - self.predicted.value

    @property
    def covered(self) -> NDArray[np.bool_]:
        """bool[..., M], True = the rating lies in its prediction interval."""
        return (self.predicted.low <= self.rated) & (self.rated <= self.predicted.high)

    @property
    def root_mean_square(self) -> Floats:
        """float[...], of the errors, Elo."""
        return np.sqrt(np.square(self.error).mean(axis=-1))

    def __str__(self) -> str:
        return (
            f"{self.covered.sum()} of {self.covered.size} held-out versions of "
            f"{len(self.held_out)} runs, up to {self.reach:.2g} OOMs beyond, lie in their 95 % "
            f"prediction intervals; errors are {float(self.error.mean()):+.0f} Elo in the mean, "
            f"{float(self.root_mean_square):.0f} Elo root mean square"
        )


def predict_largest(points: RatedVersions, least: float) -> Extrapolation:
    """Hold out the recipes with the largest runs, as many as it takes to go `least` OOMs beyond.

    Raises:
        InsufficientData: the recipes do not lie so far apart, or fewer than two runs are left.
    """
    spent, reach = points.require("training"), 0.0
    most = {recipe: spent[points.recipe == recipe].max() for recipe in set(points.recipe)}
    order = sorted(most, key=lambda recipe: (-most[recipe], recipe))
    for count in range(1, len(order)):
        held = points.run[np.isin(points.recipe, order[:count])]
        with suppress(InsufficientData):
            found = predict_runs(points, sorted(set(held)))
            if found.reach >= least:
                return found
            reach = max(reach, found.reach)
    raise InsufficientData(
        f"the largest runs go only {reach:.2g} OOMs beyond the others, not {least}"
    )


def predict_runs(points: RatedVersions, held_out: Sequence[str]) -> Extrapolation:
    """Fit a line to all other runs and predict the held-out ones, beyond the fitted compute.

    Raises:
        InsufficientData: no such run, fewer than two others, or a held-out run that never goes
            beyond them.
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
            f"no version of {', '.join(held_out)} has more training than the fitted runs: "
            "that is no extrapolation"
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
