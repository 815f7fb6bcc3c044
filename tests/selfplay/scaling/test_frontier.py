"""The frontier: which versions are on it, and the fit to them."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import frontier
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import Luck, draw, joined, runs
from tests.simulation.studies import START


def curves() -> RatedVersions:
    """Small: 0, 300, 400 Elo; large: -100, 250, 600; two runs of each, 20 Elo apart."""
    design = joined(runs(2, 3, 2.0), runs(2, 3, 2.0), names=("small", "large"))
    elo = np.where(
        design.recipe == "small", np.tile([0.0, 300, 400], 4), np.tile([-100.0, 250, 600], 4)
    )
    level = np.round(design.training * 2) / 2
    return replace(design, elo=elo + 20 * design.seed, training=level)


def test_each_recipe_is_on_the_frontier_in_its_range() -> None:
    points = curves()
    on = frontier.on_frontier(points)
    small, level = points.recipe == "small", points.training - START
    np.testing.assert_array_equal(on, np.where(small, level < 1.5, level > 1.5))


def test_frontier_compares_means_over_seeds() -> None:
    points = curves()
    lucky = points.elo + 60.0 * ((points.run == "large-run1") & (points.training == START + 1))
    np.testing.assert_array_equal(
        frontier.on_frontier(points), frontier.on_frontier(replace(points, elo=lucky))
    )


def test_number_of_seeds_does_not_change_the_frontier() -> None:
    points = curves()
    fewer = points.run != "large-run1"
    on = frontier.on_frontier(points.select(fewer))
    np.testing.assert_array_equal(on, frontier.on_frontier(points)[fewer])


def test_mean_curve_begins_at_its_first_version_and_stays_level() -> None:
    """A recipe that starts later is not there before, and a recipe that ended stays as good."""
    design = joined(runs(2, 3, 1.0), runs(2, 3, 1.0, start=13.5), names=("first", "later"))
    level = np.round(design.training * 2) / 2
    elo = np.where(design.recipe == "first", 500.0, np.tile([600.0, 450, 700], 4))
    on = frontier.on_frontier(replace(design, elo=elo, training=level))
    np.testing.assert_array_equal(on, elo >= 500)


def test_slope_is_fitted_to_the_frontier() -> None:
    design, truth = studies.overtaken(4)
    points = draw(design, truth, Luck(5, 5, version=5), openings=5000, replicates=1)
    result = frontier.fit(replace(points, elo=points.elo[0]))
    assert result.on_frontier.sum() == 4 * 6
    assert result.slope.value == pytest.approx(480, abs=15)
    assert not result.curve.bent and not result.curve.saturation.significant
    assert "no bend in sight" in str(result)


def test_plateau_is_fitted_by_a_change_point() -> None:
    points = draw(*studies.bent(4), Luck(10, 10, version=10), openings=5000, replicates=1)
    result = frontier.fit(replace(points, elo=points.elo[0]))
    assert result.curve.saturation.significant and result.curve.in_phases.plateau is not None
    assert result.slope.value == result.curve.in_phases.slope.value
    assert result.slope.value == pytest.approx(500, abs=25)
    assert "then a plateau at" in str(result) and "still rises" not in str(result)


def test_text_says_that_a_plateau_still_rises() -> None:
    design, _ = studies.bent(4)
    x = design.training - START
    truth = np.minimum(500 * x, 1000 + 80 * (x - 2))
    points = draw(design, truth, Luck(10, 10, version=30), openings=5000, replicates=1)
    result = frontier.fit(replace(points, elo=points.elo[0]))
    assert result.slope_beyond and result.slope_beyond.covers(80)
    assert ", which still rises, by +" in str(result)


def test_unusable_versions_are_rejected() -> None:
    points = curves()
    with pytest.raises(ValueError, match=r"got a batch \(2,\)"):
        frontier.on_frontier(replace(points, elo=np.stack([points.elo] * 2)))
    twice = points.select([*range(12), 3])
    with pytest.raises(ValueError, match=r"'small-run1' has 2 versions at 10\^12 FLOPs .* budget"):
        frontier.on_frontier(twice)
