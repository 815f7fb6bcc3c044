"""The model of a game's outcome: Bradley-Terry with draws, first move, openings and pair effects.

With strengths θ in nats (1 Elo = ln 10 / 400), i is ahead of j by ::

    d = θ_i − θ_j + u_ij        u_ij = −u_ji ~ Normal(0, σ²), one for each pairing

and the first player's lead in a game of them is ::

    x = ±d + γ + τ z            z ~ Normal(0, 1), one for each opening; + if i moves first

The outcomes have the odds win : draw : loss = exp(x/2) : ν : exp(−x/2), ν = exp δ (Davidson 1970;
for ν = 0 this is Bradley-Terry 1952). γ is the first-move advantage, and τ is its standard
deviation over openings. A lopsided opening ends 1–1 between any two players, so a model without τ
would rate distant players too close together. σ says how far pairings deviate from one common scale
of strength: i may do better against j than both do against everybody else.

An opening belongs to one pairing: its games are independent given z, and z is integrated out by
Gauss-Hermite quadrature. So the likelihood of a pairing, given u, is a product over its openings,
and depends on four coordinates: d, γ, δ and log τ.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NATS_PER_ELO",
    "NODES",
    "WEIGHTS",
    "Games",
    "Openings",
    "Terms",
    "gather",
    "log_likelihood",
    "terms",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

NATS_PER_ELO: Final = np.log(10) / 400
_HERMITE = np.polynomial.hermite_e.hermegauss(15)
NODES: Final[Floats] = _HERMITE[0]  # [Q]: values of z
WEIGHTS: Final[Floats] = _HERMITE[1] / _HERMITE[1].sum()  # [Q]: their probabilities


class Games(NamedTuple):
    """The results of N games, as four arrays of one length."""

    first: Ints  # [N]: index of the player who moves first
    second: Ints  # [N]: index of the other player
    outcome: Ints  # [N]: +1 the first player won, 0 draw, -1 the second player won
    opening: Ints  # [N]: id; games of a pairing that share one are dependent

    def check(self, players: int) -> None:
        """Raises ValueError unless these are games between different players in [0, players)."""
        shapes = {name: np.shape(part) for name, part in self._asdict().items()}
        if len(set(shapes.values())) != 1 or np.ndim(self.first) != 1:
            raise ValueError(f"games are arrays of one length, got {shapes}")
        if not len(self.first):
            return
        seats = np.stack([self.first, self.second])
        if seats.min() < 0 or seats.max() >= players:
            raise ValueError(f"{players} players, but an index from {seats.min()} to {seats.max()}")
        if (seats[0] == seats[1]).any():
            index = int((seats[0] == seats[1]).argmax())
            raise ValueError(f"game {index}: player {seats[0, index]} plays itself")
        if not np.isin(self.outcome, (-1, 0, 1)).all():
            raise ValueError(f"outcomes are -1, 0 and 1, got {sorted(set(self.outcome.tolist()))}")


@dataclass(frozen=True, eq=False)
class Openings:
    """Games grouped by pairing and opening; a pairing's openings with equal results share a row.

    R rows of at most M games, ordered by their K pairings of players i < j.
    """

    i: Ints  # [K]
    j: Ints  # [K]
    pairing: Ints  # [R]: index of the row's pairing
    side: Ints  # [R, M]: +1 = i moves first, -1 = j moves first, 0 = padding
    outcome: Ints  # [R, M]: for whoever moves first
    count: Ints  # [R]: number of openings with these results

    def by_pairing(self, values: Floats) -> Floats:
        """Sums values of single openings, float[R, …], over all openings of a pairing."""
        shape = values.shape[1:]
        weighted = self.count * values.reshape(len(values), int(np.prod(shape))).T
        totals = [np.bincount(self.pairing, column, len(self.i)) for column in weighted]
        return np.stack(totals, axis=-1).reshape(len(self.i), *shape).astype(np.float64)


def gather(games: Games) -> Openings:
    """Groups games. The order of the games and the values of the ids do not matter."""
    if not len(games.first):
        empty = np.zeros((0, 1), np.int64)
        return Openings(empty[:, 0], empty[:, 0], empty[:, 0], empty, empty, empty[:, 0])
    first, second = np.asarray(games.first, np.int64), np.asarray(games.second, np.int64)
    low, high = np.minimum(first, second), np.maximum(first, second)
    pairs, pairing = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
    pairing = pairing.ravel()
    codes = (first > second) * 3 + games.outcome + 1
    order = np.lexsort((codes, games.opening, pairing))
    codes, pairing, ids = codes[order], pairing[order], np.asarray(games.opening)[order]
    starts = np.flatnonzero(np.r_[True, (ids[1:] != ids[:-1]) | (pairing[1:] != pairing[:-1])])
    sizes = np.diff(np.r_[starts, len(ids)])
    padded = np.full((len(starts), 1 + sizes.max()), -1)
    padded[:, 0] = pairing[starts]
    padded[:, 1:][np.arange(sizes.max()) < sizes[:, None]] = codes
    rows, count = np.unique(padded, axis=0, return_counts=True)
    codes = rows[:, 1:]
    side = np.where(codes < 0, 0, 1 - 2 * (codes // 3))
    outcome = np.where(codes < 0, 0, codes % 3 - 1)
    return Openings(pairs[0], pairs[1], rows[:, 0], side, outcome, count)


class Terms(NamedTuple):
    """Each opening's log-likelihood with derivatives in its coordinates: d, γ, δ, log τ."""

    value: Floats  # [R]
    score: Floats  # [R, 4]: first derivatives
    information: Floats  # [R, 4, 4]: negative second derivatives


