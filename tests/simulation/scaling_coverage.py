"""Coverage of the statistics of scaling: studies with a planted truth, and estimates of them.

`benchmarks/scaling_coverage.py` prints the coverage for several numbers of seeds; the tests check
it for five. Each function draws a study and returns its estimates by name, each with the truth.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from selfplay.scaling import (
    at_compute,
    bends,
    best_size,
    compute_to_reach,
    exchange,
    extrapolation,
    frontier,
    incline,
    lack_of_fit,
    multiplier,
    partitions,
    phases,
    slopes,
)
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, stack
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import REPLICATES, Luck, coverage, draw, joined, runs
from tests.simulation.studies import BEST_SEARCHED, BEST_SIZE, JONES, SIMULATIONS, START

Results = dict[str, tuple[Estimate, float]]  # name → (estimates of all replicates, truth)

RESAMPLES = 500

# How runs of a recipe differ, and the openings per pairing, which determine the ratings' errors.
LUCK = {
    "all of it": (Luck(), 60),
    "runs differ in their slopes": (Luck(60, 80, version=20), 400),
    "runs differ in their level": (Luck(40, 0, version=10), 60),
    "only versions differ": (Luck(0, 0, version=30), 60),
    "only the ratings err": (Luck(0, 0, version=0), 60),
    "the ratings err little": (Luck(30, 30, version=20), 10_000),
}


def on_a_line(seeds: int, replicates: int) -> Results:
    """Estimates the slope of runs on one line."""
    points = draw(*studies.line(seeds), replicates=replicates)
    return {"Elo per OOM of training": (slopes.per_training(points), 500)}


def searched(seeds: int, replicates: int) -> Results:
    """Estimates the worth of search from versions at several budgets."""
    points = draw(*studies.searched(seeds), replicates=replicates)
    fitted = exchange.fit(points)
    saving = multiplier.search_multiplier(points, "simulations", SIMULATIONS[0], SIMULATIONS[-1])
    return {
        "Elo per OOM of search": (slopes.per_search(points), 180),
        "exchange: training exponent": (fitted.training_exponent, -400 / 180),
        "exchange: Elo scale": (fitted.elo_scale, 1 / 180),
        "exchange: offset": (fitted.offset, 7 + 400 * START / 180),
        "worth of search, in OOMs": (saving.ooms, 180 * np.log10(1 + SIMULATIONS[-1]) / 400),
    }


def grown(seeds: int, replicates: int) -> Results:
    """Estimates the worth of parameters from networks of several sizes."""
    points = draw(*studies.grown(seeds), replicates=replicates)
    last = np.concatenate([np.flatnonzero(points.run == run)[-1:] for run in points.runs])
    per_training = 120 * 1.2  # a larger network was trained for longer
    return {
        "Elo per OOM of parameters": (slopes.per_parameters(points), 350),
        "the same, trained to the end": (slopes.per_size(points.select(last)), 350 + per_training),
    }


def compared(seeds: int, replicates: int) -> Results:
    """Estimates the multiplier between two recipes."""
    points = draw(*studies.two_recipes(seeds), replicates=replicates)
    fitted = multiplier.between(points, "a", "b")
    return {
        "multiplier, in OOMs": (fitted.ooms, 150 / 450),
        "the slope of both": (fitted.slope, 450),
    }


def at_equal_compute(seeds: int, replicates: int) -> Results:
    """Estimates the Elo of two recipes at equal training, between their versions."""
    points = draw(*studies.two_recipes(seeds), replicates=replicates)
    at = at_compute.interpolate(points, 13.3)
    first = 450 * (13.3 - START)
    return {
        "Elo at equal training": (at.elo_of(0), first),
        "difference at equal training": (at.difference(1, 0), 150),
    }


def bent(seeds: int, replicates: int) -> Results:
    """Fits an incline and a plateau."""
    fitted = phases.fit(draw(*studies.bent(seeds), replicates=replicates))
    assert fitted.plateau and fitted.change_point
    return {
        "incline": (fitted.slope, 500),
        "plateau": (fitted.plateau, 1000),
        "change point": (fitted.change_point, START + 2),
    }


def boards(seeds: int, replicates: int) -> Results:
    """Fits Jones's model over several boards."""
    fitted = phases.fit(draw(*studies.boards(seeds), replicates=replicates), "board")
    assert fitted.slope_cost and fitted.plateau_cost and fitted.delay and fitted.level
    return {
        "Jones's incline": (fitted.slope, JONES["incline"]),
        "Jones's m": (fitted.slope_cost, JONES["m"]),
        "Jones's offset": (fitted.offset, JONES["offset"]),
        "Jones's p": (fitted.plateau_cost, JONES["p"]),
        "Jones's q": (fitted.level, JONES["level"]),
        "delay of the plateau": (fitted.delay, (JONES["m"] - JONES["p"]) / JONES["incline"]),
    }


