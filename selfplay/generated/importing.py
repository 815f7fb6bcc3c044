"""The three ways to an archive: SGF records, games of a teacher, solved positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from games.game import Game
from games.go import Go, as_go
from selfplay.experts.building import Built, GameSource, Progress, build
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame, Rejected
from selfplay.experts.selection import SourceStats
from selfplay.experts.sgf import reader, sources
from selfplay.generated import teacher as teachers
from selfplay.generated import uci_positions
from selfplay.generated.config import Teacher
from selfplay.generated.journal import Journal


def import_sgf(
    folder: Path,
    name: str,
    game: Game,
    paths: Sequence[Path],
    filters: Filters,
    held_out: float,
    progress: Progress,
) -> Built:
    """Builds an archive from SGF records of Go in files and folders.

    Raises:
        ValueError: another game, a path that does not exist, or as for `build`.
    """
    go = as_go(game)
    if go is None:
        raise ValueError(f"SGF records are of go, not of {name!r}; write go9x9, or go?size=9")
    paths = sources.find(paths)
    stats = [SourceStats(str(path), sources.sha256(path)) for path in paths]
    recipe = {
        "made by": "import",
        "filters": filters.to_json(),
        "contents": sorted(source.sha256 for source in stats),
    }
    readers = [partial(_records, path, go) for path in paths]
    game_sources = [GameSource(*pair) for pair in zip(stats, readers, strict=True)]
    return build(folder, name, game, game_sources, recipe, held_out, filters, progress)


def _records(path: Path, game: Go) -> Iterator[ExpertGame | Rejected]:
    """Yields the games in a file, and why a record is rejected."""
    for line in sources.games_in(path):
        if isinstance(line, Rejected):
            yield line
            continue
        try:
            yield reader.read(line, game)
        except reader.InvalidRecord as error:
            yield Rejected(str(error))


def generate(
    folder: Path,
    name: str,
    game: Game,
    teacher: Teacher,
    held_out: float,
    processes: int,
    progress: Progress,
) -> Built:
    """Builds an archive of a teacher's games, including those of an interrupted call.

    Raises:
        ValueError: there is no perfect player of this game, or as for `build`.
    """
    teachers.check(game, teacher)
    settings = asdict(teacher)
    recipe = {"made by": "label", "teacher": settings}
    # A journal serves any number of games, because the first ones are the same.
    player = {name: value for name, value in settings.items() if name != "games"}
    journal = Journal(folder, {"game": name, "teacher": player})
    play = partial(teachers.play, game, teacher, processes, progress)
    read = partial(journal.games, teachers.chunks(teacher), play)
    source = GameSource(SourceStats(teacher.spec), read)
    built = build(folder, name, game, [source], recipe, held_out, Filters(), progress)
    journal.remove()
    return built


def import_positions(
    folder: Path, name: str, game: Game, path: Path, held_out: float, progress: Progress
) -> Built:
    """Builds an archive of solved positions of Connect Four, from a file in the UCI layout.

    Raises:
        ValueError: another game, a file that cannot be read, or as for `build`.
    """
    uci_positions.check_game(game)
    stats = SourceStats(str(path), sources.sha256(path))
    recipe = {"made by": "positions", "contents": [stats.sha256]}
    source = GameSource(stats, partial(uci_positions.read, game, path))
    return build(folder, name, game, [source], recipe, held_out, Filters(), progress)
