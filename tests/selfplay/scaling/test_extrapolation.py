"""The test of extrapolation: which runs are held out, and prediction intervals."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import extrapolation
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.planted import Luck, draw, joined, runs
from tests.simulation.studies import START


def studied(bend: float = 0.0) -> RatedVersions:
    """Four small runs and a large one, whose slope falls off beyond the small ones by `bend`."""
    design = joined(runs(4), runs(1, versions=8, ooms=3.5), names=("small", "large"))
    beyond = np.maximum(design.training - START - 2.5, 0)
    truth = 500 * (design.training - START) - bend * beyond
    points = draw(design, truth, Luck(10, 10, version=10), openings=3000, replicates=1)
    return replace(points, elo=points.elo[0])


def test_predict_largest_holds_out_recipes_until_the_reach_suffices() -> None:
    parts = [runs(2, versions=6, ooms=2.0 + share) for share in (0.0, 0.25, 0.5)]
    points = joined(*parts, names=("small", "middle", "large"))
    points = replace(points, elo=500 * points.training + np.arange(len(points)) % 5)
    near, far = (extrapolation.predict_largest(points, least) for least in (0.1, 0.4))
    assert set(near.held_out) == {"large-run0", "large-run1"}
    assert set(far.held_out) == {*near.held_out, "middle-run0", "middle-run1"}
    assert near.reach < 0.4 <= far.reach
    with pytest.raises(ValueError, match=r"the largest runs go only 0\.5\S* OOMs beyond .* not 2"):
        extrapolation.predict_largest(points, 2.0)


def test_predictions_are_of_versions_beyond_the_fitted_compute() -> None:
    points = studied()
    result = extrapolation.predict_runs(points, ["large-run0"])
    last = points.training[points.recipe == "small"].max()
    assert (result.training > last).all() and len(result.training) == 2
    assert set(result.run) == {"large-run0"}
    at = [np.flatnonzero(points.training == spent)[0] for spent in result.training]
    np.testing.assert_array_equal(result.rated, points.elo[at])


def test_prediction_is_the_line_through_the_other_runs() -> None:
    points = studied()
    small = points.select(points.recipe == "small")
    result = extrapolation.predict_runs(points, ["large-run0"])
    slope, level = np.polyfit(small.training, small.elo, 1)
    np.testing.assert_allclose(result.predicted.value, level + slope * result.training)
    np.testing.assert_allclose(result.error, result.rated - result.predicted.value)
    assert result.slope.value == pytest.approx(slope)
    assert result.root_mean_square == pytest.approx(np.sqrt(np.mean(result.error**2)))


def test_held_out_rating_does_not_move_its_prediction() -> None:
    points = studied()
    other = replace(points, elo=points.elo + 300 * (points.recipe == "large"))
    one, two = (extrapolation.predict_runs(p, ["large-run0"]) for p in (points, other))
    np.testing.assert_allclose(one.predicted.value, two.predicted.value)
    np.testing.assert_allclose(one.predicted.high, two.predicted.high)
    np.testing.assert_allclose(two.error - one.error, 300)


def test_shared_rating_error_does_not_widen_a_prediction() -> None:
    """The anchor's error moves both sides."""
    points = studied()
    moved = replace(points, covariance=points.covariance + 100.0**2)
    one, two = (extrapolation.predict_runs(p, ["large-run0"]) for p in (points, moved))
    np.testing.assert_allclose(one.predicted.stderr, two.predicted.stderr)


def test_held_out_ratings_error_widens_its_prediction() -> None:
    points = studied()
    own = np.diag(np.where(points.recipe == "large", 100.0**2, 0))
    one, two = (
        extrapolation.predict_runs(p, ["large-run0"])
        for p in (points, replace(points, covariance=points.covariance + own))
    )
    np.testing.assert_allclose(two.predicted.stderr**2 - one.predicted.stderr**2, 100**2)


def test_covered_tells_hits_from_misses() -> None:
    hit = extrapolation.predict_runs(studied(), ["large-run0"])
    assert hit.covered.all()
    assert str(hit).startswith("2 of 2 held-out versions of 1 runs, up to ")
    miss = extrapolation.predict_runs(studied(bend=600), ["large-run0"])
    assert not miss.covered[-1] and (miss.error < 0).all()
    assert "errors are -" in str(miss)


def test_unusable_held_out_runs_are_rejected() -> None:
    points = studied()
    with pytest.raises(ValueError, match=r"hold out some of the runs large-run0, .* got \['x'\]"):
        extrapolation.predict_runs(points, ["x"])
    with pytest.raises(ValueError, match=r"got \[\]"):
        extrapolation.predict_runs(points, [])
    with pytest.raises(ValueError, match="no version of small-run0 has more training"):
        extrapolation.predict_runs(points, ["small-run0"])
    with pytest.raises(ValueError, match="nothing is left to fit"):
        extrapolation.predict_runs(points, points.runs)
    pair = points.select(np.isin(points.run, ["large-run0", "small-run1"]))
    with pytest.raises(ValueError, match="at least 2, got 1: 'small-run1'"):
        extrapolation.predict_runs(pair, ["large-run0"])
