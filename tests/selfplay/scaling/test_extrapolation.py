"""The test of extrapolation: which runs are held out, and prediction intervals."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import clipped_line, extrapolation
from selfplay.scaling.candidates import CANDIDATES, LINE, Candidate
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.extrapolation import Extrapolation
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.extrapolated import covered, grown_in_phases, predict_largest
from tests.simulation.planted import Luck, draw, joined, runs
from tests.simulation.studies import START


def studied(bend: float = 0.0) -> RatedVersions:
    """Four small runs and a large one, whose slope falls off beyond the small ones by `bend`."""
    design = joined(runs(4), runs(1, versions=8, ooms=3.5), names=("small", "large"))
    beyond = np.maximum(design.training - START - 2.5, 0)
    truth = 500 * (design.training - START) - bend * beyond
    points = draw(design, truth, Luck(10, 10, version=10), openings=3000, replicates=1)
    return replace(points, elo=points.elo[0])


def test_largest_runs_holds_out_recipes_until_the_reach_suffices() -> None:
    parts = [runs(2, versions=6, ooms=2.0 + share) for share in (0.0, 0.25, 0.5)]
    points = joined(*parts, names=("small", "middle", "large"))
    points = replace(points, elo=500 * points.training + np.arange(len(points)) % 5)
    near, far = (extrapolation.largest_runs(points, least) for least in (0.1, 0.4))
    assert near == ["large-run0", "large-run1"]
    assert far == [*near, "middle-run0", "middle-run1"]
    reaches = [extrapolation.predict_runs(points, runs).reach for runs in (near, far)]
    assert reaches[0] < 0.4 <= reaches[1]
    with pytest.raises(ValueError, match=r"the largest runs go only 0\.5\S* OOMs beyond .* not 2"):
        extrapolation.largest_runs(points, 2.0)


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
    assert result.predictor.beta[0, clipped_line.SLOPE] == pytest.approx(slope)
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


QUIET = Luck(5, 5, version=5)


def in_phases(plateau: float) -> RatedVersions:
    """Five runs of each of four sizes, whose strength takes off and reaches a plateau."""
    design, truth = grown_in_phases(5, plateau=plateau)
    points = draw(design, truth, QUIET, openings=5000, replicates=1)
    return replace(points, elo=points.elo[0])


def test_best_candidate_knows_the_plateau_where_the_line_misses() -> None:
    points = in_phases(plateau=1000)
    result = extrapolation.compare(points, 0.3)
    line = result.trials[0].tested
    assert result.best is not LINE and isinstance(line, Extrapolation)
    assert abs(result.test.error.mean()) < 30 and result.test.covered.all()
    assert line.error.mean() < -100
    errors = {
        trial.candidate.name: float(trial.chosen_by.root_mean_square)
        for trial in result.trials
        if isinstance(trial.chosen_by, Extrapolation)
    }
    assert result.best.name == min(errors, key=lambda name: errors[name])
    assert result.forecast is not None and result.forecast.covers(1000)
    assert result.at == pytest.approx(points.training.max() + extrapolation.FORECAST)


def test_choice_of_the_candidate_does_not_see_the_held_out_runs() -> None:
    points = in_phases(plateau=1000)
    one = extrapolation.compare(points, 0.3)
    moved = points.elo + 500.0 * np.isin(points.run, one.test.held_out)
    two = extrapolation.compare(replace(points, elo=moved), 0.3)
    assert one.best is two.best and one.weights == two.weights
    np.testing.assert_allclose(one.test.predicted.low, two.test.predicted.low)


def test_candidates_that_disagree_widen_the_interval() -> None:
    points = in_phases(plateau=1000)
    result = extrapolation.compare(points, 0.3)
    (own,) = (t.tested for t in result.trials if t.candidate is result.best)
    assert isinstance(own, Extrapolation)
    values = np.stack(
        [t.tested.predicted.value for t in result.trials if isinstance(t.tested, Extrapolation)]
    )
    weights = np.array(list(result.weights.values()))
    spread = weights @ np.square(values - own.predicted.value)
    assert (spread > 1).all()
    np.testing.assert_allclose(
        result.test.predicted.stderr**2, own.predicted.stderr**2 + spread, rtol=1e-6
    )
    alone = extrapolation.compare(points, 0.3, [result.best])
    np.testing.assert_allclose(alone.test.predicted.stderr, own.predicted.stderr)


def test_trust_falls_with_the_fourth_power_of_the_error() -> None:
    weights = extrapolation.trust(np.array([10.0, 20.0, np.inf]))
    np.testing.assert_allclose(weights, [16 / 17, 1 / 17, 0])
    np.testing.assert_allclose(extrapolation.trust(np.array([np.inf, np.inf])), 0.5)
    np.testing.assert_allclose(extrapolation.trust(np.array([0.0, 3.0])), [1, 0])


def test_first_candidate_is_used_where_none_can_be_compared() -> None:
    points = studied()
    result = extrapolation.compare(points, 0.3)  # two recipes: nothing is left to hold out
    assert result.best is LINE
    assert all(isinstance(trial.chosen_by, InsufficientData) for trial in result.trials)
    assert len(set(np.round(list(result.weights.values()), 12))) == 1


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_every_candidate_predicts_exact_data_of_a_plateau(candidate: Candidate) -> None:
    design, truth = grown_in_phases(2, plateau=900)
    points = replace(design, elo=truth, covariance=np.eye(len(truth)))
    held_out = extrapolation.largest_runs(points, 0.3)
    result = extrapolation.predict_runs(points, held_out, candidate)
    worst = float(np.abs(result.error).max())
    assert worst > 100 if candidate is LINE else worst < 60


def test_simulation_predicts_as_compare_does() -> None:
    points = draw(*grown_in_phases(3, plateau=1300), replicates=4)
    fast = predict_largest(points)
    for replicate, elo in enumerate(points.elo):
        test = extrapolation.compare(replace(points, elo=elo), 0.3).test
        expected = test.predicted.low - test.rated, test.predicted.high - test.rated
        np.testing.assert_allclose(fast.low[replicate], expected[0], rtol=1e-4, atol=0.1)
        np.testing.assert_allclose(fast.high[replicate], expected[1], rtol=1e-4, atol=0.1)


def test_intervals_cover_the_largest_runs_of_random_studies() -> None:
    share, _ = covered(3, studies=4, replicates=4)
    assert share > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "low", "high"), [(5, 0.935, 0.965), (3, 0.925, 0.975)])
def test_coverage_of_two_thousand_studies(seeds: int, low: float, high: float) -> None:
    share, stderr = covered(seeds, studies=100, replicates=20)
    print(f"{share:.2%} ± {stderr:.2%}")
    assert low <= share <= high
