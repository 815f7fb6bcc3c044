"""The best network size, and the best budget, for a given compute.

At a fixed compute, a small network is limited by its size, and a large one sees too few games or
searches too little, so Elo has a maximum between them. With v the log10 of what is chosen
(parameters, or a budget) and g the log10 of the fixed compute,

    Elo = κ + λ g + μ g² + Σ (α v + β v² + γ v g)

is a parabola in every v, with its vertex at v* = -(α + γ g) / 2β. So the best size follows a power
law N* ∝ C^s with s = -γ / 2β (Neumann and Gros 2022: 0.63). Both are ratios of coefficients and
have Fieller's intervals, which are unbounded if the curvature β may be 0. Several choices are
fitted as separate effects: there is no term for their product.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from selfplay.scaling.estimate import Estimate, Floats
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import Regression, regress
from selfplay.style.powers_of_ten import power


@dataclass(frozen=True, eq=False)
class BestSize:
    """The best value of one choice as a function of compute.

    Attributes:
        choice: what is chosen: "parameters", or a covariate.
        compute: the compute that is fixed: "training", "search" or a covariate, all log10 FLOPs.
        exponent: OOMs of the choice per OOM of compute.
        curvature: Elo per squared OOM, β; negative at a maximum.
        choice_range: the smallest and the largest choice in the data, log10.
        compute_range: the smallest and the largest compute in the data, log10 FLOPs.
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
    _means: tuple[float, float]  # of the choice and of the compute, subtracted in the fit

    def best_at(self, compute: float) -> Estimate:
        """Estimates the best log10 choice at a log10 compute; it may be outside `choice_range`."""
        alpha, beta, gamma = self._weights
        mean_choice, mean_compute = self._means
        above = -alpha - (compute - mean_compute) * gamma + 2 * mean_choice * beta
        return self._regression.ratio(self._elo, above, 2 * beta, f"log10 {self.choice}")

    @property
    def is_maximum(self) -> bool:
        """True = Elo significantly has a maximum, not a straight line or a minimum."""
        return bool(self.curvature.high < 0)

    def __str__(self) -> str:
        if self.curvature.low > 0:
            return f"no best {self.choice} between those tried: the curvature is {self.curvature}"
        if not self.is_maximum:
            return (
                f"the best {self.choice} cannot be determined: the curvature is {self.curvature}, "
                "possibly zero"
            )
        least, most = self.choice_range
        ends = [
            (float(self.best_at(c).value), f"{power(c, 1)} FLOPs of {self.compute}")
            for c in self.compute_range
        ]
        if not any(least <= best <= most for best, _ in ends):
            return (
                f"no best {self.choice} within those tried, {power(least, 1)} to {power(most, 1)}"
            )
        parts = [
            f"fewer than tried at {where}" if best < least
            else f"more than tried at {where}" if best > most
            else f"{power(best, 1)} at {where}"
            for best, where in ends
        ]  # fmt: skip
        return f"the best {self.choice}: {', '.join(parts)}; {self.exponent}"


def fit(
    points: RatedVersions,
    choices: Sequence[str] = ("parameters",),
    compute: str = "training",
    controls: Sequence[str] = (),
) -> list[BestSize]:
    """Fits the best value of each choice at a fixed compute.

    For a fixed compute per move, pass "search" and control for "training": every network is then
    rated at several budgets, and a smaller network can afford more simulations.

    Args:
        points: versions whose choices and compute were varied separately.
        choices: quantities or covariates, log10.
        compute: the quantity or covariate that is fixed, log10 FLOPs.
        controls: quantities or covariates whose linear effect is removed.

    Raises:
        InsufficientData: values are unknown, a choice or the compute has fewer than three levels,
            or there is a single run.
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
    best_sizes = []
    for k, choice in enumerate(choices):
        values = points.require(choice)
        weights = np.eye(len(columns))[first + 3 * k : first + 3 * k + 3]
        _, beta, gamma = weights
        unit = f"OOMs of {choice} per OOM of {compute}"
        best_sizes.append(
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
                _means=(means[k], middle),
            )
        )
    return best_sizes
