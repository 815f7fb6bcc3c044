"""What no estimate may depend on: Elo's origin, the FLOPs' unit, versions' order and names."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.scaling import (
    best_size,
    change_point,
    exchange,
    extrapolation,
    frontier,
    multiplier,
    slopes,
)
from selfplay.scaling.estimate import NUMBERS, Estimate, Floats
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import draw


def one(design: RatedVersions, truth: Floats) -> RatedVersions:
    """A single study."""
    points = draw(design, truth, replicates=1, seed=3)
    return replace(points, elo=points.elo[0])


def exchanged(points: RatedVersions) -> list[Estimate]:
    found = exchange.fit(points)
    return [found.training_exponent, found.elo_scale, found.training, found.search]


def sized(points: RatedVersions) -> list[Estimate]:
    (found,) = best_size.fit(points)
    middle = float(points.training.mean())  # moves with the FLOPs' unit
    return [found.exponent, found.curvature, found.best_at(middle)]


def leading(points: RatedVersions) -> list[Estimate]:
    return [frontier.fit(points).slope]


def jones(points: RatedVersions) -> list[Estimate]:
    found = change_point.fit(points, "board")
    assert found.slope_cost and found.plateau_cost and found.delay
    return [found.slope, found.slope_cost, found.plateau_cost, found.delay]


def saved(points: RatedVersions) -> list[Estimate]:
    return [multiplier.between(points, "a", "b").ooms]


def searched(points: RatedVersions) -> list[Estimate]:
    return [
        slopes.per_search(points),
        multiplier.search_multiplier(points, "simulations", 0, 64).ooms,
    ]


def beyond() -> tuple[RatedVersions, Floats]:
    """Four runs, one of which goes further."""
    design, truth = studies.line(4)
    further = 0.4 * (design.run == "run3")
    return replace(design, training=design.training + further), truth + 500 * further


def extrapolated(points: RatedVersions) -> list[Estimate]:
    found = extrapolation.predict_runs(points, [str(points.run[np.argmax(points.training)])])
    numbers = {name: getattr(found.predicted, name).mean() for name in NUMBERS}
    off = {name: numbers[name] - points.elo.mean() for name in ("value", "low", "high")}
    return [found.slope, Estimate(**{**numbers, **off}, unit="Elo")]


# Estimates that Elo's origin and the unit of training FLOPs do not move.
STUDIES: dict[str, tuple[RatedVersions, Callable[[RatedVersions], list[Estimate]]]] = {
    "training": (one(*studies.line(3)), lambda points: [slopes.per_training(points)]),
    "search": (one(*studies.searched(3)), searched),
    "parameters": (one(*studies.grown(3)), lambda points: [slopes.per_parameters(points)]),
    "size": (one(*studies.grown(3)), lambda points: [slopes.per_size(points)]),
    "exchange": (one(*studies.searched(3)), exchanged),
    "multiplier": (one(*studies.two_recipes(3)), saved),
    "incline": (one(*studies.bent(3)), lambda points: [change_point.fit(points).slope]),
    "boards": (one(*studies.boards(3)), jones),
    "best size": (one(*studies.ridge(3)), sized),
    "frontier": (one(*studies.overtaken(3)), leading),
    "extrapolation": (one(*beyond()), extrapolated),
}


def same(a: list[Estimate], b: list[Estimate], times: float = 1.0) -> None:
    for left, right in zip(a, b, strict=True):
        for name in ("value", "low", "high", "stderr"):
            assert getattr(left, name) * times == pytest.approx(getattr(right, name), rel=1e-6)
        assert left.df == pytest.approx(right.df, rel=1e-6)


@pytest.mark.parametrize("study", STUDIES)
@settings(max_examples=5, deadline=None)
@given(elo=st.floats(-3000, 3000), ooms=st.floats(-8, 8), order=st.integers(0, 2**32 - 1))
def test_origin_unit_order_and_names(study: str, elo: float, ooms: float, order: int) -> None:
    points, estimate = STUDIES[study]
    shuffled = points.select(np.random.default_rng(order).permutation(len(points)))
    names = {run: f"x{len(points.runs) - i:03d}" for i, run in enumerate(points.runs)}
    shuffled = replace(shuffled, run=np.array([names[str(run)] for run in shuffled.run]))
    moved = replace(shuffled, elo=shuffled.elo + elo, training=shuffled.training + ooms)
    same(estimate(points), estimate(moved))


@pytest.mark.parametrize("study", ["training", "search", "parameters", "incline", "frontier"])
@settings(max_examples=5, deadline=None)
@given(times=st.floats(0.1, 10))
def test_another_scale_of_ratings(study: str, times: float) -> None:
    """Elo per OOM in other units than Elo; what is measured in OOMs stays."""
    points, estimate = STUDIES[study]
    other = replace(points, elo=points.elo * times, covariance=points.covariance * times**2)
    same(estimate(points)[:1], estimate(other)[:1], times)
    if study == "search":
        same(estimate(points)[1:], estimate(other)[1:])


def test_the_change_point_and_the_plateau_move_with_the_units() -> None:
    points = STUDIES["incline"][0]
    before = change_point.fit(points)
    after = change_point.fit(replace(points, elo=points.elo + 100, training=points.training - 2))
    assert after.plateau.value == pytest.approx(before.plateau.value + 100)
    assert after.level.low == pytest.approx(before.level.low + 100)
    assert after.change_point.low == pytest.approx(before.change_point.low - 2)
    assert after.offset.value == pytest.approx(before.offset.value + 100 + 2 * before.slope.value)


def test_more_search_flops_per_simulation_move_the_exchange_only() -> None:
    """A unit of search: a and b are rates and stay, c is a place and moves."""
    points = STUDIES["exchange"][0]
    before, after = (exchange.fit(p) for p in (points, replace(points, search=points.search + 1)))
    same([before.training_exponent, before.elo_scale], [after.training_exponent, after.elo_scale])
    assert after.offset.value == pytest.approx(before.offset.value + 1)
    assert after.offset.low == pytest.approx(before.offset.low + 1)
