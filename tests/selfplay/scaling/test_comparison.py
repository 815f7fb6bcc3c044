"""Comparisons at equal training: coverage, games and seeds needed, and rejected input."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from selfplay.ratings.elo import Z95
from selfplay.report import comparison_section, page
from selfplay.report.findings import Finding
from selfplay.scaling import comparison
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.planted import BAND, Luck, coverage, draw

AHEAD, SLOPE = 150, 450  # of recipe b in `studies.two_recipes`: Elo, and Elo per OOM
NO_LUCK, SOME_LUCK = Luck(0, 0, 0, version=0), Luck(20, 20, 5, version=10)
LUCKS = {"everything": Luck(), "levels only": Luck(40, 0, 0, 0), "nothing": NO_LUCK}


def information(ahead: Floats) -> Floats:
    """Returns the information of two games without draws, uneven openings or first-move effects."""
    p = 1 / (1 + 10 ** (-ahead / 400))
    return 2 * p * (1 - p) * (np.log(10) / 400) ** 2


def rated(ahead: float = AHEAD, seeds: int = 5, luck: Luck = SOME_LUCK) -> RatedVersions:
    """Makes the versions of one ladder, at one budget."""
    design, truth = studies.two_recipes(seeds, ahead=ahead)
    points = draw(design, truth, luck, replicates=1, seed=2)
    budget = {"simulations": np.full(len(points), 8.0)}
    return replace(points, elo=points.elo[0], covariates=budget)


def compared(points: RatedVersions) -> Finding:
    finding = comparison_section.finding(points, information)
    assert finding is not None
    return finding


@pytest.mark.parametrize("kind", LUCKS)
def test_intervals_of_recipes_cover_the_planted_difference(kind: str) -> None:
    design, truth = studies.two_recipes(5)
    points = draw(design, truth, LUCKS[kind])
    low, high = comparison.common_training(points)
    for level in ((low + high) / 2, high):
        _, recipes = comparison.estimate_lead(points, "a", "b", level)
        assert recipes is not None
        assert BAND[0] <= coverage(recipes, AHEAD) <= BAND[1], level


@pytest.mark.parametrize("openings", [10, 60])
def test_intervals_of_networks_cover_their_difference(openings: int) -> None:
    """The networks' difference equals the recipes' only if runs do not differ."""
    design, truth = studies.two_recipes(1)
    high = comparison.common_training(design)[1]
    points = draw(design, truth, NO_LUCK, openings=openings)
    networks, recipes = comparison.estimate_lead(points, "a", "b", high)
    assert recipes is None
    assert BAND[0] <= coverage(networks, AHEAD) <= BAND[1]
    lucky = draw(design, truth, Luck(), openings=openings)
    assert coverage(comparison.estimate_lead(lucky, "a", "b", high)[0], AHEAD) < 0.75


def test_equal_strength_covers_the_planted_saving() -> None:
    design, truth = studies.two_recipes(1)
    points = draw(design, truth, NO_LUCK, replicates=500, seed=1)
    result = [comparison.equal_strength(replace(points, elo=elo), "a", "b") for elo in points.elo]
    covered = np.mean([ooms.covers(AHEAD / SLOPE) for _, ooms in result])
    assert 0.93 <= covered <= 0.97
    assert all(ooms.low <= ooms.value <= ooms.high for _, ooms in result)


def test_exact_ratings_give_difference_and_multiplier() -> None:
    for seeds in (1, 3):
        design, truth = studies.two_recipes(seeds)
        budget = {"simulations": np.zeros(len(design))}
        points = replace(design, elo=truth, covariates=budget)
        lead = comparison.compare(points, "a", "b", 0, information)
        assert lead.networks.value == pytest.approx(AHEAD)
        assert lead.runs == (seeds, seeds) and lead.games_to_decide == 0
        assert (lead.recipes is None) == (seeds == 1)
        back = comparison.compare(points, "b", "a", 0, information)
        assert back.estimate.value == pytest.approx(-AHEAD)
        ooms, _ = comparison.training_saved(points, "a", "b", 0)
        assert ooms.value == pytest.approx(AHEAD / SLOPE, abs=1e-6)


def test_games_needed_reach_the_wanted_error() -> None:
    """Compares with the inverse of the covariance after adding these games' information."""
    points = rated(seeds=2)
    contrast = np.zeros(len(points))
    contrast[[0, 1, 7]] = [-0.25, -0.75, 1.0]
    now = float(np.sqrt(contrast @ points.covariance @ contrast))
    games = comparison.games_needed(points, contrast, 0.3 * now, information)
    added = np.zeros_like(points.covariance)
    for i, share in ((0, 0.25), (1, 0.75)):
        added_by_games = share * games / 2 * information(points.elo[[7]] - points.elo[[i]])[0]
        added[[7, i], [7, i]] += added_by_games
        added[[7, i], [i, 7]] -= added_by_games
    after = np.linalg.inv(np.linalg.inv(points.covariance) + added)
    assert np.sqrt(contrast @ after @ contrast) == pytest.approx(0.3 * now, rel=1e-3)
    assert comparison.games_needed(points, contrast, 1.1 * now, information) == 0
    assert comparison.games_needed(points, contrast, 0.0, information) == np.inf


