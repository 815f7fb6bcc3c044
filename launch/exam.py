"""Grade versions on their game's exam of solved positions.

python launch/exam.py runs/connect_four                  # the newest version
python launch/exam.py runs/a@16 runs/a@last --sims 0 16 64
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli


@dataclass(frozen=True)
class Options(cli.Trust):
    """Which versions are graded, and at which budgets."""

    runs: Annotated[tuple[str, ...], cli.Positional]
    """Versions: RUN, RUN@VERSION, RUN@last, RUN@best, or an exported .safetensors file."""
    sims: tuple[int, ...] = (0, 64)
    """Simulations a move; 0 is the raw network."""
    positions: int | None = None
    """Ask only this many questions of each set, evenly spaced; all if left out."""


def main() -> None:
    """Grades versions and prints a table for each; bad input ends it before any search."""
    options = cli.parse(Options, "exam", __doc__)
    if not options.runs:
        raise ValueError("no version to grade; name a run folder, as in runs/connect_four@last")
    if min(options.sims, default=0) < 0:
        raise ValueError(f"--sims takes budgets of 0 or more, got {min(options.sims)}")

    from rich.console import Console

    from selfplay.players.version import Version
    from selfplay.solved import exam as exams
    from selfplay.solved import suite

    versions = [Version.load(name) for name in options.runs]
    suites = [suite.load(version.config["game"]) for version in versions]
    console = Console()
    for version, positions in zip(versions, suites, strict=True):
        if options.positions:
            positions = positions.sample(options.positions)
        results = {}
        for budget in options.sims:
            with console.status(f"{version.name}: {budget} simulations"):
                search_fn = version.search_fn(budget)
                results[f"{budget}"] = exams.evaluate(
                    version.game, positions, search_fn, version.params
                )
        console.print(exams.table(positions, results, title=version.name))


if __name__ == "__main__":
    cli.run_command(main)
