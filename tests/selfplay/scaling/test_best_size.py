"""The best size for a compute: the ridge of exact data, and no best where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import best_size
from tests.simulation import studies
from tests.simulation.planted import Luck, draw
from tests.simulation.studies import START

QUIET = Luck(5, 5, version=5)


def test_exact_data_give_back_the_ridge() -> None:
    design, truth = studies.ridge(3)
    (found,) = best_size.fit(replace(design, elo=truth))
    assert found.exponent.value == pytest.approx(0.6)
    assert found.curvature.value == pytest.approx(-250)
    for compute in (12.0, 13.25, 15.0):
        assert found.best_at(compute).value == pytest.approx(4.9 + 0.6 * (compute - 13.25))
    assert found.best_at(13).unit == "log10 parameters"
    assert found.choice_range == (4.0, 5.8)
    assert found.is_maximum


def test_a_move_has_a_best_size_too() -> None:
    """More training would look like a larger size if it were not taken out."""
    design, truth = studies.searched_ridge(3)
    larger_for_longer = (design.parameters > 5) == (design.training > 13)
    points = replace(design, elo=truth).select(larger_for_longer)
    (found,) = best_size.fit(points, compute="search", controls=("training",))
    assert found.exponent.value == pytest.approx(0.4)
    assert found.best_at(8).value == pytest.approx(4.9 + 0.4 * 0.6)
    assert found.compute == "search"


def test_size_and_budget_together() -> None:
    """A network's size and its simulations in self-play, for a given training compute."""
    design = studies.sizes(3)
    budgets = np.repeat([1.0, 1.5, 2.0], len(design))
    design = design.select(np.tile(np.arange(len(design)), 3))
    labels = np.array([f"{run} {b}" for run, b in zip(design.run, budgets, strict=True)])
    design = replace(design, run=labels, covariates={"simulations": budgets})
    x = design.training - 13
    size, budget = 4.8 + 0.5 * x, 1.4 + 0.2 * x
    truth = 500 * (design.training - START) - 200 * (design.parameters - size) ** 2
    truth = truth - 120 * (budgets - budget) ** 2
    points = draw(design, truth, QUIET, openings=5000, replicates=1)
    by_size, by_budget = best_size.fit(
        replace(points, elo=points.elo[0]), ("parameters", "simulations")
    )
    assert by_size.best_at(13.5).covers(5.05) and by_size.exponent.covers(0.5)
    assert by_budget.best_at(13.5).covers(1.5) and by_budget.exponent.covers(0.2)
    assert by_budget.choice == "simulations"
    assert by_size.best_at(13.5).high - by_size.best_at(13.5).low < 0.2


def test_it_says_how_size_grows() -> None:
    points = draw(*studies.ridge(3), QUIET, openings=5000, replicates=1)
    (found,) = best_size.fit(replace(points, elo=points.elo[0]))
    said = str(found)
    assert said.startswith("the best parameters: 10^4.1 at 10^12.0 FLOPs of training, 10^5.6 at ")
    assert said.endswith("OOMs of parameters per OOM of training")


def test_a_best_size_that_was_not_tried_is_none() -> None:
    design, truth = studies.ridge(3)
    points = draw(design, truth, QUIET, openings=5000, replicates=1)
    points = replace(points, elo=points.elo[0])
    (found,) = best_size.fit(points.select(points.parameters < 5.5))
    assert "10^4.1 at 10^12.0 FLOPs" in str(found) and ", more than tried at " in str(found)
    tiny = 500 * (design.training - START) - 100 * (design.parameters - 3) ** 2
    small = draw(design, tiny, QUIET, openings=5000, replicates=1)
    (found,) = best_size.fit(replace(small, elo=small.elo[0]))
    assert str(found) == "no best parameters within those tried, 10^4.0 to 10^5.8"


def test_where_larger_is_always_better_there_is_no_best() -> None:
    design = studies.sizes(3)
    truth = 300 * (design.training - START) + 100 * design.parameters
    points = draw(design, truth, replicates=1)
    (found,) = best_size.fit(replace(points, elo=points.elo[0]))
    assert not found.is_maximum and not found.exponent.bounded
    assert str(found).startswith("no best parameters can be told: the curvature is")


def test_a_minimum_is_no_maximum() -> None:
    design, truth = studies.ridge(3)
    (found,) = best_size.fit(replace(design, elo=-truth))
    assert not found.is_maximum
    assert str(found).startswith("no best parameters between those tried: the curvature is +")


def test_two_sizes_have_no_curvature() -> None:
    design = studies.sizes(3, each=(4.0, 5.0))
    with pytest.raises(ValueError, match="determine 5 of 6 coefficients"):
        best_size.fit(replace(design, elo=design.training))
