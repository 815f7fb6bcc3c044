"""Imitation followed by self-play, against self-play alone, for equal FLOPs.

    python -m benchmarks.two_steps connect_four_imitation --iterations 40 --players random \\
        "solver?blunder=0.2"
    python -m benchmarks.two_steps go_9x9_imitation --iterations 60 -- --network.width 32

The two sides of a seed differ only in `imitation`. Self-play alone takes `--iterations`; the other
side takes as many as cost the same together with imitation. Then versions of all runs, near the
same fractions of the budget, meet on one ladder and are compared at equal FLOPs. Table, CSV and
plot show Elo against FLOPs, the mean over seeds with its interval.

Rerun the command to resume. Arguments after ``--`` go to launch/train.py.
"""

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from benchmarks import trials
from benchmarks.commands import end_on_sigterm
from benchmarks.trials import Mean, Rated
from benchmarks.worker import ROOT
from selfplay.imitation.config import ImitationConfig
from selfplay.ladder.rating_plot import shortened
from selfplay.model.flops import Ledger
from selfplay.training.config import TrainConfig
from selfplay.training.trainer import Trainer

SIDES = {"one": "self-play alone", "two": "imitation, then self-play"}
FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the budget, near which versions are rated
NEAR = 1.05  # up to this factor outside its versions, a run has the nearest version's Elo
WITHOUT = [  # all of imitation at its defaults, so that the preset's values do not matter
    text
    for field in fields(ImitationConfig)
    if field.default is not MISSING
    for text in (f"--imitation.{field.name}", str(field.default))
]
APART = 1.2  # the two-step side is rated from this many times the FLOPs of imitation on


class Point(NamedTuple):
    """A rated version of a side."""

    side: str
    seed: int
    version: int
    flops: int


def equal(config: TrainConfig, iterations: int) -> tuple[int, int, int]:
    """Computes the budget's FLOPs, imitation's, and the iterations after it for the same budget.

    Raises:
        ValueError: imitation costs more than the budget.
    """
    trainer = Trainer.build(config)
    imitation = trainer.imitation()
    cost = imitation.ledger(imitation.iterations).total
    steps = config.learner.steps(config.selfplay.positions)
    each = trainer.ledger(Ledger(), 1, steps).total  # about: the rows of an iteration vary
    left = round((iterations * each - cost) / each)
    if left < 1:
        raise ValueError(
            f"imitation costs {cost / each:.0f} iterations of self-play; --iterations "
            f"{iterations} leaves none for the second step"
        )
    return iterations * each, cost, left


def train(options: argparse.Namespace, behind: int) -> dict[tuple[str, int], Path]:
    """Trains all runs, seed by seed; returns their folders."""
    runs = {}
    for seed in range(options.seeds):
        for side in SIDES:
            runs[side, seed] = options.out / f"{side}-{seed}"
            flags = [*options.extra, "--seed", str(seed), "--store.keep-for-verify"]
            if side == "one":
                flags += WITHOUT
            count = options.iterations if side == "one" else behind
            trials.train(options.preset, runs[side, seed], *flags, "--iterations", str(count))
    return runs


def points(runs: dict[tuple[str, int], Path], budget: int, learned: int) -> list[Point]:
    """Chooses the versions to rate: near `FRACTIONS` of the budget, and the result of imitation."""
    versions = []
    for (side, seed), run in runs.items():
        spent = trials.spent(run)
        least = APART * learned if side == "two" else 0
        chosen = {trials.closest(spent, f * budget) for f in FRACTIONS if f * budget > least}
        chosen |= {0} if side == "two" else set()
        versions += [Point(side, seed, version, spent[version]) for version in sorted(chosen)]
    return versions


def at(elo: Mapping[Point, Rated], side: str, flops: float) -> list[float]:
    """Interpolates the Elo of a side's runs at equal FLOPs, seed by seed.

    Interpolation is in log FLOPs, because an early iteration is a step of 20 %. Returns [] if the
    FLOPs are outside the versions of a run.
    """
    values = []
    for seed in sorted({p.seed for p in elo if p.side == side}):
        line = sorted((p.flops, elo[p].elo) for p in elo if (p.side, p.seed) == (side, seed))
        x, y = zip(*line, strict=True)
        if not x[0] / NEAR < flops < x[-1] * NEAR:
            return []
        values.append(float(np.interp(math.log(flops), [math.log(c) for c in x], y)))
    return values


