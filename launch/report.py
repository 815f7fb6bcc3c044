"""Write what a study, a ladder or a run shows: one HTML page, Markdown, figures and their numbers.

    python launch/report.py studies/hex_4
    python launch/report.py runs/a runs/b                # compared on the ladder that they share
    python launch/report.py ladders/hex
    python launch/report.py runs/connect_four --out docs/results/connect_four

A study is what launch/ablate.py made; runs need a ladder, launch/ladder.py. The report says what is
missing, and where the data cannot answer a question it says why.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

from dataclasses import dataclass
from typing import Annotated

import tyro

from selfplay.command_line import near
from selfplay.report import study_report
from selfplay.report.page import write
from selfplay.runs.files import check_writable


@dataclass(frozen=True)
class Options:
    """What is reported on, and where to."""

    study: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """A study's folder, a ladder's folder, runs that share a ladder, or a run with its own."""
    out: Path | None = None
    """Folder of the report; when left out, report/ in the folder of the study, ladder or run."""


def main() -> None:
    """Read, fit, write."""
    options = tyro.cli(Options, prog="launch/report.py", description=cli.laid_out(__doc__))
    if not options.study:
        raise ValueError("which study? name its folder, as launch/ablate.py printed it")
    given = study_report.read_inputs(options.study)
    home = given.rated.ladder.parent if given.rated else options.study[0]
    folder = options.out or home / "report"
    check_writable(folder)
    page = study_report.build_page(given)
    write(page, folder)
    console, html, text = cli.console(), near(folder / "index.html"), near(folder / "report.md")
    console.print(page.lead, markup=False)
    console.print(f"the report is {html}, and as Markdown {text}", markup=False)


if __name__ == "__main__":
    cli.guarded(main)
