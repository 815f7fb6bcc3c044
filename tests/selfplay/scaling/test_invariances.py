"""Invariances: Elo's origin and scale, the unit of FLOPs, order, and names."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.scaling import (
    best_size,
    exchange,
    extrapolation,
    frontier,
    multiplier,
    phases,
    slopes,
)
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import draw


def single(design: RatedVersions, truth: Floats) -> RatedVersions:
    """Draws a single study."""
    points = draw(design, truth, replicates=1, seed=3)
    return replace(points, elo=points.elo[0])


def exchanged(points: RatedVersions) -> list[Estimate]:
    result = exchange.fit(points)
    return [result.training_exponent, result.elo_scale, result.training, result.search]


def sized(points: RatedVersions) -> list[Estimate]:
    (result,) = best_size.fit(points)
    middle = float(points.training.mean())  # moves with the FLOPs' unit
    return [result.exponent, result.curvature, result.best_at(middle)]


def leading(points: RatedVersions) -> list[Estimate]:
    return [frontier.fit(points).slope]


def jones(points: RatedVersions) -> list[Estimate]:
    result = phases.fit(points, "board")
    assert result.slope_cost and result.plateau_cost and result.delay
    return [result.slope, result.slope_cost, result.plateau_cost, result.delay]


def saved(points: RatedVersions) -> list[Estimate]:
    return [multiplier.between(points, "a", "b").ooms]


def searched(points: RatedVersions) -> list[Estimate]:
    return [
        slopes.per_search(points),
        multiplier.search_multiplier(points, "simulations", 0, 64).ooms,
    ]


def beyond() -> tuple[RatedVersions, Floats]:
    """Makes four runs, one of which goes further."""
    design, truth = studies.line(4)
    further = 0.4 * (design.run == "run3")
    return replace(design, training=design.training + further), truth + 500 * further


def extrapolated(points: RatedVersions) -> list[Estimate]:
    result = extrapolation.predict_runs(points, [str(points.run[np.argmax(points.training)])])
    numbers = {name: getattr(result.predicted, name).mean() for name in NUMBERS}
    off = {name: numbers[name] - points.elo.mean() for name in ("value", "low", "high")}
    return [Estimate(**{**numbers, **off}, unit="Elo")]


# Estimates that Elo's origin and the unit of training FLOPs do not move.
STUDIES: dict[str, tuple[RatedVersions, Callable[[RatedVersions], list[Estimate]]]] = {
    "training": (single(*studies.line(3)), lambda points: [slopes.per_training(points)]),
    "search": (single(*studies.searched(3)), searched),
    "parameters": (single(*studies.grown(3)), lambda points: [slopes.per_parameters(points)]),
    "size": (single(*studies.grown(3)), lambda points: [slopes.per_size(points)]),
    "exchange": (single(*studies.searched(3)), exchanged),
    "multiplier": (single(*studies.two_recipes(3)), saved),
    "incline": (single(*studies.bent(3)), lambda points: [phases.fit(points).slope]),
    "boards": (single(*studies.boards(3)), jones),
    "best size": (single(*studies.ridge(3)), sized),
    "frontier": (single(*studies.overtaken(3)), leading),
    "extrapolation": (single(*beyond()), extrapolated),
}


def assert_same(a: list[Estimate], b: list[Estimate], times: float = 1.0) -> None:
    for left, right in zip(a, b, strict=True):
        for name in ("value", "low", "high", "stderr"):
            assert getattr(left, name) * times == pytest.approx(getattr(right, name), rel=1e-6)
        assert left.df == pytest.approx(right.df, rel=1e-6)


@pytest.mark.parametrize("study", STUDIES)
@settings(max_examples=5, deadline=None)
@given(elo=st.floats(-3000, 3000), ooms=st.floats(-8, 8), order=st.integers(0, 2**32 - 1))
def test_estimates_do_not_depend_on_origin_unit_order_and_names(
    study: str, elo: float, ooms: float, order: int
) -> None:
    points, estimate = STUDIES[study]
    shuffled = points.select(np.random.default_rng(order).permutation(len(points)))
    names = {run: f"x{len(points.runs) - i:03d}" for i, run in enumerate(points.runs)}
    shuffled = replace(shuffled, run=np.array([names[str(run)] for run in shuffled.run]))
    moved = replace(shuffled, elo=shuffled.elo + elo, training=shuffled.training + ooms)
    assert_same(estimate(points), estimate(moved))


@pytest.mark.parametrize("study", ["training", "search", "parameters", "incline", "frontier"])
@settings(max_examples=5, deadline=None)
@given(times=st.floats(0.1, 10))
def test_estimates_scale_with_the_ratings(study: str, times: float) -> None:
    """Elo per OOM scales with the unit of ratings; numbers in OOMs do not change."""
    points, estimate = STUDIES[study]
    other = replace(points, elo=points.elo * times, covariance=points.covariance * times**2)
    assert_same(estimate(points)[:1], estimate(other)[:1], times)
    if study == "search":
        assert_same(estimate(points)[1:], estimate(other)[1:])


def test_change_point_and_plateau_move_with_the_units() -> None:
    points = STUDIES["incline"][0]
    before = phases.fit(points)
    after = phases.fit(replace(points, elo=points.elo + 100, training=points.training - 2))
    assert before.plateau and before.level and before.change_point
    assert after.plateau and after.level and after.change_point
    assert after.plateau.value == pytest.approx(before.plateau.value + 100)
    assert after.level.low == pytest.approx(before.level.low + 100)
    assert after.change_point.low == pytest.approx(before.change_point.low - 2)
    assert after.offset.value == pytest.approx(before.offset.value + 100 + 2 * before.slope.value)


def test_search_flops_per_simulation_move_only_the_offset() -> None:
    """The exponent and the Elo scale are rates and stay; only the offset moves."""
    points = STUDIES["exchange"][0]
    before, after = (exchange.fit(p) for p in (points, replace(points, search=points.search + 1)))
    assert_same(
        [before.training_exponent, before.elo_scale], [after.training_exponent, after.elo_scale]
    )
    assert after.offset.value == pytest.approx(before.offset.value + 1)
    assert after.offset.low == pytest.approx(before.offset.low + 1)
