"""Where repetition stops paying: imitation of fewer distinct games, for more epochs.

    python -m benchmarks.data_wall go_9x9_imitation
    python -m benchmarks.data_wall go_9x9_imitation --epochs 8 --no-ladder -- --network.width 32

One run for each share of the training games (the smaller ones' games are among the larger ones'),
at a constant learning rate, so that the averaged weights after 1, 2, 4, … epochs can be compared:
none of them has been cooled down. All are measured on the same held-out games; then
they meet as raw networks on one ladder. Table, CSV and plot show accuracy and Elo against epochs.

The same command goes on where it was stopped. What follows ``--`` goes to launch/train.py.
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
ALL = str(10**9)  # of the positions: an iteration is an epoch, measured on every held-out position


class Point(NamedTuple):
    """A share of the games, after some epochs."""

    share: float
    epochs: int
    flops: int
    train_loss: float  # policy loss over the last epoch, before the weights are averaged
    top1: float
    top5: float
    unseen: float  # top-1 in positions that no training game holds
    policy_loss: float
    value_loss: float


def train(options: argparse.Namespace) -> dict[float, Path]:
    """A run for each share; where they lie."""
    runs = {}
    for share in options.shares:
        runs[share] = options.out / f"games-{share:g}"
        flags = ["--imitation.game-fraction", str(share), "--imitation.epochs", str(options.epochs)]
        flags += ["--imitation.positions-per-iteration", ALL, "--imitation.eval-positions", ALL]
        flags += ["--imitation.learner.lr-decay-fraction", "0", "--iterations", "0"]
        trials.train(options.preset, runs[share], *options.extra, *flags)
    return runs


def points(runs: dict[float, Path]) -> list[Point]:
    """What was measured after 1, 2, 4, … epochs."""
    found = []
    for share, run in runs.items():
        for row in metrics.read(run / FOLDER):
            epochs, out = row["iteration"], row.get("held_out")
            if out is None or epochs & (epochs - 1):
                continue
            losses = row["learner"]["policy_loss"], out["policy_loss"], out["value_loss"]
            found.append(
                Point(
                    *(share, epochs, int(row["ledger"]["imitation"]), losses[0]),
                    *(out["top1"], out["top5"], out["unseen"]["top1"], *losses[1:]),
                )
            )
    return found


def spec(options: argparse.Namespace, point: Point) -> str:
    """The version's name on the ladder."""
    run = (options.out / f"games-{point.share:g}" / FOLDER).relative_to(ROOT)
    return f"{run}@{point.epochs}?sims=0"


def report(options: argparse.Namespace, found: list[Point], rated: dict[str, Rated]) -> None:
    """Prints the table; writes data_wall.csv, .md and .png."""
    rows = []
    lines = [
        "| games | epochs | FLOPs | training loss | held-out loss | top 1 | top 5 | unseen: top 1 "
        "| value loss | Elo |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for p in found:
        one = rated.get(spec(options, p))
        rows.append([*p, *(one[:3] if one else ("", "", ""))])
        lines.append(
            f"| {p.share:.3g} | {p.epochs} | {p.flops:.1e} | {p.train_loss:.3f} "
            f"| {p.policy_loss:.3f} | {p.top1:.1%} | {p.top5:.1%} | {p.unseen:.1%} "
            f"| {p.value_loss:.3f} | {one or ''} |"
        )
    header, figure = [*Point._fields, "elo", "low", "high"], plot(options, found, rated)
    trials.publish(options.out / "data_wall", header, rows, "\n".join(lines) + "\n", figure)


def plot(options: argparse.Namespace, found: list[Point], rated: dict[str, Rated]) -> Any:
    """Held-out accuracy and loss, and Elo, against epochs; a line for each share of the games."""
    from matplotlib.figure import Figure

    panels = ["top 1, held out", "policy loss: held out, training (dotted)"]
    panels += ["Elo, raw network"] if rated else []
    figure = Figure(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    grid = figure.subplots(1, len(panels))
    for share, colour in zip(options.shares, ("tab:green", "tab:orange", "tab:blue"), strict=False):
        own = [p for p in found if p.share == share]
        x = [p.epochs for p in own]
        style: dict[str, Any] = {
            "color": colour,
            "marker": "o",
            "label": f"{share:.3g} of the games",
        }
        grid[0].plot(x, [100 * p.top1 for p in own], **style)
        grid[1].plot(x, [p.policy_loss for p in own], **style)
        grid[1].plot(x, [p.train_loss for p in own], color=colour, linestyle=":")
        if rated:
            elo = [rated[spec(options, p)] for p in own]
            bars = [1.96 * one.stderr for one in elo]
            grid[2].errorbar(x, [one.elo for one in elo], bars, capsize=2, **style)
    for axes, title in zip(grid, panels, strict=True):
        axes.set(xscale="log", xlabel="epochs", title=title)
        axes.set_xticks(sorted({p.epochs for p in found}))
        axes.set_xticklabels([str(e) for e in sorted({p.epochs for p in found})])
        axes.minorticks_off()
        axes.grid(alpha=0.2)
    grid[0].yaxis.set_major_formatter("{x:g} %")
    grid[0].legend(frameon=False)
    return figure


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options, with `extra` for what follows ``--``."""
    parser = trials.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=32, help="the most, a power of two [32]")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES, help="[1/16 1/4 1]")
    parser.add_argument("--no-ladder", action="store_true", help="measure accuracy only")
    options = trials.parse(parser, arguments, "data_wall")
    if options.epochs < 1 or options.epochs & (options.epochs - 1):
        parser.error(f"--epochs must be a power of two, got {options.epochs}")
    return options


def main() -> None:
    """Train what is missing, rate, report."""
    options = parse(sys.argv[1:])
    trials.config_of(options)  # bad input before any work
    end_on_sigterm()
    found = points(train(options))
    rated: dict[str, Rated] = {}
    if not options.no_ladder:
        rated = trials.rate(options, [spec(options, p).partition("?")[0] for p in found], 0)
    report(options, found, rated)


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
