"""Imitation and then self-play, against self-play alone, for equal FLOPs.

    python benchmarks/two_steps.py connect_four_imitation --iterations 40 --players random \\
        "solver?blunder=0.2"
    python benchmarks/two_steps.py go_9x9_imitation --iterations 60 -- --network.width 32

Both sides of a seed are the preset, but for `imitation`; self-play alone takes `--iterations`, and
the other side as many as cost the same with imitation. Then versions of all runs meet on
one ladder, at the same fractions of the budget: versions whose ledgers hold about the same FLOPs.
Table, CSV and plot show Elo against FLOPs, the mean over seeds with its interval.

The same command goes on where it was stopped. What follows ``--`` goes to launch/train.py.
"""

import argparse
import sys
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not benchmarks/: its selfplay.py would hide the package

from benchmarks import trials
from benchmarks.commands import end_on_sigterm
from benchmarks.trials import Mean, Rated
from selfplay.arena.report import shortened
from selfplay.config import TrainConfig
from selfplay.flops import Ledger
from selfplay.lessons import ImitationConfig
from selfplay.trainer import Trainer

SIDES = {"one": "self-play alone", "two": "imitation, then self-play"}
FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the budget, at which versions are rated
WITHOUT = [  # no imitation, and no other config when imitation's is changed
    text
    for field in fields(ImitationConfig)
    if field.default is not MISSING
    for text in (f"--imitation.{field.name}", str(field.default))
]
APART = 1.2  # two steps are rated from so many times the FLOPs of imitation on


class Point(NamedTuple):
    """A version of a side, at a fraction of the budget."""

    side: str
    seed: int
    fraction: float
    version: int
    flops: int


def equal(config: TrainConfig, iterations: int) -> tuple[int, int, int]:
    """``(FLOPs of the budget, of imitation, iterations behind imitation for the same budget)``."""
    trainer = Trainer.build(config)
    imitation = trainer.imitation()
    cost = imitation.ledger(imitation.iterations).total
    steps = config.learner.steps(config.selfplay.positions)
    each = trainer.ledger(Ledger(), steps).total  # about: the rows of an iteration vary
    left = round((iterations * each - cost) / each)
    if left < 1:
        raise ValueError(
            f"imitation costs {cost / each:.0f} iterations of self-play; --iterations "
            f"{iterations} leaves none for the second step"
        )
    return iterations * each, cost, left


def train(options: argparse.Namespace, behind: int) -> dict[tuple[str, int], Path]:
    """All runs, seed by seed; where they lie."""
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


def points(runs: dict[tuple[str, int], Path], budget: int, learnt: int) -> list[Point]:
    """The versions to rate: at `FRACTIONS` of the budget, and what imitation left."""
    found = []
    for (side, seed), run in runs.items():
        spent = trials.spent(run)
        wanted = [f for f in FRACTIONS if side == "one" or f * budget > APART * learnt]
        chosen = {trials.closest(spent, f * budget): f for f in wanted}
        if side == "two":
            chosen |= {0: learnt / budget}
        found += [Point(side, seed, f, v, spent[v]) for v, f in sorted(chosen.items())]
    return found


def report(options: argparse.Namespace, rated: dict[str, Rated], found: list[Point]) -> None:
    """Prints the table; writes two_steps.csv, .md and .png."""
    elo = {p: rated[spec(options, p)] for p in found}
    lines = [
        f"| FLOPs | {SIDES['one']} | {SIDES['two']} | difference |",
        "|---|---|---|---|",
    ]
    for fraction in sorted({p.fraction for p in found}):
        at = {
            side: {p.seed: elo[p].elo for p in found if (p.side, p.fraction) == (side, fraction)}
            for side in SIDES
        }
        cells = [str(Mean.of(list(v.values()))) if v else "" for v in at.values()]
        both = [at["two"][seed] - at["one"][seed] for seed in at["one"] if seed in at["two"]]
        spent = next(p.flops for p in found if p.fraction == fraction)
        difference = str(Mean.of(both)) if both else ""
        lines.append(f"| {spent:.2e} | {cells[0]} | {cells[1]} | {difference} |")
    others = {name: one for name, one in rated.items() if "?sims=" not in name or "@" not in name}
    lines += ["", "| player | Elo |", "|---|---|"]
    lines += [f"| `{name}` | {one} |" for name, one in others.items()]
    header = ["side", "seed", "version", "flops", "elo", "low", "high"]
    rows = [[p.side, p.seed, p.version, p.flops, *elo[p][:3]] for p in found]
    figure = plot(options, elo, others)
    trials.publish(options.out / "two_steps", header, rows, "\n".join(lines) + "\n", figure)


def plot(options: argparse.Namespace, elo: dict[Point, Rated], others: dict[str, Rated]) -> Any:
    """Elo against all FLOPs: seeds thin, their mean thick, other players as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for (side, name), colour in zip(SIDES.items(), ("tab:orange", "tab:blue"), strict=True):
        own = [p for p in elo if p.side == side]
        for seed in sorted({p.seed for p in own}):
            line = [p for p in own if p.seed == seed]
            values = [elo[p] for p in line]
            bars = [1.96 * value.stderr for value in values]
            x, y = [p.flops for p in line], [value.elo for value in values]
            axes.errorbar(x, y, bars, color=colour, alpha=0.35, linewidth=1, capsize=2)
        steps = sorted({p.fraction for p in own})
        at = [[p for p in own if p.fraction == f] for f in steps]
        x = [sum(p.flops for p in group) / len(group) for group in at]
        means = [Mean.of([elo[p].elo for p in group]) for group in at]
        axes.plot(x, [m.mean for m in means], "o-", color=colour, linewidth=2.5, label=name)
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
    """The version's name on the ladder."""
    run = (options.out / f"{point.side}-{point.seed}").relative_to(ROOT)
    return f"{run}@{point.version}?sims={options.sims}"


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options, with `extra` for what follows ``--``."""
    parser = trials.parser(__doc__)
    parser.add_argument("--iterations", type=int, required=True, help="of self-play alone")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each side [3]")
    parser.add_argument("--sims", type=int, default=16, help="simulations on the ladder [16]")
    options = trials.parse(parser, arguments, "two_steps")
    if options.seeds < 1 or options.iterations < 1:
        parser.error("--seeds and --iterations must be at least 1")
    return options


def main() -> None:
    """Train what is missing, rate, report."""
    options = parse(sys.argv[1:])
    end_on_sigterm()
    config = trials.config_of(options)
    budget, learnt, behind = equal(replace(config, iterations=1), options.iterations)
    trials.console.print(
        f"{budget:.2e} FLOPs a run: {options.iterations} iterations of self-play, or "
        f"{behind} after imitation, which takes {learnt / budget:.0%}"
    )
    found = points(train(options, behind), budget, learnt)
    versions = [spec(options, point).partition("?")[0] for point in found]
    report(options, trials.rate(options, versions, options.sims), found)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
