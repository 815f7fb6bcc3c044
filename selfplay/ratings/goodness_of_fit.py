"""Where ratings fail: pairings that one number a player cannot explain (non-transitivity).

For each pairing the other games predict how many points it should have brought: from the difference
of the ratings without it (one Newton step away from the fit) and that difference's uncertainty,
with all ways in which its openings may end counted exactly. The p-value is the probability of a
result at least as far from the expected one; Holm's correction then allows for the number of
pairings.

The overall p-value asks whether the pairings together are farther from the fit than luck allows:
Pearson's statistic, its mean and variance corrected for what the fit absorbed and for small counts,
against a gamma distribution with these two.

The opening is the unit throughout: where openings differ by more than the model says, that is
measured within pairings and widens everything.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from selfplay.ratings.bradley_terry import NATS_PER_ELO, NODES, WEIGHTS, Floats, Games, Ints
from selfplay.ratings.elo import PRIOR, Fitted, maximise

__all__ = ["STRANGE", "Misfit", "Pairing", "find", "p_value"]

STRANGE = 0.001  # a smaller p-value says that players are on no common scale


class Pairing(NamedTuple):
    """Two players, what came out between them, and what the other games made one expect."""

    i: int
    j: int
    openings: int
    games: int
    observed: float  # i's mean score: 1 a win, 1/2 a draw, 0 a loss
    expected: float  # the same, as the other games predict it
    z: float  # observed - expected in standard deviations of the prediction; > 0: i did better
    p_value: float  # of that pairing alone, two-sided
    adjusted: float  # the same after Holm's correction for all pairings


@dataclass(frozen=True)
class Misfit:
    """The test of fit."""

    pairings: list[Pairing]  # by p-value, the worst first
    p_value: float  # of all together; 1 where games form a tree, which anything fits
    dispersion: float  # variance between openings over the model's, at least 1

    def badly_predicted(self, level: float = 0.05) -> list[Pairing]:
        """The pairings that luck explains with a probability below `level`, of all together."""
        return [pairing for pairing in self.pairings if pairing.adjusted < level]


def find(games: Games, players: int, prior: float = PRIOR) -> Misfit:
    """Tests how well ratings fit the games of `players` players."""
    games.check(players)
    if not len(games.first):
        return Misfit([], 1.0, 1.0)
    fitted, cells, dispersion = _fit(games, players, prior)
    found = [_predicted(fitted, cell, dispersion) for cell in cells]
    found.sort(key=lambda pairing: (pairing.p_value, pairing.i, pairing.j))
    steps = np.arange(len(found), 0, -1) * [pairing.p_value for pairing in found]
    adjusted = np.minimum(np.maximum.accumulate(steps), 1)
    pairings = [
        pairing._replace(adjusted=float(a)) for pairing, a in zip(found, adjusted, strict=True)
    ]
    return Misfit(pairings, _overall(fitted, cells, dispersion), dispersion)


def p_value(games: Games, players: int, prior: float = PRIOR) -> float:
    """`find`'s p-value of all pairings together, without looking at each of them."""
    games.check(players)
    if not len(games.first):
        return 1.0
    return _overall(*_fit(games, players, prior))


@dataclass(frozen=True, eq=False)
class _Cell:
    """The rows of one pairing (i, j)."""

    i: int
    j: int
    rows: Ints
    count: Ints  # [rows]: openings
    seats: Ints  # [rows, 2]: games with i first, and with j first
    points: Ints  # [rows]: of i in one opening; 2 a win, 1 a draw

    @property
    def games(self) -> int:
        return int(self.count @ self.seats.sum(axis=1))

    @property
    def total(self) -> int:
        return int(self.count @ self.points)


def _fit(games: Games, players: int, prior: float) -> tuple[Fitted, list[_Cell], float]:
    """The maximum, its pairings, and the dispersion within them."""
    fitted = maximise(_by_pairing(games, players), players, 0, prior)
    cells = _cells(fitted)
    return fitted, cells, _dispersion(fitted, cells)


def _by_pairing(games: Games, players: int) -> Games:
    """An opening that several pairings share becomes one of each."""
    low, high = np.minimum(games.first, games.second), np.maximum(games.first, games.second)
    keys = np.stack([games.opening, low * players + high])
    return games._replace(opening=np.unique(keys, axis=1, return_inverse=True)[1].ravel())


def _cells(fitted: Fitted) -> list[_Cell]:
    rows = fitted.openings
    low = np.minimum(rows.first, rows.second)[:, 0]
    high = np.maximum(rows.first, rows.second)[:, 0]
    ours = np.where(rows.first == low[:, None], 1, -1)  # +1 = i moves first
    points = ((1 + ours * rows.outcome) * rows.there).sum(axis=1)
    seats = np.stack([((ours == side) & rows.there).sum(axis=1) for side in (1, -1)], axis=1)
    pairings, which = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
    cells = []
    for at, (i, j) in enumerate(pairings.T):
        here = np.flatnonzero(which.ravel() == at)
        cells.append(_Cell(int(i), int(j), here, rows.count[here], seats[here], points[here]))
    return cells


