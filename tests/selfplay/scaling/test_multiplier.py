"""Compute multipliers: exact data, their text, and rejected input."""

import re
from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import multiplier
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import Luck, draw

QUIET = Luck(10, 10, 5, version=10)


def compared(ahead: float = 150, luck: Luck = QUIET) -> RatedVersions:
    design, truth = studies.two_recipes(4, ahead=ahead)
    points = draw(design, truth, luck, openings=5000, replicates=1, seed=1)
    return replace(points, elo=points.elo[0])


def test_fit_recovers_the_saving_of_exact_data() -> None:
    design, truth = studies.two_recipes(3)
    result = multiplier.between(replace(design, elo=truth), "a", "b")
    assert result.ooms.value == pytest.approx(150 / 450)
    assert result.slope.value == pytest.approx(450)
    back = multiplier.between(replace(design, elo=truth), "b", "a")
    assert back.ooms.value == pytest.approx(-150 / 450)


def test_saving_in_seconds_counts_how_long_its_flops_take() -> None:
    design, truth = studies.two_recipes(3)
    slower = np.where(design.recipe == "b", np.log10(2.0), 0.0)  # twice the seconds for each FLOP
    seconds = design.training - 9 + slower
    points = replace(design, elo=truth, covariates={**design.covariates, "seconds": seconds})
    flops = multiplier.between(points, "a", "b")
    result = multiplier.between(points, "a", "b", "seconds")
    assert result.ooms.value == pytest.approx(flops.ooms.value - np.log10(2.0))


def test_search_multiplier_recovers_the_worth_of_search() -> None:
    design, truth = studies.searched(3)
    points = replace(design, elo=truth)
    result = multiplier.search_multiplier(points, "simulations", 0, 64)
    assert result.ooms.value == pytest.approx(180 * np.log10(65) / 400)
    assert result.slope.value == pytest.approx(400)
    assert (result.a, result.b) == ("0 simulations", "64 simulations")
    fewer = multiplier.search_multiplier(points, "simulations", 16, 64)
    assert fewer.ooms.value == pytest.approx(180 * np.log10(65 / 17) / 400)


def test_text_says_whose_training_is_saved() -> None:
    text = str(multiplier.between(compared(), "a", "b"))
    assert text.startswith("`b` takes 2.") and "x less training than `a` for the same Elo (" in text
    assert "slopes differ" not in text


def test_text_says_times_if_the_sign_is_uncertain() -> None:
    points = compared()
    even = replace(points, elo=points.elo - 150 * (points.recipe == "b"))
    text = str(multiplier.between(even, "a", "b"))
    result = re.fullmatch(
        r"`b` takes (\S+) times the training of `a` for the same Elo \((\S+) to (\S+) times\)", text
    )
    assert result, text
    value, low, high = map(float, result.groups())
    assert low < 1 < high and low < value < high


def test_flat_recipes_set_no_bound() -> None:
    points = compared()
    points = replace(points, elo=points.elo - 450 * points.training)
    text = str(multiplier.between(points, "a", "b"))
    assert text == "these data set no bound on what `b` saves against `a`"


def test_text_says_that_slopes_differ() -> None:
    points = compared()
    assert multiplier.between(points, "a", "b").p_parallel > 0.05
    steeper = points.elo + 100 * (points.recipe == "b") * (points.training - 13)
    result = multiplier.between(replace(points, elo=steeper), "a", "b")
    assert result.p_parallel < 0.01
    assert "; their slopes differ (p = " in str(result)


def test_other_recipes_do_not_change_the_multiplier() -> None:
    points = compared()
    third = points.select([*range(len(points)), 0, 7])
    recipe = third.recipe.copy()
    recipe[-2:] = "c"
    third = replace(third, recipe=recipe, elo=np.append(points.elo, [9000.0, -9000.0]))
    two_only, with_third = (multiplier.between(p, "a", "b").ooms for p in (points, third))
    assert two_only.value == pytest.approx(with_third.value)
    assert two_only.low == pytest.approx(with_third.low)


def test_unusable_recipes_are_rejected() -> None:
    points = compared()
    with pytest.raises(ValueError, match="no version is of 'd'; choose from a, b"):
        multiplier.between(points, "a", "d")
    with pytest.raises(ValueError, match="no quantity 'simulations'"):
        multiplier.search_multiplier(points, "simulations", 0, 64)
    alone = points.select((points.recipe == "a") | (points.run == "b-run1"))
    with pytest.raises(ValueError, match="run 'b-run1' alone decides this number"):
        multiplier.between(alone, "a", "b")
