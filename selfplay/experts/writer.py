"""Writing of an archive: rows as they come, then the table of games, and the manifest last.

Writes to a temporary folder that is renamed on completion, so an interrupted archive is never taken
for a complete one. Arrays grow on disk, so that memory holds one batch at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np

from selfplay.acting.episode import Rows
from selfplay.experts.archive import (
    FORMAT,
    GAMES,
    MANIFEST,
    Contents,
    FieldFacts,
    Manifest,
    TableFacts,
)
from selfplay.experts.replaying import FIELDS
from selfplay.runs.files import (
    LOCK,
    TEMPORARY,
    save_arrays,
    sync,
    take_lock,
    write_hashed_json,
)
from selfplay.runs.renamed import disk_names


class Column:
    """An array that grows on disk, hashed by its elements' bytes."""

    def __init__(self, path: Path, like: np.ndarray) -> None:
        """Creates an empty file for rows with the dtype and shape of `like` [n, …]."""
        self._file = path.open("wb")
        self._sha = hashlib.sha256()
        self._dtype, self._shape = like.dtype, like.shape[1:]
        self._rows = 0
        self._write_header()

    def _write_header(self) -> None:
        # NumPy leaves room in the header for the first dimension to grow.
        description = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": description, "fortran_order": False, "shape": (self._rows, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, rows: np.ndarray) -> None:
        """Appends rows [n, …]."""
        data = np.ascontiguousarray(rows).view(np.uint8).data
        self._file.write(data)
        self._sha.update(data)
        self._rows += len(rows)

    def finish(self) -> FieldFacts:
        """Completes the file and returns what the manifest stores of it."""
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        shape = [self._rows, *self._shape]
        return {"dtype": self._dtype.name, "shape": shape, "sha256": self._sha.hexdigest()}

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class Writer:
    """A context in which an archive is written; if it fails, it leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))  # a folder cannot replace a link
        self._temporary = self.folder.parent / f"{TEMPORARY}{self.folder.name}"
        self._columns: dict[str, Column] = {}
        self._lock = -1

    def __enter__(self) -> Writer:
        """Creates and locks the temporary folder.

        Raises:
            ValueError: another process is writing this archive, or the folder's place is taken by
                a link.
        """
        if self._temporary.is_symlink():
            raise ValueError(f"{self._temporary} is a link: remove it")
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self._temporary)
        for path in self._temporary.glob("*.*"):
            path.unlink()  # written by a process that was killed
        return self

    def __exit__(self, *error: object) -> None:
        for column in self._columns.values():
            column.close()
        shutil.rmtree(self._temporary, ignore_errors=True)
        os.close(self._lock)

    def append(self, rows: Rows) -> None:
        """Appends rows with the fields of `replaying.FIELDS`."""
        for name, array in disk_names({name: rows[name] for name in FIELDS}).items():
            if name not in self._columns:
                self._columns[name] = Column(self._temporary / f"{name}.npy", array)
            self._columns[name].append(array)

    def commit(self, table: Rows, contents: Contents) -> Manifest:
        """Writes the table of games and the manifest, and renames the folder; returns the manifest.

        Args:
            table: the table of games, with the columns of `archive.GAME`.
            contents: what the manifest says of the games.
        """
        fields = {name: column.finish() for name, column in self._columns.items()}
        games = TableFacts(
            count=len(table["start"]), digest=save_arrays(self._temporary / GAMES, table)
        )
        text = json.dumps([fields, games], sort_keys=True)
        manifest: Manifest = {
            "format": FORMAT,
            **contents,
            "fields": fields,
            "games": games,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
        }
        write_hashed_json(self._temporary / MANIFEST, manifest)
        (self._temporary / LOCK).unlink()
        os.rename(self._temporary, self.folder)
        sync(self.folder.parent)
        return manifest
