"""The folders that the page may show, by name: nothing else on the disk can be named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from selfplay.ladder import database, game_table
from selfplay.players.version import SUFFIX
from selfplay.runs.run import CONFIG
from selfplay.study.folder import STUDY

DEPTH = 3  # folders below a given one that are looked into
UNREADABLE = (ValueError, OSError, KeyError, TypeError)  # what damaged files raise
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
        found = cls({}, {}, {}, {})
        for path in given:
            if path.is_file() and path.suffix == SUFFIX:
                found.files[path.stem] = path.resolve()
            elif path.is_dir():
                name = path.resolve().name
                is_taken = any(each.partition("/")[0] == name for each in found._names())
                found._look(path.resolve(), str(path) if is_taken else name, DEPTH)
            else:
                raise ValueError(f"{path} is neither a folder nor an exported {SUFFIX} file")
        return found

    def _names(self) -> list[str]:
        return [*self.runs, *self.ladders, *self.studies]

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
