"""The training that reaches a strength: exact data, pooling, and errors of the ratings."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import compute_to_reach
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import joined, runs


def of_run(elo: list[float], covariance: np.ndarray | None = None) -> RatedVersions:
    """Makes two runs with the same ratings, an OOM between versions."""
    size = 2 * len(elo)
    return RatedVersions.of(
        elo * 2,
        np.zeros((size, size)) if covariance is None else covariance,
        ["a"] * len(elo) + ["b"] * len(elo),
        list(np.arange(10.0, 10 + len(elo))) * 2,
        recipe=["r"] * size,
    )


def test_threshold_of_a_line_is_exact() -> None:
    design, truth = studies.line(3)
    result = compute_to_reach.fit(replace(design, elo=truth), 700)
    assert result.training.value == pytest.approx(12 + 1.4)
    assert result.training.stderr == pytest.approx(0, abs=1e-6)


def test_plateau_above_the_level_does_not_move_the_threshold() -> None:
    design, truth = studies.bent(3)
    steep = compute_to_reach.fit(replace(design, elo=truth), 400).training.value
    assert steep == pytest.approx(12.8)


def test_falling_versions_are_pooled() -> None:
    """40 and 20 are pooled to 30 each; 20 Elo is two thirds of the way from 0 to the pool."""
    result = compute_to_reach.fit(of_run([-60, 0, 40, 20, 100]), 20)
    assert result.training.value == pytest.approx(11 + 2 / 3)


@pytest.mark.parametrize("member", range(5))
def test_standard_error_matches_finite_differences(member: int) -> None:
    """The standard error is the derivative by each rating times that rating's error."""
    elo, step = [-60.0, 0.0, 40.0, 20.0, 100.0], 0.01
    noise = np.zeros((10, 10))
    noise[member, member] = noise[member + 5, member + 5] = 1.0  # Elo²
    moved = list(elo)
    moved[member] += step
    before, after = (compute_to_reach.fit(of_run(e), 20).training.value for e in (elo, moved))
    result = compute_to_reach.fit(of_run(elo, noise), 20).training
    each = abs(float(after - before)) / step
    assert result.stderr == pytest.approx(each / np.sqrt(2), rel=1e-3, abs=1e-9)


def test_shared_error_moves_the_threshold_by_the_slope() -> None:
    """With 30 Elo in one OOM, one Elo more for all is 1/30 OOM, for any number of runs."""
    result = compute_to_reach.fit(of_run([-60, 0, 40, 20, 100], np.ones((10, 10))), 20).training
    assert result.stderr == pytest.approx(1 / 30, rel=1e-3)


def test_threshold_is_the_cheapest_recipes_and_names_those_that_fall_short() -> None:
    design = joined(runs(3), runs(3, start=11.5), runs(3), names=("late", "early", "weak"))
    start = np.select([design.recipe == "late", design.recipe == "early"], [12.0, 11.5], 13.0)
    result = compute_to_reach.fit(replace(design, elo=500 * (design.training - start)), 1000)
    assert result.recipe == "early" and result.training.value == pytest.approx(13.5)
    assert result.recipes_that_fall_short == {"weak": 3}
    assert "of 1 other recipes not every run gets there" in str(result)


def test_run_whose_lucky_version_is_pooled_falls_short() -> None:
    """One version above the level and worse ones behind it: in their mean it is not there."""
    design = joined(runs(3), runs(3), names=("sure", "lucky"))
    elo = 500 * (design.training - 12.0)
    own = design.run == "lucky-run1"
    elo[own] = np.minimum(elo[own], 900)
    elo[np.flatnonzero(own)[-3]] = 1010
    result = compute_to_reach.fit(replace(design, elo=elo), 1000)
    assert result.recipe == "sure" and result.recipes_that_fall_short == {"lucky": 1}


def test_insufficient_data_is_rejected() -> None:
    design, truth = studies.line(3)
    points = replace(design, elo=truth)
    with pytest.raises(ValueError, match=r"no recipe gets to \+2000 Elo with all its runs"):
        compute_to_reach.fit(points, 2000)
    with pytest.raises(ValueError, match="'run0' is at -50 Elo in its first version"):
        compute_to_reach.fit(points, -50)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        compute_to_reach.fit(points.select(points.run == "run0"), 700)