def test_games_to_decide_would_exclude_zero() -> None:
    lead = comparison.compare(rated(ahead=10, seeds=1, luck=NO_LUCK), "a", "b", 8, information)
    assert 0 < lead.games_to_decide < np.inf
    assert abs(lead.networks.value) < Z95 * lead.networks.stderr
    assert (lead.games_to_narrow > lead.games_to_decide) == (
        abs(float(lead.networks.value)) > comparison.NARROW_ELO
    )


def test_seeds_needed_would_exclude_zero() -> None:
    def recipes(value: float, stderr: float) -> Estimate:
        return Estimate.student(np.array(value), np.array(stderr), np.array(8.0), "Elo")

    seeds = comparison.seeds_needed(recipes(20, 20), (5, 5))
    assert seeds is not None and 15 < seeds < 25  # about 2² times as many
    assert comparison.seeds_needed(recipes(200, 20), (5, 5)) == 5
    assert comparison.seeds_needed(recipes(1, 20), (5, 5)) is None
    fewer, more = (comparison.seeds_needed(recipes(30, 20), runs) for runs in ((5, 2), (5, 5)))
    assert fewer is not None and more is not None and fewer < more


def test_one_run_per_side_compares_networks_and_several_recipes() -> None:
    first = compared(rated(seeds=1)).sentences[0]
    assert "these two networks, not the recipes" in first
    several = compared(rated(seeds=3)).sentences[0]
    assert "recipes, 3 and 3 runs" in several and "networks" not in several
    points = rated(seeds=3)
    uneven = compared(points.select((points.recipe == "a") | (points.run == "b-run1")))
    assert "these 4 networks, not the recipes" in uneven.sentences[0]
    assert "the mean of 3 networks of `a`" in uneven.sentences[0]


def test_seeds_of_one_recipe_are_compared_as_networks() -> None:
    points = rated(seeds=2)
    seeds = points.select(points.recipe == "a")
    finding = compared(seeds)
    assert "`a-run0`" in finding.sentences[0] and "`a-run1`" in finding.sentences[0]
    assert "seeds of one recipe" in finding.sentences[0]
    assert comparison_section.finding(seeds.select(seeds.run == "a-run0"), information) is None


def test_leader_comes_first_in_any_order() -> None:
    for ahead, leader in ((AHEAD, "b"), (-AHEAD, "a")):
        assert f"`{leader}` is ahead of" in compared(rated(ahead)).sentences[0]


def test_sentence_names_the_top_two_and_table_all_sides() -> None:
    points = rated(seeds=4)
    recipe = points.recipe.copy()
    for run, name in (("b-run0", "c"), ("b-run1", "c")):
        recipe[points.run == run] = name
    three = replace(points, recipe=recipe, elo=points.elo + 300.0 * (recipe == "c"))
    finding = compared(three)
    assert "`c` is ahead of `b`" in finding.sentences[0]
    assert finding.table is not None and finding.figure is not None
    assert {row[1:3] for row in finding.table.rows} == {("b", "a"), ("c", "a")}
    assert {row[1:3] for row in finding.figure.table.rows} == {("b", "a"), ("c", "a")}
    again = comparison_section.finding(three, information, "b")
    assert again is not None and again.table is not None
    assert {row[1:3] for row in again.table.rows} == {("a", "b"), ("c", "b")}


def test_sides_without_common_training_do_not_hide_the_leaders() -> None:
    points = rated(seeds=3)
    recipe = np.where(points.run == "b-run2", "late", points.recipe)
    late = replace(points, recipe=recipe, training=points.training + 9.0 * (recipe == "late"))
    assert comparison.rank_sides(late, 8) == ["b", "a"]
    finding = compared(late)
    assert "in favor of `b` against `a`" in finding.sentences[0]
    assert finding.table is not None and [row[1:3] for row in finding.table.rows] == [("b", "a")]


def test_caption_explains_thin_lines_and_intervals() -> None:
    points = rated(seeds=3)
    pair = rated(seeds=1)
    mixed = np.where(points.run == "b-run2", "c", points.recipe)
    captions = {
        name: finding.figure.caption
        for name, finding in {
            "recipes": compared(points),
            "networks": compared(pair),
            "mixed": compared(replace(points, recipe=mixed)),
        }.items()
        if finding.figure
    }
    assert {name: "thin lines are runs" in text for name, text in captions.items()} == {
        "recipes": True, "networks": False, "mixed": True,
    }  # fmt: skip
    assert captions["recipes"].endswith("95 % intervals of the recipes, over more seeds of each.")
    assert captions["networks"].endswith(
        "95 % intervals of these networks: other seeds may differ."
    )
    assert captions["mixed"].endswith(
        "of the recipes, or of the networks where a side has one run."
    )


