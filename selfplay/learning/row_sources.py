"""Where the learner's batches come from: sources of rows, and which rows make a batch.

Batches are a pure function of (seed, iteration, step); nothing about sampling is carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from games.game import Game
from selfplay import rng
from selfplay.acting.row_schema import RowField, Rows
from selfplay.acting.surprise import RELATIVE_SURPRISE


class Source(Protocol):
    """Rows to draw batches from: the replay window, or an archive of expert games."""

    @property
    def size(self) -> int:
        """Number of rows."""
        ...

    def gather(self, indices: np.ndarray) -> Rows:
        """Returns the rows at `indices`, int64[n]."""
        ...


class Window(Source, Protocol):
    """A source whose fields can be read as a whole: the replay window."""

    def column(self, name: str) -> np.ndarray:
        """Returns one field of all rows, [size, …]."""
        ...


@dataclass(frozen=True)
class RandomRows:
    """Pseudo-random rows in the format of `rows` (of any length), the same for every process.

    All actions are legal: a target on an illegal one would dominate the loss.
    """

    rows: Rows
    size: int

    def gather(self, indices: np.ndarray) -> Rows:
        """Returns as many rows as there are indices, whatever the indices are."""
        generator = np.random.Generator(np.random.Philox(0))
        legal = np.full((len(indices), *self.rows["legal"].shape[1:]), 255, np.uint8)
        drawn = {
            name: _draw(generator, (len(indices), *array.shape[1:]), array.dtype)
            for name, array in self.rows.items()
        }
        return drawn | {"legal": legal}


def _draw(generator: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """Draws packed bits (uint8), results −1, 0 and 1 (integers), or numbers in [0, 1) and bools."""
    if dtype == np.uint8:
        return generator.integers(0, 256, shape, np.uint8)
    if np.issubdtype(dtype, np.bool_):
        return generator.random(shape) < 0.5
    if np.issubdtype(dtype, np.integer):
        return generator.integers(-1, 2, shape).astype(dtype)
    return generator.random(shape).astype(dtype)


@dataclass(frozen=True, eq=False)
class Subset:
    """Some rows of a source.

    Attributes:
        source: the source.
        rows: int64[size], indices of the rows in `source`.
    """

    source: Source
    rows: np.ndarray

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def gather(self, indices: np.ndarray) -> Rows:
        """Returns the rows at `indices`, int64[n]."""
        return self.source.gather(self.rows[indices])


@dataclass(frozen=True, eq=False)
class Completed:
    """Rows of a source that lacks some fields, with the value that means "missing".

    Attributes:
        source: the source.
        game: its game.
        absent: the fields that it lacks.
    """

    source: Source
    game: Game
    absent: tuple[RowField, ...]

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.source.size

    def gather(self, indices: np.ndarray) -> Rows:
        """Returns the rows at `indices`, int64[n]."""
        missing = {field.name: field.absent(self.game, len(indices)) for field in self.absent}
        return self.source.gather(indices) | missing


@dataclass(frozen=True, eq=False)
class Concatenated:
    """The rows of one source, followed by those of another, which has the same fields or more."""

    first: Source
    second: Source

    @property
    def size(self) -> int:
        """Number of rows in both sources together."""
        return self.first.size + self.second.size

    def gather(self, indices: np.ndarray) -> Rows:
        """Returns the rows at `indices`, int64[n], with the fields of the first source."""
        in_first = indices < self.first.size
        first = self.first.gather(indices[in_first])
        second = self.second.gather(indices[~in_first] - self.first.size)
        back = np.argsort(np.argsort(~in_first, kind="stable"), kind="stable")
        return {name: np.concatenate([first[name], second[name]])[back] for name in first}


def by_surprise(window: Window, weight: float, seed: int, iteration: int) -> Source:
    """Repeats and leaves out rows of the replay window in proportion to their policy surprise.

    A row counts ⌊w⌋ times, and once more with probability w − ⌊w⌋, where
    w = 1 − `weight` + `weight` · relative surprise. Every iteration draws independently.
    """
    if not weight or not window.size:
        return window
    surprise = window.column(RELATIVE_SURPRISE.name).astype(np.float64)
    expected = 1 - weight + weight * surprise
    whole = np.floor(expected)
    drawn = rng.generator(seed, rng.Purpose.SURPRISE, iteration).random(window.size)
    counts = (whole + (drawn < expected - whole)).astype(np.int64)
    return Subset(window, np.repeat(np.arange(window.size), counts))


def with_experts(
    window: Source, experts: Source, fraction: float, seed: int, iteration: int
) -> Source:
    """Adds expert rows to the replay window, so that they are `fraction` of all rows.

    Every iteration draws its expert rows independently. Where the experts have too few rows, all
    of them are added.
    """
    count = min(experts.size, round(window.size * fraction / (1 - fraction)))
    if not count:
        return window
    order = rng.generator(seed, rng.Purpose.EXPERTS, iteration).permutation(experts.size)
    return Concatenated(window, Subset(experts, np.sort(order[:count])))


def batch_indices(seed: int, iteration: int, size: int, steps: int, batch_size: int) -> np.ndarray:
    """Draws the rows of an iteration's batches, int64[steps, batch_size].

    Batches pass over all `size` rows, each time in another order; a pass repeats no row.
    """
    if not steps:  # no game has ended yet, or too few rows for a batch
        return np.zeros((0, batch_size), np.int64)
    generator = rng.generator(seed, rng.Purpose.BATCH, iteration)
    passes = -(-steps * batch_size // size)
    order = np.concatenate([generator.permutation(size) for _ in range(passes)])
    return order[: steps * batch_size].reshape(steps, batch_size)
