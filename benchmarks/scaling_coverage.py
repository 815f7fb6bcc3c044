"""The statistics of scaling against planted truth: how often their 95 % intervals hold it.

    python -m benchmarks.scaling_coverage                       # minutes on one core
    python -m benchmarks.scaling_coverage --replicates 2000     # a quick look: ± 0.5 % is luck then

Studies of known truth (`studies.py` says which, `planted.py` how their ratings are drawn), for 3,
4, 5 and 8 seeds of each recipe. The first table is of every estimate in `selfplay/scaling`. The
second one puts three intervals for the slope beside each other: Student's t over runs, as in the
package, and bootstraps over whole runs, of the ratings as they are and with the ladder's errors
drawn anew.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from selfplay.scaling import (
    at_compute,
    best_size,
    change_point,
    compute_to_reach,
    exchange,
    extrapolation,
    frontier,
    multiplier,
    slopes,
)
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats, stack
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import REPLICATES, Luck, coverage, draw, joined, runs
from tests.simulation.studies import BEST_SEARCHED, BEST_SIZE, JONES, SIMULATIONS, START

Found = dict[str, tuple[Estimate, float]]  # name → (estimates of all replicates, truth)

SEEDS = (3, 4, 5, 8)
RESAMPLES = 500

# What runs differ in, and openings a pairing: how sure the ladder is.
LUCK = {
    "all of it": (Luck(), 60),
    "runs differ in their slopes": (Luck(60, 80, version=20), 400),
    "runs differ in their level": (Luck(40, 0, version=10), 60),
    "only versions differ": (Luck(0, 0, version=30), 60),
    "only the ratings err": (Luck(0, 0, version=0), 60),
    "the ratings err little": (Luck(30, 30, version=20), 10_000),
}


def on_a_line(seeds: int, replicates: int) -> Found:
    """Runs on one line of training."""
    points = draw(*studies.line(seeds), replicates=replicates)
    return {"Elo per OOM of training": (slopes.per_training(points), 500)}


def searched(seeds: int, replicates: int) -> Found:
    """Every version at several search budgets."""
    points = draw(*studies.searched(seeds), replicates=replicates)
    found = exchange.fit(points)
    saved = multiplier.search_multiplier(points, "simulations", SIMULATIONS[0], SIMULATIONS[-1])
    return {
        "Elo per OOM of search": (slopes.per_search(points), 180),
        "exchange: a": (found.training_exponent, -400 / 180),
        "exchange: b": (found.elo_scale, 1 / 180),
        "exchange: c": (found.offset, 7 + 400 * START / 180),
        "what search adds, in OOMs": (saved.ooms, 180 * np.log10(1 + SIMULATIONS[-1]) / 400),
    }


def grown(seeds: int, replicates: int) -> Found:
    """Networks of several sizes."""
    points = draw(*studies.grown(seeds), replicates=replicates)
    last = np.concatenate([np.flatnonzero(points.run == run)[-1:] for run in points.runs])
    per_training = 120 * 1.2  # a larger network was trained for longer
    return {
        "Elo per OOM of parameters": (slopes.per_parameters(points), 350),
        "the same, trained to the end": (slopes.per_size(points.select(last)), 350 + per_training),
    }


def compared(seeds: int, replicates: int) -> Found:
    """Two recipes, one ahead of the other."""
    points = draw(*studies.two_recipes(seeds), replicates=replicates)
    found = multiplier.between(points, "a", "b")
    return {
        "multiplier, in OOMs": (found.ooms, 150 / 450),
        "the slope of both": (found.slope, 450),
    }


def at_equal_compute(seeds: int, replicates: int) -> Found:
    """Two recipes, read between their versions."""
    points = draw(*studies.two_recipes(seeds), replicates=replicates)
    at = at_compute.interpolate(points, 13.3)
    first = 450 * (13.3 - START)
    return {
        "Elo at equal training": (at.elo_of(0), first),
        "by how much one is ahead there": (at.difference(1, 0), 150),
    }


def bent(seeds: int, replicates: int) -> Found:
    """An incline and a plateau."""
    found = change_point.fit(draw(*studies.bent(seeds), replicates=replicates))
    return {
        "incline": (found.slope, 500),
        "plateau": (found.plateau, 1000),
        "change point": (found.change_point, START + 2),
    }


def boards(seeds: int, replicates: int) -> Found:
    """Jones's model over several boards."""
    found = change_point.fit(draw(*studies.boards(seeds), replicates=replicates), "board")
    assert found.slope_cost and found.plateau_cost and found.delay
    return {
        "Jones's incline": (found.slope, JONES["incline"]),
        "Jones's m": (found.slope_cost, JONES["m"]),
        "Jones's offset": (found.offset, JONES["offset"]),
        "Jones's p": (found.plateau_cost, JONES["p"]),
        "Jones's q": (found.level, JONES["level"]),
        "delay of the plateau": (found.delay, (JONES["m"] - JONES["p"]) / JONES["incline"]),
    }


def ridge(seeds: int, replicates: int) -> Found:
    """A best size for each compute."""
    (found,) = best_size.fit(draw(*studies.ridge(seeds), replicates=replicates))
    middle, exponent = BEST_SIZE
    return {
        "best size: exponent": (found.exponent, exponent),
        "best size": (found.best_at(14), middle + exponent * 0.75),
    }


