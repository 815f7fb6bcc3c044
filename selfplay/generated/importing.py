"""The three ways to an archive: SGF records, a teacher's games, solved positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from games.game import Game
from games.go import Go
from selfplay.experts.building import Progress, build
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame, LeftOut
from selfplay.experts.selection import Account
from selfplay.experts.sgf import reader, sources
from selfplay.generated import teacher
from selfplay.generated.config import Teacher
from selfplay.generated.journal import Journal

Built = tuple[dict[str, Any], bool]
"""An archive's manifest, and True if it was there before."""


def import_sgf(
    folder: Path,
    name: str,
    game: Game,
    paths: Sequence[Path],
    filters: Filters,
    held_out: float,
    progress: Progress,
) -> Built:
    """Records of Go, from files and folders.

    Raises:
        ValueError: another game, a path that does not exist, or as `build`.
    """
    if not isinstance(game, Go):
        raise ValueError(f"SGF records are read of go, not of {name!r}; write go9x9, or go?size=9")
    files = sources.find(paths)
    accounts = [Account(str(path), sources.sha256(path)) for path in files]
    recipe = {
        "made by": "import",
        "filters": filters.to_json(),
        "contents": sorted(account.sha256 for account in accounts),
    }
    readers = [partial(_records, path, game) for path in files]
    given = list(zip(accounts, readers, strict=True))
    return build(folder, name, game, given, recipe, held_out, filters, progress)


def _records(path: Path, game: Go) -> Iterator[ExpertGame | str]:
    """The file's games; where there is none, the reason."""
    for line in sources.games_in(path):
        try:
            yield line if isinstance(line, str) else reader.read(line, game)
        except LeftOut as reason:
            yield str(reason)


def label(
    folder: Path,
    name: str,
    game: Game,
    how: Teacher,
    held_out: float,
    processes: int,
    progress: Progress,
) -> Built:
    """Games of a teacher, played in so many processes; those of an interrupted call are not lost.

    Raises:
        ValueError: there is no perfect player of this game, or as `build`.
    """
    teacher.check(game, how)
    recipe = {"made by": "label", "teacher": asdict(how)}
    player = {k: v for k, v in asdict(how).items() if k != "games"}  # more of them: the same first
    journal = Journal(folder, {"game": name, "teacher": player})
    play = partial(teacher.play, game, how, processes, progress)
    source = Account(how.spec), partial(journal.games, teacher.chunks(how), play)
    built = build(folder, name, game, [source], recipe, held_out, Filters(), progress)
    journal.remove()
    return built


def import_positions(
    folder: Path, name: str, game: Game, path: Path, held_out: float, progress: Progress
) -> Built:
    """Solved positions of Connect Four, in the UCI layout.

    Raises:
        ValueError: another game, a file that cannot be read, or as `build`.
    """
    teacher.check_solved(game)
    account = Account(str(path), sources.sha256(path))
    recipe = {"made by": "positions", "contents": [account.sha256]}
    source = account, partial(teacher.positions, game, path)
    return build(folder, name, game, [source], recipe, held_out, Filters(), progress)
