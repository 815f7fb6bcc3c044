"""Who plays whom next: the pairings that teach most about the ratings.

What a pairing teaches is the expected cut in uncertainty: the sum over players of the variance of
their rating relative to the anchor that its games are expected to take away. What lies below the
wanted standard error counts no more, so that games go to the players who still need them. A round
is chosen greedily, with the covariance updated after each choice as if its games had been played.

It starts with a chain: until everybody is connected, the pairing that joins two parts of the field
and is closest in the order of the players. Versions of one run are in that order, and so neighbours
in strength.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from selfplay.ratings.bradley_terry import NATS_PER_ELO, Floats, Games, Ints, terms
from selfplay.ratings.elo import Ratings

Mask = NDArray[np.bool_]

__all__ = ["choose", "divide", "information", "restrict"]

FARTHEST = 4000.0  # Elo; pairings farther apart teach as little as these
CHUNK = 512  # pairings whose gains are computed at once
MANY = 100  # games, before a score of 0 or 100 % says that two players are far apart
NEAR_PERFECT_ELO = 0.995  # a score that reads as 100 %
DIGITS = 6  # gains that agree to so many digits are ties, whatever the machine's arithmetic


def choose(
    ratings: Ratings,
    played: Games,
    count: int,
    pairs: int,
    target: float,
    without: Collection[tuple[int, int]] = (),
) -> list[tuple[int, int]]:
    """At most `count` different pairings (i < j), each for `pairs` openings, colours swapped.

    `target` is the wanted standard error in Elo relative to the anchor. Pairings in `without` are
    not chosen. Fewer pairings come back, or none, where no other one would bring a rating closer to
    the target. A pure function of its arguments.
    """
    if count < 1 or pairs < 1 or not target > 0:
        raise ValueError(f"count, pairs and target are above 0, got {count}, {pairs}, {target}")
    players = len(ratings.elo)
    i, j = np.triu_indices(players, 1)  # [C]: all pairings
    taught = pairs * _expected(ratings, i, j)  # [C]
    covariance = ratings.covariance
    part = _parts(played, players)
    unused = np.array([pair not in without for pair in zip(i.tolist(), j.tolist(), strict=True)])
    chosen: list[tuple[int, int]] = []
    while len(chosen) < count and unused.any():
        joins = (part[i] != part[j]) & unused
        if joins.any():  # neighbours first
            candidates = np.flatnonzero(joins)
            best = candidates[np.argmin((j - i)[candidates])]
        else:
            best = _most(covariance, taught, i, j, unused, target)
            if best is None:
                break
        a, b = int(i[best]), int(j[best])
        chosen.append((a, b))
        unused[best] = False
        part = np.where(part == part[b], part[a], part)
        along = covariance[:, a] - covariance[:, b]
        shrink = taught[best] / (1 + taught[best] * (along[a] - along[b]))
        covariance = covariance - shrink * along[:, None] * along
    return chosen


def restrict(ratings: Ratings, played: Games, players: Sequence[int]) -> tuple[Ratings, Games]:
    """Ratings of some players, and the games among them, with the players numbered in that order.

    If the anchor is not one of them, the first one becomes the anchor.
    """
    kept = np.asarray(players)
    anchor = players.index(ratings.anchor) if ratings.anchor in players else 0
    elo, covariance = ratings.elo[kept], ratings.covariance[np.ix_(kept, kept)]
    row = covariance[anchor]
    part = replace(
        ratings,
        elo=elo - elo[anchor],
        covariance=covariance - row[:, None] - row + row[anchor],
        anchor=anchor,
    )
    place = np.full(len(ratings.elo), -1)
    place[kept] = np.arange(len(kept))
    first, second = place[played.first], place[played.second]
    both = (first >= 0) & (second >= 0)
    return part, Games(first[both], second[both], played.outcome[both], played.opening[both])


def divide(ratings: Ratings, played: Games, left: int, target: float) -> list[list[int]]:
    """Divide the players into parts that are too far apart to be compared, the strongest first.

    Two parts are too far apart if one of them has won 100 % of at least `MANY` games against the
    other (or nearly, see `NEAR_PERFECT_ELO`), and `left` more openings, colors swapped, of the most
    informative pairing are not expected to bring their difference to the standard error `target`.
    """
    order = np.argsort(-ratings.elo, kind="stable")
    place = np.argsort(order)
    first, second = place[played.first], place[played.second]
    upper, lower = np.minimum(first, second), np.maximum(first, second)
    points = (1 + np.where(first < second, 1, -1) * played.outcome) / 2  # of the upper player
    cuts = []
    for cut in range(1, len(order)):
        crossing = points[(upper < cut) & (lower >= cut)]
        if len(crossing) >= MANY and crossing.mean() >= NEAR_PERFECT_ELO:
            i, j = (grid.ravel() for grid in np.meshgrid(order[:cut], order[cut:]))
            c = ratings.covariance
            variance = c[i, i] + c[j, j] - 2 * c[i, j]
            after = variance / (1 + variance * left * _expected(ratings, i, j))
            if (after > target**2).all():
                cuts.append(cut)
    return [sorted(part.tolist()) for part in np.split(order, cuts)]


def information(ratings: Ratings, ahead: Floats) -> Floats:
    """What one opening, colours swapped, is expected to teach of a difference, in 1 / Elo².

    `ahead` float[C]: the difference in Elo. The Fisher information under the ratings' first move,
    draws and opening spread, over the 9 ways in which the two games may end.
    """
    ends = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(9, 2)
    lead = np.stack([ahead, -ahead], axis=-1) + ratings.first_move  # [C, 2]
    value, score, _ = terms(
        np.repeat(lead, 9, axis=0) * NATS_PER_ELO,
        np.tile(ends, (len(ahead), 1)),
        np.ones((9 * len(ahead), 2), bool),
        np.log(ratings.draw),
        ratings.opening_spread * NATS_PER_ELO,
    )
    squares = np.exp(value) * (score[:, 0] - score[:, 1]) ** 2
    return squares.reshape(-1, 9).sum(axis=1) * NATS_PER_ELO**2


def _expected(ratings: Ratings, i: Ints, j: Ints) -> Floats:
    """float[C]: the information of an opening, averaged over what the difference may be."""
    grid = np.arange(0, FARTHEST + 1, 50)
    table = information(ratings, grid)
    v = np.diag(ratings.covariance)
    stderr = np.sqrt(np.maximum(v[i] + v[j] - 2 * ratings.covariance[i, j], 0))
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    ahead = (ratings.elo[i] - ratings.elo[j])[:, None] + stderr[:, None] * nodes
    return np.interp(np.abs(ahead), grid, table) @ (weights / weights.sum())


def _most(
    covariance: Floats, taught: Floats, i: Ints, j: Ints, unused: Mask, target: float
) -> int | None:
    """The unused pairing with the largest gain, the first one of several; None if none gains.

    Without the target a gain is at most the cut over all players who are above it, which is a
    product of matrices. Gains themselves take P times as long, and are computed in the order of
    that bound, until nobody further down can have as much.
    """
    now = np.diag(covariance)
    unsure = covariance[now > target**2]
    square = unsure.T @ unsure
    length = np.diag(square)[i] + np.diag(square)[j] - 2 * square[i, j]
    spread = now[i] + now[j] - 2 * covariance[i, j]
    bound = np.where(unused, length * taught / (1 + taught * spread), -1)
    order = np.argsort(-bound, kind="stable")
    gain, tied = np.zeros(0), 1 - 10.0 ** (1 - DIGITS)
    for start in range(0, len(order), CHUNK):
        best = gain.max(initial=0)
        if bound[order[start]] <= best * tied:
            break
        some = order[start : start + CHUNK]
        gain = np.append(gain, _gains(covariance, taught[some], i[some], j[some], target))
    gain = np.where(unused[order[: len(gain)]], gain, 0)
    if not gain.max(initial=0) > 0:
        return None
    unit = 10.0 ** (np.floor(np.log10(gain.max())) - DIGITS)
    rounded = np.round(gain / unit)
    return int(order[: len(gain)][rounded == rounded.max()].min())


def _gains(covariance: Floats, taught: Floats, i: Ints, j: Ints, target: float) -> Floats:
    """float[C]: the cut in variance above target², summed over players."""
    along = covariance[:, i] - covariance[:, j]  # [P, C]
    which = np.arange(len(i))
    spread = along[i, which] - along[j, which]
    now = np.diag(covariance)[:, None]
    after = now - along**2 * (taught / (1 + taught * spread))
    return (np.maximum(now, target**2) - np.maximum(after, target**2)).sum(axis=0)


def _parts(played: Games, players: int) -> Ints:
    """int[P]: players that are connected by games carry the same number."""
    seats = (np.asarray(played.first), np.asarray(played.second))
    links = coo_array((np.ones(len(seats[0])), seats), shape=(players, players))
    return connected_components(links, directed=False)[1]
