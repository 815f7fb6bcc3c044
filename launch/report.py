"""Write what a study, or a run, shows: one HTML page, Markdown, figures and their numbers.

    python launch/report.py studies/hex_4
    python launch/report.py runs/connect_four --out docs/results/connect_four

A study is what launch/ablate.py made; a run needs a ladder, launch/ladder.py. What is missing is
said, and every question that the data cannot answer says why.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

from dataclasses import dataclass
from typing import Annotated

import tyro

from selfplay.scaling.page import write
from selfplay.study import report


@dataclass(frozen=True)
class Options:
    """What is reported on, and where to."""

    study: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """A study's folder, or runs of different games, each with a ladder."""
    out: Path | None = None
    """Folder of the report; STUDY/report when left out."""


def main() -> None:
    """Read, fit, write."""
    options = tyro.cli(Options, prog="launch/report.py", description=cli.laid_out(__doc__))
    if not options.study:
        raise ValueError("which study? name its folder, as launch/ablate.py printed it")
    page = report.page(report.material(options.study))
    folder = options.out or options.study[0] / "report"
    write(page, folder)
    print(page.lead)
    print(f"the report is {folder / 'index.html'}, and as Markdown {folder / 'report.md'}")


if __name__ == "__main__":
    cli.guarded(main)
