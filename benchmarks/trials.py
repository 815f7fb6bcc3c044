"""Commands of ours run one after the other, and what their folders say of them: for studies."""

import contextlib
import csv
import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple, NoReturn

from benchmarks.worker import ROOT, default_environment
from selfplay.flops import Ledger
from selfplay.store import metrics

GRACE = 30  # seconds that a program gets to end after an interrupt


def end_on_sigterm() -> None:
    """A batch system's SIGTERM ends what was launched, too."""

    def stop(number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def launch(command: Sequence[str]) -> None:
    """Runs a program of ours in our place, with an environment that we did not shape."""
    process = subprocess.Popen(command, cwd=ROOT, env=default_environment())
    try:
        status = process.wait()
    except BaseException:  # stopped: the program must not go on without us
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(GRACE)
        process.kill()
        process.wait()
        raise
    if status:
        raise SystemExit(f"error: status {status} from {' '.join(command)}")


def train(preset: str, folder: Path, *flags: str) -> None:
    """Train a run to its end, or go on with it."""
    out = ("--out", str(folder), "--plain")
    launch([sys.executable, "launch/train.py", preset, *out, *flags])


def rate(folder: Path, *flags: str) -> dict[str, "Rated"]:
    """Play on a ladder until its stop, or go on with it; everyone on it."""
    launch([sys.executable, "launch/ladder.py", "--out", str(folder), "--plain", *flags])
    with (folder / "ladder.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = ("elo", "low", "high", "stderr")
    return {row["player"]: Rated(*(float(row[name]) for name in numbers)) for row in rows}


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
    names = ("imitation", "selfplay", "learning")
    rows = metrics.read(run)
    return {
        row["iteration"]: Ledger(*(int(row["ledger"][name]) for name in names)).total
        for row in rows
        if "ledger" in row
    }


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
