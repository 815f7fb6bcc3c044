"""Games that can be replayed: those of a player on a ladder, and those of self-play."""

from __future__ import annotations

from typing import Any

from nicegui import ui

import games
from games import plugins
from games.game import Game
from selfplay.ladder import database
from selfplay.ladder.database import StoredGame
from selfplay.runs.run import read_config
from selfplay.serve.web import boards, self_played
from selfplay.serve.web.boards import Marks
from selfplay.serve.web.frame import button, frame, heading
from selfplay.serve.web.live_game import LiveGame
from selfplay.serve.web.places import UNREADABLE, Places, named

RESULTS = {1: "1–0", -1: "0–1", 0: "½–½"}
SHOW = """
<q-td :props="props"><button class="link" @click.stop="$parent.$emit('show', props.row.number)">
{{ props.value }}</button></q-td>
"""
MOST = 1_000  # games in a table


def of_ladder(places: Places, ladder: str, player: str) -> None:
    """Draws the games of a player on a ladder."""
    with frame("Ladders"):
        try:
            folder = named(places.ladders, ladder)
            path = folder / database.FILE
            with plugins.stored_in(folder):
                game = games.make(database.settings(path)["game"])
            stored = database.games_of(path, player, MOST)
        except UNREADABLE as error:
            ui.label(str(error))
            return
        heading(player)
        newest = "the newest " if len(stored) == MOST else ""
        ui.label(f"{newest}{len(stored):,} games on {ladder}").classes("pale figure")
        _draw(game, stored, {"first": "first", "second": "second"})


def of_run(places: Places, run: str) -> None:
    """Draws the newest games of a run's self-play."""
    with frame("Runs"):
        try:
            folder = named(places.runs, run)
            with plugins.stored_in(folder):
                game = games.make(read_config(folder)["game"])
            iteration, stored = self_played.newest(folder)
        except UNREADABLE as error:
            ui.label(str(error))
            return
        heading(run)
        note = f"{len(stored):,} games of iteration {iteration} that began at the first move"
        ui.label(note).classes("pale figure")
        _draw(game, stored, {"first": "played by"})


def _draw(game: Game, stored: list[StoredGame], players: dict[str, str]) -> None:
    """Draws the game that is replayed, and the table from which another is chosen.

    `players` are the columns that name them, with their titles.
    """
    if not stored:
        return
    by_number = {each.number: each for each in stored}
    with ui.element("div").classes("columns"):
        with ui.element("section").classes("stack"):
            replay = Replay(LiveGame(game))
            replay.build()
        table = ui.table(
            columns=_columns({**players, "result": "result", "plies": "moves"}),
            rows=[_row(each) for each in stored],
            row_key="number",
            pagination=20,
        )
        table.classes("w-full figure").props("flat dense wrap-cells")
        table.add_slot("body-cell-result", SHOW)  # rows cannot be reached by keyboard

    def chosen(number: Any) -> None:
        if number in by_number:
            replay.show(by_number[number])

    table.on("rowClick", lambda event: chosen(event.args[1]["number"]))
    table.on("show", lambda event: chosen(event.args))
    replay.show(stored[0])


class Replay:
    """A board with a slider over the moves of a game."""

    def __init__(self, live: LiveGame) -> None:
        self._live, self._plies = live, 0

    def build(self) -> None:
        """Draws the board and the slider."""
        self._players = ui.label().classes("status").style("overflow-wrap: anywhere")
        self._board = ui.html("", sanitize=False).style("width: 100%")
        self._text = ui.label().classes("pale figure").props('role="status"')
        self._slider = ui.slider(min=0, max=0, step=1, on_change=lambda: self._draw())
        self._slider.props('aria-label="move"')
        with ui.element("div").classes("row"):
            button("Back", lambda: self._go(-1))
            button("Forward", lambda: self._go(1))

    def _go(self, moves: int) -> None:
        at = int(self._slider.value or 0) + moves
        self._slider.set_value(min(max(at, 0), self._plies))

    def show(self, stored: StoredGame) -> None:
        """Replays another game from its start to its end."""
        self._live = LiveGame(self._live.game)
        try:
            for action in stored.moves:
                self._live.play(action)
        except ValueError as error:  # a file that no game of ours wrote
            ui.notify(f"this game cannot be replayed further: {error}")
        self._plies = len(self._live.actions)
        players = dict.fromkeys((stored.first, stored.second))  # in self-play they are the same
        self._players.set_text(f"{' – '.join(players)}: {_result(stored)}")
        self._slider.props(f"max={self._plies}")
        self._slider.set_value(self._plies)
        self._draw()

    def _draw(self) -> None:
        at = int(self._slider.value or 0)
        self._live.redo(self._plies)
        names = self._live.names
        self._live.undo(self._plies - at)
        marks = Marks(last=self._live.last_cell)
        self._board.set_content(boards.draw(self._live.game, self._live.state, marks))
        last = f": {names[at - 1]}" if at else ""
        self._text.set_text(f"move {at} of {self._plies}{last}")


def _columns(titles: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "label": label, "field": name, "align": "left", "sortable": True}
        for name, label in titles.items()
    ]


def _result(stored: StoredGame) -> str:
    return "not rated" if stored.outcome is None else RESULTS.get(stored.outcome, "?")


def _row(stored: StoredGame) -> dict[str, Any]:
    return {
        "number": stored.number,
        "first": stored.first,
        "second": stored.second,
        "result": _result(stored),
        "plies": len(stored.moves),
    }
