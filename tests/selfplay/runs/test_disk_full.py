"""A disk that fills up while a run writes, and one that is still full when it is resumed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from selfplay.model.config import NetworkConfig
from selfplay.runs import metrics
from selfplay.runs.files import TEMPORARY
from selfplay.runs.run import DiskFull
from selfplay.training.loop import train
from tests.small_runs import PLAIN

SIZE = 32 * 2**20  # bytes
LEFT = 96 * 2**10  # room for a start, and not for a commit
CONFIG = replace(PLAIN, iterations=4, network=NetworkConfig("mlp", width=96, depth=1))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """Something else that grows there."""
    filler = disk / "filler"
    with filler.open("ab") as file:
        file.write(b"x" * (shutil.disk_usage(disk).free - left))
    return filler


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_when_there_is_room(
    disk: Path, tmp_path: Path
) -> None:
    folder = disk / "run"

    def grow(row: Mapping[str, Any]) -> None:
        if row["iteration"] == 2:
            fill(disk, LEFT)

    with pytest.raises(DiskFull, match=f"the disk of {folder} is full"):
        train(CONFIG, folder, grow)
    assert [row["iteration"] for row in metrics.read(folder)] == [0, 1, 2]
    assert sorted(path.stem for path in (folder / "commits").iterdir())[-1] == "00000002"
    assert not [path for path in folder.rglob("*") if TEMPORARY in path.name]

    filler = fill(disk, 0)
    before = sorted(path for path in folder.rglob("*") if "tensorboard" not in path.parts)
    with pytest.raises(DiskFull, match=f"the disk of {folder} is full"):
        train(CONFIG, folder)
    for _ in range(2):  # it lets go of what it has taken
        with pytest.raises(DiskFull, match=r"the disk of .*/another is full"):
            train(CONFIG, disk / "another")
    assert sorted(p for p in folder.rglob("*") if "tensorboard" not in p.parts) == before

    os.remove(filler)
    train(CONFIG, folder)
    train(CONFIG, tmp_path / "undisturbed")
    ours, theirs = (metrics.read(path) for path in (folder, tmp_path / "undisturbed"))
    assert [row["digest"] for row in ours] == [row["digest"] for row in theirs]
