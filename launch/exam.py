"""Grade versions on their game's exam of solved positions.

python launch/exam.py runs/connect_four                  # the newest version
python launch/exam.py runs/a@16 runs/a@last --sims 0 16 64
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from selfplay.players.version import Version
from selfplay.search.config import SearchConfig
from selfplay.solved import exam as exams
from selfplay.solved import suite


@dataclass(frozen=True)
class Options:
    """Which versions sit the exam, and at which budgets."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Versions: RUN, RUN@VERSION, RUN@last, RUN@best, or an exported .safetensors file."""
    sims: tuple[int, ...] = (0, 64)
    """Simulations a move; 0 is the raw network."""
    positions: int | None = None
    """Ask only this many questions of each set, evenly spread; all when left out."""


def main() -> None:
    """Load everything first, then grade and print one table a version."""
    options = tyro.cli(Options, prog="launch/exam.py", description=cli.laid_out(__doc__))
    if not options.runs:
        raise ValueError("no version to grade; name a run folder, as in runs/connect_four@last")
    for budget in options.sims:
        SearchConfig(num_simulations=budget)  # a negative budget is an error before any work
    versions = [Version.load(name) for name in options.runs]
    papers = [suite.load(version.config["game"]) for version in versions]
    console = Console()
    for version, paper in zip(versions, papers, strict=True):
        paper = paper.sample(options.positions) if options.positions else paper
        results = {}
        for budget in options.sims:
            with console.status(f"{version.name}: {budget} simulations"):
                fn = version.search_fn(budget)
                results[f"{budget}"] = exams.evaluate(version.game, paper, fn, version.params)
        console.print(exams.table(paper, results, title=version.name))


if __name__ == "__main__":
    cli.guarded(main)
