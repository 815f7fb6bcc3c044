"""Elo ratings from games, with 95 % intervals whose coverage is measured by simulation.

The estimate maximizes the likelihood of :mod:`selfplay.ratings.bradley_terry` under weak priors:

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

The covariance is a sandwich, H⁻¹ B H⁻¹, with the opening as the unit: B sums over openings the
outer product of their scores, each computed as if that opening had been left out of the fit (CR3,
Bell and McCaffrey 2002). For players with few openings B uses the expectation under the model
instead, with weight SHRINK / (SHRINK + openings): the scores of a player that won everything are
almost 0, although its rating is uncertain.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import ndtr

from selfplay.ratings.bradley_terry import NATS_PER_ELO, Floats, Games, Openings, gather, terms
from selfplay.ratings.design_matrix import Design

__all__ = ["PRIOR", "FittedModel", "Games", "Ratings", "fit", "maximize"]

PRIOR: Final = 1000.0  # Elo
FIRST_MOVE: Final = 400 * NATS_PER_ELO
LOG_DRAW: Final = (-2.0, 6.0)  # mean and standard deviation of δ = log ν
SPREAD: Final = (0.5, 100 * NATS_PER_ELO)  # power and scale
SHRINK: Final = 20  # openings
Z95: Final = 1.959964


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


class FittedModel(NamedTuple):
    """The maximum, in nats, with derivatives. p = P + 3 parameters: θ, γ, δ, log τ."""

    openings: Openings
    parameters: Floats  # [p]
    tau: float  # exp of the last parameter, or 0 if it is not free
    free: NDArray[np.bool_]  # [p], True = estimated, False = fixed
    design: Design  # from parameters to each row's coordinates
    score: Floats  # [R, M + 2], of one opening of a row
    information: Floats  # [R, M + 2, M + 2], of one opening of a row
    inverse: Floats  # [p, p]: of the information, priors included; 0 for fixed parameters
    prior: Floats  # [p, p]: information of the priors


def fit(games: Games, players: int, anchor: int, prior: float = PRIOR) -> Ratings:
    """Rates `players` players with player `anchor` at 0 Elo.

    Args:
        games: the results.
        players: P, the number of players; some may have no games.
        anchor: index of the player at 0 Elo.
        prior: standard deviation of the ratings' prior in Elo; see the module.

    Raises:
        ValueError: an anchor, prior or game out of range.
    """
    fitted = maximize(games, players, anchor, prior)
    covariance = sandwich(fitted, players) / NATS_PER_ELO**2
    theta, gamma = fitted.parameters[:players], fitted.parameters[players]
    return Ratings(
        elo=theta / NATS_PER_ELO,
        covariance=covariance[:players, :players],
        anchor=anchor,
        first_move=float(gamma / NATS_PER_ELO),
        first_move_stderr=float(np.sqrt(covariance[players, players])),
        draw=float(np.exp(fitted.parameters[players + 1])),
        opening_spread=float(fitted.tau / NATS_PER_ELO),
    )


def maximize(games: Games, players: int, anchor: int, prior: float = PRIOR) -> FittedModel:
    """Finds the maximum by Newton's method from equal ratings, the anchor fixed at 0.

    Raises:
        ValueError: an anchor, prior or game out of range.
        ArithmeticError: no convergence.
    """
    if not 0 <= anchor < players:
        raise ValueError(f"the anchor must be one of {players} players, got index {anchor}")
    if not 0 < prior < np.inf:
        raise ValueError(f"the prior's standard deviation must be finite and above 0, got {prior}")
    games.check(players)
    posterior = _Posterior.of(gather(games), players, anchor, prior)
    free = posterior.free
    point = posterior.center.copy()
    point[-1] = np.log(SPREAD[1])
    current = posterior.evaluate(point)
    for _ in range(200):
        step = _newton(current.gradient[free], current.hessian[np.ix_(free, free)])
        if step @ current.gradient[free] < 1e-18:
            break
        trial, following = point, current
        for halvings in range(40):  # until the step goes uphill
            trial = point.copy()
            trial[free] += step / 2**halvings
            following = posterior.evaluate(trial)
            if following.value >= current.value - 1e-9 * (1 + abs(current.value)):
                break
        point, current = trial, following
    else:
        raise ArithmeticError(f"no maximum after 200 steps on {len(games.first)} games")
    inverse = np.zeros_like(posterior.penalty)
    block = np.ix_(free, free)
    inverse[block] = cho_solve(_factor(current.hessian[block]), np.eye(int(free.sum())))
    return current.model._replace(inverse=inverse)


class _Evaluation(NamedTuple):
    """The penalized log-likelihood at one point, with derivatives."""

    value: float
    gradient: Floats  # [p]
    hessian: Floats  # [p, p], negative
    model: FittedModel  # without its inverse


@dataclass(frozen=True, eq=False)
class _Posterior:
    """The penalized log-likelihood of p = P + 3 parameters: θ, γ, δ, log τ."""

    openings: Openings
    design: Design
    free: NDArray[np.bool_]  # [p], True = estimated
    center: Floats  # [p]: means of the normal priors
    penalty: Floats  # [p, p]: information of the normal priors

    @classmethod
    def of(cls, openings: Openings, players: int, anchor: int, prior: float) -> "_Posterior":
        """Combines the games with the priors; τ is free if some opening has two games."""
        free = np.arange(players + 3) != anchor
        free[-1] &= openings.mask.shape[1] > 1
        center = np.zeros(players + 3)
        center[-2] = LOG_DRAW[0]
        return cls(
            openings, Design.of(openings, players), free, center, _prior_information(players, prior)
        )

    def evaluate(self, point: Floats) -> _Evaluation:
        """Computes the value and its derivatives at the parameters `point`, float[p]."""
        openings, design, penalty = self.openings, self.design, self.penalty
        count = openings.count.astype(float)
        tau = float(np.exp(point[-1])) if self.free[-1] else 0.0
        lead = (point[openings.first] - point[openings.second] + point[-3]) * openings.mask
        value, score, information = terms(
            lead, openings.outcome, openings.mask, float(point[-2]), tau
        )
        # The last coordinate becomes log τ.
        information[:, -1] *= tau
        information[:, :, -1] *= tau
        score[:, -1] *= tau
        information[:, -1, -1] -= score[:, -1]

        deviation = np.where(self.free, point - self.center, 0)
        deviation[-1] = 0
        power, excess = SPREAD[0], (tau / SPREAD[1]) ** 2
        penalized = count @ value - deviation @ penalty @ deviation / 2
        total = penalized + power * point[-1] - excess / 2
        gradient = design.sum(count[:, None] * score) - penalty @ deviation
        gradient[-1] += power - excess
        curvature = penalty.copy()
        curvature[-1, -1] = 2 * excess
        hessian = design.gram(count[:, None, None] * information) + curvature
        model = FittedModel(
            openings=openings,
            parameters=point,
            tau=tau,
            free=self.free,
            design=design,
            score=score,
            information=information,
            inverse=np.zeros_like(curvature),
            prior=curvature,
        )
        return _Evaluation(float(total), gradient, hessian, model)


def sandwich(fitted: FittedModel, players: int) -> Floats:
    """Computes the sandwich covariance, float[p, p] in nats²; see the module."""
    rows, design = fitted.openings, fitted.design
    leverage = fitted.information @ design.within(fitted.inverse)
    score = np.linalg.solve(np.eye(leverage.shape[1]) - leverage, fitted.score[..., None])

    seated = np.zeros((len(rows.count), players), bool)  # True = the player plays in the row
    row, game = np.nonzero(rows.mask)
    seated[row, rows.first[row, game]] = seated[row, rows.second[row, game]] = True
    openings = rows.count @ seated  # [P]
    fewest = np.where(seated, openings, np.inf).min(axis=1, initial=np.inf)
    weight = fewest / (fewest + SHRINK)
    observed = design.gram((rows.count * weight)[:, None, None] * score * np.swapaxes(score, 1, 2))
    expected = design.gram((rows.count * (1 - weight))[:, None, None] * fitted.information)
    return fitted.inverse @ (observed + expected + fitted.prior) @ fitted.inverse


def _prior_information(players: int, prior: float) -> Floats:
    """Returns the information of the normal priors, float[p, p]."""
    information = np.zeros((players + 3, players + 3))
    centering = np.eye(players) - 1 / players
    information[:players, :players] = centering / (prior * NATS_PER_ELO) ** 2
    information[-3, -3] = FIRST_MOVE**-2
    information[-2, -2] = LOG_DRAW[1] ** -2
    return information


def _newton(gradient: Floats, hessian: Floats, longest: float = 2.0) -> Floats:
    """Returns the step uphill, at most `longest` nats in any parameter."""
    step = cho_solve(_factor(hessian), gradient)
    return step * min(1.0, longest / max(np.abs(step).max(), 1e-300))


def _factor(hessian: Floats) -> tuple[Floats, bool]:
    """Computes a Cholesky factor, adding a ridge until the matrix is positive definite."""
    ridge = 0.0
    while True:
        try:
            return cho_factor(hessian + ridge * np.eye(len(hessian)), lower=True)
        except LinAlgError:
            ridge = max(1e-3 * float(np.abs(np.diag(hessian)).max()), 4 * ridge)
