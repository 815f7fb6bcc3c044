"""The curves that predict larger runs: exact data, derivatives, and intervals at the corner."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import candidates, clipped_line
from selfplay.scaling.candidates import CANDIDATES, Candidate
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.extrapolated import FLOOR, SIZES, SLOPE, grown_in_phases
from tests.simulation.planted import Luck, draw
from tests.simulation.studies import START

NAMED = {candidate.name: candidate for candidate in CANDIDATES}
PLATEAU = 900.0


def exact(delay: float = 0.6) -> RatedVersions:
    design, truth = grown_in_phases(2, plateau=PLATEAU, delay=delay)
    return replace(design, elo=truth)


def test_phases_over_sizes_recover_exact_data() -> None:
    points = exact()
    predictor = candidates.fit(NAMED["phases over sizes"], points)
    floor, plateau, _, slope, shift = predictor.beta[0]
    assert (floor, plateau, slope) == pytest.approx((FLOOR, PLATEAU, SLOPE), rel=1e-4)
    assert shift == pytest.approx(-0.6 * SLOPE, rel=1e-4)
    at, size = np.array([START + 1.2, START + 9]), np.array([SIZES[0], 7.0])
    assert predictor.mean(at, size) == pytest.approx([1.2 * SLOPE, PLATEAU], rel=1e-4)


def test_derivatives_are_those_of_the_clipped_line() -> None:
    x, z = np.linspace(-1.5, 1.5, 9), np.tile([-0.5, 0.0, 0.5], 3)
    beta = np.array([[200.0, 900.0, 500.0, 450.0, -120.0]])
    _, derivatives = clipped_line.evaluate(beta, x, z)
    for place in range(beta.shape[1]):
        near = np.zeros_like(beta)
        near[0, place] = 1e-4
        up, down = (clipped_line.evaluate(beta + sign * near, x, z)[0] for sign in (1, -1))
        np.testing.assert_allclose((up - down)[0] / 2e-4, derivatives[0, :, place], atol=1e-6)


def test_absent_floor_and_plateau_are_out_of_sight() -> None:
    points = exact(delay=0.0)
    rising = points.select((points.elo > FLOOR + 1) & (points.elo < PLATEAU - 1))
    predictor = candidates.fit(NAMED["phases"], rising)
    assert predictor.held[0].tolist() == [True, True, False, False]
    beyond = predictor.mean(np.array([START + 4]), np.array([5.0]))
    assert beyond == pytest.approx([4 * SLOPE], rel=1e-4)


def test_upper_end_at_the_corner_is_that_of_the_plateau() -> None:
    """Just below it, the incline alone is less certain than the plateau."""
    points = draw(
        *grown_in_phases(6, plateau=PLATEAU, delay=0.0),
        Luck(0, 0, version=60),
        openings=5000,
        replicates=50,
    )
    single = replace(points, elo=points.elo[0])
    sparse = single.select(
        np.flatnonzero((points.elo.mean(axis=0) > 800) | (np.arange(144) % 7 < 1))
    )
    predictor = candidates.fit(NAMED["phases"], sparse)
    level, slope = predictor.beta[0, [clipped_line.LEVEL, clipped_line.SLOPE]]
    plateau = predictor.beta[0, clipped_line.PLATEAU]
    corner = sparse.training.mean() + (plateau - level) / slope
    curve = predictor.curve(np.array([corner - 0.01, corner + 2]), np.full(2, 5.0))
    assert curve.value[0] < curve.value[1] == plateau
    assert curve.value[0] - curve.low[0] > curve.value[1] - curve.low[1]
    assert curve.high[0] == pytest.approx(curve.high[1])


def test_runs_that_do_not_show_the_plateau_do_not_count_as_its_runs() -> None:
    """Three of four sizes stop on the incline; one more run varies as the fourth size's do."""
    points = draw(*grown_in_phases(4, plateau=PLATEAU, delay=0.0), Luck(60, 0), replicates=200)
    largest = points.recipe == f"size {SIZES[-1]}"
    points = points.select(largest | (points.elo.mean(axis=0) < PLATEAU - 60))
    predictor = candidates.fit(NAMED["phases"], points)
    at, size = np.array([START + 5]), np.array([6.0])
    nothing = np.zeros((1, len(points))), np.zeros(1)
    one_more, curve = predictor.predict(at, size, *nothing), predictor.curve(at, size)
    between = np.square(one_more.stderr) - np.square(curve.stderr)
    assert np.median(np.sqrt(between)) == pytest.approx(60, rel=0.35)


def test_a_candidate_of_sizes_needs_two() -> None:
    points = exact()
    one_size = points.select(points.parameters == SIZES[0])
    candidate: Candidate = NAMED["logistic over sizes"]
    with pytest.raises(ValueError, match="one size"):
        candidates.fit(candidate, one_size)
