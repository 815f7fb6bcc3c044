"""Elo per OOM: exact on exact data, and what must be varied for it."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import slopes
from tests.simulation import studies


def test_slopes_of_exact_data() -> None:
    design, truth = studies.line(3)
    assert slopes.per_training(replace(design, elo=truth)).value == pytest.approx(500)
    design, truth = studies.searched(3)
    found = slopes.per_search(replace(design, elo=truth))
    assert found.value == pytest.approx(180) and found.unit == "Elo per OOM of search"
    design, truth = studies.grown(3)
    assert slopes.per_parameters(replace(design, elo=truth)).value == pytest.approx(350)


def test_search_is_compared_at_fixed_networks() -> None:
    """Stronger networks that search more do not make search look better."""
    design, truth = studies.searched(3)
    biased = (design.search < 7.5) | (design.training > 13)
    points = replace(design, elo=truth).select(biased)
    assert slopes.per_search(points).value == pytest.approx(180)


def test_only_versions_at_two_budgets_tell_of_search() -> None:
    design, truth = studies.line(3)
    points = replace(design, elo=truth, search=np.linspace(7, 9, len(design)))
    with pytest.raises(ValueError, match="no network was rated at two search budgets"):
        slopes.per_search(points)


def test_size_and_training_must_be_varied_apart() -> None:
    design, truth = studies.line(3)
    points = replace(design, elo=truth, parameters=design.training - 8)
    with pytest.raises(ValueError, match="determine 2 of 3 coefficients"):
        slopes.per_parameters(points)
    assert slopes.per_size(points).value == pytest.approx(500)


def test_unknown_flops_are_told() -> None:
    design, _ = studies.line(3)
    with pytest.raises(ValueError, match="search is not known of 18 versions"):
        slopes.per_search(design)
