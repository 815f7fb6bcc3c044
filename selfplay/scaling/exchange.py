"""Iso-Elo exchange: how much search replaces how much training."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.estimate import Estimate, format_factor
from selfplay.scaling.frontier import on_frontier_by
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import regress


@dataclass(frozen=True, eq=False)
class Exchange:
    """log10 search = a · log10 training + b · Elo + c, in FLOPs, as Jones (2021) writes it.

    Attributes:
        training_exponent: OOMs of search per OOM of training; below 0, as they replace each other.
        elo_scale: OOMs of search per Elo at the same training.
        offset: log10 of the search FLOPs at 1 FLOP of training and 0 Elo.
        training: Elo per OOM of training at the same search.
        search: Elo per OOM of search after the same training.
        in_fit: bool[N], True = the version is in the fit.
    """

    training_exponent: Estimate
    elo_scale: Estimate
    offset: Estimate
    training: Estimate
    search: Estimate
    in_fit: NDArray[np.bool_]

    def __str__(self) -> str:
        if not self.training_exponent.bounded:
            return "these data set no bound on what training and search are worth in each other"
        if float(self.training_exponent.value) >= 0:
            return f"training and search do not replace each other here: {self.training_exponent}"
        value, least, most = (
            10.0 ** -float(x)
            for x in (
                self.training_exponent.value,
                self.training_exponent.high,
                self.training_exponent.low,
            )
        )
        ends = (
            float(x)
            for x in (
                self.training_exponent.value,
                self.training_exponent.low,
                self.training_exponent.high,
            )
        )
        other, *ends = (10.0 ** (-1 / x) if x < -0.01 else float("inf") for x in ends)
        return (
            f"10x of training replaces {format_factor(value)}x of search ({format_factor(least)}x to "
            f"{format_factor(most)}x), 10x of search {format_factor(other)}x of training ({format_factor(ends[0])}x to "
            f"{format_factor(ends[1])}x)"
        )


def fit_frontier(points: RatedVersions, among: NDArray[np.bool_] | None = None) -> Exchange:
    """`fit`, of those that no other recipe is ahead of after as much training, at their budget.

    Only those `among` bool[N] count, where it is given; they are compared with all. A larger
    network that plays no better would count as search that buys nothing.

    Raises:
        InsufficientData: see `fit` and `frontier.on_frontier`.
    """
    on = on_frontier_by(points, "simulations")
    on = on if among is None else on & among
    return replace(fit(points.select(on)), in_fit=on)


def fit(points: RatedVersions) -> Exchange:
    """Fit Elo = α + β log10 training + γ log10 search; a = -β / γ, b = 1 / γ, c = -α / γ.

    Elo is what is measured with error, so it is on the left; a regression of search on Elo would
    be bent by that error. Ratios have Fieller's intervals.

    Raises:
        InsufficientData: FLOPs that are not known or not varied apart, or a single run.
    """
    training, search = points.require("training"), points.require("search")
    x, y = training - training.mean(), search - search.mean()
    fitted, elo = regress(points, np.stack([np.ones_like(x), x, y], axis=1)), points.elo
    one, beta, gamma = np.eye(3)
    origin = one - training.mean() * beta - search.mean() * gamma  # α
    steepness = fitted.contrast(elo, gamma, "Elo per OOM of search")
    return Exchange(
        training_exponent=fitted.ratio(elo, -beta, gamma, "OOMs of search per OOM of training"),
        elo_scale=steepness.reciprocal("OOMs of search per Elo"),
        offset=fitted.ratio(elo, -origin, gamma, "log10 FLOPs of search"),
        training=fitted.contrast(elo, beta, "Elo per OOM of training"),
        search=steepness,
        in_fit=np.ones(len(points), bool),
    )
