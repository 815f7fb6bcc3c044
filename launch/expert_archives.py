"""Makes and shows archives of expert games: the work of launch/experts.py."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

import games
from games.game import Game
from selfplay.experts import archive_plot, summary
from selfplay.experts.archive import ExpertArchive, read_manifest
from selfplay.experts.building import Built
from selfplay.experts.building import Progress as Report
from selfplay.runs.files import write_bytes

FOLDER = Path("experts")  # of an archive that is given by its name alone
PLOT = "inspect.png"
SECONDS = 30.0  # between two lines of progress

Build = Callable[[str, Game, Report], Built]
"""``build(name, game, progress)`` writes an archive of a game, whose full name is `name`."""


class Bar:
    """Shows the progress of an archive: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console, self._last_line = console, time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._progress.disable = not console.is_terminal
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """Shows that `done` of `total` parts of a step are done."""
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done)
        if self._progress.disable and time.monotonic() - self._last_line > SECONDS:
            self._console.print(f"{step}: {done:,} of {total:,}")
            self._last_line = time.monotonic()

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


def make(game_name: str, out: Path, build: Build, console: Console) -> None:
    """Builds the archive and prints how many games were kept and left out."""
    name = full_name(game_name)
    game = games.make(name)
    started = time.monotonic()
    with Bar(console) as bar:
        manifest, existed = build(name, game, bar)
    seconds = time.monotonic() - started
    console.print(summary.source_counts(manifest))
    speed = f"in {seconds:.1f} s: {manifest['positions'] / seconds:,.0f} positions/s"
    console.print(
        f"{out}: {manifest['kept']:,} games, {manifest['positions']:,} positions "
        + ("(complete before; nothing was done)" if existed else speed)
    )


def show(name: Path, console: Console) -> None:
    """Prints an archive's tables and writes its plot."""
    folder = name if name.exists() or len(name.parts) > 1 else FOLDER / name
    experts = ExpertArchive(folder)
    console.print(summary.source_counts(read_manifest(folder)))
    for table in summary.tables(experts):
        console.print(table)
    write_bytes(folder / PLOT, archive_plot.to_png(experts))
    console.print(f"digest {experts.digest}; the plot is in {folder / PLOT}")


def full_name(text: str) -> str:
    """Returns a game's name as the registry reads it: "go9x9" is short for "go?size=9"."""
    short = re.fullmatch(r"go(\d+)x(\d+)", text)
    if short and short[1] != short[2]:
        raise ValueError(f"{text}: Go is played on square boards here; write go9x9")
    return f"go?size={short[1]}" if short else text
