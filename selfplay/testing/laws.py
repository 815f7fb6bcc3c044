"""Helpers of the contracts, which raise AssertionError with the law that is broken."""

from __future__ import annotations

import jax
import numpy as np

from selfplay.runs.tree import PyTree


def require(condition: bool | np.bool_, law: str) -> None:
    """Raises AssertionError with the sentence `law` unless the condition holds (also under -O)."""
    if not condition:
        raise AssertionError(law)


def equal(first: PyTree, second: PyTree) -> bool:
    """Tells whether two trees of arrays have the same bits."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)
