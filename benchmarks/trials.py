"""What the imitation benchmarks share: runs of a preset, their ladder, and published tables."""

import argparse
import csv
import io
import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks.commands import launch
from benchmarks.worker import ROOT
from launch import cli
from launch.train import parse as parse_training

cli.configure_process()  # before JAX is imported

from selfplay.imitation.config import ImitationConfig
from selfplay.model.flops import Ledger
from selfplay.runs import metrics
from selfplay.runs.files import write_bytes
from selfplay.training.config import TrainConfig

console = Console(soft_wrap=True, highlight=False)


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Makes a parser with the options of all studies of runs on one ladder."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("preset", help="one with imitation, such as go_9x9_imitation")
    result.add_argument("--players", nargs="*", default=[], help="other players on the ladder")
    result.add_argument("--engines", nargs="*", default=[], help="command lines of Go engines")
    result.add_argument("--until-stderr", type=float, default=25.0, help="of the ladder [25]")
    result.add_argument("--max-games", type=int, default=20_000, help="of the ladder [20000]")
    result.add_argument("--out", type=Path, help="[studies/STUDY/PRESET]")
    return result


def parse(parser: argparse.ArgumentParser, arguments: list[str], study: str) -> argparse.Namespace:
    """Parses options; `extra` holds the arguments after ``--``, and `out` is in the repository."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser.parse_args(arguments[:cut])
    options.extra = arguments[cut + 1 :]
    out = options.out or Path("studies") / study / options.preset
    options.out = Path(os.path.abspath(ROOT / out))
    if not options.out.is_relative_to(ROOT):
        parser.error(f"--out must be inside {ROOT}, got {options.out}")
    return options


def config_of(options: argparse.Namespace) -> TrainConfig:
    """Builds the config of the preset and the arguments after ``--``.

    Raises:
        ValueError: the preset has no imitation.
    """
    config = parse_training([options.preset, *options.extra])[1].config
    if config.imitation == ImitationConfig():
        raise ValueError(f"{options.preset} has no imitation; choose a preset that has")
    return config


def train(preset: str, folder: Path, *flags: str) -> None:
    """Trains a run to its end, from the start or by resuming it."""
    out = ("--out", str(folder), "--plain")
    launch([sys.executable, "launch/train.py", preset, *out, *flags])


def rate(options: argparse.Namespace, names: Iterable[str], sims: int) -> dict[str, "Rated"]:
    """Plays versions with `sims` simulations and other players on a ladder; returns all ratings."""
    folder = options.out / "ladder"
    flags = ["--out", str(folder), "--plain", "--sims", str(sims)]
    flags += ["--until-stderr", str(options.until_stderr), "--max-games", str(options.max_games)]
    for name in ("players", "engines"):
        flags += [f"--{name}", *getattr(options, name)] if getattr(options, name) else []
    launch([sys.executable, "launch/ladder.py", *names, *flags])
    with (folder / "ladder.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("elo", "low", "high", "stderr")
    return {row["player"]: Rated(*(float(row[name]) for name in numbers)) for row in rows}


def publish(
    stem: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], table: str, figure: Any
) -> None:
    """Prints the Markdown table, and writes STEM.csv, STEM.md and STEM.png."""
    text, image = io.StringIO(), io.BytesIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    figure.savefig(image, format="png", dpi=150)
    console.print(table, markup=False)
    for ending, data in (("csv", text.getvalue().encode()), ("md", table.encode())):
        write_bytes(stem.with_suffix(f".{ending}"), data)
    write_bytes(stem.with_suffix(".png"), image.getvalue())
    console.print(f"table, CSV and plot are in {stem.parent}", markup=False)


class Rated(NamedTuple):
    """A player's rating and its 95 % interval, in Elo above the anchor."""

    elo: float
    low: float
    high: float
    stderr: float

    def __str__(self) -> str:
        return f"{self.elo:+.0f} ± {(self.high - self.low) / 2:.0f}"


def spent(run: Path) -> dict[int, int]:
    """Reads all FLOPs behind each version of a run."""
    return {row.iteration: Ledger.of(row).total for row in metrics.read_rows(run)}


def closest(spent_by: dict[int, int], flops: float) -> int:
    """Finds the version whose FLOPs are closest to `flops` in log."""
    return min(spent_by, key=lambda version: abs(math.log(max(spent_by[version], 1) / flops)))


class Mean(NamedTuple):
    """A mean over seeds; `half` is half the 95 % interval by Student's t, NaN for one seed."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Computes the mean and its interval."""
        if len(values) < 2:
            return cls(fmean(values), math.nan)
        from scipy.stats import t  # slow to import

        error = stdev(values) / math.sqrt(len(values))
        return cls(fmean(values), float(t.ppf(0.975, len(values) - 1)) * error)

    def __str__(self) -> str:
        return f"{self.mean:+.0f}" + ("" if math.isnan(self.half) else f" ± {self.half:.0f}")
