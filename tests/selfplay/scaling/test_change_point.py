"""Incline, plateau and change point; saturation is found, and not where there is none."""

import re
from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import change_point
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import Luck, draw, runs
from tests.simulation.studies import JONES, START

QUIET = Luck(5, 5, version=5)


def bent(luck: Luck = QUIET) -> RatedVersions:
    points = draw(*studies.bent(3), luck, openings=5000, replicates=1)
    return replace(points, elo=points.elo[0])


def test_exact_data_give_back_the_three_parameters() -> None:
    design, truth = studies.bent(3)
    found = change_point.fit(replace(design, elo=truth))
    assert found.slope.value == pytest.approx(500)
    assert found.plateau.value == found.level.value == pytest.approx(1000)
    assert found.change_point.value == pytest.approx(START + 2)
    assert found.offset.value == pytest.approx(-500 * START)
    assert found.slope_cost is found.plateau_cost is found.delay is None
    np.testing.assert_array_equal(found.on_slope, design.training < START + 2)


def test_exact_data_give_back_joness_five_parameters() -> None:
    design, truth = studies.boards(3)
    found = change_point.fit(replace(design, elo=truth), "board")
    assert found.slope_cost and found.plateau_cost and found.delay
    values = [found.slope, found.slope_cost, found.offset, found.plateau_cost, found.level]
    for one, name in zip(values, ("incline", "m", "offset", "p", "level"), strict=True):
        assert one.value == pytest.approx(JONES[name], rel=1e-5), name
    assert found.delay.value == pytest.approx((430 - 270) / 510, rel=1e-5)
    mean = design.covariates["board"].mean()
    assert found.plateau.value == pytest.approx(570 - 270 * mean, rel=1e-5)
    assert found.change_point.value == pytest.approx((570 + 4400 + 160 * mean) / 510, rel=1e-6)


def test_a_batch_is_its_replicates() -> None:
    """Replicates with other partitions are fitted apart and put back in their places."""
    points = draw(*studies.bent(3), Luck(80, 80, version=80), replicates=12)
    points = replace(points, elo=points.elo.reshape(3, 4, -1))
    whole = change_point.fit(points)
    assert len(np.unique(whole.on_slope.reshape(12, -1), axis=0)) > 2
    for at in ((0, 0), (2, 1), (1, 3)):
        one = change_point.fit(replace(points, elo=points.elo[at]))
        np.testing.assert_array_equal(whole.on_slope[at], one.on_slope)
        for name in ("slope", "plateau", "change_point", "level"):
            many, single = getattr(whole, name), getattr(one, name)
            for number in ("value", "low", "high", "df"):
                assert getattr(many, number)[at] == pytest.approx(getattr(single, number))


def test_saturation_is_found_where_it_is() -> None:
    found = change_point.saturation_test(bent())
    assert found.significant and found.p_value < 0.01
    assert found.change.value < -200 and found.change.high < 0
    assert START + 0.5 < found.knot < START + 2.5
    assert str(found).startswith("saturates: beyond 10^")


def test_a_line_that_grows_faster_is_not_saturated() -> None:
    points = bent()
    other = replace(points, elo=-points.elo)
    found = change_point.saturation_test(other)
    assert not found.significant and found.p_value == 1
    assert str(found) == "no saturation in sight (p = 1)"


def test_the_p_value_pays_for_three_places() -> None:
    design, truth = studies.line(5)
    found = change_point.saturation_test(draw(design, truth, seed=5))
    least = found.change.p_below(0.0)
    np.testing.assert_allclose(found.p_value, np.minimum(1, 3 * least))
    assert 0.0 < found.significant.mean() < 0.03


def test_boards_saturate_each_in_its_place() -> None:
    """One line over all boards would bend where small boards end."""
    design, truth = studies.boards(4)
    found = change_point.saturation_test(draw(design, truth, replicates=200), "board")
    assert found.significant.mean() > 0.95
    rising = JONES["incline"] * design.training - JONES["m"] * design.covariates["board"]
    found = change_point.saturation_test(draw(design, rising, replicates=200), "board")
    assert found.significant.mean() < 0.05


def test_the_line_bends_at_the_same_share_of_every_boards_range(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(change_point, "KNOTS", (0.5,))
    design, _ = studies.boards(3)
    size = design.covariates["board"]
    x = np.tile(np.linspace(0, 2.8, 7), 9)
    points = replace(design, training=x + size, elo=500 * np.minimum(x, 1.4))
    found = change_point.saturation_test(points, "board")
    assert found.change.value == pytest.approx(-500)
    assert found.knot == pytest.approx(7 + 1.4)


def test_it_says_what_was_found() -> None:
    said = str(change_point.fit(bent()))
    assert re.fullmatch(
        r"\+[45]\S+ ± \S+ Elo per OOM of training until 10\^14\.0\d FLOPs "
        r"\(10\^1[34]\.\d\d to 10\^14\.\d\d\), then a plateau at \+\S+ ± \S+ Elo",
        said,
    )


def test_two_levels_of_training_have_no_change_point() -> None:
    design = runs(3, versions=1)
    points = replace(design, elo=design.training)
    with pytest.raises(ValueError, match="3 versions leave no place for a change point"):
        change_point.fit(points)


def test_an_incline_of_one_level_is_no_incline() -> None:
    """Versions that differ by the jitter of iterations only do not tell a slope."""
    design, _ = studies.bent(3)
    steep = 1000 * (design.training - START)
    flat = replace(design, elo=np.where(design.training < START + 0.2, steep, 100.0))
    found = change_point.fit(flat)
    assert np.ptp(design.training[found.on_slope]) > 0.3
    assert found.slope.value < 300
