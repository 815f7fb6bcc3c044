"""Studies: their grids, how far each run is, and the report where it was made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import markdown2
from nicegui import ui

from selfplay.runs.files import reject_links
from selfplay.runs.run import CONFIG, read_config
from selfplay.serve.web.frame import button, frame, heading, list_links
from selfplay.serve.web.places import UNREADABLE, Places, named
from selfplay.study.folder import Study

EVERY = 5.0  # seconds between looks at the disk
EXTRAS = ["fenced-code-blocks", "tables", "code-friendly"]  # names keep their underscores
REPORT = Path("report", "report.md")  # in a study's folder, by launch/report.py
FIGURE = re.compile(r"!\[(?P<text>[^]]*)\]\((?P<file>[\w.-]+\.png)\)")  # alone on a line
NUMBERS = re.compile(r"\[(?P<text>[^]]*)\]\((?P<file>[\w.-]+\.csv)\)")  # alone on a line


def list_page(places: Places) -> None:
    """Draws the list of studies."""
    list_links("Studies", places.studies, "No study is in the given folders.")


def study_page(places: Places, name: str) -> None:
    """Draws a study's runs with their progress."""
    with frame("Studies"):
        heading(name)
        try:
            folder = named(places.studies, name)
            study = Study.read(folder)
            _progress(study)
        except UNREADABLE as error:
            ui.label(str(error))
            return
        note = ui.label().classes("pale figure")
        columns = [
            {"name": key, "label": key, "field": key, "align": "left", "sortable": True}
            for key in ("run", "iterations")
        ]
        table = ui.table(columns=columns, rows=[], row_key="run", pagination=10)
        table.classes("w-full figure").props("flat dense")

        def look() -> None:
            rows = _progress(study)
            done = sum(row["done"] for row in rows)
            note.set_text(f"{done} of {len(rows)} runs are complete")
            table.rows = rows
            table.update()

        look()
        ui.timer(EVERY, look)
        try:
            _draw_report(folder / REPORT)
        except UNREADABLE as error:
            ui.label(str(error))


def _draw_report(path: Path) -> None:
    """Draws a report, if there is one: its text, and the figures and tables beside it.

    The text comes from a study's folder, so HTML in it is shown as text.
    """
    if not path.exists():
        ui.label("It has no report yet: launch/report.py makes one.").classes("pale")
        return
    reject_links(path.parent)
    text = list[str]()

    def draw_text() -> None:
        content = markdown2.markdown("\n".join(text), safe_mode="escape", extras=EXTRAS)
        ui.html(content, sanitize=True).classes("report")
        text.clear()

    for line in path.read_text(encoding="utf-8").splitlines():
        named_file = FIGURE.fullmatch(line) or NUMBERS.fullmatch(line)
        if not named_file or not (beside := path.parent / named_file["file"]).is_file():
            text.append(line)
            continue
        draw_text()
        if FIGURE.fullmatch(line):
            ui.image(beside).classes("paper").props["alt"] = named_file["text"]
        else:
            button(named_file["text"], lambda beside=beside: ui.download.file(beside))
    draw_text()


def _progress(study: Study) -> list[dict[str, Any]]:
    rows = []
    for spec in study.runs:
        folder, last, total = study.run_folder(spec), 0, 0
        if (folder / CONFIG).exists():
            last, total = study.last_iteration(spec), read_config(folder)["iterations"]
        iterations = f"{last} of {total}" if total else "not begun"
        rows.append(
            {"run": spec.name, "iterations": iterations, "done": bool(total) and last >= total}
        )
    return rows
