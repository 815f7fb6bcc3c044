"""Rates a ladder again without playing, from its database or from its published table of games."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from rich.console import Console

from launch.ladder_options import Options
from launch.rating import write_ratings
from selfplay.command_line import near
from selfplay.ladder import database, game_table, rating_plot, tables
from selfplay.ladder.game_table import FOLDER
from selfplay.runs.files import check_writable
from selfplay.runs.run import CONFIG

USED = ("runs", "anchor", "out", "plain", "trust_imports")  # options that need no game to be played


def find(names: Sequence[str]) -> list[Path]:
    """Finds the ladders that a user names; [] if runs are named.

    Returns:
        Files ladder.db, or folders with tables of games: of a name that is one, or that is a
        ladder's or report's folder with published data.

    Raises:
        ValueError: some names are ladders, and others are not.
    """
    ladders = {name: _ladders_in(Path(name)) for name in names}
    others = [name for name, found in ladders.items() if not found]
    if len(others) < len(ladders) and others:
        stored = next(name for name, found in ladders.items() if found)
        raise ValueError(
            f"{stored} is a ladder, which is rated without playing, and {others[0]} is not: name "
            "one kind only"
        )
    return [path for found in ladders.values() for path in found]


def _ladders_in(path: Path) -> list[Path]:
    if path.name == database.FILE and path.is_file():
        return [path]
    if not path.is_dir() or (path / CONFIG).exists():
        return []
    if (path / database.FILE).exists():
        return [path / database.FILE]
    for folder in (path, path / FOLDER):
        if game_table.is_table(folder):
            return [folder]
        if several := sorted(file.parent for file in folder.glob(f"*/{game_table.HEADER}")):
            return several
    return []


def show(ladders: Sequence[Path], options: Options, console: Console) -> None:
    """Prints the ratings of ladders; with --out it writes them, their plots and tables of games.

    Raises:
        ValueError: an option that only a ladder in play has, or an anchor that is not on a ladder.
        CorruptedFile: a table is damaged.
    """
    kept = {name: getattr(options, name) for name in USED}
    plain = replace(Options(), **kept)
    for field in fields(Options):
        if getattr(options, field.name) != getattr(plain, field.name):
            flag = field.name.replace("_", "-")
            raise ValueError(
                f"--{flag} is for a ladder that plays, and {ladders[0]} is only rated again: leave "
                "it out, or name runs"
            )
    if options.out:
        check_writable(options.out)
    for path in ladders:
        table = game_table.read(path)
        if not table.entries:
            raise ValueError(f"{path} has no complete round of games yet")
        state = table.rate(options.anchor)
        anchor = state.entries[state.ratings.anchor].spec
        title = f"{table.game}, {rating_plot.labels([anchor])[anchor]} at 0 Elo"
        if anchor != table.anchor:
            text = f"0 Elo is {anchor} here; this ladder records {table.anchor}"
            console.print(text, markup=False)
        console.print(tables.table(state, title, console.width))
        if options.out:
            name = path.parent.name if path.name == database.FILE else path.name
            folder = options.out / name if len(ladders) > 1 else options.out
            write_ratings(folder, title, state)
            game_table.write(table, folder / FOLDER)
            text = f"table, CSV, plot and games are in {near(folder)}"
            console.print(text, markup=False)
    if not options.out:
        console.print("--out FOLDER writes the table, a plot and the games", markup=False)
