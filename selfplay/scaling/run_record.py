"""What statistics and reports need of a run: its config, what its versions cost, and its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias

import jax

import games
from games import plugins
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.runs import metrics
from selfplay.runs.codec import JsonObject, from_json
from selfplay.runs.run import read_config


@dataclass(frozen=True)
class Cost:
    """What a version cost: FLOPs, and wall-clock seconds of training; 0 if not recorded."""

    ledger: Ledger
    seconds: float


@dataclass(frozen=True)
class Size:
    """The size of a run's network and board."""

    parameters: int
    rows: int  # of the board


@dataclass(frozen=True)
class RunRecord:
    """A run without its arrays, as its folder or published data describe it.

    Attributes:
        config: the run's, as from `read_config`.
        costs: iteration → what its version cost; published data have the rated ones and the last.
        size: None if it was not computed yet, because that builds the game.
    """

    config: JsonObject
    costs: Mapping[int, Cost]
    size: Size | None = None

    @property
    def last(self) -> int:
        """The last iteration; −1 if there is none."""
        return max(self.costs, default=-1)


ReadRun: TypeAlias = Callable[[str], RunRecord]
"""Returns the record of a run, with its size, by its name on a ladder."""


def read(folder: Path) -> RunRecord:
    """Reads a run's folder, without building its game.

    Raises:
        ValueError: the folder is not a run, or its metrics are damaged.
    """
    rows = metrics.read_rows(folder)
    costs = {row.iteration: Cost(Ledger.of(row), row.seconds.total) for row in rows}
    return RunRecord(read_config(folder), costs)


def measure(record: RunRecord, folder: Path) -> RunRecord:
    """Adds the size of network and board; `folder` contains the run, for messages.

    Raises:
        ValueError: the run's game or network is an import path that is not trusted.
    """
    config = record.config
    with plugins.stored_in(folder):
        game = games.make(config["game"])
        model = network.make(game, from_json(NetworkConfig, config["network"]))
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    size = Size(int(network.num_parameters(shapes)), int(game.observation_shape[0]))
    return replace(record, size=size)


def from_folders(root: Path) -> ReadRun:
    """Returns a function that reads the runs in the folders below `root`, each once."""
    return cache(lambda name: measure(read(root / name), root / name))
