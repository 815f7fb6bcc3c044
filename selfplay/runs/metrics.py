"""One row of metrics per iteration: ``metrics.jsonl`` for programs, TensorBoard for people."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfplay.runs.files import plain, revive, write_bytes

FILE = "metrics.jsonl"
STEP = "iteration"  # the one entry that every row must have


def _scalars(row: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, float]]:
    """``{"a": {"b": 1}}`` as ``("a/b", 1.0)``; what is no finite number is skipped."""
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{key}/")
        elif isinstance(value, (bool, int, float)) and math.isfinite(value):
            yield f"{prefix}{key}", float(value)


def _parse(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The rows of ``path``, and whether its last line was torn by a crash."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or type(row.get(STEP)) is not int:
                raise ValueError(f"a row needs an integer {STEP!r}")
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # no newline after it: the write was cut off
                return rows, True
            raise ValueError(f"{path}, line {number} is no metrics row: {error}") from error
        rows.append(row)
    # a row whose newline is missing is complete, yet the next append would join it
    return rows, bool(lines) and bool(lines[-1].strip())


def read(folder: Path) -> list[dict[str, Any]]:
    """All rows of a run folder, oldest first; a torn last line is left out.

    Safe while the run is being written. Raises ValueError for a damaged line before the last.
    """
    return [revive(row) for row in _parse(Path(folder) / FILE)[0]]


def total_seconds(row: Mapping[str, Any]) -> float:
    """Seconds of training up to a row, by the run's own clock; version 0 has none."""
    return float(row.get("seconds", {}).get("total", 0.0))


class MetricsLog:
    """Appends rows to ``folder/metrics.jsonl`` and ``folder/tensorboard/``."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(folder)
        self._path = self._folder / FILE
        self._writer: Any = None  # tensorboardX.SummaryWriter, made by the first append
        self._purge_step: int | None = None

    def append(self, row: Mapping[str, Any]) -> None:
        """Writes one row, on disk when this returns; ``row["iteration"]`` is its step.

        Raises ValueError without an integer ``iteration``, TypeError for a value without JSON form.
        """
        data = plain(row)
        if type(data.get(STEP)) is not int:
            raise ValueError(f"a metrics row needs an integer {STEP!r}, got {data.get(STEP)!r}")
        self._folder.mkdir(parents=True, exist_ok=True)
        with open(self._path, "ab") as handle:
            handle.write(json.dumps(data, allow_nan=False).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
        writer = self._board()
        for tag, value in _scalars(revive(data)):
            if tag != STEP:
                writer.add_scalar(tag, value, data[STEP])

    def _board(self) -> Any:
        if self._writer is None:
            from tensorboardX import SummaryWriter  # slow to import, and readers do without

            self._writer = SummaryWriter(
                str(self._folder / "tensorboard"), purge_step=self._purge_step, flush_secs=10
            )
        return self._writer

    def truncate(self, next_iteration: int) -> None:
        """Removes rows of ``next_iteration`` and later, and a torn last line.

        TensorBoard hides what it had of those steps from the next append on.
        """
        self.close()
        self._purge_step = next_iteration
        rows, torn = _parse(self._path)
        kept = [row for row in rows if row[STEP] < next_iteration]
        if torn or len(kept) != len(rows):
            self._rewrite(kept)

    def fill(self, missing: Iterable[Mapping[str, Any]]) -> None:
        """Puts rows back that a crash kept from being appended, in order of iteration."""
        rows, _ = _parse(self._path)
        new = [plain(row) for row in missing]
        if new:
            self._rewrite(sorted([*rows, *new], key=lambda row: row[STEP]))

    def iterations(self) -> set[int]:
        """The iterations that have a row."""
        return {row[STEP] for row in _parse(self._path)[0]}

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        lines = [json.dumps(row, allow_nan=False).encode() + b"\n" for row in rows]
        write_bytes(self._path, b"".join(lines))

    def close(self) -> None:
        """Flushes and closes the TensorBoard file; a later append opens a new one."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
