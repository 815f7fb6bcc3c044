"""A disk that fills up while a run writes, and is still full when the run is resumed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from selfplay.model.config import NetworkConfig
from selfplay.runs import metrics
from selfplay.runs.files import TEMPORARY
from selfplay.runs.metrics_row import MetricsRow
from selfplay.runs.run import DiskFull
from selfplay.training.loop import train
from tests.small_runs import PLAIN

SIZE = 32 * 2**20  # bytes
FREE = 96 * 2**10  # enough space for starting, but not for a commit
CONFIG = replace(PLAIN, iterations=4, network=NetworkConfig("mlp", width=96, depth=1))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mounts a small disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, free: int) -> Path:
    """Fills the disk up to so many free bytes; returns the file to delete."""
    filler = disk / "filler"
    with filler.open("ab") as file:
        file.write(b"x" * (shutil.disk_usage(disk).free - free))
    return filler


def test_run_on_a_full_disk_stops_and_can_be_resumed_when_there_is_space(
    disk: Path, tmp_path: Path
) -> None:
    folder = disk / "run"

    def grow(row: MetricsRow) -> None:
        if row.iteration == 2:
            fill(disk, FREE)

    with pytest.raises(DiskFull, match=f"the disk of {folder} is full"):
        train(CONFIG, folder, grow)
    assert [row["iteration"] for row in metrics.read(folder)] == [0, 1, 2]
    assert sorted(path.stem for path in (folder / "commits").iterdir())[-1] == "00000002"
    assert not [path for path in folder.rglob("*") if TEMPORARY in path.name]

    filler = fill(disk, 0)
    before = sorted(path for path in folder.rglob("*") if "tensorboard" not in path.parts)
    with pytest.raises(DiskFull, match=f"the disk of {folder} is full"):
        train(CONFIG, folder)
    for _ in range(2):  # twice: the first attempt must release its lock
        with pytest.raises(DiskFull, match=r"the disk of .*/another is full"):
            train(CONFIG, disk / "another")
    assert sorted(p for p in folder.rglob("*") if "tensorboard" not in p.parts) == before

    os.remove(filler)
    train(CONFIG, folder)
    train(CONFIG, tmp_path / "undisturbed")
    ours, theirs = (metrics.read(path) for path in (folder, tmp_path / "undisturbed"))
    assert [row["digest"] for row in ours] == [row["digest"] for row in theirs]
