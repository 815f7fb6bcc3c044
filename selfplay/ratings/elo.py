"""Elo ratings from games, with 95 % intervals whose coverage is measured by simulation.

The model is that of :mod:`selfplay.ratings.bradley_terry`: a rating is a player's mean strength
against opponents like those that it met, and every pairing may deviate from the difference of two
ratings by an effect of its own, Normal(0, σ²).

σ is estimated from the games. Each of the values `SPREADS` has a restricted likelihood L(σ), with
parameters and pair effects integrated out, and a prior: `NO_EFFECTS` for σ = 0, and a Cauchy
distribution of scale `SPREAD_SCALE` for the others. A value counts only as far as it explains the
games better than σ = 0 does: its weight is the prior times max(L(σ) − L(0), 0). So where nothing
supports pair effects, there are none. The ratings are the mean over σ, and their covariance
includes how much they change with σ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from selfplay.ratings.bradley_terry import NATS_PER_ELO, Floats, Games, Ints
from selfplay.ratings.posterior import PRIOR, Maximum, Posterior

__all__ = ["PRIOR", "Games", "KindRatings", "Profile", "Ratings", "fit", "fit_by_kind"]

Z95: Final = 1.959964
SPREADS: Final = (15.0, 32.0, 52.0, 77.0, 108.0, 147.0, 195.0, 255.0, 330.0, 430.0, 560.0)  # σ, Elo
NO_EFFECTS: Final = 0.3  # prior probability of σ = 0
SPREAD_SCALE: Final = 120.0  # Elo
NEGLIGIBLE: Final = 1e-3  # weights below this fraction of the largest are left out
DOMINANT: Final = 0.4  # the largest weight beyond which values around it are added
MAX_REFINEMENTS: Final = 5
LEAST_LIKELY: Final = 0.1465  # exp(−1.92): a likelihood ratio at the end of a 95 % interval
FINE: Final = 1001  # values at which the likelihood is interpolated
RATIOS: Final = (1.0, 1.5, 2.0, 3.0, 4.5, 7.0)  # of effects between kinds to those within


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
    profile = Profile.of(Posterior.of(games, players, anchor, prior), pair_effects)
    return _average([profile], [1.0])


@dataclass(frozen=True)
class KindRatings:
    """Ratings of players of several kinds; pairings within a kind and between kinds differ.

    Attributes:
        ratings: those of `fit`, with σ for pairings within a kind.
        between: standard deviation of the effects of pairings between kinds, Elo.
    """

    ratings: Ratings
    between: float


def fit_by_kind(
    games: Games, players: int, anchor: int, kinds: Sequence[str], prior: float = PRIOR
) -> KindRatings:
    """Rates players of several kinds, such as search budgets, as `fit` does.

    Pairings between kinds have effects `RATIOS` times as large as those within; each ratio has the
    weight of its likelihood. So where kinds differ, ratings within a kind rest on the games within
    it, and games between kinds link the kinds.

    Args:
        games: the results.
        players: P.
        anchor: index of the player at 0 Elo.
        kinds: the kind of each player.
        prior: standard deviation of the ratings' prior in Elo.

    Raises:
        ValueError: as `fit`.
    """
    number = np.unique(np.asarray(list(kinds)), return_inverse=True)[1].ravel()

    def scale(ratio: float) -> Callable[[Ints, Ints], Floats]:
        return lambda i, j: np.where(number[i] == number[j], 1.0, ratio)

    profiles = [
        Profile.of(Posterior.of(games, players, anchor, prior, scale(ratio))) for ratio in RATIOS
    ]
    shares = _weights(profiles, [1 / len(RATIOS)] * len(RATIOS))
    between = [
        ratio * float(weights @ profile.values)
        for ratio, profile, weights in zip(RATIOS, profiles, shares, strict=True)
    ]
    return KindRatings(_average(profiles, [1 / len(RATIOS)] * len(RATIOS)), sum(between))


@dataclass(frozen=True, eq=False)
class Profile:
    """The maxima at V ascending values of σ, the first of which is 0, and their evidence."""

    posterior: Posterior
    values: Floats  # [V], Elo
    evidence: Floats  # [V]: logarithms of the restricted likelihood
    maxima: Sequence[Maximum]  # V

    @classmethod
    def of(cls, posterior: Posterior, pair_effects: bool = True) -> "Profile":
        """Maximizes at 0 and, with `pair_effects`, at `SPREADS`.

        Values are added around the best one until none has a dominant weight. Games that form a
        forest of pairings fit any σ equally well. Where all results of pairings point one way, the
        integral over very wide effects is too rough to have a maximum; the values end before the
        first such one, and with them σ and its interval.
        """
        at = {0.0: posterior.maximize()}
        evidence = {0.0: posterior.log_evidence(at[0.0])}

        def add(spread: float) -> bool:
            nearest = max(value for value in at if value < spread)
            try:
                at[spread] = posterior.maximize(spread * NATS_PER_ELO, at[nearest])
            except ArithmeticError:
                return False
            evidence[spread] = posterior.log_evidence(at[spread])
            return True

        def profile() -> Profile:
            values = sorted(at)
            return cls(
                posterior,
                np.array(values),
                np.array([evidence[value] for value in values]),
                [at[value] for value in values],
            )

        if not pair_effects:
            return profile()
        if posterior.fits_any_spread:  # no value of σ explains the games better than another
            largest = SPREADS[-1]
            return cls(posterior, np.array([0, largest]), np.tile(evidence[0.0], 2), [at[0.0]] * 2)
        for spread in SPREADS:
            found = add(spread)
            if not found or evidence[spread] < max(evidence.values()) + np.log(NEGLIGIBLE):
                break
        for _ in range(MAX_REFINEMENTS):
            result = profile()
            (weights,) = _weights([result], [1.0])
            best = int(weights.argmax())
            if weights[best] < DOMINANT or best in (0, len(weights) - 1):
                break
            for neighbor in (best - 1, best + 1):
                add(float(result.values[best] + result.values[neighbor]) / 2)
        return profile()

    def mean(self) -> float:
        """Returns the mean of σ over its weights, in Elo."""
        return float(_weights([self], [1.0])[0] @ self.values)

    def interval(self) -> tuple[float, float]:
        """Returns the 95 % interval of σ, in Elo: likelihoods up to `LEAST_LIKELY` of the largest.

        Between the values, the logarithm of the likelihood is interpolated. Games that say nothing
        about σ leave all values in the interval.
        """
        if len(self.values) == 1:
            return 0.0, 0.0
        fine = np.linspace(0, self.values[-1], FINE)
        evidence = np.interp(fine, self.values, self.evidence)
        inside = fine[evidence >= evidence.max() + np.log(LEAST_LIKELY)]
        return float(inside[0]), float(inside[-1])


def _weights(profiles: Sequence[Profile], prior: Sequence[float]) -> list[Floats]:
    """Computes the weights of all values of σ, which add up to 1; see the module."""
    best = max(float(profile.evidence.max()) for profile in profiles)
    weights = list[Floats]()
    for profile, probability in zip(profiles, prior, strict=True):
        values, likelihood = profile.values, np.exp(profile.evidence - best)
        middle = (values[1:] + values[:-1]) / 2
        widths = np.diff(np.r_[middle, 2 * values[-1] - middle[-1:]])
        scale = 2 / (np.pi * SPREAD_SCALE)
        density = scale * widths / (1 + (values[1:] / SPREAD_SCALE) ** 2)
        excess = np.maximum(likelihood[1:] - likelihood[0], 0)
        some = (1 - NO_EFFECTS) * density * excess
        weights.append(probability * np.r_[NO_EFFECTS * likelihood[0], some])
    most = max(float(each.max()) for each in weights)
    weights = [np.where(each < NEGLIGIBLE * most, 0.0, each) for each in weights]
    total = sum(float(each.sum()) for each in weights)
    return [each / total for each in weights]


def _average(profiles: Sequence[Profile], prior: Sequence[float]) -> Ratings:
    """Averages the estimates over σ, with the covariance of their mean."""
    estimates = [
        (float(weight), profile.posterior, maximum)
        for profile, weights in zip(profiles, _weights(profiles, prior), strict=True)
        for weight, maximum in zip(weights, profile.maxima, strict=True)
        if weight
    ]
    posterior = profiles[0].posterior
    weights = np.array([weight for weight, _, _ in estimates])
    mean = weights @ np.array([maximum.parameters for _, _, maximum in estimates])
    covariance = np.zeros((len(mean), len(mean)))
    for weight, own, maximum in estimates:
        deviation = maximum.parameters - mean
        covariance += weight * (own.sandwich(maximum) + np.outer(deviation, deviation))
    covariance /= NATS_PER_ELO**2
    sigma = np.array([maximum.sigma for _, _, maximum in estimates]) / NATS_PER_ELO
    best = max(profiles, key=lambda profile: float(profile.evidence.max()))
    players = posterior.players
    return Ratings(
        elo=mean[:players] / NATS_PER_ELO,
        covariance=covariance[:players, :players],
        anchor=int(np.flatnonzero(~posterior.free[:players])[0]),
        first_move=float(mean[players] / NATS_PER_ELO),
        first_move_stderr=float(np.sqrt(covariance[players, players])),
        draw=float(np.exp(mean[-2])),
        opening_spread=posterior.tau(mean) / NATS_PER_ELO,
        pair_spread=float(weights @ sigma),
        pair_spread_interval=best.interval(),
    )
