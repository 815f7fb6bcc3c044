"""The model of a game's outcome: Bradley-Terry with draws, a first-move advantage, and openings.

With strengths θ in nats (1 Elo = ln 10 / 400), the first player's lead is ::

    x = θ_first − θ_second + γ + τ z_opening        z ~ Normal(0, 1), one for each opening

and the outcomes have the odds win : draw : loss = exp(x/2) : ν : exp(−x/2), ν = exp δ (Davidson
1970; for ν = 0 this is Bradley-Terry 1952). γ is the first-move advantage, and τ is its standard
deviation over openings. A lopsided opening ends 1–1 between any two players, so a model without τ
would rate distant players too close together.

The opening is the statistical unit. Its games are independent given z, and z is integrated out by
Gauss-Hermite quadrature, so the likelihood is a product over openings.
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
    """The results of N games, as four arrays of one length."""

    first: Ints  # [N]: index of the player who moves first
    second: Ints  # [N]: index of the other player
    outcome: Ints  # [N]: +1 the first player won, 0 draw, -1 the second player won
    opening: Ints  # [N]: id; games that share one are dependent: an opening, colors swapped

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
    """Games grouped by opening, at most M in one; openings with equal results share a row."""

    first: Ints  # [R, M]
    second: Ints  # [R, M]
    outcome: Ints  # [R, M]
    mask: NDArray[np.bool_]  # [R, M], True = a game, False = padding
    count: Ints  # [R]: number of openings with these results


def gather(games: Games) -> Openings:
    """Groups games by opening. The order of the games and the values of the ids do not matter."""
    if not len(games.first):
        empty = np.zeros((0, 1), np.int64)
        return Openings(empty, empty, empty, empty.astype(bool), empty[:, 0])
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
    mask = rows >= 0
    codes = np.where(mask, rows, 0)
    first, second = codes // 3 // base, codes // 3 % base
    return Openings(first, second, np.where(mask, codes % 3 - 1, 0), mask, count)


class Terms(NamedTuple):
    """Each row's log-likelihood with derivatives in its coordinates: x of its M games, δ, τ."""

    value: Floats  # [R]
    score: Floats  # [R, M + 2]: first derivatives
    information: Floats  # [R, M + 2, M + 2]: negative second derivatives


def terms(lead: Floats, outcome: Ints, mask: NDArray[np.bool_], delta: float, tau: float) -> Terms:
    """Computes log-likelihood and derivatives of R openings; lead float[R, M] is x without τ z."""
    x = lead[:, None, :] + tau * NODES[:, None]  # [R, K, M]
    top = np.maximum(np.abs(x) / 2, delta)  # keeps the exponentials in range
    win, loss, draw = np.exp(x / 2 - top), np.exp(-x / 2 - top), np.exp(delta - top)
    total = win + loss + draw
    weight = mask[:, None, :].astype(float)  # 0 removes padding
    drawn = (outcome == 0)[:, None, :]
    log = outcome[:, None, :] * x / 2 + delta * drawn - top - np.log(total)
    joint = np.log(WEIGHTS) + (log * weight).sum(axis=-1)  # [R, K]
    value = np.asarray(logsumexp(joint, axis=1))
    posterior = np.exp(joint - value[:, None])

    mean, share = (win - loss) / total * weight, draw / total * weight
    by_x = (outcome[:, None, :] * weight - mean) / 2
    by_delta = (drawn * weight - share).sum(axis=-1)
    scores = np.concatenate(
        [by_x, by_delta[..., None], (by_x.sum(axis=-1) * NODES)[..., None]], axis=-1
    )  # [R, K, M + 2], given z

    # Louis (1982): the expected information given z, minus the variance over z of the score.
    size = x.shape[-1]
    xx = ((1 - share) * weight - mean**2) / 4
    xd = -mean * share / 2
    conditional = np.zeros((*x.shape[:2], size + 2, size + 2))  # [R, K, M + 2, M + 2], given z
    diagonal = np.arange(size)
    conditional[..., diagonal, diagonal] = xx
    conditional[..., diagonal, size] = conditional[..., size, diagonal] = xd
    conditional[..., size, size] = (share * (1 - share)).sum(axis=-1)
    conditional[..., diagonal, -1] = conditional[..., -1, diagonal] = xx * NODES[:, None]
    conditional[..., size, -1] = conditional[..., -1, size] = xd.sum(axis=-1) * NODES
    conditional[..., -1, -1] = xx.sum(axis=-1) * NODES**2

    weights = posterior[:, None, :]  # [R, 1, K]
    score = (weights @ scores)[:, 0]
    expected = weights @ conditional.reshape(*joint.shape, (size + 2) ** 2)
    deviation = scores - score[:, None]
    variance = np.swapaxes(posterior[..., None] * deviation, 1, 2) @ deviation
    return Terms(value, score, expected.reshape(variance.shape) - variance)
