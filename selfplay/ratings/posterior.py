"""The maximum of the penalized likelihood at a given spread of pair effects, and its covariance.

The p = P + 3 parameters are θ, γ, δ and log τ; σ, the standard deviation of the pair effects, is
given. Weak priors make every estimate finite:

* ratings: Normal around the mean rating of the field, with standard deviation `prior` in Elo. The
  prior has no origin, so adding a constant to all ratings changes nothing. It gives a player that
  won everything a finite rating, and a player without games the field's mean with an interval of
  some ±2 000. A rating known to ±s is shrunk towards the mean by about (s / prior)² of its
  distance: by 2 Elo in 1 000 at s = 50. Intervals under much narrower priors cover too rarely,
  first of all at the ends of the field;
* first-move advantage: Normal(0, 400 Elo); log ν: Normal(-2, 6);
* the spread τ over openings: √τ exp(-τ² / 2 · 100²), with its mode at 71 Elo. The root keeps the
  estimate away from 0, where the uncertainty of τ would be lost (Chung et al. 2013). An error in τ
  stretches or shrinks the whole table, by 3 % for 50 Elo, and the intervals include it. If no
  opening was played twice, τ is fixed at 0, because nothing tells it apart from luck.

The maximum is that over parameters and pair effects together. Each effect u appears in its own
pairing only, so Newton's steps eliminate it: a pairing with information I about its difference
keeps I / (1 + σ² I) of it, at most 1 / σ², however many games it has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import logsumexp

from selfplay.ratings.bradley_terry import (
    NATS_PER_ELO,
    Floats,
    Games,
    Ints,
    Openings,
    gather,
    log_likelihood,
    terms,
)

__all__ = ["PRIOR", "Maximum", "Posterior"]

PRIOR: Final = 1000.0  # Elo
FIRST_MOVE: Final = 400 * NATS_PER_ELO
LOG_DRAW: Final = (-2.0, 6.0)  # mean and standard deviation of δ = log ν
SPREAD: Final = (0.5, 100 * NATS_PER_ELO)  # power and scale
SHRINK: Final = 20  # openings
_HERMITE = np.polynomial.hermite_e.hermegauss(5)
EFFECTS: Final[Floats] = _HERMITE[0]  # nodes for a pair effect, in its standard deviations
LOG_WEIGHTS: Final[Floats] = np.log(_HERMITE[1] / np.sqrt(2 * np.pi))
CONVERGED: Final = 1e-12  # nats that another step would gain
MIN_SHRUNK: Final = 0.05  # the least value of 1 + σ² I, where openings make I negative


class Maximum(NamedTuple):
    """The maximum at a given σ, in nats, with derivatives of single openings and of pairings."""

    sigma: float  # σ
    spread: Floats  # [K]: the standard deviation of each pairing's effect, σ times its scale
    parameters: Floats  # [p]: θ, γ, δ, log τ
    effects: Floats  # [K]: u divided by its standard deviation
    value: float  # the penalized log-likelihood
    score: Floats  # [R, 4], of one opening of a row
    information: Floats  # [R, 4, 4], of one opening of a row
    gradient: Floats  # [p], pair effects eliminated
    hessian: Floats  # [p, p], negative, pair effects eliminated
    pairings: Floats  # [K, 4, 4]: information of all openings of a pairing
    prior: Floats  # [p, p]: information of the priors

    @property
    def gamma(self) -> float:
        """The first-move advantage."""
        return float(self.parameters[-3])

    @property
    def nu(self) -> float:
        """Davidson's ν."""
        return float(np.exp(self.parameters[-2]))

    @property
    def shrunk(self) -> Floats:
        """1 + σ² I, float[K]: what the pair effect divides a pairing's information I by."""
        return np.maximum(1 + self.spread**2 * self.pairings[:, 0, 0], MIN_SHRUNK)

    @property
    def onto(self) -> Floats:
        """Maps a pairing's coordinates to those with its effect eliminated, float[K, 4, 4]."""
        matrices = np.tile(np.eye(4), (len(self.spread), 1, 1))
        matrices[:, 0] -= (self.spread**2 / self.shrunk)[:, None] * self.pairings[:, 0]
        return matrices

    @property
    def kept(self) -> Floats:
        """The information of pairings once their effects are eliminated, float[K, 4, 4]."""
        return np.swapaxes(self.onto, 1, 2) @ self.pairings