def levels(elo: Mapping[Point, Rated]) -> list[float]:
    """Lists the FLOPs to compare at: of the versions of self-play alone, and of imitation."""
    groups: dict[int, list[int]] = {}
    for p in elo:
        if p.side == "one" or p.version == 0:
            groups.setdefault(p.version, []).append(p.flops)
    return sorted(fmean(group) for group in groups.values())


def report(options: argparse.Namespace, rated: dict[str, Rated], versions: list[Point]) -> None:
    """Prints the table, and writes two_steps.csv, .md and .png."""
    elo = {p: rated[spec(options, p)] for p in versions}
    lines = [
        f"| FLOPs | {SIDES['one']} | {SIDES['two']} | difference |",
        "|---|---|---|---|",
    ]
    for flops in levels(elo):
        one, two = (at(elo, side, flops) for side in SIDES)
        both = [b - a for a, b in zip(one, two, strict=True)] if one and two else []
        cells = [str(Mean.of(values)) if values else "" for values in (one, two, both)]
        lines.append(f"| {flops:.2e} | {' | '.join(cells)} |")
    others = {name: one for name, one in rated.items() if "?sims=" not in name or "@" not in name}
    lines += ["", "| player | Elo |", "|---|---|"]
    lines += [f"| `{name}` | {one} |" for name, one in others.items()]
    header = ["side", "seed", "version", "flops", "elo", "low", "high"]
    rows = [[p.side, p.seed, p.version, p.flops, *elo[p][:3]] for p in versions]
    figure = plot(options, elo, others)
    trials.publish(options.out / "two_steps", header, rows, "\n".join(lines) + "\n", figure)


def plot(options: argparse.Namespace, elo: dict[Point, Rated], others: dict[str, Rated]) -> Any:
    """Plots Elo against FLOPs: thin lines are seeds, thick lines their mean, dotted others."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for (side, name), color in zip(SIDES.items(), ("tab:orange", "tab:blue"), strict=True):
        of_side = [p for p in elo if p.side == side]
        for seed in sorted({p.seed for p in of_side}):
            line = [p for p in of_side if p.seed == seed]
            values = [elo[p] for p in line]
            bars = [1.96 * value.stderr for value in values]
            x, y = [p.flops for p in line], [value.elo for value in values]
            axes.errorbar(x, y, bars, color=color, alpha=0.35, linewidth=1, capsize=2)
        x = [flops for flops in levels(elo) if at(elo, side, flops)]
        means = [Mean.of(at(elo, side, flops)) for flops in x]
        axes.plot(x, [m.mean for m in means], "o-", color=color, linewidth=2.5, label=name)
    for name, one in others.items():
        axes.axhline(one.elo, color="grey", linewidth=0.8, linestyle=":")
        axes.annotate(
            shortened(name),
            (1, one.elo),
            xycoords=("axes fraction", "data"),
            fontsize=8,
            ha="right",
            va="bottom",
        )
    axes.set(xscale="log", xlabel="FLOPs behind the version, imitation included", ylabel="Elo")
    axes.set_title(f"{options.preset}, {options.sims} simulations, {options.seeds} seeds")
    axes.legend(loc="upper left", frameon=False)
    axes.grid(alpha=0.2)
    return figure


def spec(options: argparse.Namespace, point: Point) -> str:
    """Returns the version's spec on the ladder."""
    run = (options.out / f"{point.side}-{point.seed}").relative_to(ROOT)
    return f"{run}@{point.version}?sims={options.sims}"


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parses the options; `extra` holds the arguments after ``--``."""
    parser = trials.make_parser(__doc__)
    parser.add_argument("--iterations", type=int, required=True, help="of self-play alone")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each side [3]")
    parser.add_argument("--sims", type=int, default=16, help="simulations on the ladder [16]")
    options = trials.parse(parser, arguments, "two_steps")
    if options.seeds < 1 or options.iterations < 1:
        parser.error("--seeds and --iterations must be at least 1")
    return options


def main() -> None:
    """Trains what is missing, rates and reports."""
    options = parse(sys.argv[1:])
    end_on_sigterm()
    config = trials.config_of(options)
    budget, learned, behind = equal(replace(config, iterations=1), options.iterations)
    trials.console.print(
        f"{budget:.2e} FLOPs a run: {options.iterations} iterations of self-play, or "
        f"{behind} after imitation, which takes {learned / budget:.0%}"
    )
    versions = points(train(options, behind), budget, learned)
    names = [spec(options, point).partition("?")[0] for point in versions]
    report(options, trials.rate(options, names, options.sims), versions)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
