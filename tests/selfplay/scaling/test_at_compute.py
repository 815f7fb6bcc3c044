"""Recipes at equal compute: interpolation, intervals, and the leading recipe."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.scaling import at_compute
from selfplay.scaling.at_training import TOLERANCE
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation.planted import BAND, Luck, draw, joined, runs

T2 = 4.302653  # Student's t of two degrees of freedom, 97.5 %


def by_hand(noise: float = 8.0, shared: float = 0.0) -> RatedVersions:
    """Makes two seeds of two recipes, rated at 10^10 and 10^12 FLOPs."""
    elo = [0, 100, 20, 140, 100, 200, 90, 190]
    return RatedVersions.of(
        elo, np.eye(8) * noise + shared, np.repeat(["a0", "a1", "b0", "b1"], 2), [10.0, 12.0] * 4,
        search=[3.0] * 4 + [4.0] * 4, recipe=np.repeat(["a", "b"], 4),
        covariates={"simulations": [8.0] * 8},
    )  # fmt: skip


def test_elo_is_interpolated_on_each_runs_line() -> None:
    at = at_compute.interpolate(by_hand(), 11)
    assert at.recipes == ["a", "b"] and at.runs.tolist() == [2, 2]
    assert at.elo.tolist() == [65, 145]  # (50 + 80) / 2, (150 + 140) / 2
    assert at.search.tolist() == [3, 4] and at.simulations.tolist() == pytest.approx([8, 8])
    quarter = at_compute.interpolate(by_hand(), 10.5)
    assert quarter.elo.tolist() == [(25 + 50) / 2, (125 + 115) / 2]


def test_intervals_match_a_hand_computed_example() -> None:
    """Squares within recipes are 450 + 50 on two degrees of freedom; a rating's variance is 4."""
    at = at_compute.interpolate(by_hand(), 11)
    assert float(at.run_stddev) ** 2 == pytest.approx(250 - 4)
    cell = at.elo_of(0)
    assert float(cell.stderr) ** 2 == pytest.approx(246 / 2 + 4 / 2)
    assert float(cell.df) == pytest.approx(2)
    assert float(cell.high - cell.value) == pytest.approx(T2 * np.sqrt(125), rel=1e-5)
    ahead = at.difference(1, 0)
    assert float(ahead.value) == 80 and float(ahead.stderr) ** 2 == pytest.approx(250)


def test_shared_error_is_in_every_elo_and_in_no_difference() -> None:
    """For example the anchor's: with 1000 Elo² of it, a recipe's Elo has a variance of 1125."""
    at = at_compute.interpolate(by_hand(shared=1000), 11)
    assert float(at.elo_of(0).stderr) ** 2 == pytest.approx(1125)
    assert float(at.elo_of(0).df) == pytest.approx(162)
    assert float(at.difference(1, 0).stderr) ** 2 == pytest.approx(250)
    assert at.covariance[0, 1] == pytest.approx(1000)


def test_runs_are_not_extrapolated() -> None:
    points = by_hand()
    later = replace(points, training=points.training + 1.5 * (points.recipe == "b"))
    assert at_compute.interpolate(later, 11).recipes == ["a"]
    assert at_compute.interpolate(later, 11.5).recipes == ["a", "b"]
    assert at_compute.interpolate(later, 13.5).recipes == ["b"]
    early = points.select(~((points.run == "a1") & (points.training == 12)))
    stopped = at_compute.interpolate(early, 11)
    assert stopped.runs.tolist() == [1, 2] and stopped.elo.tolist() == [50, 145]
    with pytest.raises(InsufficientData, match=r"no recipe was rated at 10\^9\.00"):
        at_compute.interpolate(points, 9)


def test_last_version_counts_within_the_tolerance() -> None:
    points = by_hand()
    at = at_compute.interpolate(points, 12 + 0.9 * TOLERANCE)
    assert at.elo.tolist() == [120, 195]


def test_equal_cost_moves_are_interpolated_between_budgets() -> None:
    points = RatedVersions.of(
        [0, 100, 200, 300], np.eye(4), ["a"] * 4, [10, 12, 10, 12], search=[3, 3, 4, 4],
        recipe=["a"] * 4, covariates={"simulations": [0, 0, 9, 9]},
    )  # fmt: skip
    at = at_compute.interpolate(points, 11, search=3.5)
    assert at.elo.tolist() == [150]
    assert float(at.simulations[0]) == pytest.approx(10**0.5 - 1)
    with pytest.raises(InsufficientData, match="2 search budgets"):
        at_compute.interpolate(points, 11)
    with pytest.raises(InsufficientData, match="no recipe"):
        at_compute.interpolate(points, 11, search=4.5)


