"""The change-point fit of incline and plateau, and the test for saturation."""

import re
from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import bends, phases
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
    assert result.plateau.value == result.level.value == pytest.approx(1000)
    assert result.change_point.value == pytest.approx(START + 2)
    assert result.offset.value == pytest.approx(-500 * START)
    assert result.slope_cost is result.plateau_cost is result.delay is None
    np.testing.assert_array_equal(result.on_slope, design.training < START + 2)


def test_fit_recovers_joness_five_parameters_of_exact_data() -> None:
    design, truth = studies.boards(3)
    result = phases.fit(replace(design, elo=truth), "board")
    assert result.slope_cost and result.plateau_cost and result.delay
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
    assert len(np.unique(whole.on_slope.reshape(12, -1), axis=0)) > 2
    for at in ((0, 0), (2, 1), (1, 3)):
        single_fit = phases.fit(replace(points, elo=points.elo[at]))
        np.testing.assert_array_equal(whole.on_slope[at], single_fit.on_slope)
        for name in ("slope", "plateau", "change_point", "level"):
            many, single = getattr(whole, name), getattr(single_fit, name)
            for number in ("value", "low", "high", "df"):
                assert getattr(many, number)[at] == pytest.approx(getattr(single, number))


def test_saturation_is_significant_for_a_plateau() -> None:
    result = bends.saturation(bent())
    assert result.significant and result.p_value < 0.01
    assert result.change.value < -200 and result.change.high < 0
    assert START + 0.5 < result.knot < START + 2.5
    assert str(result).startswith("saturates: beyond 10^")


def test_accelerating_line_is_not_saturated() -> None:
    points = bent()
    other = replace(points, elo=-points.elo)
    result = bends.saturation(other)
    assert not result.significant and result.p_value == 1
    assert str(result) == "no saturation in sight (p = 1)"


def test_p_value_is_corrected_for_three_knots() -> None:
    design, truth = studies.line(5)
    result = bends.saturation(draw(design, truth, seed=5))
    least = result.change.p_below(0.0)
    np.testing.assert_allclose(result.p_value, np.minimum(1, 3 * least))
    assert 0.0 < result.significant.mean() < 0.03


def test_boards_saturate_at_their_own_compute() -> None:
    """A single line over all boards would bend where the small boards end."""
    design, truth = studies.boards(4)
    result = bends.saturation(draw(design, truth, replicates=200), "board")
    assert result.significant.mean() > 0.95
    rising = JONES["incline"] * design.training - JONES["m"] * design.covariates["board"]
    result = bends.saturation(draw(design, rising, replicates=200), "board")
    assert result.significant.mean() < 0.05


def test_knots_are_fractions_of_every_boards_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(change_point, "KNOTS", (0.5,))
    design, _ = studies.boards(3)
    size = design.covariates["board"]
    x = np.tile(np.linspace(0, 2.8, 7), 9)
    points = replace(design, training=x + size, elo=500 * np.minimum(x, 1.4))
    result = bends.saturation(points, "board")
    assert result.change.value == pytest.approx(-500)
    assert result.knot == pytest.approx(7 + 1.4)


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
    assert np.ptp(design.training[result.on_slope]) > 0.3
    assert result.slope.value < 300
