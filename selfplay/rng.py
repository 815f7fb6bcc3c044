"""Random keys, derived from the seed, a purpose and indices, and never carried.

The key of a piece of work depends on what the work is, not on which process does it or when, so
any actor may do it. Keys of different purposes or indices are independent by construction of
``jax.random.fold_in``.

Two kinds of keys do not come from here, because versions are compared across runs and seeds: the
exam answers with one fixed key (`selfplay.solved.exam`), and searches without exploration noise
get ``jax.random.key(0)``, on which only exact ties depend (`selfplay.players`).
"""

import enum

import jax
import numpy as np
from jax import Array


class Purpose(enum.IntEnum):
    """A use of random numbers. Bits depend on the numbers here: append, never reorder."""

    INITIALIZE = 0  # the network's parameters
    PLAY = 1  # iteration, stream
    BATCH = 2  # iteration: which rows make the minibatches
    AUGMENT = 3  # iteration, step: which symmetry each row gets
    # 4 is reserved: exams once had it
    MATCH = 5  # pairing, opening, colors
    START = 6  # stream: the first states of its games
    OPENING = 7  # pairing, chunk: the random moves before a match's players begin
    TEACHER = 8  # game, ply: an expert's moves
    EPOCH = 9  # epoch: the order in which imitation passes over its positions
    HELD_OUT = 10  # the order in which held-out positions are measured
    EXPERTS = 11  # iteration: the expert positions that are added to the replay window
    SURPRISE = 12  # iteration: how often each row of the replay window counts


def key(seed: int, purpose: Purpose, *indices: int | Array) -> Array:
    """Derives the key for `purpose` at `indices`, for example iteration and stream."""
    derived = jax.random.fold_in(jax.random.key(seed), int(purpose))
    for index in indices:
        derived = jax.random.fold_in(derived, index)
    return derived


def generator(seed: int, purpose: Purpose, *indices: int) -> np.random.Generator:
    """Derives NumPy's generator for `purpose` at `indices`."""
    entropy = [seed, int(purpose), *indices]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
