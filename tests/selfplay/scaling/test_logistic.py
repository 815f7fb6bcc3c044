"""The logistic curve of Elo against training: exact data, partial data, intervals."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import logistic
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.planted import Luck, coverage, draw, joined, runs

FLOOR, CEILING, MIDDLE, RATE, SHIFT = -300.0, 1000.0, 13.6, 3.0, 0.8


def planted(seeds: int = 3, sizes: tuple[float, ...] = (4.0,)) -> RatedVersions:
    """Designs sizes whose curves have one shape, with the true Elo as their ratings."""
    parts = []
    for size in sizes:
        part = runs(seeds, versions=8, ooms=3.2, start=12 + 0.5 * (size - sizes[0]))
        parts.append(replace(part, parameters=np.full(len(part), size)))
    design = joined(*parts, names=tuple(f"size {size}" for size in sizes))
    away = design.training - MIDDLE - SHIFT * (design.parameters - np.mean(sizes))
    return replace(design, elo=FLOOR + (CEILING - FLOOR) / (1 + np.exp(-RATE * away)))


def test_fit_recovers_exact_data() -> None:
    points = planted()
    result = logistic.fit(points)
    assert result.floor.value == pytest.approx(FLOOR)
    assert result.ceiling.value == pytest.approx(CEILING)
    assert result.middle.value == pytest.approx(MIDDLE)
    assert result.slope.value == pytest.approx((CEILING - FLOOR) * RATE / 4)
    assert result.shift is None and not result.held.any()
    np.testing.assert_allclose(result.mean, points.elo, atol=1e-3)


def test_fit_recovers_the_shift_of_sizes() -> None:
    points = planted(sizes=(4.0, 4.5, 5.2))
    result = logistic.fit(points, "parameters")
    assert result.shift and result.shift.value == pytest.approx(SHIFT)
    x = np.array([13.0, 14.0])
    drawn = logistic.curve(points, result, x, at=6.0)
    away = x - MIDDLE - SHIFT * (6.0 - np.mean((4.0, 4.5, 5.2)))
    np.testing.assert_allclose(
        drawn.value, FLOOR + (CEILING - FLOOR) / (1 + np.exp(-RATE * away)), atol=1e-3
    )


def test_derivatives_are_those_of_the_curve() -> None:
    rng = np.random.default_rng(0)
    x, z = rng.uniform(12, 15, 9), rng.normal(size=9)
    beta = np.array([[-100.0, 900.0, 13.5, 2.5, 0.4]])
    _, derivatives = logistic.evaluate(beta, x, z)
    for place in range(beta.shape[1]):
        near = np.zeros_like(beta)
        near[0, place] = 1e-5
        up, down = (logistic.evaluate(beta + sign * near, x, z)[0] for sign in (1, -1))
        np.testing.assert_allclose((up - down)[0] / 2e-5, derivatives[0, :, place], rtol=1e-5)


def test_batch_equals_its_replicates() -> None:
    points = draw(planted(), planted().elo, replicates=6)
    whole = logistic.fit(replace(points, elo=points.elo.reshape(2, 3, -1)))
    single = logistic.fit(replace(points, elo=points.elo[4]))
    for name in ("floor", "slope", "middle"):
        many, alone = getattr(whole, name), getattr(single, name)
        for number in ("value", "low", "high", "df"):
            assert getattr(many, number)[1, 1] == pytest.approx(getattr(alone, number), rel=1e-4)


def test_intervals_cover_planted_parameters() -> None:
    points = draw(planted(5), planted(5).elo, replicates=300)
    result = logistic.fit(points)
    truths = {"floor": FLOOR, "ceiling": CEILING, "middle": MIDDLE, "slope": 975.0}
    for name, truth in truths.items():
        assert 0.91 <= coverage(getattr(result, name), truth) <= 0.995, name


def test_data_without_a_ceiling_do_not_bound_it() -> None:
    points = planted()
    points = points.select(points.training < MIDDLE - 0.4)  # the take-off alone
    rng = np.random.default_rng(1)
    result = logistic.fit(replace(points, elo=points.elo + rng.normal(0, 5, len(points))))
    assert result.held.any() and not result.ceiling.bounded
    drawn = logistic.curve(points, result, np.array([12.5]))
    assert drawn.bounded.all()


def test_unusable_data_are_rejected() -> None:
    points = planted()
    with pytest.raises(InsufficientData, match="better than a constant"):
        logistic.fit(replace(points, elo=-points.elo))
    with pytest.raises(InsufficientData, match=r"3 versions over .* 4 parameters"):
        logistic.fit(points.select([0, 9, 18]))
    with pytest.raises(InsufficientData, match="5 parameters of a logistic curve"):
        logistic.fit(points, "parameters")  # one size
    with pytest.raises(InsufficientData, match="at least 2, got 1"):
        logistic.fit(points.select(points.run == points.run[0]))


def test_exact_bound_of_the_rate_is_a_step() -> None:
    design = runs(3, versions=8, ooms=3.2)
    step = np.where(design.training > 13.5, 800.0, 0.0)
    points = draw(design, step, Luck(5, 5, version=5), replicates=1)
    result = logistic.fit(replace(points, elo=points.elo[0]))
    assert result.floor.bounded and result.ceiling.bounded
    assert float(result.ceiling.value - result.floor.value) == pytest.approx(800, abs=60)
