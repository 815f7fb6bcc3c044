"""The model of a game's outcome: Bradley-Terry with draws, a first move, and uneven openings.

With strengths θ in nats (1 Elo = ln 10 / 400), the first player's lead is ::

    x = θ_first − θ_second + γ + τ z_opening        z ~ Normal(0, 1), one for each opening

and the outcomes weigh win : draw : loss = exp(x/2) : ν : exp(−x/2), ν = exp δ (Davidson 1970; for
ν = 0 this is Bradley-Terry 1952). γ is the first-move advantage, and τ says how much it differs
from opening to opening. Without τ the ratings of distant players would come out too close
together: a lopsided opening gives 1–1 to whoever plays it.

The opening is the unit. Its games are independent given z, and z is integrated out by
Gauss-Hermite quadrature, so that the likelihood is a product over openings.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

__all__ = ["NATS_PER_ELO", "NODES", "WEIGHTS", "Games", "Openings", "Terms", "gather", "terms"]

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

NATS_PER_ELO: Final = np.log(10) / 400
_HERMITE = np.polynomial.hermite_e.hermegauss(15)
NODES: Final[Floats] = _HERMITE[0]  # [K]: values of z
WEIGHTS: Final[Floats] = _HERMITE[1] / _HERMITE[1].sum()  # [K]: their probabilities


class Games(NamedTuple):
    """N games."""

    first: Ints  # [N]: index of the player who moves first
    second: Ints  # [N]: index of the other one
    outcome: Ints  # [N]: +1 the first player won, 0 draw, -1 the second player won
    opening: Ints  # [N]: games that share an id are dependent: an opening, colours swapped

    def check(self, players: int) -> None:
        """Raises ValueError for what cannot be a list of games among so many players."""
        shapes = {name: np.shape(part) for name, part in self._asdict().items()}
        if len(set(shapes.values())) != 1 or np.ndim(self.first) != 1:
            raise ValueError(f"games are arrays of one length, got {shapes}")
        if not len(self.first):
            return
        seats = np.stack([self.first, self.second])
        if seats.min() < 0 or seats.max() >= players:
            raise ValueError(f"{players} players, but an index from {seats.min()} to {seats.max()}")
        if (seats[0] == seats[1]).any():
            at = int((seats[0] == seats[1]).argmax())
            raise ValueError(f"game {at}: player {seats[0, at]} plays itself")
        if not np.isin(self.outcome, (-1, 0, 1)).all():
            raise ValueError(f"outcomes are -1, 0 and 1, got {sorted(set(self.outcome.tolist()))}")


@dataclass(frozen=True, eq=False)
class Openings:
    """Games by opening; openings that went alike share a row. M: games of the longest one."""

    first: Ints  # [R, M]
    second: Ints  # [R, M]
    outcome: Ints  # [R, M]
    there: NDArray[np.bool_]  # [R, M], True = a game; False = filled up
    count: Ints  # [R]: how many openings went like this


def gather(games: Games) -> Openings:
    """Groups games by opening. Their order, and the ids' values, make no difference."""
    if not len(games.first):
        none = np.zeros((0, 1), np.int64)
        return Openings(none, none, none, none.astype(bool), none[:, 0])
    parts = np.stack([games.first, games.second, games.outcome + 1]).astype(np.int64)
    base = parts[:2].max() + 1
    codes = (parts[0] * base + parts[1]) * 3 + parts[2]
    order = np.lexsort((codes, games.opening))
    codes, ids = codes[order], np.asarray(games.opening)[order]
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    sizes = np.diff(np.r_[starts, len(ids)])
    padded = np.full((len(starts), sizes.max()), -1)
    padded[np.arange(sizes.max()) < sizes[:, None]] = codes
    rows, count = np.unique(padded, axis=0, return_counts=True)
    there = rows >= 0
    codes = np.where(there, rows, 0)
    first, second = codes // 3 // base, codes // 3 % base
    return Openings(first, second, np.where(there, codes % 3 - 1, 0), there, count)


class Terms(NamedTuple):
    """Of each row's log-likelihood, in its own coordinates: x of its M games, δ and τ."""

    value: Floats  # [R]
    score: Floats  # [R, M + 2]: first derivatives
    information: Floats  # [R, M + 2, M + 2]: negative second derivatives


def terms(lead: Floats, outcome: Ints, there: NDArray[np.bool_], delta: float, tau: float) -> Terms:
    """Log-likelihood and derivatives of R openings; lead float[R, M] is x without τ z."""
    x = lead[:, None, :] + tau * NODES[:, None]  # [R, K, M]
    top = np.maximum(np.abs(x) / 2, delta)  # keeps the exponentials in range
    win, loss, draw = np.exp(x / 2 - top), np.exp(-x / 2 - top), np.exp(delta - top)
    total = win + loss + draw
    on = there[:, None, :].astype(float)
    drawn = (outcome == 0)[:, None, :]
    log = outcome[:, None, :] * x / 2 + delta * drawn - top - np.log(total)
    joint = np.log(WEIGHTS) + (log * on).sum(axis=-1)  # [R, K]
    value = np.asarray(logsumexp(joint, axis=1))
    posterior = np.exp(joint - value[:, None])

    mean, share = (win - loss) / total * on, draw / total * on
    by_x = (outcome[:, None, :] * on - mean) / 2
    by_delta = (drawn * on - share).sum(axis=-1)
    scores = np.concatenate(
        [by_x, by_delta[..., None], (by_x.sum(axis=-1) * NODES)[..., None]], axis=-1
    )  # [R, K, M + 2], given z

    # Louis (1982): the mean information given z, less what not knowing z takes away.
    size = x.shape[-1]
    xx = ((1 - share) * on - mean**2) / 4
    xd = -mean * share / 2
    given = np.zeros((*x.shape[:2], size + 2, size + 2))
    diagonal = np.arange(size)
    given[..., diagonal, diagonal] = xx
    given[..., diagonal, size] = given[..., size, diagonal] = xd
    given[..., size, size] = (share * (1 - share)).sum(axis=-1)
    given[..., diagonal, -1] = given[..., -1, diagonal] = xx * NODES[:, None]
    given[..., size, -1] = given[..., -1, size] = xd.sum(axis=-1) * NODES
    given[..., -1, -1] = xx.sum(axis=-1) * NODES**2

    weights = posterior[:, None, :]  # [R, 1, K]
    score = (weights @ scores)[:, 0]
    mean_given = weights @ given.reshape(*joint.shape, (size + 2) ** 2)
    around = scores - score[:, None]
    lost = np.swapaxes(posterior[..., None] * around, 1, 2) @ around
    return Terms(value, score, mean_given.reshape(lost.shape) - lost)
