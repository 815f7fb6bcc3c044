"""Goodness of fit: tests whether one rating per player explains the results of all pairings.

Each pairing is compared with the points that all other games predict for it. The prediction uses
the difference of the ratings without this pairing (one Newton step away from the fit), the
uncertainty of that difference, and the exact distribution of the points. The p-value is the
probability of a result at least as far from the expected one; Holm's correction accounts for the
number of pairings.

The overall p-value tests whether all pairings together deviate from the fit by more than luck. It
is Pearson's statistic, with mean and variance corrected for the degrees of freedom of the fit and
for small counts, compared with the gamma distribution of this mean and variance.

The opening is the unit throughout: variance between openings beyond the model's is estimated
within pairings, and widens all predictions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from selfplay.ratings.bradley_terry import NATS_PER_ELO, NODES, WEIGHTS, Floats, Games, Ints
from selfplay.ratings.elo import PRIOR, FittedModel, maximize

__all__ = ["P_REJECT", "GoodnessOfFit", "PairingFit", "p_value", "test"]

P_REJECT = 0.001  # below this p-value the players are not on one common scale


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
    """The result of the test, over all pairings and for each of them."""

    pairings: list[PairingFit]  # by p-value, the smallest first
    p_value: float  # of all together; 1 if the games form a tree, which any ratings fit
    dispersion: float  # variance between openings divided by the model's, at least 1

    def badly_predicted(self, level: float = 0.05) -> list[PairingFit]:
        """Returns the pairings whose adjusted p-value is below `level`."""
        return [pairing for pairing in self.pairings if pairing.adjusted < level]


def test(games: Games, players: int, prior: float = PRIOR) -> GoodnessOfFit:
    """Tests how well ratings fit the games of `players` players.

    Raises:
        ValueError: a game that is not between two of the players.
    """
    games.check(players)
    if not len(games.first):
        return GoodnessOfFit([], 1.0, 1.0)
    fitted, groups, dispersion = _fit(games, players, prior)
    pairings = [_compare(fitted, group, dispersion) for group in groups]
    pairings.sort(key=lambda pairing: (pairing.p_value, pairing.i, pairing.j))
    steps = np.arange(len(pairings), 0, -1) * [pairing.p_value for pairing in pairings]
    adjusted = np.minimum(np.maximum.accumulate(steps), 1)
    pairings = [
        pairing._replace(adjusted=float(a)) for pairing, a in zip(pairings, adjusted, strict=True)
    ]
    return GoodnessOfFit(pairings, _overall(fitted, groups, dispersion), dispersion)


def p_value(games: Games, players: int, prior: float = PRIOR) -> float:
    """Returns the overall p-value of `test` without testing each pairing.

    Raises:
        ValueError: a game that is not between two of the players.
    """
    games.check(players)
    if not len(games.first):
        return 1.0
    return _overall(*_fit(games, players, prior))


@dataclass(frozen=True, eq=False)
class _PairingRows:
    """The R openings of one pairing (i, j), as rows of the fitted model."""

    i: int
    j: int
    rows: Ints  # [R]
    count: Ints  # [R]: openings
    seats: Ints  # [R, 2]: games with i first, and with j first
    points: Ints  # [R]: of i in one opening; 2 a win, 1 a draw

    @property
    def games(self) -> int:
        return int(self.count @ self.seats.sum(axis=1))

    @property
    def total(self) -> int:
        return int(self.count @ self.points)


def _fit(games: Games, players: int, prior: float) -> tuple[FittedModel, list[_PairingRows], float]:
    """Fits the model; returns it with its pairings and the dispersion within them."""
    fitted = maximize(_split_openings(games, players), players, 0, prior)
    groups = _group(fitted)
    return fitted, groups, _dispersion(fitted, groups)


def _split_openings(games: Games, players: int) -> Games:
    """Gives every pairing openings of its own: one that several share gets an id for each."""
    low, high = np.minimum(games.first, games.second), np.maximum(games.first, games.second)
    keys = np.stack([games.opening, low * players + high])
    return games._replace(opening=np.unique(keys, axis=1, return_inverse=True)[1].ravel())


def _group(fitted: FittedModel) -> list[_PairingRows]:
    """Groups the rows of the fitted model by pairing."""
    rows = fitted.openings
    low = np.minimum(rows.first, rows.second)[:, 0]
    high = np.maximum(rows.first, rows.second)[:, 0]
    side = np.where(rows.first == low[:, None], 1, -1)  # +1 = i moves first
    points = ((1 + side * rows.outcome) * rows.mask).sum(axis=1)
    seats = np.stack([((side == sign) & rows.mask).sum(axis=1) for sign in (1, -1)], axis=1)
    pairings, which = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
    groups = []
    for number, (i, j) in enumerate(pairings.T):
        index = np.flatnonzero(which.ravel() == number)
        groups.append(
            _PairingRows(int(i), int(j), index, rows.count[index], seats[index], points[index])
        )
    return groups


def _points(
    fitted: FittedModel, seats: Ints, count: Ints, ahead: Floats, weights: Floats
) -> Floats:
    """Returns the distribution of i's points in openings `seats` int[S, 2], float[2 games + 1].

    The difference of the ratings is uncertain: it is `ahead` float[D], in nats, with probabilities
    `weights` float[D]. Convolutions are products of characteristic functions.
    """
    gamma_, nu = fitted.parameters[-3], np.exp(fitted.parameters[-2])
    length = int(2 * count @ seats.sum(axis=1)) + 1
    turn = np.exp(-2j * np.pi * np.arange(length) / length)  # [F]
    sides = []
    for side in (1, -1):
        lead = (side * ahead[:, None] + gamma_ + fitted.tau * NODES) * side  # [D, K], of i
        win, loss = np.exp(lead / 2), np.exp(-lead / 2)
        total = (win + loss + nu)[..., None]
        sides.append((loss[..., None] + nu * turn + win[..., None] * turn**2) / total)
    product = np.ones((len(ahead), length), complex)
    shapes, which = np.unique(seats, axis=0, return_inverse=True)
    for number, (first, second) in enumerate(shapes):
        opening = np.einsum("k,dkf->df", WEIGHTS, sides[0] ** first * sides[1] ** second)
        product *= opening ** int(count[which.ravel() == number].sum())
    return np.maximum(np.fft.ifft(weights @ product).real, 0)


def _moments(distribution: Floats) -> tuple[float, float, float]:
    """Returns mean, variance and excess kurtosis of points with this distribution."""
    points = np.arange(len(distribution))
    mean = distribution @ points / distribution.sum()
    variance = max(float(distribution @ (points - mean) ** 2), 1e-12)
    fourth = float(distribution @ (points - mean) ** 4)
    return float(mean), variance, fourth / variance**2 - 3


def _moments_at_fit(
    fitted: FittedModel, group: _PairingRows, seats: Ints, count: Ints
) -> tuple[float, float, float]:
    """Returns mean, variance and excess kurtosis of i's points at the fitted ratings."""
    ahead = fitted.parameters[[group.i]] - fitted.parameters[[group.j]]
    return _moments(_points(fitted, seats, count, ahead, np.ones(1)))