@dataclass(frozen=True, eq=False)
class Posterior:
    """The penalized log-likelihood of P players' games, the anchor fixed at 0."""

    openings: Openings
    players: int
    free: NDArray[np.bool_]  # [p], True = estimated
    center: Floats  # [p]: means of the normal priors
    penalty: Floats  # [p, p]: information of the normal priors
    scale: Floats  # [K]: the standard deviation of a pairing's effect, as a multiple of σ

    @classmethod
    def of(
        cls,
        games: Games,
        players: int,
        anchor: int,
        prior: float = PRIOR,
        scale: Callable[[Ints, Ints], Floats] | None = None,
    ) -> "Posterior":
        """Combines games with the priors; τ is free if some opening has two games.

        Args:
            games: the results.
            players: P.
            anchor: index of the player at 0 Elo.
            prior: standard deviation of the ratings' prior in Elo.
            scale: maps pairings of players int[K] < int[K] to the standard deviations of their
                effects, float[K], as multiples of σ; 1 for all when left out.

        Raises:
            ValueError: an anchor, prior or game out of range.
        """
        if not 0 <= anchor < players:
            raise ValueError(f"the anchor must be one of {players} players, got index {anchor}")
        if not 0 < prior < np.inf:
            raise ValueError(
                f"the prior's standard deviation must be finite and above 0, got {prior}"
            )
        games.check(players)
        openings = gather(games)
        free = np.arange(players + 3) != anchor
        free[-1] &= openings.side.shape[1] > 1
        center = np.zeros(players + 3)
        center[-2] = LOG_DRAW[0]
        scales = scale(openings.i, openings.j) if scale else np.ones(len(openings.i))
        return cls(openings, players, free, center, _prior_information(players, prior), scales)

    @property
    def is_forest(self) -> bool:
        """True = no pairings form a cycle, so ratings can match the result of every pairing."""
        ends = (self.openings.i, self.openings.j)
        links = coo_array((np.ones(len(ends[0])), ends), (self.players, self.players))
        parts = connected_components(links, directed=False, return_labels=False)
        return len(ends[0]) == self.players - parts

    def tau(self, parameters: Floats) -> float:
        """Returns the standard deviation of the first-move advantage over openings."""
        return float(np.exp(parameters[-1])) if self.free[-1] else 0.0

    def maximize(self, sigma: float = 0.0, start: Maximum | None = None) -> Maximum:
        """Finds the maximum by Newton's method, from equal ratings or from another maximum.

        Args:
            sigma: σ in nats.
            start: the maximum at another σ.

        Raises:
            ArithmeticError: no convergence.
        """
        if start is None:
            point = self.center.copy()
            point[-1] = np.log(SPREAD[1])
            current = self._evaluate(point, np.zeros(len(self.openings.i)), sigma)
        else:
            effects = start.effects * (min(start.sigma / sigma, 1.0) if sigma else 0.0)
            current = self._evaluate(start.parameters, effects, sigma)
        for _ in range(200):
            step, effects, gain = self._newton(current)
            if gain < CONVERGED:
                return current
            following = current
            for halvings in range(40):  # until the step goes uphill
                following = self._evaluate(
                    current.parameters + step / 2**halvings,
                    current.effects + effects / 2**halvings,
                    sigma,
                )
                if following.value >= current.value - 1e-9 * (1 + abs(current.value)):
                    break
            current = following
        raise ArithmeticError(f"no maximum after 200 steps on {self.openings.count.sum()} openings")

    def inverse(self, at: Maximum) -> Floats:
        """Returns the inverse information float[p, p], with 0 for fixed parameters."""
        inverse = np.zeros_like(self.penalty)
        block = np.ix_(self.free, self.free)
        inverse[block] = cho_solve(_factor(at.hessian[block]), np.eye(int(self.free.sum())))
        return inverse

    def log_evidence(self, at: Maximum) -> float:
        """Approximates the log-likelihood of σ, up to a constant.

        Parameters and pair effects are integrated out, which is restricted likelihood: it accounts
        for the degrees of freedom that the ratings take. Parameters are integrated by Laplace's
        method, effects by Gauss-Hermite quadrature around their maximum.

        The density of the ratings' prior is left out: with it, a field wider than the prior would
        look like pair effects that all point the same way, even where the games form a tree.
        """
        factor, _ = _factor(at.hessian[np.ix_(self.free, self.free)])
        theta, penalty = at.parameters[:-3], self.penalty[:-3, :-3]
        value = at.value + theta @ penalty @ theta / 2 - np.log(np.diag(factor)).sum()
        if not at.sigma:
            return float(value)
        rows, width = self.openings, at.spread / np.sqrt(at.shrunk)
        ahead = at.parameters[rows.i] - at.parameters[rows.j]
        parts = list[Floats]()
        for z in EFFECTS:
            effect = at.spread * at.effects + width * z
            by_row = log_likelihood(
                (ahead + effect)[rows.pairing],
                rows.side,
                rows.outcome,
                at.gamma,
                float(at.parameters[-2]),
                self.tau(at.parameters),
            )
            prior = (z**2 - (at.effects + z / np.sqrt(at.shrunk)) ** 2) / 2
            parts.append(np.bincount(rows.pairing, rows.count * by_row, len(rows.i)) + prior)
        integrals = logsumexp(np.array(parts) + LOG_WEIGHTS[:, None], axis=0)
        effects = (integrals - parts[len(EFFECTS) // 2] - np.log(at.shrunk) / 2).sum()
        return float(value + effects)

    def sandwich(self, at: Maximum) -> Floats:
        """Computes the covariance float[p, p] in nats²: H⁻¹ B H⁻¹, with the opening as the unit.

        B sums over openings the outer product of their scores, each computed as if that opening had
        been left out of the fit (CR3, Bell and McCaffrey 2002). For players with few openings B
        uses the expectation under the model instead, with weight SHRINK / (SHRINK + openings): the
        scores of a player that won everything are almost 0, although its rating is uncertain. The
        pair effects add their own part, with the variance σ² that the model gives them.
        """
        rows, inverse = self.openings, self.inverse(at)
        onto, variance = at.onto, at.spread**2
        within = onto @ self.within(inverse) @ np.swapaxes(onto, 1, 2)
        within[:, 0, 0] += variance / at.shrunk
        leverage = at.information @ within[rows.pairing]
        score = np.linalg.solve(np.eye(4) - leverage, at.score[..., None])[..., 0]
        weight = self._fewest_openings()[rows.pairing]
        weight = (weight / (weight + SHRINK))[:, None, None]
        by_row = weight * score[:, :, None] * score[:, None, :] + (1 - weight) * at.information
        noise = np.swapaxes(onto, 1, 2) @ rows.by_pairing(by_row) @ onto
        shows = at.pairings[:, 0] / at.shrunk[:, None]  # [K, 4]: by how much an effect shows
        effects = variance[:, None, None] * shows[:, :, None] * shows[:, None, :]
        return inverse @ (self._sum(noise + effects) + at.prior) @ inverse

    def _evaluate(self, point: Floats, effects: Floats, sigma: float) -> Maximum:
        """Computes the value and its derivatives at parameters float[p] and effects float[K]."""
        rows, tau = self.openings, self.tau(point)
        spread = sigma * self.scale
        ahead = point[rows.i] - point[rows.j] + spread * effects
        value, score, information = terms(
            ahead[rows.pairing], rows.side, rows.outcome, point[-3], point[-2], tau
        )
        scores, pairings = rows.by_pairing(score), rows.by_pairing(information)
        deviation = np.where(self.free, point - self.center, 0)
        deviation[-1] = 0
        power, excess = SPREAD[0], (tau / SPREAD[1]) ** 2
        penalized = rows.count @ value - (deviation @ self.penalty @ deviation) / 2
        curvature = self.penalty.copy()
        curvature[-1, -1] = 2 * excess
        maximum = Maximum(
            sigma=sigma,
            spread=spread,
            parameters=point,
            effects=effects,
            value=float(penalized + power * point[-1] - excess / 2 - effects @ effects / 2),
            score=score,
            information=information,
            gradient=np.zeros_like(point),
            hessian=curvature,
            pairings=pairings,
            prior=curvature,
        )
        by_effect = spread * scores[:, 0] - effects
        sideways = (spread * by_effect / maximum.shrunk)[:, None] * pairings[:, 0]
        scores = scores - sideways
        gradient = self._gather(scores) - self.penalty @ deviation
        gradient[-1] += power - excess
        gradient[~self.free] = 0
        return maximum._replace(gradient=gradient, hessian=self._sum(maximum.kept) + curvature)

    def _by_effect(self, at: Maximum) -> Floats:
        """Returns the derivatives of the value in the effects, float[K]."""
        return at.spread * self.openings.by_pairing(at.score)[:, 0] - at.effects

    def _newton(self, at: Maximum, longest: float = 2.0) -> tuple[Floats, Floats, float]:
        """Returns the step uphill in parameters and effects, and twice the gain that it promises.

        The step is at most `longest` in any of them.
        """
        free, rows = self.free, self.openings
        step = np.zeros_like(at.gradient)
        step[free] = cho_solve(_factor(at.hessian[np.ix_(free, free)]), at.gradient[free])
        moved = np.stack([step[rows.i] - step[rows.j], *np.tile(step[-3:, None], len(rows.i))], 1)
        sideways = at.spread * np.einsum("ka,ka->k", at.pairings[:, 0], moved)
        by_effect = self._by_effect(at)
        effects = (by_effect - sideways) / at.shrunk
        gain = step @ at.gradient + by_effect**2 @ (1 / at.shrunk)
        most = max(np.abs(step).max(initial=0), np.abs(effects).max(initial=0), 1e-300)
        scale = min(1.0, longest / most)
        return step * scale, effects * scale, float(gain)

    def _gather(self, scores: Floats) -> Floats:
        """Maps the scores float[K, 4] of pairings to the parameters, float[p]."""
        rows, size = self.openings, self.players + 3
        total = np.zeros(size)
        np.add.at(total, rows.i, scores[:, 0])
        np.add.at(total, rows.j, -scores[:, 0])
        total[-3:] += scores[:, 1:].sum(axis=0)
        return total

    def _sum(self, matrices: Floats) -> Floats:
        """Maps matrices float[K, 4, 4] of pairings to the parameters, float[p, p]."""
        rows, size = self.openings, self.players + 3
        total = np.zeros((size, size))
        own, shared = matrices[:, 0, 0], matrices[:, 0, 1:]
        np.add.at(total, (rows.i, rows.i), own)
        np.add.at(total, (rows.j, rows.j), own)
        np.add.at(total, (rows.i, rows.j), -own)
        np.add.at(total, (rows.j, rows.i), -own)
        cross = np.zeros((size, 3))
        np.add.at(cross, rows.i, shared)
        np.add.at(cross, rows.j, -shared)
        total[:, -3:] += cross
        total[-3:] += cross.T
        total[-3:, -3:] += matrices[:, 1:, 1:].sum(axis=0)
        return total

    def within(self, matrix: Floats) -> Floats:
        """Maps a matrix float[p, p] to the coordinates of pairings, float[K, 4, 4]."""
        i, j = self.openings.i, self.openings.j
        result = np.empty((len(i), 4, 4))
        result[:, 0, 0] = matrix[i, i] + matrix[j, j] - matrix[i, j] - matrix[j, i]
        result[:, 0, 1:] = result[:, 1:, 0] = matrix[i, -3:] - matrix[j, -3:]
        result[:, 1:, 1:] = matrix[-3:, -3:]
        return result

    def _fewest_openings(self) -> Floats:
        """Returns, for each pairing, the openings of that player who has fewer, float[K]."""
        rows = self.openings
        each = np.bincount(rows.pairing, rows.count, len(rows.i))
        total = np.bincount(rows.i, each, self.players) + np.bincount(rows.j, each, self.players)
        return np.minimum(total[rows.i], total[rows.j])


def _prior_information(players: int, prior: float) -> Floats:
    """Returns the information of the normal priors, float[p, p]."""
    information = np.zeros((players + 3, players + 3))
    centering = np.eye(players) - 1 / players
    information[:players, :players] = centering / (prior * NATS_PER_ELO) ** 2
    information[-3, -3] = FIRST_MOVE**-2
    information[-2, -2] = LOG_DRAW[1] ** -2
    return information


def _factor(hessian: Floats) -> tuple[Floats, bool]:
    """Computes a Cholesky factor, adding a ridge until the matrix is positive definite."""
    ridge = 0.0
    while True:
        try:
            return cho_factor(hessian + ridge * np.eye(len(hessian)), lower=True)
        except LinAlgError:
            ridge = max(1e-3 * float(np.abs(np.diag(hessian)).max()), 4 * ridge)
