"""SIGKILL at every step of a commit changes nothing in the resumed run.

Executed as a program, this file is the drivers that are killed.
"""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.runs.digest import digest
from selfplay.runs.failpoints import VARIABLE
from selfplay.runs.metrics import read
from selfplay.runs.run import Run
from selfplay.runs.window import ReplayConfig

KILLED, STOP = 3, 6
POINTS = {  # point -> the iteration that the next start must do
    "commit.shard": KILLED,
    "commit.checkpoint": KILLED,
    "commit.snapshot": KILLED,
    "commit.point": KILLED,
    "commit.metrics": KILLED + 1,
    "commit.prune": KILLED + 1,
}


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 1


def start() -> dict[str, Any]:
    return {"w": np.zeros((3, 2), np.float32), "steps": np.int64(0)}


def drive(folder: Path) -> Run:
    """Trains a toy learner: each state depends on the one before and on the whole window."""
    run = Run.create_or_open(folder, Config(), window=ReplayConfig(minimum=12, scale=0.5))
    state = start() if run.next_iteration == 0 else run.restore(start()).state
    for i in range(run.next_iteration, STOP):
        random = np.random.default_rng(i)
        if i:
            run.replay.add(i, {"x": random.normal(size=(7, 2)).astype(np.float32)})
            batch = run.replay.gather(random.integers(0, run.replay.size, 3))["x"]  # [3, 2]
            state = {"w": state["w"] * np.float32(0.5) + batch, "steps": state["steps"] + 1}
        run.commit(i, state, {"norm": float(abs(state["w"]).sum())}, {"w": state["w"]})
    run.close()
    return run


def contents(folder: Path) -> dict[str, Any]:
    """Returns what must be equal: commits and metrics to the byte, the set of all files."""
    names = ("commits", "snapshots", "replay", "checkpoints")
    return {
        "commits": {p.name: p.read_bytes() for p in (folder / "commits").iterdir()},
        "metrics": (folder / "metrics.jsonl").read_bytes(),
        "files": sorted(p.relative_to(folder) for name in names for p in (folder / name).iterdir()),
        "tops": sorted(p.name for p in folder.iterdir()),
    }


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Makes one run per point, each killed there."""
    folders = {point: tmp_path_factory.mktemp("killed") / "run" for point in POINTS}
    command = [sys.executable, __file__, *(str(folder) for folder in folders.values())]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    done = subprocess.run(command, env=environment, timeout=120, capture_output=True, text=True)
    assert done.stdout.split() == [str(-signal.SIGKILL)] * len(POINTS), done.stderr
    return folders


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    drive(folder)
    return folder


@pytest.mark.parametrize("point", POINTS)
def test_killed_run_ends_with_the_files_of_an_undisturbed_one(
    point: str, killed: dict[str, Path], undisturbed: Path
) -> None:
    folder = killed[point]
    with Run.create_or_open(folder, Config(), window=ReplayConfig(12, scale=0.5)) as run:
        assert run.next_iteration == POINTS[point]
        last = run.next_iteration - 1
        commit = run.commits.read(last)
        state = run.restore(start()).state
        assert commit.digests == {"state": digest(state)}
        assert [row["iteration"] for row in read(folder)] == list(range(last + 1))
        assert read(folder)[-1]["norm"] == float(abs(state["w"]).sum())
    drive(folder)
    assert contents(folder) == contents(undisturbed)


def drive_and_die(folders: list[str]) -> None:
    """Forks one driver per point, so that JAX is imported once, and prints how each ended."""
    import orbax.checkpoint  # noqa: F401  # nothing is started yet, so forking is safe

    for point, folder in zip(POINTS, folders, strict=True):
        child = os.fork()
        if child == 0:
            os.environ[VARIABLE] = f"{point}@{KILLED}"
            drive(Path(folder))
            os._exit(0)  # the point was never reached
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    drive_and_die(sys.argv[1:])
