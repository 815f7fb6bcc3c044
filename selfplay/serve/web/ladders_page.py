"""Ladders: players with their ratings, Elo against training, and which pairings stand out."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from nicegui import run, ui

from selfplay.ladder import database, game_table, model_fit, tables
from selfplay.ladder.ladder import LadderState
from selfplay.players.specs import split_stored
from selfplay.ratings.goodness_of_fit import GoodnessOfFit
from selfplay.serve.web.frame import chart, frame, heading, list_links
from selfplay.serve.web.palette import BETWEEN, GRID, SERIES, raised
from selfplay.serve.web.places import UNREADABLE, Places, named
from selfplay.style.powers_of_ten import power_of_ten

COLUMNS = ("rank", "player", "elo", "interval", "games", "score", "training", "move")
LABELS = {
    "elo": "Elo",
    "training": "training FLOPs",
    "move": "FLOPs a move",
    "interval": "95 % interval",
}
FULL_COLOR = 0.25  # a deviation of a score that has the full color
_COMPUTING = Lock()


def list_page(places: Places) -> None:
    """Draws the list of ladders."""
    list_links("Ladders", places.ladders, "No ladder is in the given folders.")


async def ladder_page(places: Places, name: str) -> None:
    """Draws a ladder."""
    with frame("Ladders"):
        try:
            folder = named(places.ladders, name)
            heading(name)
            note = ui.label("rating the players …").classes("pale")
            await ui.context.client.connected()  # rating a large ladder takes seconds
            state = await run.io_bound(_rated, folder, _changed(folder))
        except (*UNREADABLE, ArithmeticError) as error:
            ui.label(str(error))
            return
        if state is None:  # the process is ending
            return
        rows = tables.rows(state)
        note.set_text(f"{len(rows)} players, {len(state.games.outcome):,} games")
        with ui.element("div").classes("columns even"):
            with ui.element("div").classes("panel stack"):
                ui.label("Elo against training FLOPs, a series for each budget").classes("pale")
                chart(_elo_chart(rows), "min(520px, 90vw)", "Elo against training FLOPs")
            with ui.element("div").classes("panel stack") as pairings:
                ui.label("Every pairing: score minus what all other games predict").classes("pale")
                waiting = ui.label("comparing …").classes("pale")
        columns = [
            {"name": key, "label": LABELS.get(key, key), "field": key, "sortable": True,
             "align": "left" if key == "player" else "right"}
            for key in COLUMNS
        ]  # fmt: skip
        columns[COLUMNS.index("elo")][":format"] = "value => String(value).replace('-', '−')"
        cells = [_cells(row) | {"link": _games_link(name, row.player)} for row in rows]
        table = ui.table(columns=columns, rows=cells, row_key="rank", pagination=50)
        table.classes("w-full figure").props("flat dense")
        if (folder / database.FILE).exists():  # tables of games have no moves
            table.add_slot(
                "body-cell-player",
                '<q-td :props="props"><a :href="props.row.link">{{ props.value }}</a></q-td>',
            )
        try:
            fit = await run.io_bound(_tested, folder, _changed(folder))
        except (*UNREADABLE, ArithmeticError) as error:
            waiting.set_text(str(error))
            return
        if fit is None:
            return
        waiting.set_text(
            f"{len(fit.pairings):,} pairings; rows and columns are ranks. Orange: the player of "
            "the row scored more than expected; blue: less."
        )
        with pairings:
            chart(_matrix_chart(rows, state, fit), "min(520px, 90vw)", "every pairing")


def _games_link(ladder: str, player: str) -> str:
    return f"/games?{urlencode({'ladder': ladder, 'player': player})}"


def _elo_chart(rows: list[tables.Row]) -> dict[str, Any]:
    by_budget = dict[str, list[list[float]]]()
    for row in rows:
        _, options = split_stored(row.player)
        if row.training_flops > 0 and "sims=" in options:
            budget = options.partition("sims=")[2].partition("&")[0]
            if not budget.isdecimal():
                continue
            point = [round(math.log10(row.training_flops), 3), round(row.elo)]
            by_budget.setdefault(budget, []).append(point)
    series = [
        {"type": "scatter", "name": f"{budget} simulations", "data": sorted(points),
         "symbolSize": 8, "color": SERIES[number % len(SERIES)]}
        for number, (budget, points) in enumerate(
            sorted(by_budget.items(), key=lambda item: int(item[0]))
        )
    ]  # fmt: skip
    return {
        "animation": False,
        "legend": {"bottom": 0},
        "grid": {"left": 56, "right": 16, "top": 16, "bottom": 56},
        "tooltip": {},
        "xAxis": {"type": "value", "scale": True, "name": "log₁₀ FLOPs", "nameLocation": "middle",
                  "nameGap": 24, "splitLine": {"show": False}},
        "yAxis": {"type": "value", "scale": True, "splitLine": GRID},
        "series": series,
    }  # fmt: skip


def _matrix_chart(rows: list[tables.Row], state: LadderState, fit: GoodnessOfFit) -> dict[str, Any]:
    """Returns the options of a square with every pairing twice, seen from each player."""
    ranks = {row.player: row.rank for row in rows}
    names = [entry.spec for entry in state.entries]
    cells = []
    for pairing in fit.pairings:
        for a, b, sign in ((pairing.i, pairing.j, 1), (pairing.j, pairing.i, -1)):
            observed, expected = (
                score if sign > 0 else 1 - score for score in (pairing.observed, pairing.expected)
            )
            cells.append(
                {
                    "value": [ranks[names[b]] - 1, ranks[names[a]] - 1, observed - expected],
                    "name": f"{names[a]} against {names[b]}: {observed:.0%} of {pairing.games} "
                    f"games, expected {expected:.0%}",
                }
            )
    axis = {
        "type": "category",
        "data": [row.rank for row in rows],
        "axisLabel": {"interval": len(rows) // 12},
        "splitLine": {"show": False},
    }
    return {
        "animation": False,
        "grid": {"left": 40, "right": 8, "top": 32, "bottom": 64},
        # Names of players come from the folder: drawn as text, they cannot be HTML.
        "tooltip": {"renderMode": "richText", "formatter": "{b}", "confine": True},
        "xAxis": {**axis, "position": "top"},
        "yAxis": {**axis, "inverse": True},
        "visualMap": {
            "min": -FULL_COLOR,
            "max": FULL_COLOR,
            "calculable": False,
            "orient": "horizontal",
            "left": "center",
            "bottom": 0,
            "precision": 2,
            "text": ["more", "less"],
            "inRange": {"color": [SERIES[0], BETWEEN, SERIES[1]]},
        },
        "series": [{"type": "heatmap", "data": cells, "progressive": 0}],
    }


def _cells(row: tables.Row) -> dict[str, Any]:
    return {
        "rank": row.rank,
        "player": row.player,
        "elo": round(row.elo),
        "interval": f"{row.low:.0f} to {row.high:.0f}".replace("-", "−"),
        "games": row.games,
        "score": f"{row.score:.1%}",
        "training": raised(power_of_ten(row.training_flops)),
        "move": raised(power_of_ten(row.flops_per_move)),
    }


def _changed(folder: Path) -> tuple[float, ...]:
    """Returns when a ladder's games last changed; new ones are in the file's log at first."""
    path = folder / database.FILE
    files = (path, path.with_name(f"{path.name}-wal"), folder / game_table.HEADER)
    return tuple(file.stat().st_mtime for file in files if file.exists())


def _rated(folder: Path, changed: tuple[float, ...]) -> LadderState:
    """Rates a ladder, once for each state of its games, however many visitors ask."""
    with _COMPUTING:
        return _rated_once(folder, changed)


def _tested(folder: Path, changed: tuple[float, ...]) -> GoodnessOfFit:
    """Compares every pairing of a ladder with what all other games predict."""
    with _COMPUTING:
        return _tested_once(folder, changed)


@lru_cache(maxsize=8)
def _rated_once(folder: Path, changed: tuple[float, ...]) -> LadderState:
    path = folder / database.FILE
    return game_table.read(path if path.exists() else folder).rate()


@lru_cache(maxsize=8)
def _tested_once(folder: Path, changed: tuple[float, ...]) -> GoodnessOfFit:
    return model_fit.test(_rated_once(folder, changed))
