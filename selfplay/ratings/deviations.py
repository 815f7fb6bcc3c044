"""How the points of pairings deviate from a fit, in standard deviations of the model.

The opening is the unit throughout: variance between openings beyond the model's is estimated within
pairings, and widens all predictions.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from selfplay.ratings.bradley_terry import NODES, WEIGHTS, Floats, Ints
from selfplay.ratings.posterior import Maximum, Posterior

__all__ = ["Deviations", "Played", "moments_of"]

TINY: Final = 1e-9


@dataclass(frozen=True, eq=False)
class Deviations:
    """A fit at one σ, and the points of its K pairings against their expectation."""

    posterior: Posterior
    maximum: Maximum
    inverse: Floats  # [p, p]

    @classmethod
    def of(cls, posterior: Posterior, maximum: Maximum) -> "Deviations":
        """Inverts the information of a fit."""
        return cls(posterior, maximum, posterior.inverse(maximum))

    @cached_property
    def pairings(self) -> list["Played"]:
        """The results of each pairing."""
        rows = self.posterior.openings
        seats = np.stack([(rows.side == side).sum(axis=1) for side in (1, -1)], axis=1)
        points = ((1 + rows.side * rows.outcome) * (rows.side != 0)).sum(axis=1)
        ends = np.searchsorted(rows.pairing, np.arange(len(rows.i) + 1))
        parts = [slice(a, b) for a, b in pairwise(ends.tolist())]
        return [Played(rows.count[part], seats[part], points[part]) for part in parts]

    @cached_property
    def ahead(self) -> Floats:
        """By how much i's rating is ahead of j's, float[K], in nats, pair effects left out."""
        rows, theta = self.posterior.openings, self.maximum.parameters
        return theta[rows.i] - theta[rows.j]

    @cached_property
    def moments(self) -> Floats:
        """Mean, variance and excess kurtosis of i's points in each pairing, float[K, 3]."""
        moments = [
            moments_of(self.points(played.seats, played.count, ahead + spread * NODES, WEIGHTS))
            for played, ahead, spread in zip(
                self.pairings, self.ahead, self.maximum.spread, strict=True
            )
        ]
        return np.array(moments)

    @cached_property
    def dispersion(self) -> float:
        """The variance of an opening's points in its pairing over the model's; at least 1."""
        observed = expected = 0.0
        effects = self.maximum.spread * self.maximum.effects
        for played, ahead in zip(self.pairings, self.ahead + effects, strict=True):
            shapes, which = np.unique(played.seats, axis=0, return_inverse=True)
            single = np.ones(1), np.array([ahead]), np.ones(1)
            each = [moments_of(self.points(shape[None], *single)) for shape in shapes]
            mean, variance, _ = np.array(each)[which.ravel()].T
            residual, n = played.points - mean, played.count.sum()
            observed += played.count @ (residual - played.count @ residual / n) ** 2
            expected += played.count @ variance * (1 - 1 / n)
        return max(1.0, float(observed / expected)) if expected else 1.0

    @cached_property
    def standardized(self) -> Floats:
        """Each pairing's points minus their mean, in standard deviations, float[K]."""
        total = np.array([played.total for played in self.pairings])
        mean, variance, _ = self.moments.T
        return (total - mean) / np.sqrt(variance * self.dispersion)

    @cached_property
    def root(self) -> Floats:
        """Maps parameters to the means of `standardized`, float[K, p]."""
        rows, kept = self.posterior.openings, self.maximum.kept[:, 0]  # [K, 4]
        each = np.sqrt(np.maximum(kept[:, 0], TINY))
        root = np.zeros((len(each), len(self.inverse)))
        at = np.arange(len(each))
        root[at, rows.i], root[at, rows.j] = each, -each
        root[:, -3:] = kept[:, 1:] / each[:, None]
        return root

    @cached_property
    def freedom(self) -> Floats:
        """Degrees of freedom that the fit leaves each pairing, float[K], in [0, 1]."""
        absorbed = ((self.root @ self.inverse) * self.root).sum(axis=1)
        return np.clip(1 - absorbed, 0, 1)

    def residual(self, deviations: Floats) -> Floats:
        """Removes from deviations float[K, …] what the fit of the parameters absorbs."""
        return deviations - self.root @ (self.inverse @ (self.root.T @ deviations))

    def points(self, seats: Ints, count: Ints | Floats, ahead: Floats, weights: Floats) -> Floats:
        """Returns the distribution of i's points in openings, float[2 games + 1].

        The difference of strength is uncertain. Convolutions are products of characteristic
        functions.

        Args:
            seats: int[S, 2], games of an opening in which i moves first, and j.
            count: int[S], openings.
            ahead: float[D], values of the difference in nats.
            weights: float[D], their probabilities.
        """
        gamma, nu = self.maximum.gamma, self.maximum.nu
        tau = self.posterior.tau(self.maximum.parameters)
        length = int(2 * count @ seats.sum(axis=1)) + 1
        turn = np.exp(-2j * np.pi * np.arange(length) / length)  # [F]
        sides = []
        for side in (1, -1):
            lead = (side * ahead[:, None] + gamma + tau * NODES) * side  # [D, Q], of i
            win, loss = np.exp(lead / 2), np.exp(-lead / 2)
            total = (win + loss + nu)[..., None]
            sides.append((loss[..., None] + nu * turn + win[..., None] * turn**2) / total)
        product = np.ones((len(ahead), length), complex)
        shapes, which = np.unique(seats, axis=0, return_inverse=True)
        for number, (first, second) in enumerate(shapes):
            opening = np.einsum("q,dqf->df", WEIGHTS, sides[0] ** first * sides[1] ** second)
            product *= opening ** int(count[which.ravel() == number].sum())
        return np.maximum(np.fft.ifft(weights @ product).real, 0)


@dataclass(frozen=True, eq=False)
class Played:
    """The openings of a pairing of i < j; those with equal results share one of S rows."""

    count: Ints  # [S]
    seats: Ints  # [S, 2]: games of an opening in which i moves first, and j
    points: Ints  # [S]: of i in one opening; 2 a win, 1 a draw

    @property
    def games(self) -> int:
        """How many games they are."""
        return int(self.count @ self.seats.sum(axis=1))

    @property
    def total(self) -> int:
        """The points of i in all of them."""
        return int(self.count @ self.points)


def moments_of(distribution: Floats) -> tuple[float, float, float]:
    """Returns mean, variance and excess kurtosis of points with this distribution."""
    points = np.arange(len(distribution))
    mean = distribution @ points / distribution.sum()
    variance = max(float(distribution @ (points - mean) ** 2), 1e-12)
    fourth = float(distribution @ (points - mean) ** 4)
    return float(mean), variance, fourth / variance**2 - 3
