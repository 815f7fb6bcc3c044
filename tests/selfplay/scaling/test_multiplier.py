"""Compute multipliers: whose they are, and when they hold."""

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


def test_exact_data_give_back_what_is_saved() -> None:
    design, truth = studies.two_recipes(3)
    found = multiplier.between(replace(design, elo=truth), "a", "b")
    assert found.ooms.value == pytest.approx(150 / 450)
    assert found.slope.value == pytest.approx(450)
    back = multiplier.between(replace(design, elo=truth), "b", "a")
    assert back.ooms.value == pytest.approx(-150 / 450)


def test_more_search_is_worth_ooms_of_training() -> None:
    design, truth = studies.searched(3)
    points = replace(design, elo=truth)
    found = multiplier.search_multiplier(points, "simulations", 0, 64)
    assert found.ooms.value == pytest.approx(180 * np.log10(65) / 400)
    assert found.slope.value == pytest.approx(400)
    assert (found.a, found.b) == ("0 simulations", "64 simulations")
    fewer = multiplier.search_multiplier(points, "simulations", 16, 64)
    assert fewer.ooms.value == pytest.approx(180 * np.log10(65 / 17) / 400)


def test_it_says_whose_training_is_saved() -> None:
    said = str(multiplier.between(compared(), "a", "b"))
    assert said.startswith("`b` takes 2.") and "x less training than `a` for the same Elo (" in said
    assert "slopes differ" not in said


def test_where_it_may_be_either_way_it_says_times() -> None:
    points = compared()
    even = replace(points, elo=points.elo - 150 * (points.recipe == "b"))
    said = str(multiplier.between(even, "a", "b"))
    found = re.fullmatch(
        r"`b` takes (\S+) times the training of `a` for the same Elo \((\S+) to (\S+) times\)", said
    )
    assert found, said
    value, low, high = map(float, found.groups())
    assert low < 1 < high and low < value < high


def test_what_does_not_learn_has_no_multiplier() -> None:
    points = compared()
    points = replace(points, elo=points.elo - 450 * points.training)
    said = str(multiplier.between(points, "a", "b"))
    assert said == "these data set no bound on what `b` saves against `a`"


def test_slopes_that_differ_are_told() -> None:
    points = compared()
    assert multiplier.between(points, "a", "b").p_parallel > 0.05
    steeper = points.elo + 100 * (points.recipe == "b") * (points.training - 13)
    found = multiplier.between(replace(points, elo=steeper), "a", "b")
    assert found.p_parallel < 0.01
    assert "; their slopes differ (p = " in str(found)


def test_other_recipes_do_not_matter() -> None:
    points = compared()
    third = points.select([*range(len(points)), 0, 7])
    recipe = third.recipe.copy()
    recipe[-2:] = "c"
    third = replace(third, recipe=recipe, elo=np.append(points.elo, [9000.0, -9000.0]))
    one, other = (multiplier.between(p, "a", "b").ooms for p in (points, third))
    assert one.value == pytest.approx(other.value) and one.low == pytest.approx(other.low)


def test_errors_are_a_sentence() -> None:
    points = compared()
    with pytest.raises(ValueError, match="no version is of 'd'; choose from a, b"):
        multiplier.between(points, "a", "d")
    with pytest.raises(ValueError, match="no quantity 'simulations'"):
        multiplier.search_multiplier(points, "simulations", 0, 64)
    alone = points.select((points.recipe == "a") | (points.run == "b-run1"))
    with pytest.raises(ValueError, match="run 'b-run1' alone decides this number"):
        multiplier.between(alone, "a", "b")