def terms(
    ahead: Floats, side: Ints, outcome: Ints, gamma: float, delta: float, tau: float
) -> Terms:
    """Computes log-likelihood and derivatives of R openings, z integrated out.

    Args:
        ahead: float[R], d: how far the pairing's player i is ahead.
        side: int[R, M], see `Openings`.
        outcome: int[R, M], see `Openings`.
        gamma: the first-move advantage.
        delta: log ν.
        tau: the standard deviation of the first-move advantage over openings; 0 for none.
    """
    games = _Seats.of(side, outcome)
    given_z = _GivenZ.of(ahead, games, gamma, delta, tau)
    value, posterior = given_z.integral()

    def mean(part: Floats, weight: Floats = posterior) -> Floats:
        return np.einsum("qr,qr->r", weight, part)

    expected, drawn = games.number * given_z.mean, games.number * given_z.draw  # [Q, 2, R]
    scale = tau * NODES[:, None]
    by_ahead = (games.result[0] - games.result[1] - expected[:, 0] + expected[:, 1]) / 2
    by_gamma = (games.result.sum(axis=0) - expected[:, 0] - expected[:, 1]) / 2
    by_delta = games.draws.sum(axis=0) - drawn[:, 0] - drawn[:, 1]
    scores = (by_ahead, by_gamma, by_delta, by_gamma * scale)  # [Q, R], given z
    score = np.stack([mean(part) for part in scores], axis=-1)

    # Louis (1982): the expected information given z, minus the variance over z of the score.
    xx = (games.number - drawn - expected * given_z.mean) / 4
    xd = expected * given_z.draw / -2
    both, one_sided = xx[:, 0] + xx[:, 1], xx[:, 0] - xx[:, 1]
    gamma_delta, ahead_delta = xd[:, 0] + xd[:, 1], xd[:, 0] - xd[:, 1]
    dd = drawn * (1 - given_z.draw)
    scaled = posterior * scale
    of_both = mean(both)
    entries = {
        (0, 0): of_both,
        (0, 1): mean(one_sided),
        (0, 2): mean(ahead_delta),
        (0, 3): mean(one_sided, scaled),
        (1, 1): of_both,
        (1, 2): mean(gamma_delta),
        (1, 3): mean(both, scaled),
        (2, 2): mean(dd[:, 0] + dd[:, 1]),
        (2, 3): mean(gamma_delta, scaled),
        (3, 3): mean(both, scaled * scale),
    }
    weighted = [posterior * part for part in scores]
    information = np.empty((*score.shape, 4))
    for (a, b), entry in entries.items():
        spread = mean(scores[b], weighted[a]) - score[:, a] * score[:, b]
        information[:, a, b] = information[:, b, a] = entry - spread
    information[:, 3, 3] -= score[:, 3]  # the last coordinate is log τ
    return Terms(value, score, information)


