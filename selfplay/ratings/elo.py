"""Ratings in Elo from games, with intervals that cover the truth as often as they say.

The estimate maximises the likelihood of :mod:`selfplay.ratings.bradley_terry` under weak priors:

* ratings: Normal around the field's own mean, with standard deviation `prior` in Elo. It knows no
  origin, so that a common shift changes nothing. It gives a player that won everything a finite
  rating, and one that never played the field's mean with an interval of some ±2 000. A rating known
  to ±s is drawn towards the field's mean by a share of about (s / prior)² of its distance: by 2 Elo
  in 1 000 at s = 50. Much narrower priors cover too rarely, the ends of a field first;
* first-move advantage: Normal(0, 400 Elo); log ν: Normal(-2, 6);
* the openings' spread τ: √τ exp(-τ² / 2 · 100²), with its mode at 71 Elo. The root keeps τ from 0,
  where its own uncertainty would be lost (Chung et al. 2013). An error in τ stretches or squeezes
  the whole table: by 3 % for 50 Elo, which the intervals hold. Where no opening was played twice τ
  is 0: nothing tells it from luck.

The covariance is a sandwich, H⁻¹ B H⁻¹, with the opening as the unit: B sums over openings the
outer product of their scores, each taken as if that opening had been left out of the fit (CR3, Bell
and McCaffrey 2002). An opening of players with few openings counts there with its expectation under
the model instead, by a share of SHRINK / (SHRINK + openings): a player that won everything has
scores next to nothing, and is not certain for that.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import ndtr

from selfplay.ratings.bradley_terry import (
    NATS_PER_ELO,
    Floats,
    Games,
    Openings,
    gather,
    terms,
)
from selfplay.ratings.design_matrix import Design

__all__ = ["PRIOR", "Fitted", "Games", "Ratings", "fit", "maximise"]

PRIOR: Final = 1000.0  # Elo
FIRST_MOVE: Final = 400 * NATS_PER_ELO
LOG_DRAW: Final = (-2.0, 6.0)  # mean and standard deviation of δ = log ν
SPREAD: Final = (0.5, 100 * NATS_PER_ELO)  # power and scale
SHRINK: Final = 20  # openings
Z95: Final = 1.959964


@dataclass(frozen=True, eq=False)
class Ratings:
    """What is known of P players, relative to one of them, the anchor."""

    elo: Floats  # [P]: the anchor's is exact
    covariance: Floats  # [P, P] in Elo², relative to the anchor: its row and column are 0
    anchor: int
    first_move: float  # Elo by which moving first is ahead
    first_move_stderr: float
    draw: float  # Davidson's ν: an even game is drawn with probability ν / (2 + ν)
    opening_spread: float  # τ: standard deviation of the first-move advantage over openings, Elo

    @property
    def stderr(self) -> Floats:
        """float[P], relative to the anchor, whose own is 0."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def interval(self) -> Floats:
        """float[P, 2], 95 %: from and to, relative to the anchor."""
        return self.elo[:, None] + Z95 * self.stderr[:, None] * np.array([-1.0, 1.0])

    def difference(self, i: int, j: int) -> tuple[float, float]:
        """By how many Elo i is ahead of j, and the standard error of that."""
        c = self.covariance
        return float(self.elo[i] - self.elo[j]), float(np.sqrt(c[i, i] + c[j, j] - 2 * c[i, j]))

    def superiority(self, i: int, j: int) -> float:
        """The likelihood that i is stronger than j; 1/2 for a player and itself."""
        ahead, stderr = self.difference(i, j)
        return float(ndtr(ahead / stderr)) if stderr else 0.5 + 0.5 * float(np.sign(ahead))


class Fitted(NamedTuple):
    """The maximum, in nats, and what stood around it. p = P + 3 parameters: θ, γ, δ, log τ."""

    openings: Openings
    parameters: Floats  # [p]
    tau: float  # exp of the last parameter, or 0 where it is not free
    free: NDArray[np.bool_]  # [p], True = estimated; False = fixed
    design: Design  # from parameters to each row's own coordinates
    score: Floats  # [R, M + 2], of one opening of a row
    information: Floats  # [R, M + 2, M + 2], of one opening of a row
    inverse: Floats  # [p, p]: of the information with the priors'; 0 for what is fixed
    prior: Floats  # [p, p]: the priors' information


def fit(games: Games, players: int, anchor: int, prior: float = PRIOR) -> Ratings:
    """Rates `players` players with player `anchor` at 0 Elo; see the module for `prior`."""
    fitted = maximise(games, players, anchor, prior)
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


