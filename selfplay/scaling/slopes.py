"""Elo per order of magnitude (OOM): of training, of search at a fixed network, of parameters."""

import numpy as np

from selfplay.scaling.estimate import Estimate, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import regress


def per_training(points: RatedVersions) -> Estimate:
    """Fits Elo per OOM of training FLOPs: one line through all versions.

    Raises:
        InsufficientData: training FLOPs are unknown or do not differ, or there is a single run.
    """
    spent = points.require("training")
    fitted = regress(points, np.stack([np.ones_like(spent), spent - spent.mean()], axis=1))
    return fitted.contrast(points.elo, [0, 1], "Elo per OOM of training")


def per_search(points: RatedVersions) -> Estimate:
    """Fits Elo per OOM of search FLOPs at fixed networks: a line for each, with a common slope.

    Versions of one run after the same training FLOPs have the same network.

    Raises:
        InsufficientData: FLOPs are unknown, no network was rated at two budgets, or there is a
            single run.
    """
    search = points.require("search")
    networks = points.network_index
    member = np.eye(networks.max() + 1)[networks]  # [N, networks]
    shift = search - (member.T @ search / member.sum(axis=0))[networks]
    if np.ptp(shift) < 1e-9:
        raise InsufficientData("no network was rated at two search budgets")
    fitted = regress(points, np.column_stack([member, shift]))
    return fitted.contrast(points.elo, [*np.zeros(member.shape[1]), 1], "Elo per OOM of search")


def per_parameters(points: RatedVersions) -> Estimate:
    """Fits Elo per OOM of parameters at equal training FLOPs: a plane over both.

    Neumann and Gros (2022) train every size until it stops improving. For their figure, select the
    last version of each run, whose training FLOPs then grow with size, and use `per_size`.

    Raises:
        InsufficientData: sizes or FLOPs are unknown, they were not varied separately, or there is a
            single run.
    """
    size, spent = points.require("parameters"), points.require("training")
    columns = [np.ones_like(size), size - size.mean(), spent - spent.mean()]
    fitted = regress(points, np.stack(columns, axis=1))
    return fitted.contrast(points.elo, [0, 1, 0], "Elo per OOM of parameters")


def per_size(points: RatedVersions) -> Estimate:
    """Fits Elo per OOM of parameters, whatever the training took: one line through all versions.

    Raises:
        InsufficientData: sizes are unknown or do not differ, or there is a single run.
    """
    size = points.require("parameters")
    fitted = regress(points, np.stack([np.ones_like(size), size - size.mean()], axis=1))
    return fitted.contrast(points.elo, [0, 1], "Elo per OOM of parameters")
