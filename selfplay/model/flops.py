"""The compute ledger's unit: FLOPs, counted by formula.

Convention: **2 FLOPs per multiply-add of a weight**; biases, activations, normalization, the
game's rules and the search's bookkeeping are left out (a few per cent;
``tests/selfplay/model/test_network_flops.py`` holds the formula against XLA's own count). A
convolution is counted at every output cell, padding included. A training step costs 3 evaluations a
row: forward, and twice that backward (gradients by activations and by weights).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from games.game import Game
from selfplay.model.config import NetworkConfig
from selfplay.model.network import POLICY_CHANNELS, VALUE_CHANNELS
from selfplay.runs.metrics_row import MetricsRow

BACKWARD_FACTOR = 3


def evaluation(game: Game, network: NetworkConfig) -> int:
    """Counts the FLOPs of evaluating one position."""
    rows, columns, planes = game.observation_shape
    cells, width = rows * columns, network.width
    if network.kind == "mlp":
        trunk = cells * planes * width + network.depth * 2 * width * width
        heads_in, policy_in, value_in = 0, width, width
    else:
        trunk = cells * 9 * (planes * width + network.depth * 2 * width * width)
        heads_in = cells * width * (POLICY_CHANNELS + VALUE_CHANNELS)
        policy_in, value_in = cells * POLICY_CHANNELS, cells * VALUE_CHANNELS
    heads = policy_in * game.num_actions + value_in * network.head_width + network.head_width
    return 2 * (trunk + heads_in + heads)


def move(game: Game, network: NetworkConfig, num_simulations: int) -> int:
    """Counts the FLOPs of one move: an evaluation of the root and one per simulation."""
    return (num_simulations + 1) * evaluation(game, network)


def training_step(game: Game, network: NetworkConfig, batch_size: int) -> int:
    """Counts the FLOPs of one gradient step on `batch_size` positions."""
    return BACKWARD_FACTOR * batch_size * evaluation(game, network)


@dataclass(frozen=True)
class Ledger:
    """Cumulative FLOPs of a version, by what they were spent on."""

    imitation: int = 0
    selfplay: int = 0
    learning: int = 0

    @classmethod
    def of(cls, row: MetricsRow) -> Ledger:
        """Reads the ledger of a row of metrics; a row without a ledger has spent nothing."""
        return cls(*(int(row.ledger.get(field.name, 0)) for field in fields(cls)))

    @property
    def total(self) -> int:
        """All FLOPs that made the version."""
        return self.imitation + self.selfplay + self.learning

    @property
    def ooms(self) -> float:
        """Orders of magnitude: log10 of the total (0 before any work)."""
        return math.log10(max(self.total, 1))

    def plus(self, *, imitation: int = 0, selfplay: int = 0, learning: int = 0) -> Ledger:
        """Returns the ledger after more work."""
        return Ledger(
            self.imitation + imitation, self.selfplay + selfplay, self.learning + learning
        )
