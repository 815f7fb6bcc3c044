"""Runs without training, every byte of which is known: arrays of iteration i are filled with i."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.runs.run import Run
from selfplay.runs.window import ReplayConfig

WINDOW = ReplayConfig(minimum=20, scale=0.4)


@dataclasses.dataclass(frozen=True)
class Cluster:
    actors: int = 1


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0
    iterations: int = 10
    cluster: Cluster = Cluster()


def open_run(folder: Path, config: Config | None = None, **options: Any) -> Run:
    options = {"window": WINDOW, "mutable": ("cluster", "iterations"), **options}
    return Run.create_or_open(folder, config or Config(), **options)


def state_at(i: int) -> dict[str, Any]:
    params = {"dense": {"kernel": jnp.full((4, 3), i, jnp.float32), "bias": jnp.zeros(3)}}
    return {"params": params, "opt": [params, {"count": jnp.int32(i)}], "epoch": i}


def carries_at(i: int) -> list[Any]:
    return [{"key": jax.random.key(i), "episodes": np.full((i // 2, 2), i, np.int8)}]


def rows_at(i: int) -> dict[str, np.ndarray]:
    return {"x": np.full((8, 2), i, np.uint8), "v": np.arange(8, dtype=np.float16)}


def drive(run: Run, stop: int) -> None:
    """Commits the iterations before `stop` that are missing."""
    for i in range(run.next_iteration, stop):
        state = state_at(i)
        if i:
            run.replay.add(i, rows_at(i))
        row = {"loss": 1 / (i + 1)}
        run.commit(i, state, row, state["params"], carries=carries_at(i), ledger={"flops": i * 10})


def write_run(folder: Path, commits: int) -> Path:
    """Makes a run with commits 0 to `commits` − 1."""
    with open_run(folder) as run:
        drive(run, commits)
    return folder
