"""Elo per order of magnitude (OOM): of training, of search at a fixed network, of parameters."""

import numpy as np

from selfplay.scaling.estimate import Estimate, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import regress


def per_training(points: RatedVersions) -> Estimate:
    """Elo per OOM of training FLOPs: one line through all versions.

    Raises:
        InsufficientData: training FLOPs that are not known or do not differ, or a single run.
    """
    spent = points.require("training")
    fitted = regress(points, np.stack([np.ones_like(spent), spent - spent.mean()], axis=1))
    return fitted.contrast(points.elo, [0, 1], "Elo per OOM of training")


def per_search(points: RatedVersions) -> Estimate:
    """Elo per OOM of search FLOPs at fixed networks: each network has a line, of a common slope.

    A network is a version's parameters; those of one run and one amount of training are the same.

    Raises:
        InsufficientData: FLOPs that are not known, no network at two budgets, or a single run.
    """
    search = points.require("search")
    networks = points.network_index
    own = np.eye(networks.max() + 1)[networks]
    shift = search - (own.T @ search / own.sum(axis=0))[networks]
    if np.ptp(shift) < 1e-9:
        raise InsufficientData("no network was rated at two search budgets")
    fitted = regress(points, np.column_stack([own, shift]))
    return fitted.contrast(points.elo, [*np.zeros(own.shape[1]), 1], "Elo per OOM of search")


def per_parameters(points: RatedVersions) -> Estimate:
    """Elo per OOM of parameters at equal training FLOPs: a plane over both.

    Neumann and Gros (2022) let every size train until it gains no more; for their figure select the
    last version of each run, whose training FLOPs then grow with size: `per_size`.

    Raises:
        InsufficientData: sizes or FLOPs that are not known or not varied apart, or a single run.
    """
    size, spent = points.require("parameters"), points.require("training")
    columns = [np.ones_like(size), size - size.mean(), spent - spent.mean()]
    fitted = regress(points, np.stack(columns, axis=1))
    return fitted.contrast(points.elo, [0, 1, 0], "Elo per OOM of parameters")


def per_size(points: RatedVersions) -> Estimate:
    """Elo per OOM of parameters, whatever training took: one line through all versions.

    Raises:
        InsufficientData: sizes that are not known or do not differ, or a single run.
    """
    size = points.require("parameters")
    fitted = regress(points, np.stack([np.ones_like(size), size - size.mean()], axis=1))
    return fitted.contrast(points.elo, [0, 1], "Elo per OOM of parameters")
