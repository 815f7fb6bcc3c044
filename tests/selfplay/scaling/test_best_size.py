"""The best size for a compute: exact data, and data without a maximum."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import best_size
from tests.simulation import studies
from tests.simulation.planted import Luck, draw
from tests.simulation.studies import START

QUIET = Luck(5, 5, version=5)


def test_fit_recovers_the_ridge_of_exact_data() -> None:
    design, truth = studies.ridge(3)
    (result,) = best_size.fit(replace(design, elo=truth))
    assert result.exponent.value == pytest.approx(0.6)
    assert result.curvature.value == pytest.approx(-250)
    for compute in (12.0, 13.25, 15.0):
        assert result.best_at(compute).value == pytest.approx(4.9 + 0.6 * (compute - 13.25))
    assert result.best_at(13).unit == "log10 parameters"
    assert result.choice_range == (4.0, 5.8)
    assert result.is_maximum


def test_best_size_for_a_move_is_fitted_at_equal_training() -> None:
    """Without the control, more training would look like the effect of a larger size."""
    design, truth = studies.searched_ridge(3)
    larger_for_longer = (design.parameters > 5) == (design.training > 13)
    points = replace(design, elo=truth).select(larger_for_longer)
    (result,) = best_size.fit(points, compute="search", controls=("training",))
    assert result.exponent.value == pytest.approx(0.4)
    assert result.best_at(8).value == pytest.approx(4.9 + 0.4 * 0.6)
    assert result.compute == "search"


def test_fit_recovers_size_and_budget_together() -> None:
    """The network's size and the simulations in self-play, at a fixed training compute."""
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


def test_text_says_how_the_best_size_grows() -> None:
    points = draw(*studies.ridge(3), QUIET, openings=5000, replicates=1)
    (result,) = best_size.fit(replace(points, elo=points.elo[0]))
    text = str(result)
    assert text.startswith("the best parameters: 10^4.1 at 10^12.0 FLOPs of training, 10^5.6 at ")
    assert text.endswith("OOMs of parameters per OOM of training")


def test_best_size_outside_the_data_is_not_named() -> None:
    design, truth = studies.ridge(3)
    points = draw(design, truth, QUIET, openings=5000, replicates=1)
    points = replace(points, elo=points.elo[0])
    (result,) = best_size.fit(points.select(points.parameters < 5.5))
    assert "10^4.1 at 10^12.0 FLOPs" in str(result) and ", more than tried at " in str(result)
    tiny = 500 * (design.training - START) - 100 * (design.parameters - 3) ** 2
    small = draw(design, tiny, QUIET, openings=5000, replicates=1)
    (result,) = best_size.fit(replace(small, elo=small.elo[0]))
    assert str(result) == "no best parameters within those tried, 10^4.0 to 10^5.8"


def test_straight_line_has_no_best_size() -> None:
    design = studies.sizes(3)
    truth = 300 * (design.training - START) + 100 * design.parameters
    points = draw(design, truth, replicates=1)
    (result,) = best_size.fit(replace(points, elo=points.elo[0]))
    assert not result.is_maximum and not result.exponent.bounded
    assert str(result).startswith("the best parameters cannot be determined: the curvature is")


def test_minimum_is_not_a_best_size() -> None:
    design, truth = studies.ridge(3)
    (result,) = best_size.fit(replace(design, elo=-truth))
    assert not result.is_maximum
    assert str(result).startswith("no best parameters between those tried: the curvature is +")


def test_two_sizes_do_not_determine_curvature() -> None:
    design = studies.sizes(3, each=(4.0, 5.0))
    with pytest.raises(ValueError, match="determine 5 of 6 coefficients"):
        best_size.fit(replace(design, elo=design.training))
