"""A line of Elo against training between a floor and a plateau, for sizes at different compute.

    Elo = min(max(floor, level + slope · log10 C + shift · z), plateau)

for C FLOPs of training and a covariate z such as the size of the network, both less their means.
The covariate moves the incline, and with it the compute at which strength takes off and at which
the plateau begins; floor and plateau are common. A floor or a plateau that no version is on is
absent.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling.descent import best_start, descend
from selfplay.scaling.estimate import Floats, InsufficientData

FLOOR, PLATEAU, LEVEL, SLOPE, SHIFT = range(5)  # places of the parameters
PLACES = 11  # of the ends of the incline that starts are tried at
SHIFTS = np.linspace(-2, 2, 17)  # tried, in ranges of log10 FLOPs over the range of the covariate
MARGIN = 0.25  # ranges of log10 FLOPs by which the ends of a tried incline leave the data

Mask = NDArray[np.bool_]


def evaluate(beta: Floats, x: Floats, z: Floats | None) -> tuple[Floats, Floats]:
    """Evaluates curves with parameters float[R, K] at float[N].

    Returns:
        Elo float[R, N], and its derivatives by the parameters float[R, N, K].
    """
    raw = beta[:, [LEVEL]] + beta[:, [SLOPE]] * x
    if z is not None:
        raw = raw + beta[:, [SHIFT]] * z
    above = raw >= beta[:, [PLATEAU]]
    below = ~above & (raw <= beta[:, [FLOOR]])
    rising = ~above & ~below
    columns = [below * 1.0, above * 1.0, rising * 1.0, rising * x]
    if z is not None:
        columns.append(rising * z)
    mean = np.minimum(np.maximum(raw, beta[:, [FLOOR]]), beta[:, [PLATEAU]])
    return mean, np.stack(columns, axis=-1)


def least_squares(
    elo: Floats,
    x: Floats,
    z: Floats | None,
    weights: Floats | None = None,
    *,
    floor: bool = True,
) -> tuple[Floats, Mask]:
    """Fits curves to elo float[R, N], with log10 FLOPs float[N] and a covariate of mean 0.

    Args:
        elo: the ratings.
        x: log10 FLOPs less their mean.
        z: the covariate float[N], or None.
        weights: float[R, N], of the squares; equal if left out.
        floor: False = without one.

    Returns:
        The parameters float[R, K], and True for a floor or plateau that is absent, bool[R, K].

    Raises:
        InsufficientData: there are too few versions, or nothing differs.
    """
    spread, count = float(np.ptp(x)), 4 if z is None else 5
    if elo.shape[1] < count or spread == 0 or (z is not None and np.ptp(z) == 0):
        raise InsufficientData(
            f"{elo.shape[1]} versions over {spread:.2g} OOMs of training do not determine the "
            f"{count} parameters of a floor, an incline and a plateau: vary more of what is fitted"
        )
    weights = np.ones_like(elo) if weights is None else weights
    starts = _starts(elo, x, z, weights)
    if not floor:
        starts[:, FLOOR] = -np.inf
    low = np.full(count, -np.inf)
    low[SLOPE] = 0.0
    beta = descend(lambda b: evaluate(b, x, z), elo, weights, starts, low, np.full(count, np.inf))
    return _without_absent(beta, x, z, weights)


def _starts(elo: Floats, x: Floats, z: Floats | None, weights: Floats) -> Floats:
    """Finds the best of a grid of inclines, float[R, K]."""
    spread = float(np.ptp(x))
    ends = np.linspace(x.min() - MARGIN * spread, x.max() + MARGIN * spread, PLACES)
    scale = 1.0 if z is None else spread / float(np.ptp(z))
    delays = np.zeros(1) if z is None else SHIFTS * scale
    shapes = np.array([[a, b, d] for a, b, d in product(ends, ends, delays) if a < b])
    at = x - shapes[:, [2]] * (0.0 if z is None else z)
    shares = np.clip((at - shapes[:, [0]]) / (shapes[:, [1]] - shapes[:, [0]]), 0.0, 1.0)
    best, floor, height = best_start(elo, weights, shares)
    begin, end, delay = np.take(shapes, best, axis=0).T
    slope = height / (end - begin)
    columns = [floor, floor + height, floor - slope * begin, slope, -slope * delay]
    return np.stack(columns[: 4 if z is None else 5], axis=1)


def _without_absent(
    beta: Floats, x: Floats, z: Floats | None, weights: Floats
) -> tuple[Floats, Mask]:
    """Moves a floor or plateau without versions out of sight, and marks it, bool[R, K]."""
    members = np.einsum("rn,rnk->rk", weights, evaluate(beta, x, z)[1])
    absent = np.zeros(beta.shape, bool)
    absent[:, [FLOOR, PLATEAU]] = members[:, [FLOOR, PLATEAU]] == 0
    beta = beta.copy()
    beta[absent[:, FLOOR], FLOOR] = -np.inf
    beta[absent[:, PLATEAU], PLATEAU] = np.inf
    return beta, absent