def ridge(seeds: int, replicates: int) -> Results:
    """Estimates the best size at a fixed training compute."""
    (fitted,) = best_size.fit(draw(*studies.ridge(seeds), replicates=replicates))
    middle, exponent = BEST_SIZE
    return {
        "best size: exponent": (fitted.exponent, exponent),
        "best size": (fitted.best_at(14), middle + exponent * 0.75),
    }


def searched_ridge(seeds: int, replicates: int) -> Results:
    """Estimates the best size at a fixed compute per move."""
    points = draw(*studies.searched_ridge(seeds), replicates=replicates)
    (fitted,) = best_size.fit(points, compute="search", controls=("training",))
    middle, exponent = BEST_SEARCHED
    return {
        "best size for a move: exponent": (fitted.exponent, exponent),
        "best size for a move": (fitted.best_at(8), middle + exponent * 0.6),
    }


def extrapolated(seeds: int, replicates: int) -> Results:
    """Predicts held-out versions; predicted minus rated Elo is 0 in truth."""
    design = joined(runs(seeds), runs(2, versions=8, ooms=3.3), names=("small", "large"))
    points = draw(design, 500 * (design.training - START), replicates=replicates)
    fitted = extrapolation.predict_runs(points, ["large-run0", "large-run1"])
    low, high = (getattr(fitted.predicted, end) - fitted.rated for end in ("low", "high"))
    errors = replace(fitted.predicted, value=-fitted.error, low=low, high=high)
    ooms = design.training[design.recipe == "small"].max()
    results = {}
    for k, x in enumerate(fitted.training):
        numbers = {name: getattr(errors, name)[..., k] for name in NUMBERS}
        name = f"{fitted.run[k]}, {x - ooms:.1f} OOMs beyond"
        results[name] = (Estimate(**numbers, unit="Elo"), 0.0)
    return results


def reached(seeds: int, replicates: int) -> Results:
    """Estimates the training that reaches 700 Elo, study by study."""
    points = draw(*studies.line(seeds), replicates=min(replicates, REPLICATES))
    fitted = [compute_to_reach.fit(replace(points, elo=elo), 700).training for elo in points.elo]
    return {"training for a strength": (stack(fitted), START + 1.4)}


def on_the_frontier(seeds: int, replicates: int) -> Results:
    """Selects the frontier, tests for a plateau and fits the slope, study by study."""
    points = draw(*studies.overtaken(seeds), replicates=min(replicates, REPLICATES))
    fitted = [frontier.fit(replace(points, elo=elo)).slope for elo in points.elo]
    return {"frontier": (stack(fitted), 480)}


def exchanged_on_the_frontier(seeds: int, replicates: int) -> Results:
    """Fits the exchange on the frontier, below which larger networks make search look useless."""
    points = draw(*studies.outgrown(seeds), replicates=min(replicates, REPLICATES))
    fitted = [
        exchange.fit_frontier(replace(points, elo=elo)).training_exponent for elo in points.elo
    ]
    return {"exchange on the frontier: training exponent": (stack(fitted), -400 / 180)}


