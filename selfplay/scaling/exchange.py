"""Exchange of training for search: how much of one replaces the other at equal Elo."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.estimate import Estimate, InsufficientData, format_factor
from selfplay.scaling.frontier import on_frontier_by
from selfplay.scaling.rated_versions import RatedVersions, by_budget
from selfplay.scaling.regression import regress
from selfplay.scaling.slopes import Slope


@dataclass(frozen=True, eq=False)
class Exchange:
    """The rate at which training and search FLOPs replace each other, as Jones (2021) writes it.

    log10 search = `training_exponent` · log10 training + `elo_scale` · Elo + `offset`, in FLOPs;
    his a, b and c.

    Attributes:
        training_exponent: OOMs of search per OOM of training; negative if they replace
            each other.
        elo_scale: OOMs of search per Elo at the same training.
        offset: log10 of the search FLOPs at 1 FLOP of training and 0 Elo.
        training: Elo per OOM of training at the same search.
        search: Elo per OOM of search at the same training.
        in_fit: bool[N], True = the version was fitted.
    """

    training_exponent: Estimate
    elo_scale: Estimate
    offset: Estimate
    training: Slope
    search: Slope
    in_fit: NDArray[np.bool_]

    def __str__(self) -> str:
        exponent = self.training_exponent
        if not exponent.bounded:
            return "these data set no bound on what training and search are worth in each other"
        if float(exponent.value) >= 0:
            return f"training and search do not replace each other here: {exponent}"
        value, low, high = (float(x) for x in (exponent.value, exponent.low, exponent.high))
        search = [format_factor(10.0**-x) for x in (value, high, low)]
        training = [  # near 0, search does not replace training at all
            format_factor(10.0 ** (-1 / x) if x < -0.01 else float("inf"))
            for x in (value, low, high)
        ]
        return (
            f"10x of training replaces {search[0]}x of search ({search[1]}x to {search[2]}x), "
            f"10x of search {training[0]}x of training ({training[1]}x to {training[2]}x)"
        )


def fit_frontier(points: RatedVersions, among: NDArray[np.bool_] | None = None) -> Exchange:
    """Fits the exchange to the versions on the frontier of their search budget.

    On the frontier no other recipe is ahead at the same training. Off the frontier, a larger
    network that plays no better would count as search that buys nothing.

    Args:
        points: versions at several search budgets.
        among: bool[N], True = may be fitted; all versions count for the frontier.

    Raises:
        InsufficientData: the versions have one search budget, whose FLOPs differ only with the
            size of the network; see also `fit` and `frontier.on_frontier`.
    """
    if len(by_budget(points)) < 2:
        raise InsufficientData("all versions were rated at one search budget")
    in_fit = on_frontier_by(points, "simulations")
    in_fit = in_fit if among is None else in_fit & among
    return replace(fit(points.select(in_fit)), in_fit=in_fit)


def fit(points: RatedVersions) -> Exchange:
    """Fits Elo = α + β log10 training + γ log10 search, and converts it to an exchange.

    The training exponent is -β / γ, the Elo scale 1 / γ, and the offset -α / γ. Elo is measured
    with error, so it is on the left: in a regression of search on Elo that error would bias the
    coefficients. Ratios have Fieller's intervals.

    Raises:
        InsufficientData: FLOPs are unknown, they were not varied separately, or there is a single
            run.
    """
    training, search = points.require("training"), points.require("search")
    x, y = training - training.mean(), search - search.mean()
    fitted, elo = regress(points, np.stack([np.ones_like(x), x, y], axis=1)), points.elo
    at_mean, beta, gamma = np.eye(3)
    alpha = at_mean - training.mean() * beta - search.mean() * gamma
    steepness = Slope.of(points, fitted, gamma, "search")
    return Exchange(
        training_exponent=fitted.ratio(elo, -beta, gamma, "OOMs of search per OOM of training"),
        elo_scale=steepness.reciprocal("OOMs of search per Elo"),
        offset=fitted.ratio(elo, -alpha, gamma, "log10 FLOPs of search"),
        training=Slope.of(points, fitted, beta, "training"),
        search=steepness,
        in_fit=np.ones(len(points), bool),
    )
