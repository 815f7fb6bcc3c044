"""Elo per order of magnitude (OOM): of training, of search at a fixed network, of parameters."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from selfplay.scaling import lack_of_fit
from selfplay.scaling.estimate import NUMBERS, Estimate, InsufficientData
from selfplay.scaling.lack_of_fit import LackOfFit
from selfplay.scaling.rated_versions import RatedVersions
from selfplay.scaling.regression import Regression, regress
from selfplay.style.powers_of_ten import power

UNITS = {"training": "FLOPs", "search": "FLOPs a move", "parameters": "parameters"}


@dataclass(frozen=True, eq=False)
class Slope(Estimate):
    """A slope with the stretch that it describes, and a test of whether that stretch is straight.

    Attributes:
        along: "training", "search" or "parameters".
        stretch: where it begins and ends, log10 of the quantity.
        lack_of_fit: the test.
    """

    along: str
    stretch: tuple[float, float]
    lack_of_fit: LackOfFit

    @classmethod
    def of(cls, points: RatedVersions, fitted: Regression, weights: ArrayLike, along: str) -> Self:
        """Makes a slope of a regression's coefficients, weighted by float[K].

        Raises:
            InsufficientData: it depends on one run alone.
        """
        slope = fitted.contrast(points.elo, weights, f"Elo per OOM of {along}")
        values = points.require(along)
        test = LackOfFit(np.ones(np.shape(slope.value)), 0)
        with suppress(InsufficientData):  # one run alone has some of the levels
            test = lack_of_fit.test(points, fitted.columns, along)
        return cls.on(slope, along, (float(values.min()), float(values.max())), test)

    @classmethod
    def on(cls, slope: Estimate, along: str, stretch: tuple[float, float], fit: LackOfFit) -> Self:
        """Adds the stretch and the test of fit to an estimate."""
        numbers = {name: getattr(slope, name) for name in NUMBERS}
        return cls(**numbers, unit=slope.unit, along=along, stretch=stretch, lack_of_fit=fit)

    def __str__(self) -> str:
        if np.ndim(self.value):
            return super().__str__()
        low, high = (power(end, 1) for end in self.stretch)
        return (
            f"{super().__str__()} between {low} and {high} {UNITS[self.along]}, {self.lack_of_fit}"
        )


def per_training(points: RatedVersions) -> Slope:
    """Fits Elo per OOM of training FLOPs: one line through all versions.

    Raises:
        InsufficientData: training FLOPs are unknown or do not differ, or there is a single run.
    """
    spent = points.require("training")
    fitted = regress(points, np.stack([np.ones_like(spent), spent - spent.mean()], axis=1))
    return Slope.of(points, fitted, [0, 1], "training")


def per_search(points: RatedVersions) -> Slope:
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
    return Slope.of(points, fitted, [*np.zeros(member.shape[1]), 1], "search")


def per_parameters(points: RatedVersions) -> Slope:
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
    return Slope.of(points, fitted, [0, 1, 0], "parameters")


def per_size(points: RatedVersions) -> Slope:
    """Fits Elo per OOM of parameters, whatever the training took: one line through all versions.

    Raises:
        InsufficientData: sizes are unknown or do not differ, or there is a single run.
    """
    size = points.require("parameters")
    fitted = regress(points, np.stack([np.ones_like(size), size - size.mean()], axis=1))
    return Slope.of(points, fitted, [0, 1], "parameters")
