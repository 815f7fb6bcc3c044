"""Writes an archive: rows as they come, a line a game, and the manifest last.

Everything goes to a temporary folder beside the archive's, which takes its place at the end: what
was interrupted is never taken for an archive. Arrays grow on disk, so memory holds a batch at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.acting.episode import Rows
from selfplay.experts.archive import FORMAT, GAMES, MANIFEST
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
    """One array that grows on disk; its hash is that of its bytes."""

    def __init__(self, path: Path, like: np.ndarray) -> None:
        """An empty file for rows of this dtype and shape [n, …]."""
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
        """Put rows [n, …] behind those before."""
        data = np.ascontiguousarray(rows).view(np.uint8).data
        self._file.write(data)
        self._sha.update(data)
        self._rows += len(rows)

    def finish(self) -> dict[str, Any]:
        """Complete the file; what the manifest says of it."""
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        shape = [self._rows, *self._shape]
        return {"dtype": self._dtype.name, "shape": shape, "sha256": self._sha.hexdigest()}

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class Writer:
    """An archive in the making; a context that leaves nothing behind when it fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.realpath(folder))  # a folder cannot take a link's place
        self._temporary = self.folder.parent / f"{TEMPORARY}{self.folder.name}"
        self._columns: dict[str, Column] = {}
        self._lock = -1

    def __enter__(self) -> Writer:
        """Begin.

        Raises:
            ValueError: another process is making this archive, or a link has its place.
        """
        if self._temporary.is_symlink():
            raise ValueError(f"{self._temporary} is a link: remove it")
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self._temporary)
        for left in self._temporary.glob("*.*"):
            left.unlink()  # of one that was killed
        return self

    def __exit__(self, *error: object) -> None:
        for column in self._columns.values():
            column.close()
        shutil.rmtree(self._temporary, ignore_errors=True)
        os.close(self._lock)

    def append(self, rows: Rows) -> None:
        """Put rows behind those before."""
        for name, array in disk_names({name: rows[name] for name in FIELDS}).items():
            if name not in self._columns:
                self._columns[name] = Column(self._temporary / f"{name}.npy", array)
            self._columns[name].append(array)

    def commit(self, table: Rows, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Finish: the table of games, the manifest, and the folder's name; the manifest made."""
        fields = {name: column.finish() for name, column in self._columns.items()}
        games = {
            "count": len(table["start"]),
            "digest": save_arrays(self._temporary / GAMES, table),
        }
        text = json.dumps([fields, games], sort_keys=True)
        made = {
            "format": FORMAT,
            **manifest,
            "fields": fields,
            "games": games,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
        }
        write_hashed_json(self._temporary / MANIFEST, made)
        (self._temporary / LOCK).unlink()
        os.rename(self._temporary, self.folder)
        sync(self.folder.parent)
        return made
