"""Where the learner's batches come from: a source of rows, and which of them make a batch.

Batches are a pure function of (seed, iteration, step); nothing about sampling is carried.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jax import Array

from selfplay import rng
from selfplay.acting.episode import Rows

BATCH_FIELDS = ("planes", "legal", "policy", "value", "mover_outcome")


class Source(Protocol):
    """Where batches come from: the replay window, or an archive of expert games."""

    @property
    def size(self) -> int:
        """Rows there are to draw from."""
        ...

    def gather(self, indices: np.ndarray) -> Rows:
        """The rows at `indices`, int64[n]."""
        ...


@dataclass(frozen=True)
class Noise:
    """A source of pseudo-random rows, shaped as `rows` (of any length); always the same ones.

    All actions are legal: a target on another one would drown the rest of the loss.
    """

    rows: Rows
    size: int

    def gather(self, indices: np.ndarray) -> Rows:
        """As many rows as there are indices."""
        generator = np.random.Generator(np.random.Philox(0))
        return {
            name: _draw(generator, (len(indices), *array.shape[1:]), array.dtype)
            for name, array in self.rows.items()
        } | {"legal": np.full((len(indices), *self.rows["legal"].shape[1:]), 255, np.uint8)}


def _draw(
    generator: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> np.ndarray:
    """Packed bits, results −1, 0 and 1, or numbers in [0, 1)."""
    if dtype == np.uint8:
        return generator.integers(0, 256, shape, dtype)
    if np.issubdtype(dtype, np.integer):
        return generator.integers(-1, 2, shape).astype(dtype)
    return generator.random(shape).astype(dtype)


def unpack(bits: Array, shape: tuple[int, ...]) -> Array:
    """uint8[N, …] bit-packed → bool[N, *shape]."""
    size = int(np.prod(shape))
    return jnp.unpackbits(bits, axis=-1, count=size).reshape(-1, *shape).astype(bool)


def batch_indices(seed: int, iteration: int, size: int, steps: int, batch: int) -> np.ndarray:
    """int64[steps, batch]: rows of an iteration's minibatches, without repeats within a pass."""
    if not steps:  # no game has ended yet, or too few rows for a batch
        return np.zeros((0, batch), np.int64)
    generator = rng.generator(seed, rng.Purpose.BATCH, iteration)
    passes = -(-steps * batch // size)
    order = np.concatenate([generator.permutation(size) for _ in range(passes)])
    return order[: steps * batch].reshape(steps, batch)
