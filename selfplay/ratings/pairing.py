"""Chooses the next pairings of a ladder: those that reduce the ratings' uncertainty most.

The gain of a pairing is the expected reduction of uncertainty: by how much its games are expected
to reduce the variance of the players' ratings relative to the anchor, summed over players. Variance
below the wanted standard error does not count, so games go to the players who still need them. A
round is chosen greedily, with the covariance updated after each choice as if its games had been
played. With pair effects of standard deviation σ, all games of a pairing together teach at most
1 / σ² about the difference of the ratings, so new opponents gain more than more games of old ones.

The first pairings form a chain: until games connect all players, the next pairing joins two
components of the field, and is the one whose players are closest in the order of the players.
Versions of one run are in that order, so neighbors are similar in strength.
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

__all__ = ["choose", "divide", "information", "restrict", "within_reach"]

MAX_DIFFERENCE = 4000.0  # Elo; larger differences count as this one
GAIN_CHUNK = 512  # pairings whose gains are computed at once
MIN_GAMES_APART = 100  # games before a score near 100 % proves that two parts are far apart
NEAR_PERFECT_SCORE = 0.995  # rounds to 100 %
MARGIN = 1.1  # over the standard error that unlimited games would leave
TIE_DIGITS = 6  # gains that agree to this many digits are ties, so rounding errors do not decide


def choose(
    ratings: Ratings,
    played: Games,
    count: int,
    pairs: int,
    target: float,
    exclude: Collection[tuple[int, int]] = (),
) -> list[tuple[int, int]]:
    """Chooses pairings (i < j) for the next round. A pure function of its arguments.

    Args:
        ratings: today's ratings of P players.
        played: the games they were fitted to; they say which players are connected.
        count: pairings of the round; fewer are chosen if no other one would bring a rating closer
            to the target.
        pairs: openings of each pairing, each played twice with colors swapped.
        target: the wanted standard error in Elo, relative to the anchor.
        exclude: pairings (i < j) that must not be chosen.

    Raises:
        ValueError: `count`, `pairs` or `target` is not above 0.
    """
    if count < 1 or pairs < 1 or not target > 0:
        raise ValueError(f"count, pairs and target must be above 0, got {count}, {pairs}, {target}")
    players = len(ratings.elo)
    i, j = np.triu_indices(players, 1)  # [C]: all pairings
    each = _expected_information(ratings, i, j)  # [C], of one opening, 1 / Elo²
    before = _openings(played, players)[i, j] * each
    information = _limited(ratings, before + pairs * each) - _limited(ratings, before)
    covariance = ratings.covariance
    component = _components(played, players)
    unused = np.array([pair not in exclude for pair in zip(i.tolist(), j.tolist(), strict=True)])
    chosen: list[tuple[int, int]] = []
    while len(chosen) < count and unused.any():
        joins = (component[i] != component[j]) & unused
        if joins.any():  # neighbors first
            candidates = np.flatnonzero(joins)
            best = candidates[np.argmin((j - i)[candidates])]
        else:
            best = _best_pairing(covariance, information, i, j, unused, target)
            if best is None:
                break
        a, b = int(i[best]), int(j[best])
        chosen.append((a, b))
        unused[best] = False
        component = np.where(component == component[b], component[a], component)
        column = covariance[:, a] - covariance[:, b]
        shrink = information[best] / (1 + information[best] * (column[a] - column[b]))
        covariance = covariance - shrink * column[:, None] * column
    return chosen


def within_reach(ratings: Ratings, target: float) -> float:
    """Returns the standard error in Elo to aim at: `target`, or more if pair effects demand it.

    If each of P players met all others in unlimited games, pair effects would still leave the
    differences of ratings a variance of 2 σ² / P. Ratings almost as certain as that are done. While
    the games leave it open whether there are such effects, no rating is that certain.
    """
    return max(target, MARGIN * ratings.pair_spread * float(np.sqrt(2 / len(ratings.elo))))


def restrict(ratings: Ratings, played: Games, players: Sequence[int]) -> tuple[Ratings, Games]:
    """Restricts ratings and games to `players`, who are numbered in that order.

    If the anchor is not among them, the first of them becomes the anchor.
    """
    index = np.asarray(players)
    anchor = players.index(ratings.anchor) if ratings.anchor in players else 0
    elo, covariance = ratings.elo[index], ratings.covariance[np.ix_(index, index)]
    row = covariance[anchor]
    restricted = replace(
        ratings,
        elo=elo - elo[anchor],
        covariance=covariance - row[:, None] - row + row[anchor],
        anchor=anchor,
    )
    place = np.full(len(ratings.elo), -1)
    place[index] = np.arange(len(index))
    first, second = place[played.first], place[played.second]
    both = (first >= 0) & (second >= 0)
    games = Games(first[both], second[both], played.outcome[both], played.opening[both])
    return restricted, games


def divide(ratings: Ratings, played: Games, openings: int, target: float) -> list[list[int]]:
    """Divides the players into parts that are too far apart to be compared, the strongest first.

    Two parts are too far apart if one of them scored at least `NEAR_PERFECT_SCORE` in at least
    `MIN_GAMES_APART` games against the other, and `openings` more openings, colors swapped, of the
    most informative pairing are not expected to bring their difference to the standard error
    `target`, in Elo.
    """
    order = np.argsort(-ratings.elo, kind="stable")
    place = np.argsort(order)
    first, second = place[played.first], place[played.second]
    upper, lower = np.minimum(first, second), np.maximum(first, second)
    points = (1 + np.where(first < second, 1, -1) * played.outcome) / 2  # of the upper player
    met, cuts = _openings(played, len(order)), []
    for cut in range(1, len(order)):
        crossing = points[(upper < cut) & (lower >= cut)]
        if len(crossing) >= MIN_GAMES_APART and crossing.mean() >= NEAR_PERFECT_SCORE:
            i, j = (grid.ravel() for grid in np.meshgrid(order[:cut], order[cut:]))
            c = ratings.covariance
            variance = c[i, i] + c[j, j] - 2 * c[i, j]
            each = _expected_information(ratings, i, j)
            before = met[np.minimum(i, j), np.maximum(i, j)] * each
            gained = _limited(ratings, before + openings * each) - _limited(ratings, before)
            after = variance / (1 + variance * gained)
            if (after > target**2).all():
                cuts.append(cut)
    return [sorted(part.tolist()) for part in np.split(order, cuts)]


def information(ratings: Ratings, ahead: Floats) -> Floats:
    """Returns the expected information of one opening, colors swapped, on a difference of ratings.

    This is the Fisher information, float[C] in 1 / Elo², under the first-move advantage, draws and
    opening spread of `ratings`, summed over the 9 ways in which the two games may end.

    Args:
        ratings: whose model is used.
        ahead: float[C], the differences in Elo.
    """
    ends = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), axis=-1).reshape(9, 2)
    value, score, _ = terms(
        np.repeat(ahead, 9) * NATS_PER_ELO,
        np.tile([1, -1], (9 * len(ahead), 1)),
        np.tile(ends, (len(ahead), 1)),
        ratings.first_move * NATS_PER_ELO,
        float(np.log(ratings.draw)),
        ratings.opening_spread * NATS_PER_ELO,
    )
    squares = np.exp(value) * score[:, 0] ** 2
    return squares.reshape(-1, 9).sum(axis=1) * NATS_PER_ELO**2


def _limited(ratings: Ratings, information: Floats) -> Floats:
    """Returns what information on i's lead over j, pair effect included, tells of the ratings."""
    return information / (1 + ratings.pair_spread**2 * information)


