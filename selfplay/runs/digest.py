"""SHA-256 digests over arrays: what "the same bytes" means everywhere in this project.

Never over files: checkpoint and event files are not byte-stable. The digest covers, in sorted path
order, each array's path, dtype, shape and bytes (C order, little endian); the device, the memory
layout and the order in which a dictionary was filled do not enter it. ``-0.0`` differs from
``0.0``, and so do NaNs with different bits.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from selfplay.runs.tree import flatten


def _bytes(array: np.ndarray) -> memoryview:
    """The array's bytes, C order and little endian, without a copy where it already is so."""
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def digest(tree: Any) -> str:
    """64 hex digits for a pytree of arrays, PRNG keys and scalars; raises TypeError for others.

    Python scalars count as NumPy's (``1`` as int64, ``1.0`` as float64), keys as their key data,
    and containers only by the paths they give: ``digest(tree) == digest(flatten(tree))``.
    """
    sha = hashlib.sha256()
    for path, array in flatten(tree).items():
        header = [path, array.dtype.name, list(array.shape)]
        sha.update(json.dumps(header).encode() + b"\n")
        sha.update(_bytes(array))
    return sha.hexdigest()