def log_likelihood(
    ahead: Floats, side: Ints, outcome: Ints, gamma: float, delta: float, tau: float
) -> Floats:
    """Computes the log-likelihood of R openings, float[R], as `terms` does."""
    given_z = _GivenZ.of(ahead, _Seats.of(side, outcome), gamma, delta, tau)
    return given_z.integral()[0]


class _Seats(NamedTuple):
    """What a likelihood needs of the games of R openings: sums over games in which i moves first,
    and over those in which j does."""

    number: Floats  # [2, R]
    result: Floats  # [2, R]: outcomes for whoever moves first
    draws: Floats  # [2, R]

    @classmethod
    def of(cls, side: Ints, outcome: Ints) -> "_Seats":
        """Sums over the games of openings, int[R, M]."""
        seats = np.stack([side.T > 0, side.T < 0])  # [2, M, R]
        parts = (seats, seats * outcome.T, seats & (outcome.T == 0))
        return cls(*(part.sum(axis=1).astype(float) for part in parts))


class _GivenZ(NamedTuple):
    """A first mover's odds in R openings at each value of z: if i moves first, and if j does."""

    mean: Floats  # [Q, 2, R]: expected outcome
    draw: Floats  # [Q, 2, R]: probability of a draw
    log_joint: Floats  # [Q, R]: log-likelihood of an opening's outcomes and of z

    @classmethod
    def of(cls, ahead: Floats, games: _Seats, gamma: float, delta: float, tau: float) -> "_GivenZ":
        """Computes the odds, and the log-likelihood of each opening, for each z.

        Rows of one pairing follow each other and have equal odds, which are computed once. R is the
        last axis, over which NumPy is fastest.
        """
        starts = np.flatnonzero(np.r_[True, ahead[1:] != ahead[:-1]][: len(ahead)])
        row = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(ahead)]))
        lead = ahead[starts] * np.array([[1.0], [-1.0]]) + gamma  # [2, K], of the first player
        x = lead + tau * NODES[:, None, None]  # [Q, 2, K]
        top = np.maximum(np.abs(x) / 2, delta)  # keeps the exponentials in range
        win, loss, draw = np.exp(x / 2 - top), np.exp(-x / 2 - top), np.exp(delta - top)
        total = win + loss + draw
        norm = games.number * np.take(top + np.log(total), row, axis=2)
        log_joint = games.result.sum(axis=0) * (tau / 2 * NODES[:, None]) - norm[:, 0] - norm[:, 1]
        log_joint += (games.result * lead[:, row] / 2 + games.draws * delta).sum(axis=0)
        log_joint += np.log(WEIGHTS)[:, None]
        mean, drawn = (win - loss) / total, draw / total
        return cls(np.take(mean, row, axis=2), np.take(drawn, row, axis=2), log_joint)

    def integral(self) -> tuple[Floats, Floats]:
        """Integrates z out: the log-likelihoods, float[R], and z's posterior, float[Q, R]."""
        most = self.log_joint.max(axis=0, initial=-1e300)
        likelihood = np.exp(self.log_joint - most)
        total = likelihood.sum(axis=0)
        return most + np.log(total), likelihood / total
