"""Import expert games, generate them, and show what an archive of them holds.

    python launch/experts.py import go9x9 games.sgf.gz folder/ --out experts/go --min-rank 1d
    python launch/experts.py generate connect_four --games 2000 --blunder 0.2 --out experts/c4
    python launch/experts.py positions connect_four values.csv.gz --out experts/solved
    python launch/experts.py inspect experts/go

The same contents and options give the same bytes, and an archive is written completely or not at
all. If `generate` is interrupted, the same command continues with the games it has played.
"""

from __future__ import annotations

import gc
import signal
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli
from selfplay.experts.filters import Filters
from selfplay.generated.config import Teacher

if TYPE_CHECKING:
    from games.game import Game
    from selfplay.experts.building import Built, Progress

GameName = Annotated[str, cli.Positional]


@dataclass(frozen=True)
class Import(cli.Trust):
    """Import SGF records of Go: files, folders, .zip, .gz; games left out are counted by reason."""

    game: GameName
    """The game, such as go9x9, or "go?size=9&komi=7" (komi: for records that give none)."""
    files: Annotated[tuple[Path, ...], cli.Positional]
    """Files and folders."""
    out: Path
    """The archive's folder."""
    held_out: float = 0.05
    """Fraction of the games on which the network is evaluated instead of trained."""
    filters: Annotated[Filters, cli.Inline] = field(default_factory=Filters)


@dataclass(frozen=True)
class Generate(cli.Trust):
    """Play games of a perfect player who blunders at times (connect_four: the solver extra)."""

    game: GameName
    """The game, such as connect_four or tic_tac_toe."""
    out: Path
    """The archive's folder."""
    held_out: float = 0.05
    """Fraction of the games on which the network is evaluated instead of trained."""
    teacher: Annotated[Teacher, cli.Inline] = field(default_factory=Teacher)
    processes: int = field(default_factory=cli.cores)
    """Processes that play; the games do not depend on their number."""


@dataclass(frozen=True)
class Positions(cli.Trust):
    """Import solved positions of Connect Four in the UCI layout: they teach values only."""

    game: GameName
    """The game: connect_four is the only one."""
    file: Annotated[Path, cli.Positional]
    """The file, plain or .gz."""
    out: Path
    """The archive's folder."""
    held_out: float = 0.05
    """Fraction of the positions on which the network is evaluated instead of trained."""


@dataclass(frozen=True)
class Inspect(cli.Trust):
    """Show what an archive holds: games, positions, strength, results, openings, and a plot."""

    archive: Annotated[Path, cli.Positional]
    """Its folder, or its name in experts/."""


Making: TypeAlias = Import | Generate | Positions
"""Options of the commands that write an archive."""


def main() -> None:
    """Makes an archive of expert games, or shows what one holds."""
    options: Making | Inspect = cli.parse(
        Import | Generate | Positions | Inspect,
        "experts",
        __doc__,
        config=(cli.FlagCreatePairsOff,),
    )
    gc.set_threshold(100_000)  # games are many small objects without cycles: saves a fifth of time

    from rich.console import Console

    from launch import expert_archives

    console = Console(soft_wrap=False, highlight=False, markup=False)  # names may hold brackets
    if isinstance(options, Inspect):
        expert_archives.show(options.archive, console)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as cleanly as Ctrl-C
    try:
        expert_archives.make(options.game, options.out, partial(build, options), console)
    except KeyboardInterrupt:
        console.print("interrupted; the same command makes the archive")
        raise SystemExit(130) from None


def build(options: Making, name: str, game: Game, progress: Progress) -> Built:
    """Writes the archive that the options describe; `name` is the game's full name."""
    from selfplay.generated import importing

    out, held_out = options.out, options.held_out
    if isinstance(options, Import):
        if not options.files:
            raise ValueError("no file to import; name SGF files, folders, .zip or .gz")
        files, filters = options.files, options.filters
        return importing.import_sgf(out, name, game, files, filters, held_out, progress)
    if isinstance(options, Generate):
        processes = options.processes
        if processes < 1:
            raise ValueError(f"--processes must be at least 1, got {processes}")
        teacher = options.teacher
        return importing.generate(out, name, game, teacher, held_out, processes, progress)
    return importing.import_positions(out, name, game, options.file, held_out, progress)


if __name__ == "__main__":
    cli.run_command(main)
