"""Elo per order of magnitude (OOM): of training, of search at a fixed network, of parameters."""

import numpy as np

from selfplay.scaling.estimate import Estimate, Unanswerable
from selfplay.scaling.points import Points
from selfplay.scaling.regression import regress


def per_training(points: Points) -> Estimate:
    """Elo per OOM of training FLOPs: one line through all versions.

    Raises:
        Unanswerable: training FLOPs that are not known or do not differ, or a single run.
    """
    spent = points.known("training")
    fitted = regress(points, np.stack([np.ones_like(spent), spent - spent.mean()], axis=1))
    return fitted.contrast(points.elo, [0, 1], "Elo per OOM of training")


def per_search(points: Points) -> Estimate:
    """Elo per OOM of search FLOPs at fixed networks: each network has a line, of a common slope.

    A network is a version's parameters; those of one run and one amount of training are the same.

    Raises:
        Unanswerable: FLOPs that are not known, no network at two budgets, or a single run.
    """
    search = points.known("search")
    networks = points.network
    own = np.eye(networks.max() + 1)[networks]
    shift = search - (own.T @ search / own.sum(axis=0))[networks]
    if np.ptp(shift) < 1e-9:
        raise Unanswerable("no network was rated at two search budgets")
    fitted = regress(points, np.column_stack([own, shift]))
    return fitted.contrast(points.elo, [*np.zeros(own.shape[1]), 1], "Elo per OOM of search")


def per_parameters(points: Points) -> Estimate:
    """Elo per OOM of parameters at equal training FLOPs: a plane over both.

    Neumann and Gros (2022) let every size train until it gains no more; for their figure select the
    last version of each run, whose training FLOPs then grow with size: `per_size`.

    Raises:
        Unanswerable: sizes or FLOPs that are not known or not varied apart, or a single run.
    """
    size, spent = points.known("parameters"), points.known("training")
    columns = [np.ones_like(size), size - size.mean(), spent - spent.mean()]
    fitted = regress(points, np.stack(columns, axis=1))
    return fitted.contrast(points.elo, [0, 1, 0], "Elo per OOM of parameters")


def per_size(points: Points) -> Estimate:
    """Elo per OOM of parameters, whatever training took: one line through all versions.

    Raises:
        Unanswerable: sizes that are not known or do not differ, or a single run.
    """
    size = points.known("parameters")
    fitted = regress(points, np.stack([np.ones_like(size), size - size.mean()], axis=1))
    return fitted.contrast(points.elo, [0, 1], "Elo per OOM of parameters")
