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

Pair effects are integrated out around their most likely values, which are found along with the
parameters. Maximizing over them instead would squeeze wide tables, because lopsided pairings hide
their effects. A pairing with information I about its difference keeps I / (1 + σ² I) of it, at most
1 / σ², however many games it has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from selfplay.ratings.bradley_terry import (
    NATS_PER_ELO,
    Floats,
    Games,
    Ints,
    Openings,
    gather,
)
from selfplay.ratings.pair_effects import MIN_SHRUNK, integrate

__all__ = ["PRIOR", "Maximum", "Posterior"]

PRIOR: Final = 1000.0  # Elo
FIRST_MOVE: Final = 400 * NATS_PER_ELO
LOG_DRAW: Final = (-2.0, 6.0)  # mean and standard deviation of δ = log ν
SPREAD: Final = (0.5, 100 * NATS_PER_ELO)  # power and scale
SHRINK: Final = 20  # openings
NARROW: Final = 100 * NATS_PER_ELO  # much narrower fields are as likely as this one
CONVERGED: Final = 1e-12  # nats that another step would gain
ROUNDING: Final = 1e-6  # nats; what rounding errors may leave to gain
SHORTEST: Final = 1e-4  # fraction of a step
STEPS: Final = 200
WHOLE: Final = 40  # steps before all are halved: at large σ whole ones may swing around the maximum


class Maximum(NamedTuple):
    """The maximum at a given σ, in nats, with derivatives of single openings and of pairings."""

    sigma: float  # σ
    spread: Floats  # [K]: the standard deviation of each pairing's effect, σ times its scale
    parameters: Floats  # [p]: θ, γ, δ, log τ
    effects: Floats  # [K]: the most likely u, divided by its standard deviation
    value: float  # the penalized log-likelihood, pair effects integrated out
    score: Floats  # [R, 4], of one opening of a row; its mean over u
    information: Floats  # [R, 4, 4], of one opening of a row; its mean over u
    gradient: Floats  # [p]
    hessian: Floats  # [p, p], negative
    pairings: Floats  # [K, 4, 4]: information of all openings of a pairing
    prior: Floats  # [p, p]: information of the priors
    by_effect: Floats  # [K]: first derivative in the effect, at `effects`
    bend: Floats  # [K, 4]: information about d and each coordinate, at `effects`

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


