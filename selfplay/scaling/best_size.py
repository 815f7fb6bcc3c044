"""The best network size, and the best budget, for a given compute.

At a fixed compute a small network is limited by its size, and a large one sees too little play or
searches too little: Elo has a maximum between. With v what is chosen (log10 parameters, or log10 of
a budget) and g the log10 of the compute that is given,

    Elo = κ + λ g + μ g² + Σ (α v + β v² + γ v g)

is a parabola in every v, with the vertex at v* = -(α + γ g) / 2β. A power law of the best size,
N* ∝ C^s, has s = -γ / 2β (Neumann and Gros 2022: 0.63). Both are ratios of coefficients and have
Fieller's intervals: these have no bound where the curvature β may be 0. Several choices at once
are taken as separate: no product of them is fitted.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfplay.scaling.estimate import Estimate, Floats
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import Regression, regress


@dataclass(frozen=True, eq=False)
class BestSize:
    """The ridge of one choice over compute.

    Attributes:
        choice: what is chosen: "parameters", or a covariate.
        compute: the compute that is fixed: "training", "search" or a covariate, all log10 FLOPs.
        exponent: OOMs of the choice per OOM of compute.
        curvature: Elo per squared OOM, β; a maximum has it below 0.
        choice_range: the least and the most of the choice in the data, log10.
        compute_range: the least and the most of the compute in the data, log10 FLOPs.
    """

    choice: str
    compute: str
    exponent: Estimate
    curvature: Estimate
    choice_range: tuple[float, float]
    compute_range: tuple[float, float]
    _elo: Floats
    _regression: Regression
    _weights: Floats  # [3, K]: of α, β and γ
    _middle: tuple[float, float]  # of the choice and of the compute: where both are 0 in the fit

    def best_at(self, compute: float) -> Estimate:
        """The best log10 of the choice at a log10 compute; see `choice_range` for what was tried."""
        alpha, beta, gamma = self._weights
        choice, given = self._middle
        above = -alpha - (compute - given) * gamma + 2 * choice * beta
        return self._regression.ratio(self._elo, above, 2 * beta, f"log10 {self.choice}")

    @property
    def is_maximum(self) -> bool:
        """True = Elo has a maximum between sizes that these data tell from a straight line."""
        return bool(self.curvature.high < 0)

    def __str__(self) -> str:
        if self.curvature.low > 0:
            return f"no best {self.choice} between those tried: the curvature is {self.curvature}"
        if not self.is_maximum:
            return (
                f"no best {self.choice} can be told: the curvature is {self.curvature}, "
                "which may be none"
            )
        least, most = self.choice_range
        ends = [
            (float(self.best_at(c).value), f"10^{c:.1f} FLOPs of {self.compute}")
            for c in self.compute_range
        ]
        if not any(least <= best <= most for best, _ in ends):
            return f"no best {self.choice} within those tried, 10^{least:.1f} to 10^{most:.1f}"
        said = [
            f"fewer than tried at {where}" if best < least
            else f"more than tried at {where}" if best > most
            else f"10^{best:.1f} at {where}"
            for best, where in ends
        ]  # fmt: skip
        return f"the best {self.choice}: {', '.join(said)}; {self.exponent}"


def fit(
    points: RatedVersions,
    choices: Sequence[str] = ("parameters",),
    compute: str = "training",
    controls: Sequence[str] = (),
) -> list[BestSize]:
    """The best of each choice for a given compute.

    For a given compute per move, give "search" and control "training": every network is then rated
    at several budgets, and what a smaller one saves goes into simulations.

    Args:
        points: versions whose choices and compute were varied apart.
        choices: quantities or covariates, log10.
        compute: the compute.
        controls: quantities or covariates whose linear effect is taken out.

    Raises:
        InsufficientData: unknown values, fewer than three of a choice or of the compute, or one
            run.
    """
    amounts = points.require(compute)
    middle = float(amounts.mean())
    g = amounts - middle
    columns = [np.ones_like(g), g, g**2, *(c - c.mean() for c in map(points.require, controls))]
    first = len(columns)
    means = []
    for choice in choices:
        means.append(float(points.require(choice).mean()))
        v = points.require(choice) - means[-1]
        columns += [v, v**2, v * g]
    fitted = regress(points, np.stack(columns, axis=1))
    found = []
    for k, choice in enumerate(choices):
        values = points.require(choice)
        weights = np.eye(len(columns))[first + 3 * k : first + 3 * k + 3]
        _, beta, gamma = weights
        unit = f"OOMs of {choice} per OOM of {compute}"
        found.append(
            BestSize(
                choice=choice,
                compute=compute,
                exponent=fitted.ratio(points.elo, -gamma, 2 * beta, unit),
                curvature=fitted.contrast(points.elo, beta, "Elo per squared OOM"),
                choice_range=(float(values.min()), float(values.max())),
                compute_range=(float(amounts.min()), float(amounts.max())),
                _elo=points.elo,
                _regression=fitted,
                _weights=weights,
                _middle=(means[k], middle),
            )
        )
    return found
