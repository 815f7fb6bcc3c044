"""Elo ratings from games, with 95 % intervals whose coverage is measured by simulation.

The model is that of :mod:`selfplay.ratings.bradley_terry`: a rating is a player's mean strength over
opponents like those that it met, and every pairing may deviate from the difference of two ratings
by an effect of its own, Normal(0, σ²).

σ is estimated from the games. Each of the values `SPREADS` has a restricted likelihood L(σ), with
parameters and pair effects integrated out, and a prior: `NO_EFFECTS` for σ = 0, and a Cauchy
distribution of scale `SPREAD_SCALE` for the others. A value counts only as far as it explains the
games better than σ = 0 does: its weight is the prior times max(L(σ) − L(0), 0). So where nothing
supports pair effects, there are none. The ratings are the mean over σ, and their covariance
includes how much they change with σ.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.special import ndtr

from selfplay.ratings.bradley_terry import NATS_PER_ELO, Floats, Games
from selfplay.ratings.posterior import PRIOR, Maximum, Posterior

__all__ = ["PRIOR", "Games", "Ratings", "fit"]

Z95: Final = 1.959964
SPREADS: Final[Floats] = np.array(
    [0, 10, 20, 32, 46, 62, 80, 100, 125, 155, 190, 235, 290, 360, 450, 560.0]
)  # values of σ, Elo
NO_EFFECTS: Final = 0.15  # prior probability of σ = 0
SPREAD_SCALE: Final = 120.0  # Elo
NEGLIGIBLE: Final = 1e-3  # weights below this fraction of the largest are left out
DOMINANT: Final = 0.4  # the largest weight beyond which values around it are added
MAX_REFINEMENTS: Final = 5


@dataclass(frozen=True, eq=False)
class Ratings:
    """Ratings of P players relative to one of them, the anchor, with their covariance."""

    elo: Floats  # [P]: the anchor's is exactly 0
    covariance: Floats  # [P, P] in Elo², relative to the anchor: its row and column are 0
    anchor: int
    first_move: float  # Elo advantage of moving first
    first_move_stderr: float
    draw: float  # Davidson's ν: an even game is drawn with probability ν / (2 + ν)
    opening_spread: float  # τ: standard deviation of the first-move advantage over openings, Elo
    pair_spread: float = 0.0  # σ: standard deviation of the pair effects, Elo
    pair_spread_interval: tuple[float, float] = (0.0, 0.0)  # of 95 %

    @property
    def stderr(self) -> Floats:
        """Standard errors in Elo, float[P], relative to the anchor, whose entry is 0."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def interval(self) -> Floats:
        """95 % intervals in Elo, float[P, 2]: low and high, relative to the anchor."""
        return self.elo[:, None] + Z95 * self.stderr[:, None] * np.array([-1.0, 1.0])

    def difference(self, i: int, j: int) -> tuple[float, float]:
        """Returns how many Elo i is ahead of j, and the standard error of this difference."""
        c = self.covariance
        return float(self.elo[i] - self.elo[j]), float(np.sqrt(c[i, i] + c[j, j] - 2 * c[i, j]))

    def superiority(self, i: int, j: int) -> float:
        """Returns the probability that i is stronger than j; 1/2 for a player and itself."""
        ahead, stderr = self.difference(i, j)
        return float(ndtr(ahead / stderr)) if stderr else 0.5 + 0.5 * float(np.sign(ahead))


def fit(
    games: Games, players: int, anchor: int, prior: float = PRIOR, pair_effects: bool = True
) -> Ratings:
    """Rates `players` players with player `anchor` at 0 Elo.

    Args:
        games: the results.
        players: P, the number of players; some may have no games.
        anchor: index of the player at 0 Elo.
        prior: standard deviation of the ratings' prior in Elo; see `posterior`.
        pair_effects: estimate σ; False = plain Bradley-Terry, σ = 0.

    Raises:
        ValueError: an anchor, prior or game out of range.
    """
    posterior = Posterior.of(games, players, anchor, prior)
    estimates = spreads(posterior) if pair_effects else [Weighted(1.0, posterior.maximize())]
    weights = np.array([each.weight for each in estimates])
    parameters = np.array([each.maximum.parameters for each in estimates])
    mean = weights @ parameters
    covariance = np.zeros((len(mean), len(mean)))
    for weight, maximum in estimates:
        deviation = maximum.parameters - mean
        covariance += weight * (posterior.sandwich(maximum) + np.outer(deviation, deviation))
    covariance /= NATS_PER_ELO**2
    sigma = np.array([each.maximum.sigma for each in estimates]) / NATS_PER_ELO
    return Ratings(
        elo=mean[:players] / NATS_PER_ELO,
        covariance=covariance[:players, :players],
        anchor=anchor,
        first_move=float(mean[players] / NATS_PER_ELO),
        first_move_stderr=float(np.sqrt(covariance[players, players])),
        draw=float(np.exp(mean[-2])),
        opening_spread=posterior.tau(mean) / NATS_PER_ELO,
        pair_spread=float(weights @ sigma),
        pair_spread_interval=_interval(sigma, weights),
    )


class Weighted(NamedTuple):
    """The maximum at one value of σ, and the weight of that value."""

    weight: float
    maximum: Maximum


def spreads(posterior: Posterior) -> list[Weighted]:
    """Weighs values of σ; see the module. The weights add up to 1.

    Values are added around the one with the largest weight until no weight dominates.
    """
    at = {0.0: posterior.maximize()}
    evidence = {0.0: posterior.log_evidence(at[0.0])}

    def add(spread: float) -> None:
        nearest = max(value for value in at if value < spread)
        at[spread] = posterior.maximize(spread * NATS_PER_ELO, at[nearest])
        evidence[spread] = posterior.log_evidence(at[spread])

    for spread in SPREADS[1:].tolist():
        add(spread)
        if evidence[spread] < max(evidence.values()) + np.log(NEGLIGIBLE):
            break
    for _ in range(MAX_REFINEMENTS):
        values = sorted(at)
        weights = _weights(np.array(values), np.array([evidence[value] for value in values]))
        best = int(weights.argmax())
        if weights[best] < DOMINANT or best in (0, len(values) - 1):
            break
        for neighbor in (values[best - 1], values[best + 1]):
            add((values[best] + neighbor) / 2)
    values = sorted(at)
    weights = _weights(np.array(values), np.array([evidence[value] for value in values]))
    return [Weighted(float(w), at[value]) for value, w in zip(values, weights, strict=True) if w]


def _weights(values: Floats, evidence: Floats) -> Floats:
    """Computes the weights of ascending values of σ in Elo, the first of which is 0."""
    middle = (values[1:] + values[:-1]) / 2
    widths = np.diff(np.r_[middle, 2 * values[-1] - middle[-1]])
    scale = 2 / (np.pi * SPREAD_SCALE)
    density = scale * widths / (1 + (values[1:] / SPREAD_SCALE) ** 2)
    likelihood = np.exp(evidence - evidence.max())
    excess = np.maximum(likelihood[1:] - likelihood[0], 0)
    weights = np.r_[NO_EFFECTS * likelihood[0], (1 - NO_EFFECTS) * density * excess]
    weights[weights < NEGLIGIBLE * weights.max()] = 0
    return weights / weights.sum()


def _interval(sigma: Floats, weights: Floats) -> tuple[float, float]:
    """Returns the 2.5 and 97.5 % quantiles of σ, interpolated between its values."""
    below = np.cumsum(weights)
    low, high = np.interp([0.025, 0.975], below, sigma)
    return float(low), float(high)
