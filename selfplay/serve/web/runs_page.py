"""Runs: a list with their state, and the curves of one, which grow while it trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

from nicegui import ui

from selfplay.runs import metrics
from selfplay.runs.metrics_row import MetricsRow
from selfplay.runs.run import read_config
from selfplay.serve.web.frame import chart, frame, heading, redraw
from selfplay.serve.web.palette import GRID, SERIES, raised
from selfplay.serve.web.places import UNREADABLE, Places, named
from selfplay.style.powers_of_ten import power

EVERY = 2.0  # seconds between looks at the disk
CURVES = ("losses", "exam", "Elo", "training FLOPs, log₁₀", "positions a second", "actors")
LOSSES = {"policy_loss": "policy", "value_loss": "value"}
BOUND = {"lineStyle": {"width": 1, "type": "dotted"}, "showSymbol": False}  # of an interval
Points: TypeAlias = list[list[float]]  # [iteration or version, value]


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
        heading(name)
        try:
            folder = named(places.runs, name)
            total = int(read_config(folder)["iterations"])
            curves(_rows(folder))
        except UNREADABLE as error:
            ui.label(str(error))
            return
        state = ui.label().classes("pale figure")
        if (folder / "replay").is_dir():
            ui.link("games of self-play", f"/games?{urlencode({'run': name})}")
        panels = dict[str, ui.element]()
        charts = dict[str, ui.echart]()
        with ui.element("div").classes("columns even"):
            for title in CURVES:
                with ui.element("div").classes("panel") as panels[title]:
                    ui.label(title).classes("pale")
                    charts[title] = chart(_options([]), "240px", title)

        def look() -> None:
            rows = _rows(folder)
            last = rows[-1] if rows else None
            state.set_text(
                raised(f"iteration {last.iteration} of {total}, {power(last.ledger['ooms'])} FLOPs")
                if last and last.iteration
                else f"iteration 0 of {total}"
            )
            for title, series in curves(rows).items():
                panels[title].set_visibility(bool(series))
                redraw(charts[title], _options(series), title)

        look()
        ui.timer(EVERY, look)


def curves(rows: list[MetricsRow]) -> dict[str, list[dict[str, Any]]]:
    """Returns the series of each chart, as ECharts takes them."""
    found = {title: dict[str, Points]() for title in CURVES}
    bounds = dict[str, Points]()  # of Elo: lines of the same color, without a name of their own

    def add(title: str, label: str, value: float, at: int) -> None:
        found[title].setdefault(label, []).append([at, round(float(value), 5)])

    for row in rows:
        if not row.iteration:
            continue
        at = row.iteration
        losses: Mapping[str, float] = getattr(row, "learner", {})
        for key, label in LOSSES.items():
            if key in losses:
                add("losses", label, losses[key], at)
        for budget, scores in getattr(row, "exam", {}).items():
            add("exam", _simulations(budget), scores["kept"], at)
        add("training FLOPs, log₁₀", "training", row.ledger.get("ooms", 0.0), at)
        selfplay: Mapping[str, float] = getattr(row, "selfplay", {})
        if row.seconds.play:
            speed = selfplay.get("positions", 0.0) / row.seconds.play
            add("positions a second", "self-play", speed, at)
        pool: Mapping[str, float] = getattr(row, "pool", {})
        if "actors" in pool:
            add("actors", "actors", pool["actors"], at)
            add("actors", "of them busy", pool["actors"] * pool.get("busy", 0.0), at)
    for version, ratings in _rated_versions(rows):
        for budget, rating in ratings.items():
            add("Elo", _simulations(budget), rating["elo"], version)
            for bound in ("low", "high"):
                line = bounds.setdefault(f"{_simulations(budget)}/{bound}", [])
                line.append([version, round(rating[bound])])
    return {
        title: [
            {"name": label, "data": data, "color": SERIES[number % len(SERIES)]}
            for number, (label, data) in enumerate(lines.items())
        ]
        + [
            {"data": bounds[f"{label}/{bound}"], "color": SERIES[number % len(SERIES)], **BOUND}
            for number, label in enumerate(lines)
            for bound in ("low", "high")
            if title == "Elo"
        ]
        for title, lines in found.items()
    }


def _rated_versions(rows: list[MetricsRow]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields each rated version once, with its newest ratings by budget."""
    newest = dict[int, dict[str, Any]]()
    for row in rows:
        elo: Mapping[str, Any] = getattr(row, "elo", {})
        if "version" in elo:
            budgets = {key: each for key, each in elo.items() if key.startswith("sims")}
            newest[int(elo["version"])] = budgets
    yield from sorted(newest.items())


def _simulations(budget: str) -> str:
    return f"{budget.removeprefix('sims')} simulations"


def _options(series: list[dict[str, Any]]) -> dict[str, Any]:
    lines = [
        {"type": "line", "showSymbol": len(each["data"]) < 2, "lineStyle": {"width": 2}, **each}
        for each in series
    ]
    return {
        "animation": False,
        "legend": {
            "show": len(lines) > 1,
            "bottom": 0,
            "data": [each["name"] for each in series if "name" in each],
        },
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
    """Returns a run's line in the list; it says so if the run cannot be read."""
    line = {"run": name, "link": f"/runs/{quote(name)}"}
    try:
        config, rows = read_config(folder), _rows(folder)
        last = rows[-1] if rows else None
        exams = (getattr(row, "exam", {}) for row in reversed(rows))
        graded: dict[str, dict[str, float]] = next((exam for exam in exams if exam), {})
        best = [scores["kept"] for scores in graded.values()]
        return line | {
            "game": str(config["game"]),
            "iterations": f"{last.iteration if last else 0} of {config['iterations']}",
            "ooms": raised(power(last.ledger["ooms"])) if last and last.iteration else "-",
            "exam": f"{max(best):.1%}" if best else "-",
        }
    except UNREADABLE:
        return line | {"game": "cannot be read"}
