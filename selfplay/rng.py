"""Every PRNG key of the system, derived from names and indices and never carried.

``root(seed) → purpose → indices``: the key of a piece of work depends on what the work is,
never on who does it or when, so that any actor may do it (DESIGN.md §3). Keys of different
purposes or indices are independent by construction of ``jax.random.fold_in``.
"""

import enum

import jax
import numpy as np
from jax import Array


class Purpose(enum.IntEnum):
    """What a key is for. Numbers are part of the reproducible state: append, never reorder."""

    INITIALIZE = 0  # the network's parameters
    PLAY = 1  # iteration, stream
    BATCH = 2  # iteration: which rows make the minibatches
    AUGMENT = 3  # iteration, step: which symmetry each row gets
    # 4 is reserved: it was of exams, which make their own keys.
    MATCH = 5  # pairing, opening, colours
    START = 6  # stream: the first states of its lanes
    OPENING = 7  # pairing, chunk: the random moves before a match's players begin
    TEACHER = 8  # game, ply: an expert's moves
    EPOCH = 9  # epoch: the order in which imitation passes over its positions
    HELD_OUT = 10  # the order in which held-out positions are measured
    EXPERTS = 11  # iteration: the experts' positions that stay beside self-play's


def key(seed: int, purpose: Purpose, *indices: int | Array) -> Array:
    """The key for `purpose` at `indices` (for example iteration and stream)."""
    derived = jax.random.fold_in(jax.random.key(seed), int(purpose))
    for index in indices:
        derived = jax.random.fold_in(derived, index)
    return derived


def generator(seed: int, purpose: Purpose, *indices: int) -> np.random.Generator:
    """The same naming for NumPy."""
    entropy = [seed, int(purpose), *indices]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
