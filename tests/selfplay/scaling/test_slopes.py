"""Elo per OOM: exact data, and what must be varied."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import slopes
from tests.simulation import studies


def test_slopes_of_exact_data_are_exact() -> None:
    design, truth = studies.line(3)
    assert slopes.per_training(replace(design, elo=truth)).value == pytest.approx(500)
    design, truth = studies.searched(3)
    result = slopes.per_search(replace(design, elo=truth))
    assert result.value == pytest.approx(180) and result.unit == "Elo per OOM of search"
    design, truth = studies.grown(3)
    assert slopes.per_parameters(replace(design, elo=truth)).value == pytest.approx(350)


def test_search_is_compared_at_fixed_networks() -> None:
    """Stronger networks that search more do not make search look better."""
    design, truth = studies.searched(3)
    biased = (design.search < 7.5) | (design.training > 13)
    points = replace(design, elo=truth).select(biased)
    assert slopes.per_search(points).value == pytest.approx(180)


def test_search_slope_needs_networks_at_two_budgets() -> None:
    design, truth = studies.line(3)
    points = replace(design, elo=truth, search=np.linspace(7, 9, len(design)))
    with pytest.raises(ValueError, match="no network was rated at two search budgets"):
        slopes.per_search(points)


def test_size_and_training_must_be_varied_separately() -> None:
    design, truth = studies.line(3)
    points = replace(design, elo=truth, parameters=design.training - 8)
    with pytest.raises(ValueError, match="determine 2 of 3 coefficients"):
        slopes.per_parameters(points)
    assert slopes.per_size(points).value == pytest.approx(500)


def test_unknown_flops_are_rejected() -> None:
    design, _ = studies.line(3)
    with pytest.raises(ValueError, match="search is not known of 18 versions"):
        slopes.per_search(design)
