"""The metrics file ``metrics.jsonl``: one row per iteration."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from selfplay.runs.codec import Json, JsonObject
from selfplay.runs.files import from_jsonable, to_jsonable, write_bytes
from selfplay.runs.metrics_row import MetricsRow, parse

FILE = "metrics.jsonl"
STEP = "iteration"  # the one key that every row must have


class _Parsed(NamedTuple):
    """The rows of a file, their lines, and whether the last line was cut off by a crash."""

    rows: list[JsonObject]
    lines: list[int]  # counted from 1
    is_torn: bool


def _parse(path: Path) -> _Parsed:
    """Reads the rows; raises ValueError for a damaged line before the last."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    rows: list[JsonObject] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or type(row.get(STEP)) is not int:
                raise ValueError(f"a row needs an integer {STEP!r}")
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # no newline after it: the write was cut off
                return _Parsed(rows, numbers, True)
            raise _damaged(path, number, error) from error
        rows.append(row)
        numbers.append(number)
    # A last row without its newline is complete, but the next append would join it.
    return _Parsed(rows, numbers, bool(lines) and bool(lines[-1].strip()))


def _damaged(path: Path, number: int, error: Exception) -> ValueError:
    """Returns the error for a line that is not a row."""
    return ValueError(f"{path}, line {number} is not a metrics row: {error}")


def read(folder: Path) -> list[JsonObject]:
    """Reads all rows of a run folder as JSON objects, oldest first; see `read_rows`.

    Leaves out a torn last line, so a run can be read while it is written. Raises ValueError for a
    damaged line before the last.
    """
    return [from_jsonable(row) for row in _parse(Path(folder) / FILE).rows]


def read_rows(folder: Path) -> list[MetricsRow]:
    """Reads all rows of a run folder, oldest first; like `read`, with sections as attributes.

    Raises:
        ValueError: a line is damaged, or one of its values has the wrong type.
    """
    path = Path(folder) / FILE
    parsed = _parse(path)
    rows = []
    for number, row in zip(parsed.lines, parsed.rows, strict=True):
        try:
            rows.append(parse(from_jsonable(row)))
        except ValueError as error:
            raise _damaged(path, number, error) from error
    return rows


class MetricsLog:
    """Writer of ``folder/metrics.jsonl``."""

    def __init__(self, folder: Path) -> None:
        """Writes nothing yet; `append` creates the file."""
        self._path = Path(folder) / FILE

    def append(self, row: Mapping[str, Json]) -> None:
        """Writes one row, which is on disk when this returns; ``row["iteration"]`` is its step.

        Raises ValueError without an integer ``iteration``, TypeError for a value without JSON form.
        """
        data = to_jsonable(row)
        if type(data.get(STEP)) is not int:
            raise ValueError(f"a metrics row needs an integer {STEP!r}, got {data.get(STEP)!r}")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab") as handle:
            handle.write(json.dumps(data, allow_nan=False).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())

    def truncate(self, next_iteration: int) -> None:
        """Removes the rows of ``next_iteration`` and later, and a torn last line."""
        rows, _, is_torn = _parse(self._path)
        earlier = [row for row in rows if row[STEP] < next_iteration]
        if is_torn or len(earlier) != len(rows):
            self._rewrite(earlier)

    def fill(self, missing: Iterable[Mapping[str, Json]]) -> None:
        """Inserts rows that were not appended because of a crash, in order of iteration."""
        rows = _parse(self._path).rows
        new = [to_jsonable(row) for row in missing]
        if new:
            self._rewrite(sorted([*rows, *new], key=lambda row: row[STEP]))

    def iterations(self) -> set[int]:
        """Returns the iterations that have a row."""
        return {row[STEP] for row in _parse(self._path).rows}

    def _rewrite(self, rows: list[JsonObject]) -> None:
        lines = [json.dumps(row, allow_nan=False).encode() + b"\n" for row in rows]
        write_bytes(self._path, b"".join(lines))
