"""Studies: their grids, how far each run is, and the report where it was made."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from selfplay.runs.run import CONFIG, read_config
from selfplay.serve.web.frame import frame, heading, list_links
from selfplay.serve.web.places import UNREADABLE, Places, named
from selfplay.study.folder import Study

EVERY = 5.0  # seconds between looks at the disk


def list_page(places: Places) -> None:
    """Draws the list of studies."""
    list_links("Studies", places.studies, "No study is in the given folders.")


def study_page(places: Places, name: str) -> None:
    """Draws a study's runs with their progress."""
    with frame("Studies"):
        try:
            folder = named(places.studies, name)
            study = Study.read(folder)
        except UNREADABLE as error:
            ui.label(str(error))
            return
        heading(name)
        note = ui.label().classes("pale figure")
        columns = [
            {"name": key, "label": key, "field": key, "align": "left", "sortable": True}
            for key in ("run", "iterations")
        ]
        table = ui.table(columns=columns, rows=[], row_key="run").classes("w-full figure")
        table.props("flat dense")

        def look() -> None:
            rows = _progress(study)
            done = sum(row["done"] for row in rows)
            note.set_text(f"{done} of {len(rows)} runs are complete")
            table.rows = rows
            table.update()

        look()
        ui.timer(EVERY, look)


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
