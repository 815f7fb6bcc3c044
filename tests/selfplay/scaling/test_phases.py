"""The fit of floor, incline and plateau."""

import re
from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import phases
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import Luck, draw, runs
from tests.simulation.studies import JONES, START

QUIET = Luck(5, 5, version=5)


def bent(luck: Luck = QUIET) -> RatedVersions:
    points = draw(*studies.bent(3), luck, openings=5000, replicates=1)
    return replace(points, elo=points.elo[0])


def test_fit_recovers_three_parameters_of_exact_data() -> None:
    design, truth = studies.bent(3)
    result = phases.fit(replace(design, elo=truth))
    assert result.slope.value == pytest.approx(500)
    assert result.plateau and result.level and result.change_point
    assert result.plateau.value == result.level.value == pytest.approx(1000)
    assert result.change_point.value == pytest.approx(START + 2)
    assert result.offset.value == pytest.approx(-500 * START)
    assert result.slope_cost is result.plateau_cost is result.delay is None
    np.testing.assert_array_equal(result.on_incline, design.training < START + 2)


def test_fit_recovers_joness_five_parameters_of_exact_data() -> None:
    design, truth = studies.boards(3)
    result = phases.fit(replace(design, elo=truth), "board")
    assert result.slope_cost and result.plateau_cost and result.delay
    assert result.plateau and result.level and result.change_point
    values = [result.slope, result.slope_cost, result.offset, result.plateau_cost, result.level]
    for estimate, name in zip(values, ("incline", "m", "offset", "p", "level"), strict=True):
        assert estimate.value == pytest.approx(JONES[name], rel=1e-5), name
    assert result.delay.value == pytest.approx((430 - 270) / 510, rel=1e-5)
    mean = design.covariates["board"].mean()
    assert result.plateau.value == pytest.approx(570 - 270 * mean, rel=1e-5)
    assert result.change_point.value == pytest.approx((570 + 4400 + 160 * mean) / 510, rel=1e-6)


def test_batch_equals_its_replicates() -> None:
    """Replicates with different partitions are fitted separately and merged in their order."""
    points = draw(*studies.bent(3), Luck(80, 80, version=80), replicates=12)
    points = replace(points, elo=points.elo.reshape(3, 4, -1))
    whole = phases.fit(points)
    assert len(np.unique(whole.phase.reshape(12, -1), axis=0)) > 2
    for at in ((0, 0), (2, 1), (1, 3)):
        single_fit = phases.fit(replace(points, elo=points.elo[at]))
        np.testing.assert_array_equal(whole.phase[at], single_fit.phase)
        for name in ("slope", "plateau", "change_point", "level"):
            many, single = getattr(whole, name), getattr(single_fit, name)
            for number in ("value", "low", "high", "df"):
                assert getattr(many, number)[at] == pytest.approx(getattr(single, number))


def test_text_names_incline_change_point_and_plateau() -> None:
    text = str(phases.fit(bent()))
    assert re.fullmatch(
        r"\+[45]\S+ ± \S+ Elo per OOM of training until 10\^14\.0\d FLOPs "
        r"\(10\^1[34]\.\d\d to 10\^14\.\d\d\), then a plateau at \+\S+ ± \S+ Elo",
        text,
    )


def test_two_levels_of_training_leave_no_change_point() -> None:
    design = runs(3, versions=1)
    points = replace(design, elo=design.training)
    with pytest.raises(ValueError, match="3 versions leave no place for a change point"):
        phases.fit(points)


def test_incline_covers_more_than_one_level() -> None:
    """Versions whose training differs only by the jitter of iterations determine no slope."""
    design, _ = studies.bent(3)
    steep = 1000 * (design.training - START)
    flat = replace(design, elo=np.where(design.training < START + 0.2, steep, 100.0))
    result = phases.fit(flat)
    assert np.ptp(design.training[result.on_incline]) > 0.3
    assert result.slope.value < 300


def test_fit_recovers_floor_incline_and_plateau_of_exact_data() -> None:
    design, truth = studies.s_shaped(3)
    result = phases.fit(replace(design, elo=truth), floor=True)
    assert result.floor and result.plateau and result.take_off and result.change_point
    assert result.floor.value == pytest.approx(0, abs=1e-6)
    assert result.slope.value == pytest.approx(600)
    assert result.plateau.value == pytest.approx(960)
    assert result.take_off.value == pytest.approx(START + 0.8)
    assert result.change_point.value == pytest.approx(START + 2.4)
    x = design.training - START
    np.testing.assert_array_equal(result.phase, np.select([x < 0.8, x > 2.4], [-1, 1]))
    predicted = phases.predict(replace(design, elo=truth), design.training, True, True)
    np.testing.assert_allclose(predicted, truth, atol=1e-6)


def test_floor_mirrors_a_plateau() -> None:
    """Turning a curve by half a circle swaps take-off and plateau, intervals included."""
    points = bent()
    turned = replace(points, elo=-points.elo, training=-points.training)
    before, after = phases.fit(points), phases.fit(turned, floor=True, plateau=False)
    assert before.change_point and after.take_off
    assert after.slope.value == pytest.approx(before.slope.value)
    assert after.take_off.value == pytest.approx(-before.change_point.value)
    assert after.take_off.low == pytest.approx(-before.change_point.high)
    assert after.take_off.high == pytest.approx(-before.change_point.low)


def test_line_has_no_phases_but_the_incline() -> None:
    design, truth = studies.line(3)
    result = phases.fit(replace(design, elo=truth), plateau=False)
    assert result.floor is result.plateau is result.take_off is result.change_point is None
    assert result.slope.value == pytest.approx(500) and result.on_incline.all()


def test_level_of_training_is_never_divided() -> None:
    points = draw(*studies.s_shaped(5), Luck(80, 80, version=150), replicates=20)
    phase = phases.fit(points, floor=True).phase.reshape(20, 5, 8)  # seeds, levels
    assert (phase == phase[:, :1]).all() and len(np.unique(phase[:, 0], axis=0)) > 2


def test_interval_of_a_change_point_reaches_beyond_its_gap() -> None:
    """A level that could be of either phase does not bound the interval."""
    points = draw(*studies.taking_off(3, take_off=1.4), Luck(60, 60, version=60), replicates=100)
    result = phases.fit(points, floor=True, plateau=False)
    assert result.take_off
    level = START + 3.2 * 3 / 7
    across = (result.take_off.low < level - 0.05) & (result.take_off.high > level + 0.05)
    assert across.mean() > 0.5
