"""Goodness of fit: tests what ratings and independent pair effects leave unexplained.

Two questions are asked of the same games:

* *One common scale?* Pearson's statistic over pairings, of a fit without pair effects. If it
  rejects, one number per player does not explain who beats whom.
* *Does the rating model hold?* Given the spread σ of the pair effects, are they independent? Three
  tests share the level: the largest deviation of a single pairing (Holm); the largest component of
  cyclic dominance (the first singular value of the deviations as a skew-symmetric matrix, against
  simulated independent ones); and, if players are of several kinds, whether pairings deviate
  further, or in one direction, between kinds than within them.

Each pairing is compared with the points that all other games predict for it. The prediction uses
the difference of the ratings without this pairing (one Newton step away from the fit), the
uncertainty of that difference, the spread of pair effects, and the exact distribution of the
points. The p-value is the probability of a result at least as far from the expected one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from selfplay.ratings import structure
from selfplay.ratings.bradley_terry import NATS_PER_ELO, NODES, WEIGHTS, Games
from selfplay.ratings.deviations import Deviations, moments_of
from selfplay.ratings.elo import PRIOR, Profile
from selfplay.ratings.posterior import Posterior

__all__ = ["P_REJECT", "GoodnessOfFit", "PairingFit", "test"]

P_REJECT: Final = 0.001  # below this p-value the players are not on one common scale
WEAK: Final = 10 * PRIOR
MIN_VARIANCE: Final = 0.4  # points²: a tenth of a game is expected to end the other way
FARTHEST: Final = 9 * 400 * NATS_PER_ELO  # nats; larger differences count as this one


class PairingFit(NamedTuple):
    """The observed result of two players, i < j, and the result that all other games predict."""

    i: int
    j: int
    openings: int
    games: int
    observed: float  # i's mean score: 1 a win, 1/2 a draw, 0 a loss
    expected: float  # i's mean score as the other games predict it
    z: float  # observed - expected in standard deviations of the prediction; > 0: i did better
    p_value: float  # of this pairing alone, two-sided
    adjusted: float  # p-value after Holm's correction for all pairings


@dataclass(frozen=True)
class GoodnessOfFit:
    """The results of the tests, over all pairings and for each of them.

    Attributes:
        pairings: by p-value, the smallest first.
        one_scale: p-value of one common scale, without pair effects; 1 if ratings explain all
            pairings, as where these form a tree.
        spread: σ, the standard deviation of the pair effects, Elo.
        cycles: p-value of no cyclic dominance, given σ.
        kinds: p-value of no difference between pairings within and between kinds, given σ; 1 if all
            players are of one kind.
        dispersion: variance between openings divided by the model's, at least 1.
    """

    pairings: list[PairingFit]
    one_scale: float
    spread: float
    cycles: float
    kinds: float
    dispersion: float

    @property
    def single(self) -> float:
        """P-value of the farthest single pairing, given σ, after Holm's correction."""
        return self.pairings[0].adjusted if self.pairings else 1.0

    @property
    def p_value(self) -> float:
        """P-value of the rating model, σ included: Bonferroni's over its three tests."""
        return min(1.0, 3 * min(self.single, self.cycles, self.kinds))

    def badly_predicted(self, level: float = 0.05) -> list[PairingFit]:
        """Returns the pairings whose adjusted p-value is below `level`."""
        return [pairing for pairing in self.pairings if pairing.adjusted < level]