class _Step(NamedTuple):
    """A step towards the maximum."""

    parameters: Floats  # [p]
    effects: Floats  # [K], in standard deviations
    gain: float  # twice what the whole step promises, in nats


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
    def fits_any_spread(self) -> bool:
        """True = ratings can explain the result of every pairing, so nothing is left for effects.

        Ratings are free to grow apart where all points between two groups of players go one way
        (Ford 1957). Within a group, they explain all pairings if these form a tree.
        """
        rows = self.openings
        result, ends = rows.side * rows.outcome, np.stack([rows.i, rows.j])
        scored = np.stack([(rows.side != 0) & (result >= 0), (rows.side != 0) & (result <= 0)])
        scored = rows.by_pairing(scored.any(axis=2).T.astype(float)) > 0  # [K, 2], by i and by j
        beaten = np.concatenate([ends[:, scored[:, 0]], ends[::-1, scored[:, 1]]], axis=1)
        links = coo_array((np.ones(beaten.shape[1]), tuple(beaten)), (self.players,) * 2)
        groups, group = connected_components(links, connection="strong")
        inside = int((group[rows.i] == group[rows.j]).sum())
        return inside == self.players - groups

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
        step = self._newton(current)
        for number in range(STEPS):
            if step.gain < CONVERGED:
                break
            walked = self._walk(current, step, 1.0 if number < WHOLE else 0.5)
            if walked is None:
                break
            current, step = walked
        if step.gain < ROUNDING:
            return current
        openings = self.openings.count.sum()
        raise ArithmeticError(
            f"no maximum at σ = {sigma / NATS_PER_ELO:.0f} Elo, {openings} openings"
        )

    def inverse(self, at: Maximum) -> Floats:
        """Returns the inverse information float[p, p], with 0 for fixed parameters."""
        inverse = np.zeros_like(self.penalty)
        block = np.ix_(self.free, self.free)
        inverse[block] = cho_solve(_factor(at.hessian[block]), np.eye(int(self.free.sum())))
        return inverse

    def log_evidence(self, at: Maximum) -> float:
        """Approximates the log-likelihood of σ, up to a constant.

        This is restricted likelihood: parameters are integrated out, too, by Laplace's method,
        which accounts for the degrees of freedom that the ratings take. The larger σ, the further
        apart are the ratings that explain the same results. So this integral needs a prior of the
        ratings without a scale of its own: a t-distribution, which has the field's width. Under a
        flat prior, or one much wider than the field, σ is overestimated.
        """
        factor, _ = _factor(at.hessian[np.ix_(self.free, self.free)])
        theta, penalty = at.parameters[:-3], self.penalty[:-3, :-3]
        field = (self.players - 1) * np.log(theta.var() + NARROW**2) / 2
        without = at.value + theta @ penalty @ theta / 2
        return float(without - field - np.log(np.diag(factor)).sum())

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
        parts = integrate(rows, point, effects, spread, tau)
        pairings = rows.by_pairing(parts.information)
        deviation = np.where(self.free, point - self.center, 0)
        deviation[-1] = 0
        power, excess = SPREAD[0], (tau / SPREAD[1]) ** 2
        penalized = parts.value.sum() - (deviation @ self.penalty @ deviation) / 2
        curvature = self.penalty.copy()
        curvature[-1, -1] = 2 * excess
        gradient = self._gather(rows.by_pairing(parts.score)) - self.penalty @ deviation
        gradient[-1] += power - excess
        gradient[~self.free] = 0
        maximum = Maximum(
            sigma=sigma,
            spread=spread,
            parameters=point,
            effects=effects,
            value=float(penalized + power * point[-1] - excess / 2),
            score=parts.score,
            information=parts.information,
            gradient=gradient,
            hessian=curvature,
            pairings=pairings,
            prior=curvature,
            by_effect=parts.by_effect,
            bend=parts.bend,
        )
        return maximum._replace(hessian=self._sum(maximum.kept) + curvature)

    def _walk(self, at: Maximum, step: "_Step", length: float) -> tuple[Maximum, "_Step"] | None:
        """Goes along a step, halved until the value rises or less is left to gain.

        Returns None if neither happens, however short the step.
        """
        while length >= SHORTEST:
            following = self._evaluate(
                at.parameters + length * step.parameters,
                at.effects + length * step.effects,
                at.sigma,
            )
            left = self._newton(following)
            if following.value >= at.value or left.gain < step.gain:
                return following, left
            length /= 2
        return None

    def _newton(self, at: Maximum, longest: float = 2.0) -> "_Step":
        """Returns the step uphill, at most `longest` in any parameter or effect."""
        free, rows = self.free, self.openings
        step = np.zeros_like(at.gradient)
        step[free] = cho_solve(_factor(at.hessian[np.ix_(free, free)]), at.gradient[free])
        moved = np.stack([step[rows.i] - step[rows.j], *np.tile(step[-3:, None], len(rows.i))], 1)
        sideways = at.spread * np.einsum("ka,ka->k", at.bend, moved)
        shrunk = np.maximum(1 + at.spread**2 * at.bend[:, 0], MIN_SHRUNK)
        effects = (at.by_effect - sideways) / shrunk
        gain = step @ at.gradient + at.by_effect**2 @ (1 / shrunk)
        most = max(np.abs(step).max(initial=0), np.abs(effects).max(initial=0), 1e-300)
        scale = min(1.0, longest / most)
        return _Step(step * scale, effects * scale, float(gain))

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
