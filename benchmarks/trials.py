"""Studies: runs of a preset one after the other, and what folders and a ladder say of them."""

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


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that all studies of runs on one ladder have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("preset", help="one with imitation, such as go_9x9_imitation")
    made.add_argument("--players", nargs="*", default=[], help="others on the ladder")
    made.add_argument("--engines", nargs="*", default=[], help="of Go, command lines")
    made.add_argument("--until-stderr", type=float, default=25.0, help="of the ladder [25]")
    made.add_argument("--max-games", type=int, default=20_000, help="of the ladder [20000]")
    made.add_argument("--out", type=Path, help="[studies/STUDY/PRESET]")
    return made


def parse(made: argparse.ArgumentParser, arguments: list[str], study: str) -> argparse.Namespace:
    """The options, with `extra` for what follows ``--``, and `out` below the repository."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options = made.parse_args(arguments[:cut])
    options.extra = arguments[cut + 1 :]
    out = options.out or Path("studies") / study / options.preset
    options.out = Path(os.path.abspath(ROOT / out))
    if not options.out.is_relative_to(ROOT):
        made.error(f"--out must lie in {ROOT}, got {options.out}")
    return options


def config_of(options: argparse.Namespace) -> TrainConfig:
    """The preset with what followed ``--``; ValueError for one that knows no imitation."""
    config = parse_training([options.preset, *options.extra])[1].config
    if config.imitation == ImitationConfig():
        raise ValueError(f"{options.preset} has no imitation; choose a preset that has")
    return config


def train(preset: str, folder: Path, *flags: str) -> None:
    """Train a run to its end, or go on with it."""
    out = ("--out", str(folder), "--plain")
    launch([sys.executable, "launch/train.py", preset, *out, *flags])


def rate(options: argparse.Namespace, names: Iterable[str], sims: int) -> dict[str, "Rated"]:
    """Play these versions, with so many simulations, and the others on a ladder; all on it."""
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
    """Prints the Markdown table; writes STEM.csv, STEM.md and STEM.png."""
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
    """All FLOPs behind each version of a run."""
    return {row.iteration: Ledger.of(row).total for row in metrics.read_rows(run)}


def closest(spent_by: dict[int, int], flops: float) -> int:
    """The version behind which there are about so many FLOPs."""
    return min(spent_by, key=lambda version: abs(math.log(max(spent_by[version], 1) / flops)))


class Mean(NamedTuple):
    """Over seeds; `half` is half of the 95 % interval, Student's t, NaN for one seed."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """The mean and its interval."""
        if len(values) < 2:
            return cls(fmean(values), math.nan)
        from scipy.stats import t  # slow to import

        error = stdev(values) / math.sqrt(len(values))
        return cls(fmean(values), float(t.ppf(0.975, len(values) - 1)) * error)

    def __str__(self) -> str:
        return f"{self.mean:+.0f}" + ("" if math.isnan(self.half) else f" ± {self.half:.0f}")
