"""SHA-256 digests over arrays, which define "the same bytes" everywhere in this project.

Files are not hashed, because checkpoint and event files are not byte-stable. The digest covers, in
sorted path order, each array's path, dtype, shape and bytes (C order, little endian). It does not
depend on the device, the memory layout or the order in which a dictionary was filled. ``-0.0``
differs from ``0.0``, and NaNs with different bits differ.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np

from selfplay.runs.tree import PyTree, flatten


def _bytes(array: np.ndarray) -> memoryview:
    """Returns the array's bytes in C order and little endian; copies only if needed."""
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def digest(tree: PyTree) -> str:
    """Hashes a tree of arrays, PRNG keys and scalars; returns 64 hex digits.

    Python scalars are hashed as NumPy's (``1`` as int64, ``1.0`` as float64), keys as their key
    data, and containers only through their paths: ``digest(tree) == digest(flatten(tree))``. Raises
    TypeError for other leaves.
    """
    sha = hashlib.sha256()
    for path, array in flatten(tree).items():
        header = [path, array.dtype.name, list(array.shape)]
        sha.update(json.dumps(header).encode() + b"\n")
        sha.update(_bytes(array))
    return sha.hexdigest()
