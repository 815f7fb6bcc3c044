"""Saturated versions: each recipe from its own compute on, and no others."""

from dataclasses import replace

import numpy as np

from selfplay.scaling import frontier, saturation
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.planted import joined, runs
from tests.simulation.studies import START

TOP = 600.0


def early_and_late() -> RatedVersions:
    """Makes two recipes with errors of 10 Elo; one reaches the plateau an OOM after the other."""
    design = joined(runs(4, 13, 3.0), runs(4, 13, 3.0), names=("early", "late"))
    ahead = 400.0 * (design.recipe == "early")
    truth = np.minimum(400 * (design.training - START) - 300 + ahead, TOP)
    luck = np.random.default_rng(0).normal(0, 10, len(design))
    simulations = {"simulations": np.full(len(design), 8.0)}
    return replace(
        design, elo=truth + luck, covariance=25 * np.eye(len(design)), covariates=simulations
    )


def test_recipe_is_saturated_from_its_own_compute_on() -> None:
    points = early_and_late()
    improving, text = saturation.not_saturated(points, {8.0: frontier.fit(points)}, perfect=False)
    early, x = points.recipe == "early", points.training - START
    clear = np.abs(x - np.where(early, 1.25, 2.25)) > 0.2  # within NEAR_PERFECT_ELO counts
    np.testing.assert_array_equal(improving[clear], np.where(early, x < 1.25, x < 2.25)[clear])
    assert text.startswith(
        f"Versions on a plateau are left out: {(~improving).sum()} of 104 at 8 sim"
    )
    assert "with them all of" not in text


def test_recipe_without_any_version_left_is_named() -> None:
    points = early_and_late()
    late = points.select((points.recipe == "early") | (points.training > START + 2.5))
    result = {8.0: frontier.fit(points.select(points.recipe == "early"))}
    improving, text = saturation.not_saturated(late, result, perfect=False)
    assert not improving[late.recipe == "late"].any() and text.endswith("; with them all of late.")


def test_improving_versions_are_all_kept() -> None:
    points = early_and_late()
    low = points.select(points.training < START + 1.1)
    improving, text = saturation.not_saturated(low, {8.0: frontier.fit(low)}, perfect=True)
    assert improving.all() and text == ""


def test_lucky_version_has_not_reached_the_plateau() -> None:
    points = early_and_late()
    lucky = np.flatnonzero(points.run == "late-run0")[5]
    elo = points.elo.copy()
    elo[lucky] = TOP + 100
    other = saturation.has_reached(replace(points, elo=elo), TOP - saturation.NEAR_PERFECT_ELO)
    np.testing.assert_array_equal(
        other, saturation.has_reached(points, TOP - saturation.NEAR_PERFECT_ELO)
    )