def _openings(played: Games, players: int) -> Floats:
    """Counts the openings that i < j have played, float[P, P]."""
    low, high = np.minimum(played.first, played.second), np.maximum(played.first, played.second)
    keys = np.unique(np.stack([low, high, played.opening]), axis=1)
    count = np.zeros((players, players))
    np.add.at(count, (keys[0], keys[1]), 1)
    return count


def _expected_information(ratings: Ratings, i: Ints, j: Ints) -> Floats:
    """Averages the information of an opening over the uncertainty of the difference, float[C]."""
    grid = np.arange(0, MAX_DIFFERENCE + 1, 50)
    table = information(ratings, grid)
    v = np.diag(ratings.covariance)
    stderr = np.sqrt(np.maximum(v[i] + v[j] - 2 * ratings.covariance[i, j], 0))
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    ahead = (ratings.elo[i] - ratings.elo[j])[:, None] + stderr[:, None] * nodes
    return np.interp(np.abs(ahead), grid, table) @ (weights / weights.sum())


def _best_pairing(
    covariance: Floats, information: Floats, i: Ints, j: Ints, unused: Mask, target: float
) -> int | None:
    """Returns the unused pairing with the largest gain, the first of a tie; None if none gains.

    A gain is bounded by the reduction of variance, floor at the target ignored, over all players
    above the target. The bounds are a product of matrices, the gains take P times as long. So gains
    are computed in the order of their bounds, until no remaining bound exceeds the best gain.
    """
    variance = np.diag(covariance)
    uncertain = covariance[variance > target**2]
    square = uncertain.T @ uncertain
    length = np.diag(square)[i] + np.diag(square)[j] - 2 * square[i, j]
    spread = variance[i] + variance[j] - 2 * covariance[i, j]
    bound = np.where(unused, length * information / (1 + information * spread), -1)
    order = np.argsort(-bound, kind="stable")
    gain, tied = np.zeros(0), 1 - 10.0 ** (1 - TIE_DIGITS)
    for start in range(0, len(order), GAIN_CHUNK):
        best = gain.max(initial=0)
        if bound[order[start]] <= best * tied:
            break
        chunk = order[start : start + GAIN_CHUNK]
        gain = np.append(gain, _gains(covariance, information[chunk], i[chunk], j[chunk], target))
    gain = np.where(unused[order[: len(gain)]], gain, 0)
    if not gain.max(initial=0) > 0:
        return None
    unit = 10.0 ** (np.floor(np.log10(gain.max())) - TIE_DIGITS)
    rounded = np.round(gain / unit)
    return int(order[: len(gain)][rounded == rounded.max()].min())


def _gains(covariance: Floats, information: Floats, i: Ints, j: Ints, target: float) -> Floats:
    """Returns the reduction of variance above target², summed over players, float[C]."""
    column = covariance[:, i] - covariance[:, j]  # [P, C]
    which = np.arange(len(i))
    spread = column[i, which] - column[j, which]
    before = np.diag(covariance)[:, None]
    after = before - column**2 * (information / (1 + information * spread))
    return (np.maximum(before, target**2) - np.maximum(after, target**2)).sum(axis=0)


def _components(played: Games, players: int) -> Ints:
    """Returns int[P]; players that games connect, directly or not, have equal numbers."""
    seats = (np.asarray(played.first), np.asarray(played.second))
    links = coo_array((np.ones(len(seats[0])), seats), shape=(players, players))
    return connected_components(links, directed=False)[1]
