"""Snapshots: the parameters of chosen versions, kept for good, for ladders and exams."""

from __future__ import annotations

from pathlib import Path

from selfplay.runs.files import load_arrays, save_arrays
from selfplay.runs.tree import PyTree, flatten, nest


def is_snapshot(version: int) -> bool:
    """Returns True for 0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, …: two versions per octave."""
    if version < 1:
        return version == 0
    odd = version // (version & -version)
    return odd in (1, 3)


def snapshot_path(folder: Path, version: int) -> Path:
    """Returns ``folder/snapshots/00000008.npz``."""
    return folder / "snapshots" / f"{version:08d}.npz"


def save_snapshot(folder: Path, version: int, params: PyTree) -> str:
    """Writes the parameters as ``{path: array}`` and returns their digest."""
    return save_arrays(snapshot_path(Path(folder), version), flatten(params))


def load_snapshot(folder: Path, version: int, digest: str | None = None) -> dict[str, PyTree]:
    """Reads parameters as nested dictionaries of host arrays; raises CorruptedFile."""
    return nest(load_arrays(snapshot_path(Path(folder), version), digest))


def snapshot_versions(folder: Path) -> list[int]:
    """Lists the versions that have a snapshot file, ascending."""
    files = (Path(folder) / "snapshots").glob("*.npz")
    return sorted(int(path.stem) for path in files if path.stem.isdigit())