def test(
    games: Games, players: int, prior: float = WEAK, kinds: Sequence[str] | None = None
) -> GoodnessOfFit:
    """Tests how well ratings and pair effects fit the games of `players` players.

    Args:
        games: the results.
        players: P.
        prior: standard deviation of the ratings' prior in Elo. The prior of the ratings themselves
            would show: it pulls players together who won or lost everything.
        kinds: the kind of each player, such as its search budget; None: all are of one kind.

    Raises:
        ValueError: a game that is not between two of the players.
    """
    posterior = Posterior.of(games, players, 0, prior)
    if not len(games.first):
        return GoodnessOfFit([], 1.0, 0.0, 1.0, 1.0, 1.0)
    profile = Profile.of(posterior)
    plain = Deviations.of(posterior, profile.maxima[0])
    sigma = profile.mean() * NATS_PER_ELO
    fitted = Deviations.of(posterior, posterior.maximize(sigma, plain.maximum)) if sigma else plain
    return GoodnessOfFit(
        pairings=_compare(fitted),
        one_scale=_pearson(plain),
        spread=sigma / NATS_PER_ELO,
        cycles=structure.cycles(fitted),
        kinds=structure.kinds_differ(fitted, profile, kinds) if kinds else 1.0,
        dispersion=fitted.dispersion,
    )


def _compare(fit: Deviations) -> list[PairingFit]:
    """Compares every pairing with the prediction of all other games, the least likely first."""
    maximum, rows = fit.maximum, fit.posterior.openings
    # Remove a pairing's games: subtract their information, and take one step along what is left.
    within, kept = fit.posterior.within(fit.inverse), maximum.kept
    score = rows.by_pairing(maximum.score)
    left = np.linalg.inv(np.eye(4) - within @ kept) @ within
    uncertain = np.maximum(left[:, 0, 0], within[:, 0, 0]) + maximum.spread**2
    ahead = fit.ahead - np.einsum("ka,ka->k", left[:, 0], score)
    pairings = []
    for k, played in enumerate(fit.pairings):
        values = np.clip(ahead[k] + np.sqrt(uncertain[k]) * NODES, -FARTHEST, FARTHEST)
        distribution = fit.points(played.seats, played.count, values, WEIGHTS)
        mean, variance, _ = moments_of(distribution)
        residual = (played.total - mean) / np.sqrt(fit.dispersion)
        far: NDArray[np.bool_] = np.abs(np.arange(len(distribution)) - mean) >= abs(residual) - 1e-9
        p_value = min(1.0, float(distribution[far].sum()))
        pairings.append(
            PairingFit(
                i=int(rows.i[k]),
                j=int(rows.j[k]),
                openings=int(played.count.sum()),
                games=played.games,
                observed=played.total / (2 * played.games),
                expected=mean / (2 * played.games),
                z=float(residual / np.sqrt(variance)),
                p_value=p_value,
                adjusted=p_value,
            )
        )
    return _holm(pairings)


def _holm(pairings: list[PairingFit]) -> list[PairingFit]:
    """Sorts pairings by p-value and sets the adjusted ones."""
    pairings = sorted(pairings, key=lambda pairing: (pairing.p_value, pairing.i, pairing.j))
    steps = np.arange(len(pairings), 0, -1) * [pairing.p_value for pairing in pairings]
    adjusted = np.minimum(np.maximum.accumulate(steps), 1)
    return [
        pairing._replace(adjusted=float(a)) for pairing, a in zip(pairings, adjusted, strict=True)
    ]


def _pearson(fit: Deviations) -> float:
    """Computes the p-value of Pearson's statistic over pairings, from a gamma distribution.

    Its mean and variance are corrected for the degrees of freedom of the fit and for small counts.
    Pairings with a certain result are left out: no gamma distribution has a tail as theirs.
    """
    seen = fit.moments[:, 1] >= MIN_VARIANCE
    statistic = np.square(fit.standardized[seen]).sum()
    freedom, root = fit.freedom[seen], fit.root[seen]
    expected = freedom.sum()
    if expected < 1 or fit.posterior.fits_any_spread:
        return 1.0
    absorbed = fit.inverse @ (root.T @ root)  # [p, p], traces as those of a [K, K] matrix
    squares = len(freedom) - 2 * np.trace(absorbed) + (absorbed * absorbed.T).sum()
    scatter = 2 * squares + freedom**2 @ fit.moments[seen, 2]
    scatter = max(scatter, 0.5 * expected)
    return float(gammaincc(expected**2 / scatter, statistic * expected / scatter))
