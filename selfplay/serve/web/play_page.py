"""The page on which a visitor plays against a network, at a budget that he chooses."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any, Literal

from nicegui import events, run, ui

from games.notation import action_to_text
from selfplay.players.version import Version
from selfplay.serve.web import boards, networks, records
from selfplay.serve.web.boards import Marks
from selfplay.serve.web.frame import (
    button,
    chart,
    frame,
    hidden_heading,
    listen_to_boards,
    redraw,
)
from selfplay.serve.web.live_game import SIGN, LiveGame
from selfplay.serve.web.networks import Choice
from selfplay.serve.web.palette import GRID
from selfplay.serve.web.places import UNREADABLE
from selfplay.serve.web.thinking import (
    BUDGETS,
    Busy,
    Superseded,
    Thinkers,
    Thought,
    expected_line,
    has_truths,
    think,
    truths,
    values_of_moves,
)

Side = Literal["first", "second", "both", "watch"]
Overlay = Literal["none", "network", "search", "values", "truth"]
SIDES = {
    "first": "you begin",
    "second": "it begins",
    "both": "you move for both",
    "watch": "watch it play itself",
}
OVERLAYS: dict[Overlay, str] = {
    "none": "nothing",
    "network": "network's policy",
    "search": "search's policy",
    "values": "values of moves",
    "truth": "what perfect play makes of them",
}
CURVE = "value for the first player, move by move"
PACE = 0.6  # seconds between moves that are watched
RETRY = 1.0  # seconds after which a visitor asks again when too many are searching
SLOW = 3.0  # seconds after which the page says why it waits


@dataclass
class PlayPage:
    """One visitor's game, and what he has chosen.

    `build` makes the elements, and `_redraw` shows in them what has changed.
    """

    visitor: str
    thinkers: Thinkers
    choices: list[Choice]
    spec: str  # of the network that is played against
    version: Version
    match: LiveGame = field(init=False)
    side: Side = "first"
    budget: int = 64
    overlay: Overlay = "none"
    curve: dict[int, float] = field(default_factory=dict)  # by ply, for player 0
    thought: Thought | None = None  # of the position on the board
    _values: dict[int, float] = field(default_factory=dict)  # of the moves there, by action
    _truths: dict[int, str] = field(default_factory=dict)  # the same, by perfect play
    _versions: list[int] = field(default_factory=list)  # of the run that is played against
    _number: int = 0  # of the newest change; older answers are dropped
    _loads: int = 0  # of networks that were asked for; the newest one counts

    def __post_init__(self) -> None:
        self.match, self._versions = LiveGame(self.version.game), networks.versions(self.spec)

    def leave(self) -> None:
        """Stops the game of a visitor who has closed the page."""
        self._number += 1
        self._loads += 1
        self.thinkers.forget(self.visitor)

    def build(self) -> None:
        """Draws the page."""
        listen_to_boards()
        ui.on("move", self._chosen)
        with frame("Play"), ui.element("div").classes("columns"):
            hidden_heading("Play")
            with ui.element("section").classes("stack"):
                self._status = ui.label().classes("status").props('role="status"')
                self._board = ui.html("", sanitize=False).style("width: 100%")
                with ui.element("div").classes("row"):
                    button("Undo", self._undo)
                    button("Redo", self._redo)
                    button("Hint", self._hint)
                    button("Resign", self._resign)
                    button("New game", self._new, main=True)
                    self._others = ui.element("div").classes("row")
            with ui.element("section").classes("stack"):
                self._build_choices()
                self._build_thoughts()
        self._show_versions()
        self._redraw()

    def _build_choices(self) -> None:
        with ui.element("div").classes("panel stack"):
            self._network = ui.select(
                networks.titles(self.choices),
                value=self.spec,
                label="network",
                on_change=self._change_network,
            )
            self._network.classes("w-full").props("outlined dense")
            self._version_text = ui.label()
            self._version = ui.slider(min=0, max=0, step=1, on_change=self._change_version)
            self._version.props('snap markers aria-label="version"')
            self._sides = ui.select(
                SIDES, value=self.side, label="sides", on_change=self._change_side
            )
            self._sides.classes("w-full").props("outlined dense")
            self._komi = ui.number(label="komi", step=0.5, on_change=self._change_komi)
            self._komi.classes("w-full").props("outlined dense debounce=600")
            self._budget_text = ui.label()
            self._budget = ui.slider(
                min=0,
                max=len(BUDGETS) - 1,
                step=1,
                value=BUDGETS.index(self.budget),
                on_change=self._change_budget,
            )
            self._budget.props("snap markers")
            self._cost_text = ui.label().classes("pale figure")

    def _build_thoughts(self) -> None:
        with ui.element("div").classes("panel stack"):
            self._overlays = ui.select(
                OVERLAYS,
                value=self.overlay,
                label="show on the board",
                on_change=self._change_overlay,
            )
            self._overlays.classes("w-full").props("outlined dense")
            self._value_text = ui.label().classes("figure")
            self._line_text = ui.label().classes("pale figure")
            self._chart = chart(_chart({}), "180px", CURVE)
        with ui.element("div").classes("panel stack"):
            ui.label("Moves").classes("pale")
            self._moves = ui.label().classes("figure")
            with ui.element("div").classes("row"):
                self._save = button("Save as SGF", self._download)
                self._open = (
                    ui.upload(
                        label="Open an SGF",
                        on_upload=self._upload,
                        auto_upload=True,
                        max_file_size=records.MOST,
                    )
                    .props("flat accept=.sgf")
                    .style("max-width: 220px")
                )

    def _redraw(self) -> None:
        match, game = self.match, self.match.game
        may_move = not self._is_network_to_move and not match.is_over
        legal = match.legal if may_move else []
        shown = self._overlaid()
        self._board.set_content(
            boards.draw(game, match.state, Marks(legal, match.last_cell, *shown))
        )
        self._version_text.set_visibility(bool(self._versions))
        self._version.set_visibility(bool(self._versions))
        self._komi.set_visibility(game.komi is not None)
        self._komi.set_value(game.komi)
        cells = boards.cells(game, match.state)
        self._others.clear()
        with self._others:
            for action in legal:
                if action not in cells:
                    name = action_to_text(game, action, match.state).capitalize()
                    button(name, lambda _, action=action: self._play(action))
        self._status.set_text(self._status_text())
        text = "the raw network" if not self.budget else f"{self.budget} simulations a move"
        self._budget_text.set_text(text.capitalize())
        self._budget.props["aria-label"] = f"search budget: {text}"
        self._cost_text.set_text(networks.cost(self.version, self.budget))
        names = match.names
        pairs = [" ".join(names[i : i + 2]) for i in range(0, len(names), 2)]
        self._moves.set_text("  ".join(f"{i}. {pair}" for i, pair in enumerate(pairs, 1)) or "none")
        redraw(self._chart, _chart(self.curve), CURVE)
        overlays = {key: text for key, text in OVERLAYS.items() if key != "truth"}
        self._overlays.set_options(OVERLAYS if has_truths(game) else overlays)
        has_sgf = records.can_write(game)
        self._save.set_visibility(has_sgf)
        self._open.set_visibility(records.can_read(game))

    def _overlaid(self) -> tuple[dict[int, float], dict[int, float], dict[int, str]]:
        """Returns the shares, the values and the words that the board shows."""
        thought = self.thought
        if self.match.is_over or thought is None or self.overlay == "none":
            return {}, {}, {}
        if self.overlay in ("values", "truth"):
            return {}, self._values, self._truths
        policy = thought.prior if self.overlay == "network" else thought.policy
        return {a: float(policy[a]) for a in self.match.legal}, {}, {}

    @property
    def _is_network_to_move(self) -> bool:
        if self.match.is_over or self.side == "both":
            return False
        return self.side == "watch" or (self.match.player == 0) != (self.side == "first")

    def _status_text(self) -> str:
        """Says who is to move, or how the game ended, and the last move for those who hear it."""
        match = self.match
        last = f" (last move {match.names[-1]})" if match.actions else ""
        if match.is_over or self.side in ("watch", "both"):
            return match.result_text() + last
        who = "the network is thinking" if self._is_network_to_move else "your move"
        return f"{match.result_text()}: {who}{last}"

    async def _chosen(self, event: events.GenericEventArguments) -> None:
        """Plays on the cell that a visitor has chosen."""
        if isinstance(event.args, int) and not isinstance(event.args, bool):
            await self._play(event.args)

    async def _play(self, action: int) -> None:
        if self._is_network_to_move:
            return
        try:
            self.match.play(action)
        except ValueError as error:
            ui.notify(str(error))
            return
        await self._continue()

    async def _continue(self) -> None:
        """Redraws after a change; plays the network's moves, and thinks for what is shown."""
        self._number += 1
        number, self.thought, self._values, self._truths = self._number, None, {}, {}
        plies = len(self.match.actions)
        self.curve = {ply: value for ply, value in self.curve.items() if ply <= plies}
        self._value_text.set_text("")
        self._line_text.set_text("")
        self._redraw()
        while self._is_network_to_move:
            thought = await self._ask(think, self.version, self.match.state, self.budget)
            if thought is None or number != self._number:
                return
            self._note(thought)
            self.match.play(thought.action)
            self._redraw()
            if self.side == "watch":
                await asyncio.sleep(PACE)
                if number != self._number:
                    return
        if not self.match.is_over and self.overlay != "none":
            await self._think_aloud(number)

    async def _think_aloud(self, number: int) -> None:
        """Thinks about the position on the board, and shows it."""
        version, state, overlay = self.version, self.match.state, self.overlay
        words = await self._ask(truths, version.game, state) if overlay == "truth" else None
        thought = await self._ask(think, version, state, self.budget)
        values = await self._ask(values_of_moves, version, state) if overlay == "values" else None
        if thought is None or number != self._number:
            return
        self.thought, self._values, self._truths = thought, values or {}, words or {}
        self._note(thought)
        self._redraw()

    async def _hint(self) -> None:
        """Shows the move that the network would play, and the line that it expects."""
        if self.match.is_over or self._is_network_to_move:
            return
        number, version, state = self._number, self.version, self.match.state
        if self.thought is None:
            await self._think_aloud(number)
        if self.thought is None or number != self._number:
            return
        first = self.thought.action
        ui.notify(f"it would play {action_to_text(version.game, first, state)}")
        line = await self._ask(expected_line, version, state, first, min(self.budget, 64))
        if line and number == self._number:
            expected = LiveGame.at(version.game, state)
            for action in line:
                expected.play(action)
            self._line_text.set_text("expects " + " ".join(expected.names))

    async def _ask(self, task: Any, *arguments: Any) -> Any:
        """Computes something, as soon as there is room; None if it is not needed any more."""
        number = self._number
        slow = asyncio.get_running_loop().call_later(SLOW, self._say_slow)
        try:
            while number == self._number:
                try:
                    return await self.thinkers.run(self.visitor, task, *arguments)
                except Busy as error:
                    self._status.set_text(f"{error}; yours is next when there is room …")
                    await asyncio.sleep(RETRY)
        except Superseded:  # a newer request, which has its own answer
            pass
        except ValueError as error:  # there is no perfect player
            ui.notify(str(error))
        finally:
            slow.cancel()
            if number == self._number:
                self._status.set_text(self._status_text())
        return None

    def _say_slow(self) -> None:
        self._status.set_text("waiting; a budget's search compiles when it is first used …")

    def _note(self, thought: Thought) -> None:
        """Writes a thought's value, for the first player, into the curve and below it."""
        match = self.match
        value = SIGN[match.player] * thought.value
        self.curve[len(match.actions)] = round(value, 3)
        name = match.game.player_names[0]
        shown = f"{value:+.2f}".replace("-", "−")
        self._value_text.set_text(f"value for {name}: {shown} (from −1 to +1)")

    async def _undo(self) -> None:
        """Takes back the visitor's last move, and the network's answer if it has come."""
        self.match.undo()
        if self._is_network_to_move and self.side != "watch":
            self.match.undo()
        if self.side == "watch":  # and stop, or it would move again
            self._number += 1
            self._redraw()
        else:
            await self._continue()

    async def _redo(self) -> None:
        self.match.redo(1 if self.side == "both" else 2)
        await self._continue()

    async def _resign(self) -> None:
        if not self._is_network_to_move:
            self.match.resign()
            await self._continue()

    async def _new(self) -> None:
        self.match, self.curve = LiveGame(self.version.game), {}
        await self._continue()

    async def _change_network(self, event: events.ValueChangeEventArguments) -> None:
        """Plays against another network, on the same position if it plays the same game."""
        if event.value == self.spec:
            return
        version = await self._load(event.value)
        if version is None:
            return
        self.spec, self.version, self._versions = (
            event.value,
            version,
            networks.versions(event.value),
        )
        is_same_game = self._fit_komi()
        self._show_versions()
        if is_same_game:
            await self._continue()
        else:
            await self._new()

    def _show_versions(self) -> None:
        """Lets the slider reach from the run's first version to its newest one."""
        if self._versions:
            self._version.props(f"max={len(self._versions) - 1}")
            self._version.set_value(len(self._versions) - 1)
            self._version_text.set_text(f"version {self._versions[-1]}")

    async def _change_version(self, event: events.ValueChangeEventArguments) -> None:
        """Plays against another version of the same run, on the same position."""
        if not self._versions or self.version.number == self._versions[int(event.value)]:
            return
        number = self._versions[int(event.value)]
        version = await self._load(f"{self.version.name.rpartition('@')[0]}@{number}")
        if version is None:
            return
        self.version = version
        self._fit_komi()
        self._version_text.set_text(f"version {number}")
        await self._continue()

    async def _load(self, spec: str) -> Version | None:
        """Loads a network; None if that fails, or another one was asked for meanwhile."""
        self._loads += 1
        number = self._loads
        try:
            version = await run.io_bound(networks.load, spec)
        except UNREADABLE as error:
            if number == self._loads:
                ui.notify(str(error))
                self._network.set_value(self.spec)
                if self.version.number in self._versions:
                    self._version.set_value(self._versions.index(self.version.number))
            return None
        return version if number == self._loads else None

    def _fit_komi(self) -> bool:
        """Gives the version the komi of the game on the board; False if it plays another game."""
        if self.match.game.komi is not None:
            with contextlib.suppress(ValueError):  # another game, or too high for its board
                fitted = self.version.with_game_options(komi=self.match.game.komi)
                if fitted.game == self.match.game:
                    self.version = fitted
        return self.version.game == self.match.game

    async def _change_komi(self, event: events.ValueChangeEventArguments) -> None:
        """Begins a new game with another komi."""
        if event.value is None or event.value == self.version.game.komi:
            return
        try:
            self.version = self.version.with_game_options(komi=float(event.value))
        except ValueError as error:
            ui.notify(str(error))
            self._komi.set_value(self.version.game.komi)
            return
        await self._new()

    async def _change_side(self, event: events.ValueChangeEventArguments) -> None:
        self.side = event.value
        await self._continue()

    async def _change_budget(self, event: events.ValueChangeEventArguments) -> None:
        self.budget = BUDGETS[int(event.value)]
        await self._continue()

    async def _change_overlay(self, event: events.ValueChangeEventArguments) -> None:
        self.overlay = event.value
        await self._continue()

    def _download(self) -> None:
        ui.download(records.write(self.match), "game.sgf")

    async def _upload(self, event: events.UploadEventArguments) -> None:
        try:
            if event.file.size() > records.MOST:
                raise ValueError(f"it has more than {records.MOST} bytes")
            text = await event.file.read()
            match = await run.io_bound(records.read, self.version.game, text)
        except ValueError as error:
            ui.notify(f"this record cannot be played: {error}")
            return
        if match is None:  # the process is ending
            return
        self.match = match
        self._fit_komi()
        self.side, self.curve = "both", {}
        self._sides.set_value("both")
        await self._continue()


def _chart(curve: dict[int, float]) -> dict[str, Any]:
    """Returns the options of the value curve."""
    return {
        "animation": False,
        "grid": {"left": 34, "right": 10, "top": 12, "bottom": 26},
        "xAxis": {
            "type": "value",
            "minInterval": 1,
            "min": 0,
            "splitLine": {"show": False},
        },
        "yAxis": {"type": "value", "min": -1, "max": 1, "interval": 1, "splitLine": GRID},
        "tooltip": {"trigger": "axis"},
        "series": [
            {
                "type": "line",
                "data": [list(point) for point in sorted(curve.items())],
                "symbolSize": 5,
                "lineStyle": {"width": 2},
                "color": "#0072b2",
                "name": "value",
            }
        ],
    }