def searched_ridge(seeds: int, replicates: int) -> Found:
    """A best size for each compute of a move."""
    points = draw(*studies.searched_ridge(seeds), replicates=replicates)
    (found,) = best_size.fit(points, compute="search", controls=("training",))
    middle, exponent = BEST_SEARCHED
    return {
        "best size for a move: exponent": (found.exponent, exponent),
        "best size for a move": (found.best_at(8), middle + exponent * 0.6),
    }


def extrapolated(seeds: int, replicates: int) -> Found:
    """Prediction intervals of held-out versions less what was rated: do they hold 0?"""
    design = joined(runs(seeds), runs(2, versions=8, ooms=3.3), names=("small", "large"))
    points = draw(design, 500 * (design.training - START), replicates=replicates)
    found = extrapolation.predict_runs(points, ["large-run0", "large-run1"])
    low, high = (getattr(found.predicted, end) - found.rated for end in ("low", "high"))
    off = replace(found.predicted, value=-found.error, low=low, high=high)
    ooms = design.training[design.recipe == "small"].max()
    made = {}
    for k, x in enumerate(found.training):
        numbers = {name: getattr(off, name)[..., k] for name in NUMBERS}
        name = f"{found.run[k]}, {x - ooms:.1f} OOMs beyond"
        made[name] = (Estimate(**numbers, unit="Elo"), 0.0)
    return made


def reached(seeds: int, replicates: int) -> Found:
    """The training behind 700 Elo, one study after the other."""
    points = draw(*studies.line(seeds), replicates=min(replicates, REPLICATES))
    found = [compute_to_reach.fit(replace(points, elo=elo), 700).training for elo in points.elo]
    return {"training for a strength": (stack(found), START + 1.4)}


def on_the_frontier(seeds: int, replicates: int) -> Found:
    """Selected, tested for a plateau, fitted: one study after the other."""
    points = draw(*studies.overtaken(seeds), replicates=min(replicates, REPLICATES))
    found = [frontier.fit(replace(points, elo=elo)).slope for elo in points.elo]
    return {"frontier": (stack(found), 480)}


def exchanged_by_the_leading(seeds: int, replicates: int) -> Found:
    """Search for training, where a larger network would count as search that buys nothing."""
    points = draw(*studies.outgrown(seeds), replicates=min(replicates, REPLICATES))
    found = [
        exchange.fit_frontier(replace(points, elo=elo)).training_exponent for elo in points.elo
    ]
    return {"exchange: a, of the leading": (stack(found), -400 / 180)}


STUDIES: tuple[Callable[[int, int], Found], ...] = (
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
    exchanged_by_the_leading,
)


def bootstrap(
    points: RatedVersions, noise: bool, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Ends float[R] of the 95 % percentile interval of the slope over resampled whole runs.

    Args:
        points: ratings [R, N].
        noise: draw the ladder's errors anew in every resample.
        rng: of the resamples, the same for all replicates.
    """
    x, index, count = points.training, points.run_index, len(points.runs)
    member = np.eye(count)[index]  # [N, G]
    times = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) @ member.T  # [B, N]
    n = times.sum(axis=1, keepdims=True)
    off = times * (x - times @ x[:, None] / n)  # [B, N]: weights of the slope, not yet scaled
    weights = off / (off @ x[:, None])
    slopes_of = points.elo @ weights.T  # [R, B]
    if noise:
        root = np.linalg.cholesky(points.covariance)
        size = np.sqrt(np.square(weights @ root).sum(axis=1))
        slopes_of = slopes_of + size * rng.normal(size=slopes_of.shape)
    low, high = np.quantile(slopes_of, [0.025, 0.975], axis=1)
    return low, high


def against_bootstrap(seeds: int, luck: Luck, openings: int, replicates: int) -> list[float]:
    """Shares of intervals of the slope that hold it: Student's t, and the two bootstraps."""
    design, truth = studies.line(seeds)
    points = draw(design, truth, luck, openings=openings, replicates=replicates)
    shares = [coverage(slopes.per_training(points), 500)]
    for noise in (False, True):
        low, high = bootstrap(points, noise, np.random.default_rng(1))
        shares.append(float(((low <= 500) & (high >= 500)).mean()))
    return shares


def main() -> None:
    """Print the two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicates", type=int, default=20_000, help="of each study [20000]")
    replicates = parser.parse_args().replicates
    console = Console(soft_wrap=True, highlight=False)
    table = Table("coverage, %", *(f"{seeds} seeds" for seeds in SEEDS))
    for study in STUDIES:
        columns = [
            {name: coverage(*pair) for name, pair in study(seeds, replicates).items()}
            for seeds in SEEDS
        ]
        for names in zip(*columns, strict=True):
            shares = (column[name] for column, name in zip(columns, names, strict=True))
            table.add_row(names[-1], *(f"{100 * share:.1f}" for share in shares))
    console.print(table)
    table = Table("the slope", "seeds", "Student's t", "bootstrap", "with the ratings' errors")
    for name, (luck, openings) in LUCK.items():
        for seeds in SEEDS:
            shares = against_bootstrap(seeds, luck, openings, replicates // 4)
            table.add_row(name, f"{seeds}", *(f"{100 * share:.1f}" for share in shares))
    console.print(table)


if __name__ == "__main__":
    main()
