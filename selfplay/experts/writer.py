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
from typing import IO, Any

import numpy as np

from selfplay.episode import Rows
from selfplay.experts.archive import FORMAT, GAMES, MANIFEST
from selfplay.experts.replay import FIELDS
from selfplay.store.files import TEMPORARY, save_arrays, sync, write_hashed_json


class Column:
    """One array that grows on disk; its hash is that of its bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._sha = hashlib.sha256()
        self._rows = 0
        self._shape: tuple[int, ...] = ()
        self._dtype = np.dtype(np.uint8)

    def append(self, rows: np.ndarray) -> None:
        """Put rows [n, …] behind those before, of the same dtype and shape."""
        if self._file is None:
            self._shape, self._dtype = rows.shape[1:], rows.dtype
            self._file = self._path.open("w+b")
            self._header()
        data = np.ascontiguousarray(rows).view(np.uint8).data
        self._file.write(data)
        self._sha.update(data)
        self._rows += len(rows)

    def _header(self) -> None:
        # NumPy leaves room in the header for the first dimension to grow.
        description = np.lib.format.dtype_to_descr(self._dtype)
        np.lib.format.write_array_header_1_0(
            self._file,
            {"descr": description, "fortran_order": False, "shape": (self._rows, *self._shape)},
        )

    def close(self) -> dict[str, Any]:
        """Finish the file; what the manifest says of it."""
        if self._file is None:
            raise ValueError("a column without rows")
        with self._file:
            self._file.seek(0)
            self._header()
            self._file.flush()
            os.fsync(self._file.fileno())
        shape = [self._rows, *self._shape]
        return {"dtype": self._dtype.name, "shape": shape, "sha256": self._sha.hexdigest()}


class Writer:
    """An archive in the making; a context that leaves nothing behind when it fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._temporary = folder.parent / f"{TEMPORARY}{os.getpid()}-{folder.name}"
        self._columns = {name: Column(self._temporary / f"{name}.npy") for name in FIELDS}
        self._games: list[Mapping[str, Any]] = []

    def __enter__(self) -> Writer:
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)

    def append(self, rows: Rows) -> None:
        """Put rows behind those before."""
        for name, column in self._columns.items():
            column.append(rows[name])

    def commit(self, table: Rows, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Finish: the table of games, the manifest, and the folder's name; the manifest made."""
        fields = {name: column.close() for name, column in self._columns.items()}
        games = {"count": len(table["start"]), "digest": save_arrays(self._temporary / GAMES, table)}
        text = json.dumps([fields, games], sort_keys=True)
        made = {
            "format": FORMAT,
            **manifest,
            "fields": fields,
            "games": games,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
        }
        write_hashed_json(self._temporary / MANIFEST, made)
        os.rename(self._temporary, self.folder)
        sync(self.folder.parent)
        return made
