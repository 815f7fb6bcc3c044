"""The compute ledger's unit: FLOPs, counted by formula.

Convention: **2 FLOPs per multiply-add of a weight**; biases, activations, normalization, the
game's rules and the search's bookkeeping are left out (a few per cent;
``selfplay/testing/network_contract.py`` holds the formulas against XLA's own count). A
convolution is counted at every output cell, padding included. A training step costs 3 evaluations a
row: forward, and twice that backward (gradients by activations and by weights).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from games.game import Game
from selfplay.model import network
from selfplay.model.architecture import Heads
from selfplay.model.config import NetworkConfig
from selfplay.runs.metrics_row import MetricsRow

BACKWARD_FACTOR = 3


def evaluation(game: Game, config: NetworkConfig, heads: Heads = ()) -> int:
    """Counts the FLOPs of evaluating one position, as the architecture gives them."""
    return network.make(game, config, heads).flops


def move(game: Game, config: NetworkConfig, evaluations: int) -> int:
    """Counts the FLOPs of one move whose search evaluates `evaluations` positions."""
    return evaluations * evaluation(game, config)


def training_step(game: Game, config: NetworkConfig, batch_size: int, heads: Heads = ()) -> int:
    """Counts the FLOPs of one gradient step on `batch_size` positions."""
    return BACKWARD_FACTOR * batch_size * evaluation(game, config, heads)


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
