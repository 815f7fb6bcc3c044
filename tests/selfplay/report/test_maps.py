"""Maps have a cell for each recipe, blank where its curve does not reach, and name the leader."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from selfplay.report import map_section, maps
from selfplay.report.evidence import Evidence
from selfplay.report.findings import Finding
from selfplay.report.maps import RecipeComparison
from selfplay.report.page import to_svg
from selfplay.report.questions import answer_all
from selfplay.report.study_questions import OF_STUDY
from selfplay.scaling import at_compute
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.factors import Factor
from selfplay.scaling.rated_versions import RatedVersions
from tests.selfplay.report.test_figures import grid


def of_map(points: RatedVersions, factors: list[Factor], budget: float = 8) -> dict[str, Finding]:
    return {finding.name: finding for finding in map_section.of_map(points, factors, budget)}


def rows(finding: Finding) -> list[dict[str, Any]]:
    assert finding.figure
    header = finding.figure.table.header
    return [dict(zip(header, row, strict=True)) for row in finding.figure.table.rows]


def texts(finding: Finding, panel: int) -> list[str]:
    """Returns the texts in the cells of a panel."""
    assert finding.figure
    return [text.get_text() for text in finding.figure.plot.axes[panel].texts]


def test_first_sentence_states_leader_compute_and_certainty() -> None:
    points, factors = grid({"a": [1, 2], "b": [3, 4]}, seeds=3)
    finding = of_map(points, factors)["map"]
    assert finding.title == "Which a and which b?"
    trained, main = maps.of_training(points, 8)
    best = trained[main].best
    assert best and trained[main].at.recipes[best.leader] == "2, 4" and best.decided
    first = finding.sentences[0]
    lead = f"{float(best.lead.value):.0f} ± {float(best.lead.high - best.lead.low) / 2:.0f} Elo"
    parts = (f"10^{trained[main].at.training:.2f} FLOPs of training", "8 simulations", "`a 2, b 4`",
             "FLOPs a move", lead)  # fmt: skip
    assert [part for part in parts if part not in first] == []


def test_first_sentence_names_all_recipes_that_may_be_best() -> None:
    points, factors = grid({"a": [1, 2], "b": [3, 4]}, seeds=3)
    level = replace(points, elo=400 * (points.training - 10) + points.seed * 20.0)
    finding = of_map(level, factors)["map"]
    best = maps.of_training(level, 8)[0][-1].best
    assert best and len(best.candidates) == 4 and not best.decided
    assert finding.sentences[0].count("`") == 2 * 4
    at_end = [row for row in rows(finding) if row["elo"] != ""]
    assert sum(row["may_be_best"] for row in at_end) == len(at_end)


def test_cells_beyond_a_curve_are_blank_with_its_ends() -> None:
    points, factors = grid()
    finding = of_map(points, factors)["map"]
    table = rows(finding)
    assert len(table) == 9 * 2 and {row["simulations"] for row in table} == {8}
    for row in table:
        reached = row["curve_begins"] - 0.01 <= row["training_log10_flops"]
        reached &= row["training_log10_flops"] <= row["curve_ends"] + 0.01
        assert (row["elo"] != "") is reached is (row["runs"] == 2)
    blank = sum(row["elo"] == "" for row in table)
    cells = [text for panel in range(2) for text in texts(finding, panel)]
    assert sum(text.startswith(("begins at", "ends at")) for text in cells) == blank > 0


def test_cells_have_the_elo_at_that_compute() -> None:
    points, factors = grid()
    for row in rows(of_map(points, factors)["map"]):
        if row["elo"] == "":
            continue
        recipe = f"{row['network.width']}, {row['search.num-simulations']}"
        chosen = (points.recipe == recipe) & (points.covariates["simulations"] == 8)
        means = [
            np.interp(row["training_log10_flops"], points.training[at], points.elo[at])
            for run in dict.fromkeys(points.run[chosen].tolist())
            if (at := np.flatnonzero(chosen & (points.run == run))).size
        ]
        assert row["elo"] == pytest.approx(np.mean(means), abs=0.01)
        assert row["low"] < row["elo"] < row["high"]


def contours(finding: Finding) -> int:
    """Counts the panels with contours."""
    assert finding.figure
    return sum(
        any(type(c).__name__ == "QuadContourSet" for c in axes.collections)
        for axes in finding.figure.plot.axes
    )


def test_numeric_axes_have_contours_and_others_notes_of_move_cost() -> None:
    answers = of_map(*grid())
    assert contours(answers["map"]) == 2 and contours(answers["map_search"]) == 2
    assert not any("a move" in text for text in texts(answers["map"], 0))
    other = of_map(*grid({"network.width": [4, 16], "network.kind": ["conv", "mlp"]}))["map"]
    assert contours(other) == 0
    noted = [text for text in texts(other, 0) if "a move" in text]
    assert len(noted) == sum("±" in text for text in texts(other, 0)) > 0


def test_single_factor_is_mapped_over_budgets_of_play() -> None:
    answers = of_map(*grid({"learner.symmetries": [True, False]}))
    assert answers["map"].title == "Which learner.symmetries?"
    assert "map_search" not in answers
    table = rows(answers["map"])
    both = {(row["learner.symmetries"], row["simulations"]) for row in table}
    assert both == {(value, budget) for value in ("true", "false") for budget in (0, 8)}


def test_third_factor_has_a_row_of_maps_for_each_value() -> None:
    points, factors = grid({"a": [1, 2], "b": ["x", "y"], "c": [True, False]})
    finding = of_map(points, factors)["map"]
    assert finding.figure
    titles = [axes.get_title() for axes in finding.figure.plot.axes]
    assert sum(title.endswith("c true") for title in titles) == 2
    assert sum(title.endswith("c false") for title in titles) == 2
    assert len(rows(finding)) == 2 * 8


def test_four_factors_have_answer_and_table_but_no_map() -> None:
    points, factors = grid({name: [1, 2] for name in "abcd"})
    finding = of_map(points, factors)["map"]
    assert finding.figure is None and finding.table
    first = finding.results[0]
    assert isinstance(first, RecipeComparison) and first.best
    assert (len(first.at.recipes), first.recipes) == (14, 16)
    assert first.at.recipes[first.best.leader] == "2, 2, 2, 1"
    assert "`a 2, b 2, c 2, d 1`" in finding.sentences[0]
    assert (
        len(finding.sentences) == len(finding.results) + 2
    )  # how to fill blanks; why there is no map


def test_recipes_without_common_compute_have_no_map() -> None:
    points, factors = grid({"a": [1, 2], "b": [3]})
    apart = replace(points, training=points.training + 5.0 * (points.recipe == "2, 3"))
    (finding,) = map_section.of_map(apart, factors, 8)
    assert finding.figure is None and isinstance(finding.results[0], InsufficientData)
    answers = answer_all(Evidence(apart, varied=factors), OF_STUDY)
    assert answers[-1].name == "map" and len(answers) > 4  # no answer to begin with


def barely_overlapping() -> tuple[RatedVersions, list[Factor]]:
    """Makes four sizes, each of whose curves begins where the one before ends."""
    points, factors = grid({"network.width": [4, 16, 64, 256]}, seeds=3)
    size = points.search - np.log10(1 + points.covariates["simulations"])
    return replace(points, training=points.training + 0.5 * (size - 3) / 0.8), factors


def test_first_sentence_counts_recipes_that_reach_that_compute() -> None:
    points, factors = barely_overlapping()
    trained, main = maps.of_training(points, 8)
    assert len(trained[main].at.recipes) == 2 and trained[main].recipes == 4
    finding = of_map(points, factors)["map"]
    assert " 2 of 4 recipes " in finding.sentences[0]
    whole = of_map(*grid({"a": [1, 2], "b": [3]}, seeds=3))["map"]
    assert " 2 recipes" in whole.sentences[0] and " 2 of " not in whole.sentences[0]


def test_missing_recipes_are_grouped_by_reason() -> None:
    points, factors = barely_overlapping()
    trained, main = maps.of_training(points, 8)
    spans = at_compute.recipe_ranges(points)
    at = trained[main].at
    ended = sum(last < at.training - 0.01 for _, last in spans.values())
    assert ended == 2 and at.recipes == ["64", "256"]
    assert maps.missing_recipes([trained[main]], points) == {"ends": {"4", "16"}}
    (sentence,) = maps.filled_by([trained[main]], points)
    assert "2 recipes" in sentence
    (first, second), start = list(spans.values())[:2], maps.compare(points, 10.0, budget=8)
    assert start.at.recipes == ["4"] and first[0] < second[0]
    assert maps.missing_recipes([start], points) == {"begins": {"16", "64", "256"}}
    assert "`network.width 4`" in start.sentence(factors) and start.best is None
    for name in ("map", "map_move"):
        finding = of_map(points, factors)[name]
        assert len(finding.sentences) == len(finding.results) + 1  # with how to fill blanks
    level = replace(points, training=np.tile(points.training[:8], len(points) // 8))
    assert maps.filled_by([maps.compare(level, 10.3, budget=8)], level) == []


def test_missing_recipes_at_budget_and_at_move_cost() -> None:
    points, _ = grid({"network.width": [4, 16]}, seeds=3)
    rare = points.select((points.recipe == "4") | (points.covariates["simulations"] == 0))
    comparison = maps.compare(rare, 10.9, budget=8)
    assert maps.missing_recipes([comparison], rare) == {"rated": {"16"}}
    cheap = maps.compare(points, 10.6, search=3.0)
    assert cheap.at.recipes == ["4"]
    assert maps.missing_recipes([cheap], points) == {"costs": {"16"}}


def test_map_of_move_cost_interpolates_simulations() -> None:
    points, factors = grid()
    finding = of_map(points, factors)["map_move"]
    (main,) = {row["training_log10_flops"] for row in rows(finding)}
    filled = [row for row in rows(finding) if row["elo"] != ""]
    for row in filled:
        width = [4, 16, 64].index(int(row["network.width"]))
        cost = 3 + 0.8 * width + np.log10(1 + row["simulations"])
        assert cost == pytest.approx(row["search_log10_flops"], abs=0.02)
    assert filled and main > 10 and any(0.5 < row["simulations"] < 7.5 for row in filled)


def test_first_map_is_of_the_budget_at_which_recipes_differ() -> None:
    points, factors = grid(seeds=3)
    for level in (0, 8):  # the budget at which all play alike, as if perfectly
        alike = points.covariates["simulations"] == level
        solved = replace(points, elo=np.where(alike, points.seed * 20.0, points.elo))
        assert maps.telling_budget(solved) == 8 - level
        (first, *_) = map_section.of_map(solved, factors)
        assert {row["simulations"] for row in rows(first)} == {8 - level}
    apart = replace(points, training=points.training + 9.0 * points.search)
    assert maps.telling_budget(apart.select(points.recipe == points.recipe[0])) is None


def test_single_seeds_have_no_probabilities() -> None:
    points, factors = grid(seeds=1)
    finding = of_map(points, factors)["map"]
    two = of_map(*grid(seeds=2))["map"]
    assert finding.figure and two.figure and finding.figure.caption != two.figure.caption
    for answer, known in ((finding, False), (two, True)):
        *sentences, _ = answer.sentences
        for comparison, sentence in zip(answer.results, sentences, strict=True):
            assert isinstance(comparison, RecipeComparison)
            assert bool(np.isfinite(comparison.at.run_stddev)) is known
            assert ("probability" in sentence) is known


def test_equal_maps_make_equal_files() -> None:
    first, again = (of_map(*grid({"a": [1, 2], "b": [3, 4]}))["map"].figure for _ in range(2))
    assert first and again and to_svg(first) == to_svg(again)
