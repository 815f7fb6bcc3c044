"""Tests for take-off and saturation."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import bends
from tests.selfplay.scaling.test_phases import bent
from tests.simulation import studies
from tests.simulation.planted import draw
from tests.simulation.studies import JONES, START


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


def test_p_values_are_corrected_for_several_tests() -> None:
    points = draw(*studies.line(5), seed=5)
    for result in (bends.take_off(points), bends.saturation(points)):
        change = result.change
        least = change.p_above(0.0) if result.up else change.p_below(0.0)
        np.testing.assert_allclose(result.p_value, np.minimum(1, bends.TESTS * least))
        assert 0.0 < result.significant.mean() < 0.04


def test_take_off_is_the_mirror_image_of_saturation() -> None:
    points = draw(*studies.s_shaped(3), replicates=20)
    turned = replace(points, elo=-points.elo, training=-points.training)
    np.testing.assert_allclose(bends.take_off(turned).p_value, bends.saturation(points).p_value)


def test_s_shaped_curve_hides_neither_bend(monkeypatch: pytest.MonkeyPatch) -> None:
    points = draw(*studies.s_shaped(3, take_off=0.4, change_point=1.8), replicates=200)
    assert bends.take_off(points).significant.mean() > 0.8
    assert bends.saturation(points).significant.mean() > 0.95
    monkeypatch.setattr(bends, "_smaller", lambda bend, *_, **__: bend)  # one knot alone
    assert bends.take_off(points).significant.mean() < 0.3


def test_other_bend_alone_is_not_taken_for_both() -> None:
    risen, ended = draw(*studies.taking_off(3)), draw(*studies.bent(3))
    assert bends.take_off(risen).significant.mean() > 0.95
    assert bends.saturation(risen).significant.mean() < 0.055
    assert bends.saturation(ended).significant.mean() > 0.95
    assert bends.take_off(ended).significant.mean() < 0.055


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
    monkeypatch.setattr(bends, "KNOTS", (0.5,))
    design, _ = studies.boards(3)
    size = design.covariates["board"]
    x = np.tile(np.linspace(0, 2.8, 7), 9)
    points = replace(design, training=x + size, elo=500 * np.minimum(x, 1.4))
    result = bends.saturation(points, "board")
    assert result.change.value == pytest.approx(-500)
    assert result.knot == pytest.approx(7 + 1.4)