def _points(fitted: Fitted, seats: Ints, count: Ints, ahead: Floats, weights: Floats) -> Floats:
    """float[2 games + 1]: the distribution of i's points from openings `seats` int[S, 2].

    `ahead` float[D] with `weights`: what the difference may be, in nats. Convolutions are products
    of characteristic functions.
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
    for at, (first, second) in enumerate(shapes):
        opening = np.einsum("k,dkf->df", WEIGHTS, sides[0] ** first * sides[1] ** second)
        product *= opening ** int(count[which.ravel() == at].sum())
    return np.maximum(np.fft.ifft(weights @ product).real, 0)


def _moments(distribution: Floats) -> tuple[float, float, float]:
    """Mean, variance and excess kurtosis of points."""
    points = np.arange(len(distribution))
    mean = distribution @ points / distribution.sum()
    variance = max(float(distribution @ (points - mean) ** 2), 1e-12)
    fourth = float(distribution @ (points - mean) ** 4)
    return float(mean), variance, fourth / variance**2 - 3


def _fair(fitted: Fitted, cell: _Cell, seats: Ints, count: Ints) -> tuple[float, float, float]:
    """Moments of i's points at the fitted ratings."""
    ahead = fitted.parameters[[cell.i]] - fitted.parameters[[cell.j]]
    return _moments(_points(fitted, seats, count, ahead, np.ones(1)))


def _dispersion(fitted: Fitted, cells: list[_Cell]) -> float:
    """Variance of an opening's points within pairings over the model's, if above 1."""
    seen = meant = 0.0
    for cell in cells:
        each = [_fair(fitted, cell, seats[None], np.ones(1, int)) for seats in cell.seats]
        off = cell.points - np.array([mean for mean, _, _ in each])
        n = cell.count.sum()
        seen += float(cell.count @ (off - cell.count @ off / n) ** 2)
        meant += float(cell.count @ [variance for _, variance, _ in each]) * (1 - 1 / n)
    return max(1.0, seen / meant) if meant else 1.0


def _predicted(fitted: Fitted, cell: _Cell, dispersion: float) -> Pairing:
    """One pairing against what the other games predict."""
    free = fitted.free
    design, count = fitted.design.dense(cell.rows)[..., free], cell.count.astype(float)
    score = np.einsum("r,ra,rap->p", count, fitted.score[cell.rows], design)
    weighed = count[:, None, None] * fitted.information[cell.rows] @ design
    own = np.einsum("rap,raq->pq", design, weighed)
    along = np.zeros(len(fitted.parameters))
    along[cell.i], along[cell.j] = 1, -1
    along = along[free]
    inverse = fitted.inverse[np.ix_(free, free)]
    # Without these games: information less theirs, and one step along what is left of the score.
    left = np.eye(len(along)) - inverse @ own
    towards = np.linalg.solve(left, inverse @ np.stack([along, score], axis=1))
    variance = max(along @ towards[:, 0], along @ inverse @ along)
    ahead = fitted.parameters[cell.i] - fitted.parameters[cell.j] - along @ towards[:, 1]
    ahead = np.clip(ahead + np.sqrt(variance) * NODES, *(np.array([-9, 9]) * 400 * NATS_PER_ELO))

    distribution = _points(fitted, cell.seats, cell.count, ahead, WEIGHTS)
    mean, spread, _ = _moments(distribution)
    off = (cell.total - mean) / np.sqrt(dispersion)
    far: NDArray[np.bool_] = np.abs(np.arange(len(distribution)) - mean) >= abs(off) - 1e-9
    p_value = min(1.0, float(distribution[far].sum()))
    return Pairing(
        i=cell.i,
        j=cell.j,
        openings=int(cell.count.sum()),
        games=cell.games,
        observed=cell.total / (2 * cell.games),
        expected=mean / (2 * cell.games),
        z=float(off / np.sqrt(spread)),
        p_value=p_value,
        adjusted=p_value,
    )


def _overall(fitted: Fitted, cells: list[_Cell], dispersion: float) -> float:
    """Pearson's statistic over pairings, against a gamma distribution with its two moments."""
    mean, variance, excess = np.array(
        [_fair(fitted, cell, cell.seats, cell.count) for cell in cells]
    ).T
    total = np.array([cell.total for cell in cells])
    statistic = ((total - mean) ** 2 / variance).sum() / dispersion
    # What the fit absorbs: the hat matrix between pairings.
    along = np.zeros((len(cells), len(fitted.parameters)))
    taught = np.zeros(len(cells))
    for at, cell in enumerate(cells):
        along[at, cell.i], along[at, cell.j] = 1, -1
        column = fitted.design.dense(cell.rows)[..., cell.i if fitted.free[cell.i] else cell.j]
        weighed = np.einsum("ra,rab,rb->r", column, fitted.information[cell.rows], column)
        taught[at] = max(float(cell.count @ weighed), 0)
    root = np.sqrt(taught)[:, None] * along
    rest = np.eye(len(cells)) - root @ fitted.inverse @ root.T
    own = np.clip(np.diag(rest), 0, 1)
    expected = own.sum()
    if expected < 0.5:
        return 1.0
    scatter = 2 * (rest**2).sum() + own**2 @ excess
    scatter = max(scatter, 0.5 * expected)
    return float(gammaincc(expected**2 / scatter, statistic * expected / scatter))
