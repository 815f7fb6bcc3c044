"""Sources of batches made of others: some rows of one, and two side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from selfplay import rng
from selfplay.acting.episode import Rows
from selfplay.learning.batches import BATCH_FIELDS, Source
from selfplay.rng import Purpose


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a source.

    Attributes:
        source: where they are.
        rows: int64[size], their places in it.
    """

    source: Source
    rows: np.ndarray

    @property
    def size(self) -> int:
        """How many rows."""
        return len(self.rows)

    def gather(self, indices: np.ndarray) -> Rows:
        """The rows at `indices`, int64[n]."""
        return self.source.gather(self.rows[indices])


@dataclass(frozen=True, eq=False)
class Both:
    """One source's rows, and behind them another's."""

    first: Source
    second: Source

    @property
    def size(self) -> int:
        """How many rows, both together."""
        return self.first.size + self.second.size

    def gather(self, indices: np.ndarray) -> Rows:
        """The rows at `indices`, int64[n]: the fields that the learner reads."""
        in_first = indices < self.first.size
        one = self.first.gather(indices[in_first])
        other = self.second.gather(indices[~in_first] - self.first.size)
        back = np.argsort(np.argsort(~in_first, kind="stable"), kind="stable")
        return {name: np.concatenate([one[name], other[name]])[back] for name in BATCH_FIELDS}


def beside(window: Source, experts: Source, share: float, seed: int, iteration: int) -> Source:
    """The window, and so many of the experts' rows that they are `share` of all (or all of them).

    Which ones is drawn anew in every iteration.
    """
    wanted = min(experts.size, round(window.size * share / (1 - share)))
    if not wanted:
        return window
    order = rng.generator(seed, Purpose.EXPERTS, iteration).permutation(experts.size)
    return Both(window, Part(experts, np.sort(order[:wanted])))