def maximise(games: Games, players: int, anchor: int, prior: float = PRIOR) -> Fitted:
    """Newton's method from equal ratings, the anchor at 0."""
    if not 0 <= anchor < players:
        raise ValueError(f"the anchor is one of {players} players, got index {anchor}")
    if not 0 < prior < np.inf:
        raise ValueError(f"the prior's standard deviation is finite and above 0, got {prior}")
    games.check(players)
    openings = gather(games)
    spread = openings.there.shape[1] > 1  # some opening has two games
    free = np.arange(players + 3) != anchor
    free[-1] &= spread
    penalty = _priors(players, prior)
    middle = np.zeros(players + 3)
    middle[-2] = LOG_DRAW[0]
    count = openings.count.astype(float)
    design = Design.of(openings, players)

    def around(point: Floats) -> tuple[float, Floats, Floats, Fitted]:
        """The penalised log-likelihood, its gradient, its negative Hessian, and the rest."""
        tau = float(np.exp(point[-1])) if spread else 0.0
        lead = (point[openings.first] - point[openings.second] + point[-3]) * openings.there
        value, score, information = terms(
            lead, openings.outcome, openings.there, float(point[-2]), tau
        )
        # The last coordinate becomes log τ.
        information[:, -1] *= tau
        information[:, :, -1] *= tau
        score[:, -1] *= tau
        information[:, -1, -1] -= score[:, -1]

        off = np.where(free, point - middle, 0)
        off[-1] = 0
        power, excess = SPREAD[0], (tau / SPREAD[1]) ** 2
        total = count @ value - off @ penalty @ off / 2 + power * point[-1] - excess / 2
        gradient = design.sum(count[:, None] * score) - penalty @ off
        gradient[-1] += power - excess
        bent = penalty.copy()
        bent[-1, -1] = 2 * excess
        hessian = design.gram(count[:, None, None] * information) + bent
        rest = Fitted(
            openings, point, tau, free, design, score, information, np.zeros_like(bent), bent
        )
        return float(total), gradient, hessian, rest

    point = middle.copy()
    point[-1] = np.log(SPREAD[1])
    here = around(point)
    for _ in range(200):
        step = _newton(here[1][free], here[2][np.ix_(free, free)])
        if step @ here[1][free] < 1e-18:
            break
        trial, there = point, here
        for halvings in range(40):  # until it is uphill
            trial = point.copy()
            trial[free] += step / 2**halvings
            there = around(trial)
            if there[0] >= here[0] - 1e-9 * (1 + abs(here[0])):
                break
        point, here = trial, there
    else:
        raise ArithmeticError(f"no maximum after 200 steps on {len(games.first)} games")
    inverse = np.zeros_like(penalty)
    some = np.ix_(free, free)
    inverse[some] = cho_solve(_factor(here[2][some]), np.eye(int(free.sum())))
    return here[3]._replace(inverse=inverse)


def sandwich(fitted: Fitted, players: int) -> Floats:
    """float[p, p] in nats²: the covariance with the opening as the unit; see the module."""
    rows, design = fitted.openings, fitted.design
    leverage = fitted.information @ design.within(fitted.inverse)
    left_out = np.eye(leverage.shape[1]) - leverage
    score = np.linalg.solve(left_out, fitted.score[..., None])

    seated = np.zeros((len(rows.count), players), bool)  # True = the player plays in it
    row, game = np.nonzero(rows.there)
    seated[row, rows.first[row, game]] = seated[row, rows.second[row, game]] = True
    openings = rows.count @ seated  # [P]
    fewest = np.where(seated, openings, np.inf).min(axis=1, initial=np.inf)
    own = fewest / (fewest + SHRINK)
    observed = design.gram((rows.count * own)[:, None, None] * score * np.swapaxes(score, 1, 2))
    expected = design.gram((rows.count * (1 - own))[:, None, None] * fitted.information)
    return fitted.inverse @ (observed + expected + fitted.prior) @ fitted.inverse


def _priors(players: int, prior: float) -> Floats:
    """float[p, p]: the information of the normal priors."""
    information = np.zeros((players + 3, players + 3))
    centred = np.eye(players) - 1 / players
    information[:players, :players] = centred / (prior * NATS_PER_ELO) ** 2
    information[-3, -3] = FIRST_MOVE**-2
    information[-2, -2] = LOG_DRAW[1] ** -2
    return information


def _newton(gradient: Floats, hessian: Floats, longest: float = 2.0) -> Floats:
    """The step uphill, at most `longest` nats in any parameter."""
    step = cho_solve(_factor(hessian), gradient)
    return step * min(1.0, longest / max(np.abs(step).max(), 1e-300))


def _factor(hessian: Floats) -> tuple[Floats, bool]:
    """Cholesky's; far from the maximum the Hessian may have to be bent upwards first."""
    ridge = 0.0
    while True:
        try:
            return cho_factor(hessian + ridge * np.eye(len(hessian)), lower=True)
        except LinAlgError:
            ridge = max(1e-3 * float(np.abs(np.diag(hessian)).max()), 4 * ridge)
