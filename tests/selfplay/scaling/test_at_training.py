"""Interpolation at equal training: weights, their range, and rejected input."""

import numpy as np
import pytest

from selfplay.scaling import at_training
from selfplay.scaling.at_training import TOLERANCE
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.rated_versions import RatedVersions


def rated(run: list[str], training: list[float]) -> RatedVersions:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(len(run), len(run)))
    return RatedVersions.of(rng.normal(size=len(run)) * 100, root @ root.T, run, training)


# Run b's versions are out of order, and it has one that a has not reached.
TWO = rated(["b", "a", "b", "a", "b"], [8.0, 6.0, 7.0, 7.0, 6.5])


def test_weights_are_those_of_linear_interpolation() -> None:
    for level in np.linspace(6.5, 7.0, 11):
        weights = at_training.interpolated(TWO, level)
        expected = [
            np.interp(level, [6.0, 7.0], TWO.elo[[1, 3]]),
            np.interp(level, [6.5, 7.0, 8.0], TWO.elo[[4, 2, 0]]),
        ]
        np.testing.assert_allclose(weights @ TWO.elo, expected)
        np.testing.assert_allclose(weights.sum(axis=1), 1)
        assert (weights >= 0).all() and ((weights > 0).sum(axis=1) <= 2).all()


def test_weights_are_nan_outside_a_runs_versions() -> None:
    weights = at_training.interpolated(TWO, 6.2)
    assert np.isnan(weights[1]).all() and np.isfinite(weights[0]).all()
    weights = at_training.interpolated(TWO, 7.5)
    assert np.isnan(weights[0]).all() and np.isfinite(weights[1]).all()


def test_runs_within_the_tolerance_reach_the_same_level() -> None:
    for level, version in ((7.0 + 0.9 * TOLERANCE, 3), (6.0 - 0.9 * TOLERANCE, 1)):
        np.testing.assert_array_equal(at_training.interpolated(TWO, level)[0], np.eye(5)[version])
    assert np.isnan(at_training.interpolated(TWO, 7.0 + 1.1 * TOLERANCE)[0]).all()


def test_run_with_one_version_has_weights_only_there() -> None:
    points = rated(["a", "b", "b"], [7.0, 6.0, 8.0])
    np.testing.assert_allclose(at_training.interpolated(points, 7.0), [[1, 0, 0], [0, 0.5, 0.5]])
    assert np.isnan(at_training.interpolated(points, 7.1)[0]).all()
    assert at_training.common_range(points) == (7.0, 7.0)


def test_common_range_is_where_all_runs_have_versions() -> None:
    assert at_training.common_range(TWO) == (6.5, 7.0)
    low, high = at_training.common_range(rated(["a", "b"], [7.0, 7.3]))
    assert low - high == pytest.approx(0.3)  # what they miss each other by
    points = rated(["a", "b"], [7.0, 7.0 + 0.9 * TOLERANCE])
    low, high = at_training.common_range(points)
    assert low == high and np.isfinite(at_training.interpolated(points, low)).all()


def test_several_budgets_are_rejected() -> None:
    with pytest.raises(InsufficientData, match="run 'a' has 2 versions at"):
        at_training.interpolated(rated(["a", "a", "b"], [7.0, 7.0, 7.0]), 7.0)
