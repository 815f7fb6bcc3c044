"""The exchange of training for search: exact data, noise, selection, and its text."""

import re
from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import exchange
from selfplay.scaling.estimate import InsufficientData
from tests.simulation import studies
from tests.simulation.planted import Luck, draw
from tests.simulation.studies import START


def test_fit_recovers_joness_form_of_exact_data() -> None:
    """log10 search = a log10 training + b Elo + c, at every version."""
    design, truth = studies.searched(3)
    result = exchange.fit(replace(design, elo=truth))
    assert result.training.value == pytest.approx(400)
    assert result.search.value == pytest.approx(180)
    assert result.training_exponent.value == pytest.approx(-400 / 180)
    assert result.elo_scale.value == pytest.approx(1 / 180)
    again = (
        result.training_exponent.value * design.training
        + result.elo_scale.value * truth
        + result.offset.value
    )
    np.testing.assert_allclose(again, design.search)
    assert result.offset.value == pytest.approx(7 + 400 * START / 180)


def test_noise_in_elo_does_not_bias_the_coefficients() -> None:
    """A regression of search on noisy Elo gives a smaller b: half of it, say."""
    points = draw(*studies.searched(5), Luck(0, 0, 0, version=200), openings=10_000, replicates=400)
    result = exchange.fit(points)
    assert np.median(result.training_exponent.value) == pytest.approx(-400 / 180, rel=0.07)
    assert np.median(result.elo_scale.value) == pytest.approx(1 / 180, rel=0.07)


def test_larger_network_that_plays_worse_is_not_fitted() -> None:
    """All versions together make search look nearly worthless."""
    points = draw(*studies.outgrown(4), Luck(5, 5, 5, version=5), openings=5000, replicates=1)
    points = replace(points, elo=points.elo[0])
    assert exchange.fit(points).search.high < 130
    result = exchange.fit_frontier(points)
    assert result.training_exponent.covers(-400 / 180) and result.search.value == pytest.approx(
        180, abs=10
    )
    again = exchange.fit(points.select(points.recipe == "small"))
    assert float(result.training_exponent.value) == float(again.training_exponent.value)


def test_one_search_budget_is_refused() -> None:
    """The FLOPs of a move differ with the size of the network alone."""
    design, truth = studies.outgrown(4)
    points = replace(design, elo=truth)
    budgets = points.covariates["simulations"]
    with pytest.raises(InsufficientData, match="rated at one search budget"):
        exchange.fit_frontier(points.select(budgets == budgets[0]))


def test_text_says_what_ten_times_the_training_replaces() -> None:
    design, truth = studies.searched(3, training=240, search=200)
    points = draw(design, truth, Luck(5, 5, 5, version=5), openings=5000, replicates=1, seed=1)
    text = str(exchange.fit(replace(points, elo=points.elo[0])))
    assert text.startswith("10x of training replaces 1")
    pattern = r".* replaces (.*)x of search \((.*)x to (.*)x\), "
    numbers = re.fullmatch(pattern + r"10x of search (.*)x of training \((.*)x to (.*)x\)", text)
    assert numbers
    value, least, most, other, low, high = map(float, numbers.groups())
    assert least < 10**1.2 < most and least < value < most
    assert low < 10 ** (1 / 1.2) < high and low < other < high


def test_useless_search_has_no_bounded_exchange() -> None:
    design, truth = studies.searched(3, search=0)
    points = draw(design, truth, replicates=1)
    result = exchange.fit(replace(points, elo=points.elo[0]))
    assert not result.training_exponent.bounded and not result.elo_scale.bounded
    assert str(result).startswith("these data set no bound on what training and search are worth")