def test_single_seeds_have_intervals_of_the_ratings_errors() -> None:
    points = by_hand()
    at = at_compute.interpolate(points.select(np.isin(points.run, ["a0", "b0"])), 11)
    assert np.isnan(at.run_stddev) and np.isinf(at.elo_of(0).df)
    assert float(at.elo_of(0).stderr) ** 2 == pytest.approx(4)
    mixed = at_compute.interpolate(points.select(points.run != "b1"), 11)
    assert float(mixed.run_stddev) ** 2 == pytest.approx(
        450 - 4
    )  # b's seed differs as a's seeds do
    assert float(mixed.elo_of(1).stderr) ** 2 == pytest.approx(450)


@pytest.mark.parametrize(
    ("spans", "expected", "main"),
    [
        ([(10, 12), (10, 12)], [10, 12], 1),
        ([(10, 11), (10.8, 12), (11, 13)], [11, 12], 0),
        ([(10, 11), (10.2, 12), (10.6, 13), (11.8, 14)], [10.6, 12, 13], 1),
        ([(10, 10.2), (10.1, 10.3)], [10.2], 0),
    ],
)
def test_levels_are_where_most_recipes_can_be_compared(
    spans: list[tuple[float, float]], expected: list[float], main: int
) -> None:
    assert at_compute.choose_levels(np.array(spans, np.float64)) == (expected, main)


def test_levels_need_two_recipes() -> None:
    with pytest.raises(InsufficientData, match="no two recipes"):
        at_compute.choose_levels(np.array([(10.0, 11.0), (11.5, 12.0)]))


def test_candidates_are_a_clear_leader_alone_or_all_equals() -> None:
    points = by_hand()
    ahead = at_compute.best_recipe(at_compute.interpolate(points, 11))
    assert ahead.decided and ahead.leader == 1 and ahead.runner_up == 0
    assert float(ahead.lead.low) == pytest.approx(80 - T2 * np.sqrt(250), abs=5)  # 5: of the draws
    far = replace(points, elo=points.elo + 500.0 * (points.recipe == "b"))
    result = at_compute.best_recipe(at_compute.interpolate(far, 11))
    assert result.decided and result.candidates == [1] and result.probability[1] > 0.99
    assert float(result.lead.value) == 580 and result.lead.low > 0 and result.selection_bias < 0.5
    even = replace(points, elo=points.elo - 80.0 * (points.recipe == "b"))
    level = at_compute.best_recipe(at_compute.interpolate(even, 11))
    assert not level.decided and level.probability.tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    assert level.lead.low < 0 < level.lead.high and level.selection_bias > 1
    with pytest.raises(InsufficientData, match="only one recipe"):
        at_compute.best_recipe(at_compute.interpolate(points.select(points.recipe == "a"), 11))


AHEAD = {"a": 0.0, "b": 30.0, "c": 60.0, "d": 90.0}  # Elo at equal training


def planted(luck: Luck, openings: int, seeds: int = 3) -> RatedVersions:
    """Draws four recipes on parallel lines of 400 Elo per OOM, rated on one ladder."""
    design = joined(*(runs(seeds) for _ in AHEAD), names=tuple(AHEAD))
    design = replace(design, search=np.full(len(design), 7.0))
    truth = 400 * (design.training - 12) + [AHEAD[str(name)] for name in design.recipe]
    return draw(design, np.asarray(truth), replace(luck, search=0), openings=openings)


@pytest.mark.parametrize(
    ("luck", "openings"), [(Luck(), 60), (Luck(30, 30, version=20), 10_000), (Luck(0, 0, 0, 0), 60)]
)
def test_intervals_cover_the_planted_truth(luck: Luck, openings: int) -> None:
    """2 000 studies: every recipe's Elo, and every difference from the best."""
    at = at_compute.interpolate(planted(luck, openings), 13.3)
    truth = 520 + np.array(list(AHEAD.values()))
    shares = [at.elo_of(k).covers(truth[k]).mean() for k in range(4)]
    shares += [at.difference(3, k).covers(truth[3] - truth[k]).mean() for k in range(3)]
    assert at.elo.shape == (2000, 4)
    assert all(BAND[0] <= share <= 0.99 for share in shares), shares
    assert np.median(shares) <= BAND[1]


def test_candidates_and_lead_cover_the_truth_despite_selection() -> None:
    points = planted(Luck(), 60)
    truth, result = np.array(list(AHEAD.values())), []
    for elo in points.elo[:300]:
        result.append(
            at_compute.best_recipe(
                at_compute.interpolate(replace(points, elo=elo), 13.3), draws=500
            )
        )
    assert np.mean([3 in best.candidates for best in result]) >= 0.95
    assert np.mean([best.decided and best.leader != 3 for best in result]) <= 0.05
    covered = [best.lead.covers(truth[best.leader] - truth[best.runner_up]) for best in result]
    assert np.mean(covered) >= 0.95
    assert 1.5 < np.mean([len(best.candidates) for best in result]) < 3.5  # not trivially many
