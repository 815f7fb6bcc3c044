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
import csv
import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not benchmarks/: its selfplay.py would hide the package

from launch.train import parse as parse_training  # pins JAX, before anything imports it

# isort: split

from rich.console import Console

import games
from benchmarks import trials
from benchmarks.trials import Mean, Rated
from selfplay import flops
from selfplay.arena.report import shortened
from selfplay.config import TrainConfig
from selfplay.imitation import Imitation
from selfplay.lessons import ImitationConfig, Lessons
from selfplay.store.files import write_bytes

SIDES = {"one": "self-play alone", "two": "imitation, then self-play"}
FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the budget, at which versions are rated

console = Console(soft_wrap=True, highlight=False)


class Point(NamedTuple):
    """A version of a side, at a fraction of the budget."""

    side: str
    seed: int
    fraction: float
    version: int
    flops: int


def per_iteration(config: TrainConfig) -> int:
    """FLOPs of an iteration of self-play, about."""
    game, positions = games.make(config.game), config.selfplay.positions
    play = positions * flops.move(game, config.network, config.search.num_simulations)
    step = flops.training_step(game, config.network, config.learner.batch_size)
    return play + config.learner.steps(positions) * step


def equal(config: TrainConfig, iterations: int) -> tuple[int, int, int]:
    """``(FLOPs of the budget, of imitation, iterations behind imitation for the same budget)``."""
    lessons = Lessons.open(config.imitation, config.game, config.network, config.seed)
    imitation = Imitation.build(lessons, config.game, config.network)
    cost, each = imitation.ledger(imitation.iterations).total, per_iteration(config)
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
                flags += ["--imitation.data", "", "--imitation.stays", "0"]
            count = options.iterations if side == "one" else behind
            trials.train(options.preset, runs[side, seed], *flags, "--iterations", str(count))
    return runs


def points(runs: dict[tuple[str, int], Path], budget: int, learnt: int) -> list[Point]:
    """The versions to rate: at `FRACTIONS` of the budget, and what imitation left."""
    found = []
    for (side, seed), run in runs.items():
        spent = trials.spent(run)
        wanted = [f for f in FRACTIONS if side == "one" or f * budget > 1.2 * learnt]
        chosen = {trials.closest(spent, f * budget): f for f in wanted}
        if side == "two":
            chosen |= {0: learnt / budget}
        found += [Point(side, seed, f, v, spent[v]) for v, f in sorted(chosen.items())]
    return found


def report(options: argparse.Namespace, rated: dict[str, Rated], found: list[Point]) -> None:
    """Prints the table; writes two_steps.csv, .md and .png."""
    elo = {p: rated[spec(options, p)] for p in found}
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["side", "seed", "version", "flops", "elo", "low", "high"])
    writer.writerows([p.side, p.seed, p.version, p.flops, *elo[p][:3]] for p in found)
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
    text = "\n".join(lines) + "\n"
    console.print(text, markup=False)
    write_bytes(options.out / "two_steps.csv", rows.getvalue().encode())
    write_bytes(options.out / "two_steps.md", text.encode())
    image = io.BytesIO()
    plot(options, elo, others).savefig(image, format="png", dpi=150)
    write_bytes(options.out / "two_steps.png", image.getvalue())
    console.print(f"table, CSV and plot are in {options.out}", markup=False)


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
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset", help="one with imitation, such as connect_four_imitation")
    parser.add_argument("--iterations", type=int, required=True, help="of self-play alone")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each side [3]")
    parser.add_argument("--sims", type=int, default=16, help="simulations on the ladder [16]")
    parser.add_argument("--players", nargs="*", default=[], help="others on the ladder")
    parser.add_argument("--engines", nargs="*", default=[], help="of Go, command lines")
    parser.add_argument("--until-stderr", type=float, default=25.0)
    parser.add_argument("--max-games", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="[studies/two_steps/PRESET]")
    options = parser.parse_args(arguments[:cut])
    options.extra = arguments[cut + 1 :]
    out = options.out or Path("studies/two_steps") / options.preset
    options.out = Path(os.path.abspath(ROOT / out))
    if not options.out.is_relative_to(ROOT):
        parser.error(f"--out must lie in {ROOT}, got {options.out}")
    if options.seeds < 1 or options.iterations < 1:
        parser.error("--seeds and --iterations must be at least 1")
    return options


def main() -> None:
    """Train what is missing, rate, report."""
    options = parse(sys.argv[1:])
    trials.end_on_sigterm()
    config = parse_training([options.preset, *options.extra])[1].config
    if config.imitation == ImitationConfig():
        raise ValueError(f"{options.preset} has no imitation; choose a preset that has")
    budget, learnt, behind = equal(replace(config, iterations=1), options.iterations)
    console.print(
        f"{budget:.2e} FLOPs a run: {options.iterations} iterations of self-play, or "
        f"{behind} after imitation, which takes {learnt / budget:.0%}"
    )
    found = points(train(options, behind), budget, learnt)
    versions = [spec(options, point).partition("?")[0] for point in found]
    flags = ["--sims", str(options.sims), "--until-stderr", str(options.until_stderr)]
    flags += ["--max-games", str(options.max_games)]
    for name in ("players", "engines"):
        flags += [f"--{name}", *getattr(options, name)] if getattr(options, name) else []
    report(options, trials.rate(options.out / "ladder", *versions, *flags), found)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
