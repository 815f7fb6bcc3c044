"""What stands on a plateau: each recipe from its own time on, and nothing else."""

from dataclasses import replace

import numpy as np

from selfplay.scaling import frontier, saturation
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.planted import joined, runs
from tests.simulation.studies import START

TOP = 600.0


def early_and_late() -> RatedVersions:
    """Two recipes with 10 Elo of luck, one of which comes to the plateau an OOM after the other."""
    design = joined(runs(4, 13, 3.0), runs(4, 13, 3.0), names=("early", "late"))
    ahead = 400.0 * (design.recipe == "early")
    truth = np.minimum(400 * (design.training - START) - 300 + ahead, TOP)
    luck = np.random.default_rng(0).normal(0, 10, len(design))
    simulations = {"simulations": np.full(len(design), 8.0)}
    return replace(
        design, elo=truth + luck, covariance=25 * np.eye(len(design)), covariates=simulations
    )


def test_a_recipe_is_on_it_from_its_own_time_on() -> None:
    points = early_and_late()
    kept, said = saturation.not_saturated(points, {8.0: frontier.fit(points)}, perfect=False)
    early, x = points.recipe == "early", points.training - START
    clear = np.abs(x - np.where(early, 1.25, 2.25)) > 0.2  # NEAR_PERFECT_ELO there is there
    np.testing.assert_array_equal(kept[clear], np.where(early, x < 1.25, x < 2.25)[clear])
    assert said.startswith(f"Versions on a plateau are left out: {(~kept).sum()} of 104 at 8 sim")
    assert "with them all of" not in said


def test_a_recipe_that_was_never_below_it_is_named() -> None:
    points = early_and_late()
    late = points.select((points.recipe == "early") | (points.training > START + 2.5))
    found = {8.0: frontier.fit(points.select(points.recipe == "early"))}
    kept, said = saturation.not_saturated(late, found, perfect=False)
    assert not kept[late.recipe == "late"].any() and said.endswith("; with them all of late.")


def test_where_all_rise_all_are_kept() -> None:
    points = early_and_late()
    low = points.select(points.training < START + 1.1)
    kept, said = saturation.not_saturated(low, {8.0: frontier.fit(low)}, perfect=True)
    assert kept.all() and said == ""


def test_a_lucky_version_has_not_arrived() -> None:
    points = early_and_late()
    lucky = np.flatnonzero(points.run == "late-run0")[5]
    elo = points.elo.copy()
    elo[lucky] = TOP + 100
    other = saturation.has_reached(replace(points, elo=elo), TOP - saturation.NEAR_PERFECT_ELO)
    np.testing.assert_array_equal(
        other, saturation.has_reached(points, TOP - saturation.NEAR_PERFECT_ELO)
    )
