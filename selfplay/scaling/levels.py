"""Levels of training: the amounts after which the seeds of a recipe were rated.

Seeds share the schedule of their versions up to the length of their games, so the same version of
several seeds is one level.
"""

import numpy as np

from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import RatedVersions

SAME = 0.2  # of the distance between a run's versions; closer ones are of one level


def between(points: RatedVersions) -> Floats:
    """Lists the places between levels, log10 FLOPs, in ascending order.

    If recipes are rated so densely that no gaps are left, the places are between all versions.
    """
    spent, index = points.require("training"), points.run_index
    x = np.unique(spent)
    gaps, places = np.diff(x), (x[1:] + x[:-1]) / 2
    within = [np.diff(np.unique(spent[index == run])) for run in range(len(points.runs))]
    distances = np.concatenate(within)
    if not len(distances):
        return places
    wide = gaps > SAME * np.median(distances)
    return places[wide] if wide.sum() >= np.median([len(d) for d in within]) else places


def means(points: RatedVersions) -> Floats:
    """Computes the mean training at each level, float[L], in ascending order."""
    spent = np.sort(points.require("training"))
    parts = np.split(spent, np.searchsorted(spent, between(points)))
    return np.array([part.mean() for part in parts])
