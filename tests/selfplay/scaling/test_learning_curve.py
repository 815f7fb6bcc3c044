"""The learning curve: which phases, and when a smooth curve."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import learning_curve
from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import Luck, draw, runs
from tests.simulation.studies import START

QUIET = Luck(10, 10, version=10)


def single(design: RatedVersions, truth: Floats, luck: Luck = QUIET) -> RatedVersions:
    points = draw(design, truth, luck, openings=5000, replicates=1, seed=2)
    return replace(points, elo=points.elo[0])


def test_every_shape_gets_its_phases() -> None:
    kinds = {}
    for study in (studies.line, studies.taking_off, studies.bent, studies.s_shaped):
        curve = learning_curve.fit(single(*study(3)))
        fit = curve.in_phases
        assert curve.logistic is None
        kinds[study.__name__] = fit.floor is not None, fit.plateau is not None
    assert kinds == {
        "line": (False, False),
        "taking_off": (True, False),
        "bent": (False, True),
        "s_shaped": (True, True),
    }


def test_slope_names_the_incline() -> None:
    curve = learning_curve.fit(single(*studies.s_shaped(3)))
    assert curve.slope.stretch == pytest.approx((START + 0.8, START + 2.4), abs=0.05)
    assert curve.slope.covers(600) and curve.slope.lack_of_fit.departures == 4
    assert "between 10^12.8 and 10^14.4 FLOPs, no lack of fit (p = 0." in str(curve)
    at = np.array([START, START + 1.6, START + 3.2])
    drawn = learning_curve.evaluate(single(*studies.s_shaped(3)), curve, at)
    np.testing.assert_allclose(drawn.value, [0, 480, 960], atol=30)
    assert (drawn.low < drawn.value).all() and (drawn.value < drawn.high).all()


def test_smooth_curve_is_used_where_corners_do_not_fit() -> None:
    design = runs(4, versions=10, ooms=4)
    truth = 1500 / (1 + np.exp(-1.8 * (design.training - START - 2)))
    curve = learning_curve.fit(single(design, truth))
    assert curve.logistic is not None and curve.lack_of_fit.significant
    assert curve.slope.covers(1500 * 1.8 / 4) and not curve.slope.lack_of_fit.significant
    assert "a smooth curve" in str(curve)


@pytest.mark.slow
def test_smooth_curve_rarely_replaces_right_phases() -> None:
    points = draw(*studies.s_shaped(3), replicates=60)
    smooth = [learning_curve.fit(replace(points, elo=elo)).logistic for elo in points.elo]
    assert sum(curve is not None for curve in smooth) <= 6
