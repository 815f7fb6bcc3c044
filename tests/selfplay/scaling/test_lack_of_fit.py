"""The test of lack of fit."""

import numpy as np
import pytest

from selfplay.scaling import lack_of_fit, partitions, phases, slopes
from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import draw


def of_a_line(points: RatedVersions) -> lack_of_fit.LackOfFit:
    x = points.training - points.training.mean()
    return lack_of_fit.test(points, np.stack([np.ones_like(x), x], axis=1))


def of_phases(points: RatedVersions, floor: bool, plateau: bool) -> Floats:
    p_values = np.ones(len(points.elo))
    phase = partitions.closest(points, floor=floor, plateau=plateau)
    for replicates, same, partition in partitions.groups(points, phase):
        columns = phases.partition_regression(same, partition).columns
        p_values[replicates] = lack_of_fit.test(same, columns).p_value
    return p_values


@pytest.mark.parametrize("seeds", [3, 5])
def test_right_curves_are_rejected_as_often_as_the_level_says(seeds: int) -> None:
    line = of_a_line(draw(*studies.line(seeds)))
    assert line.departures == 4
    shares = [
        np.mean(line.p_value < 0.05),
        np.mean(of_phases(draw(*studies.taking_off(seeds)), True, False) < 0.05),
        np.mean(of_phases(draw(*studies.bent(seeds)), False, True) < 0.05),
        np.mean(of_phases(draw(*studies.s_shaped(seeds)), True, True) < 0.05),
    ]
    assert all(0.03 <= share <= 0.065 for share in shares), shares


def test_line_through_a_take_off_is_rejected() -> None:
    points = draw(*studies.taking_off(3), replicates=200)
    assert np.mean(of_a_line(points).p_value < 0.05) > 0.95
    assert np.mean(of_phases(points, True, False) < 0.05) < 0.15


def test_as_many_levels_as_parameters_leave_nothing_to_test() -> None:
    design, truth = studies.line(3)
    points = draw(design, truth, replicates=1)
    ends = np.isin(np.arange(len(points)) % 6, (0, 5))
    result = of_a_line(points.select(ends))
    assert result.departures == 0 and result.p_value == 1
    assert str(result) == "too few levels for a test of fit"


def test_slopes_carry_their_stretch_and_their_test() -> None:
    points = draw(*studies.searched(3), replicates=300)
    search = slopes.per_search(points)
    assert search.lack_of_fit.departures == 1  # three budgets, a level and a slope
    assert search.stretch == (7.0, pytest.approx(7 + np.log10(65)))
    assert np.mean(search.lack_of_fit.p_value < 0.05) < 0.09
    corner = np.where(points.search > 7.5, -500.0, 0.0)
    bent = draw(studies.searched(3)[0], corner, replicates=300)
    assert np.mean(slopes.per_search(bent).lack_of_fit.p_value < 0.05) > 0.9