def _dispersion(fitted: FittedModel, groups: list[_PairingRows]) -> float:
    """Divides the variance of an opening's points within pairings by the model's; at least 1."""
    observed = expected = 0.0
    for group in groups:
        moments = [
            _moments_at_fit(fitted, group, seats[None], np.ones(1, int)) for seats in group.seats
        ]
        residual = group.points - np.array([mean for mean, _, _ in moments])
        n = group.count.sum()
        observed += float(group.count @ (residual - group.count @ residual / n) ** 2)
        expected += float(group.count @ [variance for _, variance, _ in moments]) * (1 - 1 / n)
    return max(1.0, observed / expected) if expected else 1.0


def _compare(fitted: FittedModel, group: _PairingRows, dispersion: float) -> PairingFit:
    """Compares one pairing with the prediction of all other games; `adjusted` is not set yet."""
    free = fitted.free
    design, count = fitted.design.dense(group.rows)[..., free], group.count.astype(float)
    score = np.einsum("r,ra,rap->p", count, fitted.score[group.rows], design)
    weighted = count[:, None, None] * fitted.information[group.rows] @ design
    information = np.einsum("rap,raq->pq", design, weighted)  # of these games
    contrast = np.zeros(len(fitted.parameters))
    contrast[group.i], contrast[group.j] = 1, -1
    contrast = contrast[free]
    inverse = fitted.inverse[np.ix_(free, free)]
    # Remove these games: subtract their information, and take one step along the remaining score.
    remaining = np.eye(len(contrast)) - inverse @ information
    step = np.linalg.solve(remaining, inverse @ np.stack([contrast, score], axis=1))
    variance = max(contrast @ step[:, 0], contrast @ inverse @ contrast)
    ahead = fitted.parameters[group.i] - fitted.parameters[group.j] - contrast @ step[:, 1]
    ahead = np.clip(ahead + np.sqrt(variance) * NODES, *(np.array([-9, 9]) * 400 * NATS_PER_ELO))

    distribution = _points(fitted, group.seats, group.count, ahead, WEIGHTS)
    mean, spread, _ = _moments(distribution)
    residual = (group.total - mean) / np.sqrt(dispersion)
    far: NDArray[np.bool_] = np.abs(np.arange(len(distribution)) - mean) >= abs(residual) - 1e-9
    p_value = min(1.0, float(distribution[far].sum()))
    return PairingFit(
        i=group.i,
        j=group.j,
        openings=int(group.count.sum()),
        games=group.games,
        observed=group.total / (2 * group.games),
        expected=mean / (2 * group.games),
        z=float(residual / np.sqrt(spread)),
        p_value=p_value,
        adjusted=p_value,
    )


def _overall(fitted: FittedModel, groups: list[_PairingRows], dispersion: float) -> float:
    """Computes the p-value of Pearson's statistic over pairings, from a gamma distribution."""
    mean, variance, excess = np.array(
        [_moments_at_fit(fitted, group, group.seats, group.count) for group in groups]
    ).T
    total = np.array([group.total for group in groups])
    statistic = ((total - mean) ** 2 / variance).sum() / dispersion
    # The hat matrix between pairings: the share of each residual that the fit removes.
    contrast = np.zeros((len(groups), len(fitted.parameters)))
    information = np.zeros(len(groups))
    for row, group in enumerate(groups):
        contrast[row, group.i], contrast[row, group.j] = 1, -1
        column = fitted.design.dense(group.rows)[..., group.i if fitted.free[group.i] else group.j]
        weighted = np.einsum("ra,rab,rb->r", column, fitted.information[group.rows], column)
        information[row] = max(float(group.count @ weighted), 0)
    root = np.sqrt(information)[:, None] * contrast
    residual = np.eye(len(groups)) - root @ fitted.inverse @ root.T
    freedom = np.clip(np.diag(residual), 0, 1)  # degrees of freedom of each pairing
    expected = freedom.sum()
    if expected < 0.5:
        return 1.0
    scatter = 2 * (residual**2).sum() + freedom**2 @ excess
    scatter = max(scatter, 0.5 * expected)
    return float(gammaincc(expected**2 / scatter, statistic * expected / scatter))
