"""Estimates: Student's interval, p-values, reciprocals, and their text."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from selfplay.scaling.estimate import NUMBERS, Estimate, decimals, format_factor


def one(value: ArrayLike, stderr: float, df: float = np.inf, unit: str = "Elo") -> Estimate:
    number = np.asarray
    return Estimate.student(number(value, float), number(stderr, float), number(df, float), unit)


def between(value: float, low: float, high: float) -> Estimate:
    numbers = zip(NUMBERS, (value, low, high, (high - low) / 4, 4), strict=True)
    return Estimate(**{name: np.asarray(x, float) for name, x in numbers}, unit="Elo")


def test_interval_is_students_t() -> None:
    result = one(512, 10, 4)
    assert result.high - result.value == pytest.approx(27.764, abs=1e-3)
    assert result.value - result.low == pytest.approx(27.764, abs=1e-3)
    assert result.bounded
    assert result.covers(512) and result.covers(487) and not result.covers(484)
    assert result.covers(539) and not result.covers(540)


@pytest.mark.parametrize(
    ("estimate", "sentence"),
    [
        (one(512.3, 21.94, unit="Elo per OOM of training"), "+512 ± 43 Elo per OOM of training"),
        (one(-2.2222, 0.1), "-2.22 ± 0.20 Elo"),
        (one(0.00555, 0.0004), "+0.00555 ± 0.00078 Elo"),
        (between(15, 11, 21), "+15.0 (+11.0 to +21.0) Elo"),
        (between(15, -np.inf, np.inf), "+15 Elo, with no bound that these data could set"),
    ],
)
def test_text_shows_value_and_interval(estimate: Estimate, sentence: str) -> None:
    assert str(estimate) == sentence


def test_text_of_a_batch_says_its_size() -> None:
    assert str(one(np.zeros(3), 1, 4)) == "3 estimates in Elo"


@pytest.mark.parametrize(("half", "digits"), [(43, 0), (10, 0), (4.3, 1), (0.43, 2), (0, 0)])
def test_decimals_show_two_figures_of_the_half_width(half: float, digits: int) -> None:
    assert decimals(half) == digits


def test_tiny_degrees_of_freedom_set_no_bound() -> None:
    result = one(5, 10, 0.005)
    assert (result.low, result.high) == (-np.inf, np.inf)
    assert str(result) == "+5 Elo, with no bound that these data could set"
    assert one(5, 0, 0.005).low == 5


def test_p_values_match_students_t() -> None:
    result = one(-20, 10, 4)
    assert result.p_below(0) == pytest.approx(0.05806, abs=1e-5)
    assert result.p_below(-20) == pytest.approx(0.5)
    assert result.p_equal(0) == pytest.approx(2 * 0.05806, abs=1e-5)
    assert one(20, 10, 4).p_equal(0) == pytest.approx(2 * 0.05806, abs=1e-5)
    assert one(3, 0, 4).p_equal(3) == 1 and one(3, 0, 4).p_equal(2) == 0


def test_reciprocal_has_bounds_only_off_zero() -> None:
    result = between(4, 2, 5).reciprocal("OOMs")
    assert (result.value, result.low, result.high) == (0.25, 0.2, 0.5)
    assert result.stderr == pytest.approx(0.75 / 16)
    below = between(-4, -5, -2).reciprocal("OOMs")
    assert (below.value, below.low, below.high) == (-0.25, -0.5, -0.2)
    assert not between(1, -1, 3).reciprocal("OOMs").bounded


def test_format_factor_writes_three_figures() -> None:
    assert [format_factor(x) for x in (0.9123, 1.3, 258.4, 2579.6, np.inf)] == [
        "0.912", "1.3", "258", "2,580", "∞"
    ]  # fmt: skip