PAIR_EFFECTS: dict[str, Any] = {"neighbors": 6, "pair_effect": 80.0}  # twelve opponents each


def in_phases(seeds: int, replicates: int) -> Results:
    """Fits floors, inclines and plateaus to ladders whose pairings have effects of their own."""
    taking_off = draw(*studies.taking_off(seeds), replicates=replicates, **PAIR_EFFECTS)
    risen = phases.fit(taking_off, floor=True, plateau=False)
    ended = phases.fit(draw(*studies.bent(seeds), replicates=replicates, **PAIR_EFFECTS))
    s_shaped = draw(*studies.s_shaped(seeds), replicates=replicates, **PAIR_EFFECTS)
    whole = phases.fit(s_shaped, floor=True)
    assert risen.floor and risen.take_off and ended.plateau and ended.change_point
    assert whole.floor and whole.take_off and whole.plateau and whole.change_point
    return {
        "after a floor: incline": (risen.slope, 500),
        "… floor": (risen.floor, 0),
        "… take-off": (risen.take_off, START + 1.2),
        "before a plateau: incline": (ended.slope, 500),
        "… plateau": (ended.plateau, 1000),
        "… change point": (ended.change_point, START + 2),
        "between both: incline": (whole.slope, 600),
        "… floor of three": (whole.floor, 0),
        "… plateau of three": (whole.plateau, 960),
        "… take-off of three": (whole.take_off, START + 0.8),
        "… change point of three": (whole.change_point, START + 2.4),
    }


def compared_in_phases(seeds: int, replicates: int) -> Results:
    """Estimates the multiplier of two recipes on their inclines."""
    points = draw(*studies.two_in_phases(seeds), replicates=replicates, **PAIR_EFFECTS)

    def estimate(rising: RatedVersions) -> Results:
        fitted = multiplier.between(rising, "a", "b")
        return {
            "multiplier on the incline, in OOMs": (fitted.ooms, 150 / 600),
            "the slope of both inclines": (fitted.slope, 600),
        }

    return _on_the_incline(points, estimate)


def searched_in_phases(seeds: int, replicates: int) -> Results:
    """Estimates the worth of search on the inclines of three budgets."""
    points = draw(*studies.searched_in_phases(seeds), replicates=replicates, **PAIR_EFFECTS)
    extra = 180 * np.log10(1 + SIMULATIONS[-1]) / 500

    def estimate(rising: RatedVersions) -> Results:
        fitted, ends = exchange.fit(rising), (SIMULATIONS[0], SIMULATIONS[-1])
        worth = multiplier.search_multiplier(rising, "simulations", *ends).ooms
        return {
            "Elo per OOM of search, on the incline": (slopes.per_search(rising), 180),
            "exchange on the incline: training exponent": (fitted.training_exponent, -500 / 180),
            "exchange on the incline: Elo scale": (fitted.elo_scale, 1 / 180),
            "exchange on the incline: offset": (fitted.offset, 7 + 500 * (START + 1.3) / 180),
            "worth of search on the incline, in OOMs": (worth, extra),
        }

    return _on_the_incline(points, estimate)


def extrapolated_after_a_take_off(seeds: int, replicates: int) -> Results:
    """Predicts held-out versions from the inclines of the others."""
    small, large = runs(seeds, versions=8, ooms=3.2), runs(2, versions=8, ooms=4.0)
    design = joined(small, large, names=("small", "large"))
    design = replace(design, covariates={"simulations": np.zeros(len(design))})
    truth = 500 * np.maximum(design.training - START - 1.2, 0)
    points = draw(design, truth, replicates=replicates, **PAIR_EFFECTS)

    def estimate(rising: RatedVersions) -> Results:
        fitted = extrapolation.predict_runs(rising, ["large-run0", "large-run1"])
        last = {name: getattr(fitted.predicted, name)[..., -1] for name in NUMBERS}
        rated = fitted.rated[..., -1]
        off = {name: last[name] - rated for name in ("value", "low", "high")}
        return {"prediction from the incline": (Estimate(**last | off, unit="Elo"), 0.0)}

    return _on_the_incline(points, estimate)


