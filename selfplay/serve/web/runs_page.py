"""Runs: a list with their state, and the curves of one, which grow while it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from nicegui import ui

from selfplay.runs import metrics
from selfplay.runs.metrics_row import MetricsRow
from selfplay.runs.run import read_config
from selfplay.serve.web.frame import frame, heading
from selfplay.serve.web.palette import GRID, SERIES, raised
from selfplay.serve.web.places import UNREADABLE, Places, named
from selfplay.style.powers_of_ten import power

EVERY = 2.0  # seconds between looks at the disk
CURVES = {
    "losses": {"policy_loss": "policy", "value_loss": "value"},
    "exam": {},
    "positions a second": {"speed": "positions a second"},
}


def list_page(places: Places) -> None:
    """Draws the list of runs."""
    with frame("Runs"):
        heading("Runs")
        if not places.runs:
            ui.label("No run folder was given: start the page with one.").classes("pale")
            return
        columns = [
            {"name": name, "label": label, "field": name, "align": "left", "sortable": True}
            for name, label in (
                ("run", "run"),
                ("game", "game"),
                ("iterations", "iterations"),
                ("ooms", "training FLOPs"),
                ("exam", "exam"),
            )
        ]
        rows = [_summary(name, path) for name, path in places.runs.items()]
        table = ui.table(columns=columns, rows=rows, row_key="run").classes("w-full").props("flat")
        table.add_slot(
            "body-cell-run",
            '<q-td :props="props"><a :href="props.row.link">{{ props.value }}</a></q-td>',
        )


def run_page(places: Places, name: str) -> None:
    """Draws the curves of a run."""
    with frame("Runs"):
        try:
            folder = named(places.runs, name)
            total = read_config(folder)["iterations"]
        except UNREADABLE as error:
            ui.label(str(error))
            return
        heading(name)
        state = ui.label().classes("pale figure")
        charts = {}
        with ui.element("div").classes("columns"):
            for title in CURVES:
                with ui.element("div").classes("panel"):
                    ui.label(title).classes("pale")
                    charts[title] = ui.echart(_options([])).style("height: 240px; width: 100%")

        def look() -> None:
            rows = _rows(folder)
            last = rows[-1] if rows else None
            state.set_text(
                raised(f"iteration {last.iteration} of {total}, {power(last.ledger['ooms'])} FLOPs")
                if last and last.iteration
                else f"iteration 0 of {total}"
            )
            for title, series in curves(rows).items():
                charts[title].options.clear()
                charts[title].options.update(_options(series))
                charts[title].update()

        look()
        ui.timer(EVERY, look)


def curves(rows: list[MetricsRow]) -> dict[str, list[dict[str, Any]]]:
    """Returns the series of each chart, as ECharts takes them."""
    played = [row for row in rows if row.iteration]
    found = dict[str, dict[str, list[list[float]]]]()
    for row in played:
        losses: dict[str, float] = getattr(row, "learner", {})
        points = {f"losses/{label}": losses.get(key) for key, label in CURVES["losses"].items()}
        for budget, scores in getattr(row, "exam", {}).items():
            points[f"exam/{budget.removeprefix('sims')} simulations"] = scores["kept"]
        selfplay: dict[str, float] = getattr(row, "selfplay", {})
        if row.seconds.play:
            speed = selfplay.get("positions", 0.0) / row.seconds.play
            points["positions a second/self-play"] = speed
        for name, value in points.items():
            title, _, label = name.partition("/")
            if value is not None:
                line = found.setdefault(title, {}).setdefault(label, [])
                line.append([row.iteration, round(float(value), 5)])
    return {
        title: [
            {"name": label, "data": data, "color": SERIES[number % len(SERIES)]}
            for number, (label, data) in enumerate(found.get(title, {}).items())
        ]
        for title in CURVES
    }


def _options(series: list[dict[str, Any]]) -> dict[str, Any]:
    lines = [
        {"type": "line", "showSymbol": False, "lineStyle": {"width": 2}, **each} for each in series
    ]
    return {
        "animation": False,
        "legend": {"show": len(lines) > 1, "bottom": 0, "textStyle": {"color": "#767676"}},
        "grid": {"left": 48, "right": 12, "top": 14, "bottom": 46},
        "tooltip": {"trigger": "axis"},
        "xAxis": {"type": "value", "minInterval": 1, "splitLine": {"show": False}},
        "yAxis": {"type": "value", "scale": True, "splitLine": GRID},
        "series": lines,
    }


def _rows(folder: Path) -> list[MetricsRow]:
    """Reads the rows so far; a row that is being written does not count yet."""
    try:
        return metrics.read_rows(folder)
    except UNREADABLE:
        return []


def _summary(name: str, folder: Path) -> dict[str, str]:
    try:
        config, rows = read_config(folder), _rows(folder)
    except UNREADABLE:
        return {"run": name, "link": f"/runs/{quote(name)}", "game": "cannot be read"}
    last = rows[-1] if rows else None
    exams = (getattr(row, "exam", {}) for row in reversed(rows))
    graded: dict[str, dict[str, float]] = next((exam for exam in exams if exam), {})
    best = [scores["kept"] for scores in graded.values()]
    return {
        "run": name,
        "link": f"/runs/{quote(name)}",
        "game": config["game"],
        "iterations": f"{last.iteration if last else 0} of {config['iterations']}",
        "ooms": raised(power(last.ledger["ooms"])) if last and last.iteration else "-",
        "exam": f"{max(best):.1%}" if best else "-",
    }
