"""Versions on the incline: each recipe between its own change points, and no others."""

from dataclasses import replace

import numpy as np

from selfplay.scaling import incline
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.planted import joined, runs
from tests.simulation.studies import START

TOP = 600.0


def early_and_late() -> RatedVersions:
    """Makes two recipes with errors of 10 Elo; one is 400 Elo ahead between floor and plateau."""
    design = joined(runs(4, 13, 3.0), runs(4, 13, 3.0), names=("early", "late"))
    ahead = 400.0 * (design.recipe == "early")
    truth = np.clip(400 * (design.training - START) - 500 + ahead, 0, TOP)
    luck = np.random.default_rng(0).normal(0, 10, len(design))
    simulations = {"simulations": np.full(len(design), 8.0)}
    return replace(
        design, elo=truth + luck, covariance=25 * np.eye(len(design)), covariates=simulations
    )


def test_every_recipe_has_its_own_incline() -> None:
    points = early_and_late()
    rising, text = incline.on_incline(points, perfect=False)
    early, x = points.recipe == "early", points.training - START
    begins, ends = np.where(early, 0.25, 1.25), np.where(early, 1.75, 2.75)
    clear = (np.abs(x - begins) > 0.15) & (np.abs(x - ends) > 0.15)
    np.testing.assert_array_equal(rising[clear], ((begins < x) & (x < ends))[clear])
    phase = incline.phases_of_recipes(points)
    before, beyond = (phase == -1).sum(), (phase == 1).sum()
    assert text == (
        f"Lines leave out versions off the incline: {before + beyond} of 104 at 8 simulations "
        f"({before} before the take-off, {beyond} on a plateau)."
    )


def test_versions_on_a_line_are_all_kept() -> None:
    points = early_and_late()
    line = replace(points, elo=400 * points.training + points.elo * 0.01)
    rising, text = incline.on_incline(line, perfect=True)
    assert rising.all() and text == ""


def test_near_perfect_recipe_without_a_slope_is_left_out() -> None:
    points = early_and_late()
    luck = np.random.default_rng(1).normal(0, 10, len(points))
    elo = np.where(points.recipe == "early", -20 + luck, points.elo - TOP)
    rising, text = incline.on_incline(replace(points, elo=elo), perfect=True)
    assert not rising[points.recipe == "early"].any() and rising.any()
    assert text.endswith("; no version of early is left.")
    assert incline.on_incline(replace(points, elo=elo), perfect=False)[0][:52].any()


def test_note_says_so_where_no_version_is_on_an_incline() -> None:
    points = early_and_late()
    luck = np.random.default_rng(1).normal(0, 10, len(points))
    rising, text = incline.on_incline(replace(points, elo=luck - 20), perfect=True)
    assert rising.all()
    assert "none is on an incline: 104 of 104 at 8 simulations (104 on a plateau)." in text


def test_recipes_with_one_run_share_a_curve() -> None:
    points = early_and_late()
    late = points.select(points.recipe == "late")
    alone = replace(late, recipe=late.run)
    np.testing.assert_array_equal(incline.phases_of_recipes(alone), incline.phases_of_recipes(late))


def test_batch_equals_its_replicates() -> None:
    points = early_and_late()
    luck = np.random.default_rng(2).normal(0, 60, (5, len(points)))
    batch = incline.phases_of_recipes(replace(points, elo=points.elo + luck))
    for row, noise in zip(batch, luck, strict=True):
        single = incline.phases_of_recipes(replace(points, elo=points.elo + noise))
        np.testing.assert_array_equal(row, single)
