"""Designs of studies, each returned with the true Elo of its versions, float[N]."""

from dataclasses import replace

import numpy as np

from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.planted import joined, runs

START = 12.0  # log10 FLOPs of the first versions
SIMULATIONS = np.array([0.0, 16.0, 64.0])
BEST_SIZE = 4.9, 0.6  # log10 parameters at the middle of the compute, and OOMs per OOM
BEST_SEARCHED = 4.9, 0.4
JONES = {"incline": 510.0, "m": 430.0, "offset": -4400.0, "p": 270.0, "level": 570.0}


def line(seeds: int, slope: float = 500.0) -> tuple[RatedVersions, Floats]:
    """Designs one recipe on a line."""
    design = runs(seeds)
    return design, slope * (design.training - START)


def bent(seeds: int, slope: float = 500.0, plateau: float = 1000.0) -> tuple[RatedVersions, Floats]:
    """Designs one recipe that reaches a plateau."""
    design = runs(seeds, versions=8, ooms=3.2)
    return design, np.minimum(slope * (design.training - START), plateau)


def taking_off(
    seeds: int, slope: float = 500.0, take_off: float = 1.2
) -> tuple[RatedVersions, Floats]:
    """Designs one recipe that plays near random at first."""
    design = runs(seeds, versions=8, ooms=3.2)
    return design, slope * np.maximum(design.training - START - take_off, 0)


def s_shaped(
    seeds: int, slope: float = 600.0, take_off: float = 0.8, change_point: float = 2.4
) -> tuple[RatedVersions, Floats]:
    """Designs one recipe with a floor, an incline and a plateau."""
    design = runs(seeds, versions=8, ooms=3.2)
    x = design.training - START
    return design, slope * (np.clip(x, take_off, change_point) - take_off)


def boards(seeds: int) -> tuple[RatedVersions, Floats]:
    """Designs Hex on three boards, with the five parameters of Jones (2021)."""
    parts = []
    for size in (5.0, 7.0, 9.0):
        knee = (JONES["level"] - JONES["offset"] + (JONES["m"] - JONES["p"]) * size) / 510
        part = runs(seeds, versions=7, ooms=2.8, start=knee - 1.9)
        parts.append(replace(part, covariates={"board": np.full(len(part), size)}))
    design = joined(*parts, names=("5x5", "7x7", "9x9"))
    size = design.covariates["board"]
    rising = JONES["incline"] * design.training - JONES["m"] * size + JONES["offset"]
    return design, np.minimum(rising, JONES["level"] - JONES["p"] * size)


def searched(
    seeds: int, training: float = 400.0, search: float = 180.0
) -> tuple[RatedVersions, Floats]:
    """Designs one recipe, with four versions of each run at three search budgets."""
    design = runs(seeds, versions=4)
    times = len(SIMULATIONS)
    budgets = np.repeat(SIMULATIONS, len(design))
    design = design.select(np.tile(np.arange(len(design)), times))
    design = replace(design, search=7 + np.log10(1 + budgets), covariates={"simulations": budgets})
    return design, training * (design.training - START) + search * (design.search - 7)


def searched_in_phases(
    seeds: int, training: float = 500.0, search: float = 180.0
) -> tuple[RatedVersions, Floats]:
    """Designs one recipe at three search budgets, all from one floor to one plateau.

    More search shifts the whole curve: it takes off earlier and reaches the plateau earlier.
    """
    design = runs(seeds, versions=8, ooms=3.2)
    budgets = np.repeat(SIMULATIONS, len(design))
    design = design.select(np.tile(np.arange(len(design)), len(SIMULATIONS)))
    design = replace(design, search=7 + np.log10(1 + budgets), covariates={"simulations": budgets})
    elo = training * (design.training - START - 1.3) + search * (design.search - 7)
    return design, np.clip(elo, 0, 950)


def outgrown(seeds: int, behind: float = 150.0) -> tuple[RatedVersions, Floats]:
    """Adds to `searched` a network 8 times as large with equal training that plays worse."""
    design, truth = searched(seeds)
    large = replace(design, search=design.search + np.log10(8))
    names = ("small", "large")
    return joined(design, large, names=names), np.concatenate([truth, truth - behind])


def two_recipes(
    seeds: int, slope: float = 450.0, ahead: float = 150.0
) -> tuple[RatedVersions, Floats]:
    """Designs two recipes; b is `ahead` Elo stronger than a at the same compute."""
    design = joined(runs(seeds), runs(seeds, start=START - 0.2), names=("a", "b"))
    return design, slope * (design.training - START) + ahead * (design.recipe == "b")


def two_in_phases(
    seeds: int, slope: float = 600.0, ahead: float = 150.0
) -> tuple[RatedVersions, Floats]:
    """Designs two recipes from one floor to one plateau; b is ahead on the incline."""
    parts = (runs(seeds, 8, 3.2), runs(seeds, 8, 3.2, start=START - 0.1))
    design = joined(*parts, names=("a", "b"))
    design = replace(design, covariates={"simulations": np.zeros(len(design))})
    elo = slope * (design.training - START - 0.9) + ahead * (design.recipe == "b")
    return design, np.clip(elo, 0, 900)


def sizes(seeds: int, each: tuple[float, ...] = (4.0, 4.6, 5.2, 5.8)) -> RatedVersions:
    """Designs networks of several sizes with equal training compute; without a truth."""
    parts = []
    for size in each:
        part = runs(seeds, versions=5)
        parts.append(replace(part, parameters=np.full(len(part), size)))
    return joined(*parts, names=tuple(f"size {size}" for size in each))


def ridge(seeds: int) -> tuple[RatedVersions, Floats]:
    """Designs sizes whose best value grows with training compute."""
    design = sizes(seeds)
    best = BEST_SIZE[0] + BEST_SIZE[1] * (design.training - 13.25)
    return design, 500 * (design.training - START) - 250 * (design.parameters - best) ** 2


def searched_ridge(seeds: int) -> tuple[RatedVersions, Floats]:
    """Designs sizes at several budgets whose best value grows with the compute per move."""
    design = sizes(seeds)
    extra = np.repeat([0.0, 1.0, 2.0], len(design))
    design = design.select(np.tile(np.arange(len(design)), 3))
    design = replace(design, search=design.parameters + 1.5 + extra)
    best = BEST_SEARCHED[0] + BEST_SEARCHED[1] * (design.search - 7.4)
    elo = 300 * (design.training - START) + 250 * (design.search - 7.4)
    return design, elo - 200 * (design.parameters - best) ** 2


def grown(seeds: int) -> tuple[RatedVersions, Floats]:
    """Designs sizes with more training the larger they are; 350 Elo per OOM of parameters."""
    parts = []
    for size in (3.5, 4.0, 4.5, 5.0):
        part = runs(seeds, versions=3, ooms=1.0, start=START + 1.2 * (size - 3.5))
        parts.append(replace(part, parameters=np.full(len(part), size)))
    design = joined(*parts, names=("a", "b", "c", "d"))
    return design, 350 * (design.parameters - 3.5) + 120 * (design.training - START)


def overtaken(seeds: int) -> tuple[RatedVersions, Floats]:
    """Designs three sizes, each the best in a third of the range, on a line of 480 Elo per OOM."""
    design = joined(*(runs(seeds) for _ in range(3)), names=("small", "middle", "large"))
    x = design.training - START
    turn = {"small": 0.25, "middle": 1.25, "large": 2.25}  # OOMs in the middle of its third
    away = np.abs(x - [turn[str(name)] for name in design.recipe]) - 0.35
    return design, 480 * x - (150 + 200 * away) * (away > 0)