def test_figures_ignore_the_users_matplotlibrc() -> None:
    """A matplotlibrc in the working directory may name programs to run, such as TeX."""
    files = page.single(compared(rated(seeds=1)))
    with mpl.rc_context({"text.usetex": True, "savefig.facecolor": "red", "font.size": 23.0}):
        assert page.single(compared(rated(seeds=1))) == files


@pytest.mark.parametrize("name", ["$x_$", "_hidden", "a|b", "$\\frac"])
def test_legend_shows_any_name_of_a_side(name: str) -> None:
    points = rated(seeds=1)
    finding = compared(replace(points, recipe=np.where(points.recipe == "b", name, points.recipe)))
    page.single(finding)  # a formula that does not parse would raise here
    assert finding.figure is not None
    (legend,) = finding.figure.plot.legends
    shown = [text.get_text().strip().replace(r"\$", "$") for text in legend.get_texts()]
    assert shown == ["a", name]


@pytest.mark.parametrize("miss", [0.004, 0.008])
def test_sides_within_the_tolerance_are_ranked(miss: float) -> None:
    points = rated(seeds=1)
    b = points.recipe == "b"
    later = points.training[~b].max() + miss - points.training[b].min()
    near = replace(points, training=points.training + later * b)
    assert sorted(comparison.rank_sides(near, 8)) == ["a", "b"]
    assert "FLOPs of training each" in compared(near).sentences[0]


def test_figure_ends_at_the_numbers_of_the_table() -> None:
    finding = compared(rated())
    assert finding.table is not None and finding.figure is not None
    (row,), last = finding.table.rows, finding.figure.table.rows[-1]
    assert [f"{x:+.0f}" for x in last[4:7]] == list(row[5:8])


def test_runs_without_common_training_are_rejected_with_their_distance() -> None:
    points = rated(seeds=1)
    far = replace(points, training=points.training + 5.0 * (points.recipe == "b"))
    with pytest.raises(InsufficientData, match=r"`a-run0` .* and `b-run0` .* 2\.\d\d orders"):
        comparison.compare(far, "a", "b", 8, information)
    finding = compared(far)
    assert "nothing is compared" in finding.sentences[0]
    assert finding.table is None and finding.figure is None


def test_budget_with_a_single_side_is_reported() -> None:
    points = rated()
    other = np.where(points.recipe == "b", 64.0, 8.0)
    other[0] = 64.0
    mixed = replace(points, covariates={"simulations": other})
    assert "`a` alone is rated there" in compared(mixed).sentences[0]


def test_run_with_one_version_is_compared_there_or_reported() -> None:
    points = rated(seeds=1)
    versions = np.flatnonzero(points.recipe == "b")
    rest = np.flatnonzero(points.recipe == "a")
    finding = compared(points.select([*rest, versions[2]]))
    assert "`b-run0`" in finding.sentences[0] or "`b`" in finding.sentences[0]
    assert finding.table is not None and len(finding.table.rows) == 1
    outside = compared(points.select([*rest[:-3], versions[-1]]))
    assert "`b-run0` has one rated version" in outside.sentences[0]


def test_run_that_stopped_early_is_reported() -> None:
    points = rated(seeds=3)
    late = (points.run == "b-run1") & (points.training > 13.2)
    finding = compared(points.select(~late))
    assert any("`b-run1` ends earlier" in sentence for sentence in finding.sentences)
    assert not any("ends earlier" in sentence for sentence in compared(points).sentences)


@pytest.mark.parametrize("ahead", [5000, -5000])
def test_one_sided_saving_says_at_most_or_at_least(ahead: float) -> None:
    """All versions of b are stronger, or all weaker, than a at its end."""
    points = rated(seeds=1, luck=NO_LUCK)
    points = replace(points, elo=points.elo + ahead * (points.recipe == "b"))
    ooms, sentence = comparison.training_saved(points, "a", "b", 8)
    spent = points.training[points.recipe == "b"]
    end = comparison.common_training(points)[1]
    if ahead > 0:
        assert ooms.low == pytest.approx(end - spent.min()) and ooms.high == np.inf
        assert f"`b` takes at most {10 ** -float(ooms.low):.3g} times" in sentence
    else:
        assert ooms.high == pytest.approx(end - spent.max()) and ooms.low == -np.inf
        assert f"`b` takes at least {10 ** -float(ooms.high):.3g} times" in sentence


def test_flat_curves_set_no_bound_on_the_saving() -> None:
    points = rated(ahead=0, seeds=1, luck=NO_LUCK)
    flat = replace(points, elo=0 * points.elo)
    ooms, sentence = comparison.training_saved(flat, "a", "b", 8)
    assert (ooms.low, ooms.high) == (-np.inf, np.inf) and "no bound" in sentence
