"""Import expert games, make them, and look at what an archive of them holds.

    python launch/experts.py import go9x9 games.sgf.gz folder/ --out experts/go --min-rank 1d
    python launch/experts.py label connect_four --games 2000 --blunder 0.2 --out experts/c4
    python launch/experts.py positions connect_four values.csv.gz --out experts/solved
    python launch/experts.py inspect experts/go

The same contents and options give the same bytes; an archive is there complete or not at all. Games
of a teacher that are played when `label` is interrupted are kept for the next time.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

import gc
import re
import signal
import time
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import games
from selfplay.experts import plot, summary
from selfplay.experts.archive import ExpertArchive, read_manifest
from selfplay.experts.filters import Filters
from selfplay.generated import importing
from selfplay.generated.teacher import Teacher
from selfplay.runs.files import write_bytes

FOLDER = Path("experts")  # where a name without a folder lies
PLOT = "inspect.png"
SECONDS = 30.0  # between two lines on how far the work is

Game = Annotated[str, tyro.conf.Positional]


@dataclass(frozen=True)
class Import:
    """Import SGF records of Go: files, folders, .zip, .gz; every game is kept or accounted for."""

    game: Game
    """The game, such as go9x9, or "go?size=9&komi=7" (komi: for records that tell none)."""
    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files and folders."""
    out: Path
    """The archive's folder."""
    held_out: float = 0.05
    """Share of the games to examine the network on."""
    filters: Annotated[Filters, tyro.conf.arg(name="")] = field(default_factory=Filters)


@dataclass(frozen=True)
class Label:
    """Play games of a perfect player who blunders at times (connect_four: the solver extra)."""

    game: Game
    """The game, such as connect_four or tic_tac_toe."""
    out: Path
    """The archive's folder."""
    held_out: float = 0.05
    """Share of the games to examine the network on."""
    teacher: Annotated[Teacher, tyro.conf.arg(name="")] = field(default_factory=Teacher)
    processes: int = field(default_factory=cli.cores)
    """Processes to play in; no game depends on it."""


@dataclass(frozen=True)
class Positions:
    """Import solved positions of Connect Four in the UCI layout: they teach values only."""

    game: Game
    """The game: connect_four is the only one."""
    file: Annotated[Path, tyro.conf.Positional]
    """The file, plain or .gz."""
    out: Path
    """The archive's folder."""
    held_out: float = 0.05
    """Share of the positions to examine the network on."""


@dataclass(frozen=True)
class Inspect:
    """Show what an archive holds: games, positions, strength, results, openings, and a plot."""

    archive: Annotated[Path, tyro.conf.Positional]
    """Its folder, or its name in experts/."""


def named_game(text: str) -> str:
    """The registry's text: go9x9 is short for go?size=9."""
    short = re.fullmatch(r"go(\d+)x(\d+)", text)
    if short and short[1] != short[2]:
        raise ValueError(f"{text}: Go is played on square boards here; write go9x9")
    return f"go?size={short[1]}" if short else text


class Bar:
    """Shows how far the work is: a bar on a terminal, elsewhere a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console, self._said = console, time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._progress.disable = not console.is_terminal
        self._tasks: dict[str, object] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """So much of this is done."""
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done)  # pyright: ignore
        if self._progress.disable and time.monotonic() - self._said > SECONDS:
            self._console.print(f"{what}: {done:,} of {total:,}")
            self._said = time.monotonic()

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()


def make(options: Import | Label | Positions, console: Console) -> None:
    """Build the archive, and say what has become of every game."""
    name = named_game(options.game)
    game = games.make(name)
    out, held_out = options.out, options.held_out
    began = time.monotonic()
    with Bar(console) as bar:
        if isinstance(options, Import):
            files = options.files
            if not files:
                raise ValueError("no file to import; name SGF files, folders, .zip or .gz")
            built = importing.import_sgf(out, name, game, files, options.filters, held_out, bar)
        elif isinstance(options, Label):
            if options.processes < 1:
                raise ValueError(f"--processes must be at least 1, got {options.processes}")
            how = options.teacher
            built = importing.generate(out, name, game, how, held_out, options.processes, bar)
        else:
            built = importing.import_positions(out, name, game, options.file, held_out, bar)
    manifest, was_there = built
    seconds = time.monotonic() - began
    console.print(summary.source_counts(manifest))
    speed = f"in {seconds:.1f} s: {manifest['positions'] / seconds:,.0f} positions/s"
    console.print(
        f"{out}: {manifest['kept']:,} games, {manifest['positions']:,} positions "
        + ("(complete before; nothing was done)" if was_there else speed)
    )


def show(name: Path, console: Console) -> None:
    """Print the tables and write the plot."""
    folder = name if name.exists() or len(name.parts) > 1 else FOLDER / name
    experts = ExpertArchive(folder)
    console.print(summary.source_counts(read_manifest(folder)))
    for table in summary.tables(experts):
        console.print(table)
    write_bytes(folder / PLOT, plot.to_png(experts))
    console.print(f"digest {experts.digest}; the plot is in {folder / PLOT}")


def main() -> None:
    """One of the four commands."""
    gc.set_threshold(100_000)  # games are many small objects in no cycles: a fifth of the time
    options = tyro.cli(
        Import | Label | Positions | Inspect,
        prog="launch/experts.py",
        description=cli.laid_out(__doc__),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    console = Console(soft_wrap=False, highlight=False, markup=False)  # names may hold brackets
    if isinstance(options, Inspect):
        show(options.archive, console)
    else:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as cleanly as Ctrl-C
        try:
            make(options, console)
        except KeyboardInterrupt:
            console.print("interrupted; the same command makes the archive")
            raise SystemExit(130) from None


if __name__ == "__main__":
    cli.guarded(main)
