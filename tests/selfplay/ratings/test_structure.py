"""Structure in deviations; test_goodness_of_fit.py has the tests' power and false alarms."""

import numpy as np
import pytest
from scipy.sparse import coo_array

from selfplay.ratings import structure


def test_largest_singular_value_of_a_cycle_is_found() -> None:
    """The rows of a cycle add up to 0, so a vector of ones is in its null space."""
    size = 2 * structure.DENSE
    at = np.arange(size)
    ring = coo_array((np.ones(size), (at, (at + 1) % size)), shape=(size, size))
    skew = (ring - ring.T).tocsr()
    expected = np.linalg.norm(skew.toarray(), 2)
    assert structure._largest_singular_value(skew, size) == pytest.approx(expected)
