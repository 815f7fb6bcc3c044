"""The value of repetition: imitation of fewer distinct games for more epochs.

    python -m benchmarks.data_wall go_9x9_imitation
    python -m benchmarks.data_wall go_9x9_imitation --epochs 8 --no-ladder -- --network.width 32

Trains one run for each share of the training games (smaller shares are subsets of larger ones), at
a constant learning rate, so the averaged weights after 1, 2, 4, … epochs can be compared: none has
had its learning rate decayed. All are measured on the same held-out games, and then meet as raw
networks on one ladder. Table, CSV and plot show accuracy and Elo against epochs.

Rerun the command to resume. Arguments after ``--`` go to launch/train.py.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import trials
from benchmarks.commands import end_on_sigterm
from benchmarks.trials import Rated
from benchmarks.worker import ROOT
from selfplay.imitation.imitate import FOLDER
from selfplay.runs import metrics

SHARES = (1 / 16, 1 / 4, 1.0)
ALL = str(10**9)  # all positions: an iteration is an epoch, measured on all held-out positions


class Point(NamedTuple):
    """The measurements of a share of the games after some epochs."""

    share: float
    epochs: int
    flops: int
    train_loss: float  # policy loss over the last epoch, of the weights before averaging
    top1: float
    top5: float
    unseen: float  # top 1 in positions that are in no training game
    policy_loss: float
    value_loss: float


def train(options: argparse.Namespace) -> dict[float, Path]:
    """Trains a run for each share; returns their folders."""
    runs = {}
    for share in options.shares:
        runs[share] = options.out / f"games-{share:g}"
        flags = ["--imitation.game-fraction", str(share), "--imitation.epochs", str(options.epochs)]
        flags += ["--imitation.positions-per-iteration", ALL, "--imitation.eval-positions", ALL]
        flags += ["--imitation.learner.lr-decay-fraction", "0", "--iterations", "0"]
        trials.train(options.preset, runs[share], *options.extra, *flags)
    return runs


def points(runs: dict[float, Path]) -> list[Point]:
    """Reads the measurements after 1, 2, 4, … epochs."""
    measured = []
    for share, run in runs.items():
        for row in metrics.read(run / FOLDER):
            epochs, out = row["iteration"], row.get("held_out")
            if out is None or epochs & (epochs - 1):
                continue
            losses = row["learner"]["policy_loss"], out["policy_loss"], out["value_loss"]
            measured.append(
                Point(
                    *(share, epochs, int(row["ledger"]["imitation"]), losses[0]),
                    *(out["top1"], out["top5"], out["unseen"]["top1"], *losses[1:]),
                )
            )
    return measured


def spec(options: argparse.Namespace, point: Point) -> str:
    """Returns the version's spec on the ladder."""
    run = (options.out / f"games-{point.share:g}" / FOLDER).relative_to(ROOT)
    return f"{run}@{point.epochs}?sims=0"


def report(options: argparse.Namespace, measured: list[Point], rated: dict[str, Rated]) -> None:
    """Prints the table, and writes data_wall.csv, .md and .png."""
    rows = []
    lines = [
        "| games | epochs | FLOPs | training loss | held-out loss | top 1 | top 5 | unseen: top 1 "
        "| value loss | Elo |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for p in measured:
        rating = rated.get(spec(options, p))
        rows.append([*p, *(rating[:3] if rating else ("", "", ""))])
        lines.append(
            f"| {p.share:.3g} | {p.epochs} | {p.flops:.1e} | {p.train_loss:.3f} "
            f"| {p.policy_loss:.3f} | {p.top1:.1%} | {p.top5:.1%} | {p.unseen:.1%} "
            f"| {p.value_loss:.3f} | {rating or ''} |"
        )
    header, figure = [*Point._fields, "elo", "low", "high"], plot(options, measured, rated)
    trials.publish(options.out / "data_wall", header, rows, "\n".join(lines) + "\n", figure)


def plot(options: argparse.Namespace, measured: list[Point], rated: dict[str, Rated]) -> Any:
    """Plots held-out accuracy, loss and Elo against epochs, a line for each share of the games."""
    from matplotlib.figure import Figure

    panels = ["top 1, held out", "policy loss: held out, training (dotted)"]
    panels += ["Elo, raw network"] if rated else []
    figure = Figure(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    grid = figure.subplots(1, len(panels))
    for share, color in zip(options.shares, ("tab:green", "tab:orange", "tab:blue"), strict=False):
        line = [p for p in measured if p.share == share]
        x = [p.epochs for p in line]
        style: dict[str, Any] = {
            "color": color,
            "marker": "o",
            "label": f"{share:.3g} of the games",
        }
        grid[0].plot(x, [100 * p.top1 for p in line], **style)
        grid[1].plot(x, [p.policy_loss for p in line], **style)
        grid[1].plot(x, [p.train_loss for p in line], color=color, linestyle=":")
        if rated:
            elo = [rated[spec(options, p)] for p in line]
            bars = [1.96 * rating.stderr for rating in elo]
            grid[2].errorbar(x, [rating.elo for rating in elo], bars, capsize=2, **style)
    for axes, title in zip(grid, panels, strict=True):
        axes.set(xscale="log", xlabel="epochs", title=title)
        axes.set_xticks(sorted({p.epochs for p in measured}))
        axes.set_xticklabels([str(e) for e in sorted({p.epochs for p in measured})])
        axes.minorticks_off()
        axes.grid(alpha=0.2)
    grid[0].yaxis.set_major_formatter("{x:g} %")
    grid[0].legend(frameon=False)
    return figure


def parse(arguments: list[str]) -> argparse.Namespace:
    """Parses the options; `extra` holds the arguments after ``--``."""
    parser = trials.make_parser(__doc__)
    parser.add_argument(
        "--epochs", type=int, default=32, help="the largest number, a power of two [32]"
    )
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="[1/16 1/4 1]")
    parser.add_argument("--no-ladder", action="store_true", help="measure accuracy only")
    options = trials.parse(parser, arguments, "data_wall")
    if options.epochs < 1 or options.epochs & (options.epochs - 1):
        parser.error(f"--epochs must be a power of two, got {options.epochs}")
    return options


def main() -> None:
    """Trains what is missing, rates and reports."""
    options = parse(sys.argv[1:])
    trials.config_of(options)  # bad input before any work
    end_on_sigterm()
    measured = points(train(options))
    rated: dict[str, Rated] = {}
    if not options.no_ladder:
        rated = trials.rate(options, [spec(options, p).partition("?")[0] for p in measured], 0)
    report(options, measured, rated)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
