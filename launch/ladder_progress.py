"""The live view of a ladder: a table and a line on a terminal, a plain line per round elsewhere."""

import signal
import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from launch import cli
from launch.progress import clock
from selfplay.ladder import tables
from selfplay.ladder.database import Pairing
from selfplay.ladder.ladder import LadderState
from selfplay.ladder.match import GameResult

ENDINGS = (signal.SIGINT, signal.SIGTERM)
QUIET = ("", "resigned")  # ends of games that are not printed


class Watcher:
    """Shows a ladder while its games are played; a context manager."""

    def __init__(self, title: str, console: Console, plain: bool) -> None:
        self._title, self._console = title, console
        self._started = time.monotonic()
        self._games = self._rated = 0  # games of this call; of them, those in the state
        self._printed: set[str] = set()  # reasons of failures, each printed once
        self._state: LadderState | None = None
        self._table: list[Table] = []
        self._handlers: dict[int, Any] = {}  # of signals, as they were before `catch`
        live = console.is_terminal and not plain
        look: dict[str, Any] = {"get_renderable": self._view, "refresh_per_second": 2}
        self._live = Live(console=console, transient=True, **look) if live else None

    def played(self, pairing: Pairing, games: list[GameResult]) -> None:
        """Shows that a pairing's games are stored."""
        self._games += len(games)
        for reason in sorted({game.reason for game in games if game.reason not in QUIET}):
            if reason not in self._printed:
                self._printed.add(reason)
                self._console.print(reason, markup=False)
        self._show()

    def round(self, state: LadderState) -> None:
        """Shows the ratings after a round."""
        self._state, self._rated = state, self._games
        if self._live and state.rounds:
            table = tables.table(state, self._title, self._console.width)
            table.caption = None  # printed below the final table
            fits = len(self._console.render_lines(table)) < self._console.height - 2
            self._table = [table] if fits else []  # the line below it must stay visible
        if not self._live and state.rounds:
            self._console.print(self._line())
        self._show()

    def catch(self) -> None:
        """Lets Ctrl-C and SIGTERM end the ladder with its table, until this view is left."""
        for number in ENDINGS:
            self._handlers[number] = signal.signal(number, self.stop)

    def stop(self, *_: object) -> None:
        """Handles Ctrl-C and SIGTERM: lets the matches in play end, and starts no others."""
        for number in ENDINGS:
            signal.signal(number, signal.SIG_DFL)
        self._console.print("the matches in play are finished first; a second signal stops at once")
        raise KeyboardInterrupt

    def _view(self) -> Group:
        """Returns what a terminal shows: the table if there is room, and one line."""
        words = self._line() if self._games else "the first matches are being compiled and played"
        line = f"{clock(time.monotonic() - self._started)}  {words}"
        return Group(*self._table, Text(line, no_wrap=True, overflow="ellipsis"))

    def _line(self) -> str:
        state = self._state
        if not state:
            return f"{self._games:,} games"
        games = len(state.recorded) + self._games - self._rated
        rounds = state.rounds + (self._games > self._rated)  # with the one that is being played
        done = f"round {rounds}: {games:,} games, {self.rate:.1f} games/s"
        return f"{done}, largest standard error {state.max_stderr:.0f} Elo"

    @property
    def rate(self) -> float:
        """Returns the games a second since the start, compilation included."""
        return self._games / (time.monotonic() - self._started)

    @property
    def summary(self) -> str:
        """Returns how many games this call has played, and how long that took."""
        seconds = time.monotonic() - self._started
        return f"{self._games:,} games in {cli.duration(seconds)}, {self.rate:.1f} games/s"

    def _show(self) -> None:
        if self._live:
            self._live.refresh()

    def __enter__(self) -> "Watcher":
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._live:
            self._live.stop()
