"""Write the report of a study, a ladder or runs: an HTML page, Markdown, figures, their numbers.

    python launch/report.py studies/hex_4
    python launch/report.py runs/a runs/b                # compared on the ladder that they share
    python launch/report.py ladders/hex
    python launch/report.py runs/connect_four --out docs/results/connect_four
    python launch/report.py studies/hex_4 --questions my_question:TIME
    python launch/report.py docs/results/recipes         # from the data in its folder data/

A study is a folder that launch/ablate.py made; runs need a ladder, which launch/ladder.py makes.
The report says what is missing, and where the data cannot answer a question it says why. Its
folder data/ has every rated game and what the runs cost: enough to write the report again.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli
from selfplay.command_line import near


@dataclass(frozen=True)
class Options(cli.Trust):
    """What is reported on, and where the report goes."""

    study: Annotated[tuple[Path, ...], cli.Positional]
    """A study's folder, a ladder's folder, runs that share a ladder, a run with its own, or a
    report's folder with its data."""
    out: Path | None = None
    """Folder of the report; if left out, report/ in the folder of the study, ladder or run, or the
    folder of the report whose data are read."""
    questions: tuple[str, ...] = ()
    """Questions of your own, which follow the others: import paths such as my_question:TIME."""


def main() -> None:
    """Writes a report and prints its first sentences and its files."""
    options = cli.parse(Options, "report", __doc__)
    if not options.study:
        raise ValueError("which study? name its folder, as launch/ablate.py printed it")

    from selfplay.report import questions, report_data, study_report
    from selfplay.report.page import write
    from selfplay.report.study_questions import OF_BOARDS, OF_RUNS
    from selfplay.runs.files import check_writable

    extra_questions = questions.load(options.questions, (*OF_RUNS, *OF_BOARDS))
    if data := report_data.find(options.study):
        inputs = report_data.read(data)
        folder = options.out or (
            data.parent if data.name == report_data.FOLDER else data / "report"
        )
    else:
        inputs = study_report.read_inputs(options.study)
        home = inputs.rated.ladder.parent if inputs.rated else options.study[0]
        folder = options.out or home / "report"
    check_writable(folder)
    page = study_report.build_page(inputs, extra_questions)
    write(page, folder)
    report_data.write(inputs, folder / report_data.FOLDER)
    console, html, text = cli.console(), near(folder / "index.html"), near(folder / "report.md")
    console.print(page.lead, markup=False)
    console.print(f"the report is {html}, and as Markdown {text}", markup=False)
    again = near(folder / report_data.FOLDER)
    console.print(f"its data, from which it can be written again, are in {again}", markup=False)


if __name__ == "__main__":
    cli.run_command(main)