def _on_the_incline(points: RatedVersions, estimate: Callable[[RatedVersions], Results]) -> Results:
    """Estimates from the versions on the incline of each replicate, which differ between them."""
    rising = incline.phases_of_recipes(points) == partitions.INCLINE
    results: Results = {}
    for replicates, same, chosen in partitions.groups(points, rising):
        for name, (part, truth) in estimate(same.select(chosen)).items():
            if name not in results:
                empty = {number: np.full(len(points.elo), np.nan) for number in NUMBERS}
                results[name] = Estimate(**empty, unit=part.unit), truth
            for number in NUMBERS:
                getattr(results[name][0], number)[replicates] = getattr(part, number)
    return results


STUDIES: tuple[Callable[[int, int], Results], ...] = (
    on_a_line,
    searched,
    grown,
    compared,
    at_equal_compute,
    bent,
    boards,
    ridge,
    searched_ridge,
    extrapolated,
    reached,
    on_the_frontier,
    exchanged_on_the_frontier,
    in_phases,
    compared_in_phases,
    searched_in_phases,
    extrapolated_after_a_take_off,
)


SHAPES = {
    "line": (studies.line, False, False),
    "floor and incline": (studies.taking_off, True, False),
    "incline and plateau": (studies.bent, False, True),
    "floor, incline and plateau": (studies.s_shaped, True, True),
}  # name → (study, whether it has a floor, and a plateau)


def rejections(shape: str, seeds: int, replicates: int, **ladder: Any) -> tuple[float, ...]:
    """Computes how often a take-off, saturation and lack of fit are significant at 5 %.

    Args:
        shape: one of `SHAPES`, whose true phases are fitted for the lack of fit.
        seeds: of the recipe.
        replicates: of the study.
        ladder: arguments of `draw`.
    """
    study, floor, plateau = SHAPES[shape]
    points = draw(*study(seeds), replicates=replicates, **ladder)
    p_values = np.ones(replicates)
    phase = partitions.closest(points, floor=floor, plateau=plateau)
    for chosen, same, partition in partitions.groups(points, phase):
        columns = phases.partition_regression(same, partition).columns
        p_values[chosen] = lack_of_fit.test(same, columns).p_value
    up, down = bends.take_off(points), bends.saturation(points)
    return (
        float(up.significant.mean()),
        float(down.significant.mean()),
        float((p_values < lack_of_fit.LEVEL).mean()),
    )


def bootstrap(
    points: RatedVersions, noise: bool, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Computes the ends, float[R], of bootstrap percentile intervals of the slope over whole runs.

    Args:
        points: ratings [R, N].
        noise: True = add new ratings' errors to every resample.
        rng: for the resamples, which are the same for all replicates.
    """
    x, index, count = points.training, points.run_index, len(points.runs)
    member = np.eye(count)[index]  # [N, G]
    times = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) @ member.T  # [B, N]
    n = times.sum(axis=1, keepdims=True)
    centered = times * (x - times @ x[:, None] / n)  # [B, N]
    weights = centered / (centered @ x[:, None])
    resampled = points.elo @ weights.T  # [R, B], slopes
    if noise:
        root = np.linalg.cholesky(points.covariance)
        size = np.sqrt(np.square(weights @ root).sum(axis=1))
        resampled = resampled + size * rng.normal(size=resampled.shape)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=1)
    return low, high


def against_bootstrap(seeds: int, luck: Luck, openings: int, replicates: int) -> list[float]:
    """Computes the coverage of the slope by Student's t and by both bootstraps."""
    design, truth = studies.line(seeds)
    points = draw(design, truth, luck, openings=openings, replicates=replicates)
    shares = [coverage(slopes.per_training(points), 500)]
    for noise in (False, True):
        low, high = bootstrap(points, noise, np.random.default_rng(1))
        shares.append(float(((low <= 500) & (high >= 500)).mean()))
    return shares
