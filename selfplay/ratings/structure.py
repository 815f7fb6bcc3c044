"""Tests for structure in the deviations of pairings: cycles, and differences between kinds.

Both take the spread of independent pair effects as given.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import svds
from scipy.special import chdtrc, gammaincc

from selfplay.ratings.bradley_terry import Floats
from selfplay.ratings.deviations import Deviations
from selfplay.ratings.elo import Profile

__all__ = ["cycles", "kinds_differ"]

SIMULATED: Final = 400  # simulations of independent deviations
FARTHEST: Final = 4.0  # standard deviations; larger ones count as this, or one upset would decide
DENSE: Final = 100  # players up to which a matrix is decomposed as a whole
MIN_PAIRINGS: Final = 5  # within kinds, and between them, to compare the two
WIDER: Final = 3.0  # how many times as large effects between kinds are tested
TINY: Final = 1e-9
DEGENERATE: Final = 1e-3  # of the largest variance; directions below it are the ratings' own


def cycles(fit: Deviations) -> float:
    """Computes the p-value of the largest cyclic component of the deviations.

    Players on a cycle, each of which beats the next ones, have deviations of rank 2 (Balduzzi et
    al. 2018). The statistic is the largest singular value of the deviations as a skew-symmetric
    matrix, in which all players weigh the same however many opponents they met. Its distribution
    comes from simulated independent deviations.
    """
    rows, players = fit.posterior.openings, fit.posterior.players
    if fit.freedom.sum() < 1:
        return 1.0
    met = np.bincount(np.r_[rows.i, rows.j], minlength=players)
    weight = 1 / np.sqrt(met[rows.i] * met[rows.j])

    def largest(deviations: Floats) -> float:
        values = weight * deviations
        at = np.r_[rows.i, rows.j], np.r_[rows.j, rows.i]
        matrix = coo_array((np.r_[values, -values], at), shape=(players, players))
        return _largest_singular_value(matrix.tocsr(), players)

    rng = np.random.default_rng(0)
    independent = fit.residual(rng.normal(size=(len(rows.i), SIMULATED)))
    simulated = np.array([largest(deviations) for deviations in independent.T])
    return _upper_tail(largest(np.clip(fit.standardized, -FARTHEST, FARTHEST)), simulated)


def _largest_singular_value(matrix: csr_array, size: int) -> float:
    """Returns the largest singular value of a square matrix of this size."""
    if size < DENSE:
        return float(np.linalg.norm(matrix.toarray(), 2))
    # Not a vector of ones: a cycle maps it to 0, and the search would end there.
    _, values, _ = svds(matrix, k=1, v0=np.random.default_rng(0).normal(size=size))
    assert values is not None
    return float(values[0])


def _upper_tail(value: float, simulated: Floats) -> float:
    """Returns the probability of at least `value`, from a gamma distribution with three moments."""
    mean, deviation = simulated.mean(), simulated.std()
    if deviation <= TINY * abs(mean):
        return 1.0
    skew = max(float(((simulated - mean) ** 3).mean() / deviation**3), 0.05)
    shape = 4 / skew**2
    return float(gammaincc(shape, max(shape + np.sqrt(shape) * (value - mean) / deviation, 0.0)))


def _size_differs(profile: Profile, between: NDArray[np.bool_]) -> float:
    """Computes the p-value of equally large effects between kinds and within them.

    This is a likelihood-ratio test against effects `WIDER` times as large on one side. A free ratio
    would gain more, so the test is cautious.
    """
    scales = (np.where(between, WIDER, 1.0), np.where(between, 1.0, WIDER))
    others = [Profile.of(replace(profile.posterior, scale=scale)) for scale in scales]
    best = max(float(other.evidence.max()) for other in others)
    return float(chdtrc(1, 2 * max(0.0, best - float(profile.evidence.max()))))


def kinds_differ(fit: Deviations, profile: Profile, kinds: Sequence[str]) -> float:
    """Computes the p-value of equal pairings within and between kinds of players.

    Bonferroni's over two tests: whether deviations are larger between kinds than within them or
    smaller, and whether they have a direction: one kind does better against another than both do
    elsewhere, or the scale of differences depends on the kinds.
    """
    rows = fit.posterior.openings
    names, number = np.unique(np.asarray(list(kinds)), return_inverse=True)
    first, second = number[rows.i], number[rows.j]
    between = first != second
    if len(names) < 2 or min(between.sum(), (~between).sum()) < MIN_PAIRINGS:
        return 1.0
    p_size = _size_differs(profile, between)
    columns = []
    for a, b in combinations_with_replacement(range(len(names)), 2):
        forward, backward = (first == a) & (second == b), (first == b) & (second == a)
        if a != b:
            columns.append(forward.astype(float) - backward)
        columns.append((forward | backward) * fit.ahead)
    information = np.sqrt(np.maximum(fit.maximum.kept[:, 0, 0], 0))
    # Without what the ratings absorb: a kind that does better against all is no deviation.
    design = fit.residual(information[:, None] * np.stack(columns, axis=1))
    score = design.T @ fit.standardized
    covariance = design.T @ fit.residual(design)
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    seen = values > DEGENERATE * values.max()
    statistic = float(((vectors[:, seen].T @ score) ** 2 / values[seen]).sum())
    p_direction = float(chdtrc(seen.sum(), statistic))
    return min(1.0, 2 * min(p_size, p_direction))
