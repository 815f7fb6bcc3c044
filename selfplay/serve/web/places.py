"""The folders that the page may show, by name: nothing else on the disk can be named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from selfplay.ladder import database, game_table
from selfplay.players.version import SUFFIX
from selfplay.runs.files import CorruptedFile
from selfplay.runs.run import CONFIG
from selfplay.study.folder import STUDY

DEPTH = 3  # folders below a given one that are looked into
# What damaged files raise.
UNREADABLE = (ValueError, OSError, KeyError, TypeError, AttributeError, CorruptedFile)
SKIPPED = ("checkpoints", "commits", "replay", "snapshots", "tensorboard", "logs", "report")


@dataclass(frozen=True)
class Places:
    """Runs, ladders, studies and exported networks, by the names that pages and links use."""

    runs: dict[str, Path]
    ladders: dict[str, Path]
    studies: dict[str, Path]
    files: dict[str, Path]

    @classmethod
    def find(cls, given: Iterable[Path]) -> Places:
        """Looks for runs, ladders and studies in folders, and up to `DEPTH` folders below them.

        Exported networks are given as files.

        Raises:
            ValueError: one of those given is neither a folder nor an exported network.
        """
        places = cls({}, {}, {}, {})
        taken = set[str]()
        for path in dict.fromkeys(each.resolve() for each in given):
            is_file = path.is_file() and path.suffix == SUFFIX
            name = path.stem if is_file else path.name
            name = str(path) if name in taken else name  # another folder has the same name
            taken.add(name)
            if is_file:
                places.files[name] = path
            elif path.is_dir():
                places._look(path, name, DEPTH)
            else:
                raise ValueError(f"{path} is neither a folder nor an exported {SUFFIX} file")
        return places

    def _look(self, folder: Path, name: str, depth: int) -> None:
        if (folder / CONFIG).is_file():
            self.runs[name] = folder
        if (folder / database.FILE).is_file() or game_table.is_table(folder):
            self.ladders[name] = folder
        if (folder / STUDY).is_file():
            self.studies[name] = folder
        if not depth:
            return
        for child in sorted(folder.iterdir()):
            is_plain = child.is_dir() and not child.is_symlink() and child.name not in SKIPPED
            if is_plain and not child.name.startswith("."):
                self._look(child, f"{name}/{child.name}", depth - 1)


def named(places: dict[str, Path], name: str) -> Path:
    """Returns the folder of a name.

    Raises:
        ValueError: there is no such name here, whatever the disk has.
    """
    if name not in places:
        raise ValueError(f"there is no {name!r} here")
    return places[name]
