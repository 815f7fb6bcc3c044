"""Actors and lag: what they gain here, and whether the simulator says so beforehand.

    python -m benchmarks.cluster
    python -m benchmarks.cluster go_9x9 --iterations 6 -- --network.width 32

Trains a preset for some iterations with one actor, with two, and with one and lag 1, in turn and
several times; the learner has one core. The times measured with one actor and lag 0 are the
simulator's; what it predicts for the others stands beside what they took. Seconds are those of an
iteration, medians over the last ones. What follows ``--`` goes to launch/train.py.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console

from benchmarks.commands import end_on_sigterm, launch
from benchmarks.speed_table import machine
from selfplay.cluster.simulator import costs_from_metrics, simulate
from selfplay.runs import metrics
from selfplay.runs.run import read_config

WARM_UP = 3  # iterations that do not count: compilation, a window that still grows
TARGET, SHARE = 1.8, 0.2  # the gain of two actors, and by how much the simulator may be off
PARTS = ("play", "learn", "exam", "commit")


class Setting(NamedTuple):
    """How a run is played."""

    actors: int
    lag: int

    def __str__(self) -> str:
        return f"{self.actors} actor{'s' * (self.actors > 1)}, lag {self.lag}"


BASE = Setting(1, 0)
SETTINGS = (BASE, Setting(2, 0), Setting(1, 1))


def train(preset: str, folder: Path, setting: Setting, flags: list[str]) -> None:
    """A run of its own."""
    own = ["--cluster.actors", str(setting.actors), "--policy-lag", str(setting.lag)]
    own += ["--cluster.learner-devices", "1", "--exam.every", "0", "--plain"]
    command = [sys.executable, "launch/train.py", preset, "--out", str(folder)]
    launch([*command, *own, *flags])


def seconds(folder: Path) -> float:
    """Of an iteration, from the driver's clock."""
    rows = metrics.read(folder)[1 + WARM_UP :]
    return median(sum(row["seconds"][part] for part in PARTS) for row in rows)


def play_seconds(folder: Path) -> float:
    """Of an iteration's self-play, until its last stream is back."""
    return median(row["pool"]["seconds"] for row in metrics.read(folder)[1 + WARM_UP :])


def main() -> None:
    """Train in turn, predict, print both."""
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset", nargs="?", default="connect_four", help="[connect_four]")
    parser.add_argument("--iterations", type=int, default=12, help="of each run [12]")
    parser.add_argument("--repeats", type=int, default=2, help="of every setting [2]")
    options = parser.parse_args(arguments[:cut])
    if options.iterations <= WARM_UP or options.repeats < 1:
        parser.error(f"--iterations must be more than {WARM_UP}, and --repeats at least 1")
    flags = ["--iterations", str(options.iterations), *arguments[cut + 1 :]]
    end_on_sigterm()
    console = Console(soft_wrap=True, highlight=False)
    console.print(machine())
    took: dict[Setting, list[float]] = {setting: [] for setting in SETTINGS}
    played: dict[Setting, list[float]] = {setting: [] for setting in SETTINGS}
    guesses: dict[Setting, list[float]] = {setting: [] for setting in SETTINGS}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for setting in SETTINGS:
                run = Path(folder) / f"{setting}-{repeat}"
                train(options.preset, run, setting, flags)
                took[setting].append(seconds(run))
                played[setting].append(play_seconds(run))
            base = Path(folder) / f"{BASE}-{repeat}"
            costs = costs_from_metrics(metrics.read_rows(base)[1 + WARM_UP :])
            streams = read_config(base)["selfplay"]["streams"]
            for setting in SETTINGS:
                guesses[setting].append(simulate(costs, streams, *setting).seconds)
    console.print("| | an iteration, s | gain | predicted, s | off by |\n|---|---|---|---|---|")
    for setting in SETTINGS:
        here, guess = median(took[setting]), median(guesses[setting])
        gain, off = median(took[BASE]) / here, guess / here - 1
        console.print(f"| {setting} | {here:.2f} | {gain:.2f} | {guess:.2f} | {off:+.0%} |")
    gain = median(played[BASE]) / median(played[Setting(2, 0)])
    console.print(f"two actors play {gain:.2f} times what one plays (target {TARGET})")
    worst = max(abs(median(guesses[s]) / median(took[s]) - 1) for s in SETTINGS)
    console.print(f"the simulator is off by {worst:.0%} at most (target {SHARE:.0%})")


if __name__ == "__main__":
    main()
