"""Partitions of versions into floor, incline and plateau by change points along training.

Change points are tried only between levels of training, so the same level of several seeds is never
divided.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from selfplay.scaling import levels
from selfplay.scaling.estimate import Floats, InsufficientData
from selfplay.scaling.rated_versions import Ints, RatedVersions

STEPS = 25  # change points tried at either end of the covariate's range
PLACES = 25  # change points tried at most without a covariate
MIN_INCLINE = 0.1  # the least fraction of the range of log10 FLOPs that an incline covers

FLOOR, INCLINE, PLATEAU = -1, 0, 1

Mask = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


def closest(
    points: RatedVersions, covariate: str | None = None, *, floor: bool, plateau: bool
) -> Ints:
    """Finds the partition int[..., N] into phases whose model is closest to the ratings.

    Raises:
        InsufficientData: the versions leave no place for a change point, or values are unknown.
    """
    spent, z = points.require("training"), covariate_column(points, covariate)
    if not floor and not plateau:
        return np.zeros(points.elo.shape, np.int64)
    x, z = spent - spent.mean(), z - z.mean(axis=0)
    elo = points.elo.reshape(-1, len(points))
    least, best = np.full(len(elo), np.inf), np.zeros(elo.shape, np.int64)
    for phase in _partitions(points, x, z, floor, plateau):
        squares = np.square(elo - _predictions(elo, x, z, phase)).sum(axis=1)
        better = squares < least
        least = np.where(better, squares, least)
        best[better] = phase
    if not np.isfinite(least).all():
        where = "on each board, " if covariate else ""
        raise InsufficientData(
            f"{len(x)} versions leave no place for a change point: {where}an incline takes at "
            "least two levels of training, and a floor or a plateau one"
        )
    return best.reshape(points.elo.shape)


def groups(
    points: RatedVersions, labels: NDArray[T]
) -> Iterator[tuple[Mask, RatedVersions, NDArray[T]]]:
    """Groups the replicates of a batch by equal labels [..., N].

    Yields:
        A mask bool[...] of replicates, their versions with ratings [R, N], and their labels [N].
    """
    flat = labels.reshape(-1, len(points))
    distinct, which = np.unique(flat, axis=0, return_inverse=True)
    which = which.reshape(labels.shape[:-1])
    for index, row in enumerate(distinct):
        replicates = which == index
        yield replicates, replace(points, elo=points.elo[replicates]), row


def covariate_column(points: RatedVersions, name: str | None) -> Floats:
    """Returns the covariate as columns float[N, 1], or [N, 0] without one."""
    return points.require(name)[:, None] if name else np.zeros((len(points), 0))


def _partitions(
    points: RatedVersions, x: Floats, z: Floats, floor: bool, plateau: bool
) -> Iterator[Ints]:
    """Yields the admissible phases int[N] that change points, linear in z, can make."""
    places = levels.between(points) - points.training.mean()
    for begin, end in _places(x, z, places, floor, plateau):
        phase = np.where(x > end, PLATEAU, np.where(x > begin, INCLINE, FLOOR))
        present = (phase == FLOOR).any(), (phase == PLATEAU).any()
        if present == (floor, plateau) and admissible(x, z, points.run_index, phase):
            yield phase


def admissible(x: Floats, z: Floats, run: Ints, phase: Ints) -> bool:
    """Checks that all phases can be fitted without any one of the runs.

    Intervals need that. An incline also covers more than one level of training.
    """
    rising = phase == INCLINE
    return _spread(x[rising], z[rising]) > MIN_INCLINE * _spread(
        x, z
    ) and _identifiable_without_any_run(columns(x, z, phase), run)


def _places(
    x: Floats, z: Floats, places: Floats, floor: bool, plateau: bool
) -> Iterator[tuple[Floats, Floats]]:
    """Yields where the incline begins and ends at each version's covariate, float[N] both."""
    none = np.full(len(x), np.inf)
    if z.shape[1]:
        first, last = (z[:, 0] == end for end in (z.min(), z.max()))
        share = (z[:, 0] - z.min()) / max(np.ptp(z), 1e-300)
        at_first, at_last = (
            np.linspace(x[end].min(), x[end].max(), STEPS) for end in (first, last)
        )
        ends = np.stack([a + (b - a) * share for a in at_first for b in at_last])
        _, distinct = np.unique(x <= ends, axis=0, return_index=True)
        yield from ((-none, ends[index]) for index in distinct)
        return
    if len(places) > PLACES:
        places = places[np.unique(np.linspace(0, len(places) - 1, PLACES).astype(int))]
    for begin in places if floor else [-np.inf]:
        for end in places if plateau else [np.inf]:
            if begin < end:
                yield np.full(len(x), begin), np.full(len(x), end)


def _spread(x: Floats, z: Floats) -> float:
    """Computes the range of log10 FLOPs at equal covariates; 0 without versions."""
    if not len(x):
        return 0.0
    level = np.column_stack([np.ones_like(x), z])
    return float(np.ptp(x - level @ np.linalg.pinv(level) @ x))


def _identifiable_without_any_run(design: Floats, run: Ints) -> bool:
    """Checks that the columns keep their full rank if any one run is left out."""
    return all(np.linalg.matrix_rank(design[run != index]) == design.shape[1] for index in set(run))


def columns(x: Floats, z: Floats, phase: Ints) -> Floats:
    """Builds the design: floor [1], incline [1, x, z], plateau [1, z], if there are such versions.

    A version's row is 0 in the columns of the other phases.
    """
    ones = np.ones_like(x)[:, None]
    level, line = np.column_stack([ones, z]), np.column_stack([ones, x, z])
    parts = [(FLOOR, level), (INCLINE, line), (PLATEAU, level)]
    present = [(phase == which)[:, None] * part for which, part in parts if which in phase]
    return np.column_stack(present)


def _predictions(elo: Floats, x: Floats, z: Floats, phase: Ints) -> Floats:
    """Evaluates the model of one partition, float[R, N], fitted to each of elo [R, N]."""
    ones = np.ones_like(x)
    level, line = np.column_stack([ones, z]), np.column_stack([ones, x, z])

    def fitted(design: Floats, which: int) -> Floats:
        own = phase == which
        return elo[:, own] @ np.linalg.pinv(design[own]).T @ design.T

    predicted = fitted(line, INCLINE)
    if FLOOR in phase:
        predicted = np.maximum(predicted, fitted(level, FLOOR))
    if PLATEAU in phase:
        predicted = np.minimum(predicted, fitted(level, PLATEAU))
    return predicted
