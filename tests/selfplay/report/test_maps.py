"""Maps: a cell for each recipe, blank where it has no curve, and a sentence that answers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from selfplay.report import findings, maps
from selfplay.report.findings import Finding
from selfplay.report.page import _svg
from selfplay.scaling import at_compute
from selfplay.scaling.factors import Factor
from selfplay.scaling.rated_versions import RatedVersions
from tests.selfplay.report.test_figures import grid


def of_map(points: RatedVersions, factors: list[Factor], budget: float = 8) -> dict[str, Finding]:
    return {one.name: one for one in findings.of_map(points, factors, budget)}


def rows(finding: Finding) -> list[dict[str, Any]]:
    assert finding.drawing
    header = finding.drawing.header
    return [dict(zip(header, row, strict=True)) for row in finding.drawing.rows]


def texts(finding: Finding, panel: int) -> list[str]:
    """What stands in the cells of a panel."""
    assert finding.drawing
    return [text.get_text() for text in finding.drawing.figure.axes[panel].texts]


def test_the_first_sentence_says_which_for_what_compute_and_how_sure() -> None:
    points, factors = grid({"a": [1, 2], "b": [3, 4]}, seeds=3)
    found = of_map(points, factors)["map"]
    assert found.title == "Which a and which b?"
    trained, main = maps.of_training(points, 8)
    best = trained[main].best
    assert best and trained[main].at.recipes[best.leader] == "2, 4" and best.decided
    first = found.sentences[0]
    lead = f"{float(best.lead.value):.0f} ± {float(best.lead.high - best.lead.low) / 2:.0f} Elo"
    told = (f"10^{trained[main].at.training:.2f} FLOPs of training", "8 simulations", "`a 2, b 4`",
            "FLOPs a move", lead, "probability")  # fmt: skip
    assert [word for word in told if word not in first] == []


def test_leaders_that_are_not_told_apart_are_named() -> None:
    points, factors = grid({"a": [1, 2], "b": [3, 4]}, seeds=3)
    level = replace(points, elo=400 * (points.training - 10) + points.seed * 20.0)
    found = of_map(level, factors)["map"]
    said = found.sentences[0]
    assert "do not rule out" in said and said.count("`") == 2 * 4  # all four recipes
    at_end = [row for row in rows(found) if row["elo"] != ""]
    assert sum(row["may_be_best"] for row in at_end) == len(at_end)


def test_what_is_not_reached_is_blank_and_says_why() -> None:
    points, factors = grid()
    found = of_map(points, factors)["map"]
    table = rows(found)
    assert len(table) == 9 * 2 and {row["simulations"] for row in table} == {8}
    for row in table:
        reached = row["curve_begins"] - 0.01 <= row["training_log10_flops"]
        reached &= row["training_log10_flops"] <= row["curve_ends"] + 0.01
        assert (row["elo"] != "") is reached is (row["runs"] == 2)
    blank = sum(row["elo"] == "" for row in table)
    cells = [text for panel in range(2) for text in texts(found, panel)]
    assert sum(text.startswith(("begins at", "ends at")) for text in cells) == blank > 0


def test_a_cell_has_the_elo_at_that_compute() -> None:
    points, factors = grid()
    for row in rows(of_map(points, factors)["map"]):
        if row["elo"] == "":
            continue
        recipe = f"{row['network.width']}, {row['search.num-simulations']}"
        own = (points.recipe == recipe) & (points.covariates["simulations"] == 8)
        means = [
            np.interp(row["training_log10_flops"], points.training[at], points.elo[at])
            for run in dict.fromkeys(points.run[own].tolist())
            if (at := np.flatnonzero(own & (points.run == run))).size
        ]
        assert row["elo"] == pytest.approx(np.mean(means), abs=0.01)
        assert row["low"] < row["elo"] < row["high"]


def contours(finding: Finding) -> int:
    """Panels with contours."""
    assert finding.drawing
    return sum(
        any(type(c).__name__ == "QuadContourSet" for c in axes.collections)
        for axes in finding.drawing.figure.axes
    )


def test_numbers_have_contours_and_categories_a_note_of_what_a_move_costs() -> None:
    found = of_map(*grid())
    assert contours(found["map"]) == 2 and contours(found["map_search"]) == 2
    assert not any("a move" in text for text in texts(found["map"], 0))
    other = of_map(*grid({"network.width": [4, 16], "network.kind": ["conv", "mlp"]}))["map"]
    assert contours(other) == 0
    noted = [text for text in texts(other, 0) if "a move" in text]
    assert len(noted) == sum("±" in text for text in texts(other, 0)) > 0
    assert "White lines" not in other.drawing.caption if other.drawing else False


def test_one_factor_is_mapped_over_the_budgets_of_play() -> None:
    found = of_map(*grid({"learner.symmetries": [True, False]}))
    assert found["map"].title == "Which learner.symmetries?"
    assert "map_search" not in found
    table = rows(found["map"])
    both = {(row["learner.symmetries"], row["simulations"]) for row in table}
    assert both == {(value, budget) for value in ("true", "false") for budget in (0, 8)}


def test_three_factors_have_a_row_of_maps_for_each_value_of_the_third() -> None:
    points, factors = grid({"a": [1, 2], "b": ["x", "y"], "c": [True, False]})
    found = of_map(points, factors)["map"]
    assert found.drawing
    titles = [axes.get_title() for axes in found.drawing.figure.axes]
    assert sum(title.endswith("c true") for title in titles) == 2
    assert sum(title.endswith("c false") for title in titles) == 2
    assert len(rows(found)) == 2 * 8


def test_four_factors_have_an_answer_and_a_table_and_no_map() -> None:
    points, factors = grid({name: [1, 2] for name in "abcd"})
    found = of_map(points, factors)["map"]
    assert found.drawing is None and found.table
    assert "`a 2, b 2, c 2, d 1` is the first of the 14 of 16 recipes" in found.sentences[0]
    assert found.sentences[-2].startswith("What would fill the blanks: ")
    assert found.sentences[-1] == "No map is drawn: 4 fields were varied, and a map shows 3."


def test_recipes_that_share_no_compute_have_no_map() -> None:
    points, factors = grid({"a": [1, 2], "b": [3]})
    apart = replace(points, training=points.training + 5.0 * (points.recipe == "2, 3"))
    (found,) = findings.of_map(apart, factors, 8)
    assert found.drawing is None and "no two recipes" in found.sentences[0]
    assert findings.of_ladder(apart, factors=factors)[-1].name == "map"  # no answer to begin with


def barely_overlapping() -> tuple[RatedVersions, list[Factor]]:
    """Four sizes: the second begins where the first one ends, and so on for the others."""
    points, factors = grid({"network.width": [4, 16, 64, 256]}, seeds=3)
    size = points.search - np.log10(1 + points.covariates["simulations"])
    return replace(points, training=points.training + 0.5 * (size - 3) / 0.8), factors


def test_the_first_sentence_says_how_many_of_all_recipes_reach_that_compute() -> None:
    points, factors = barely_overlapping()
    trained, main = maps.of_training(points, 8)
    assert len(trained[main].at.recipes) == 2 and trained[main].recipes == 4
    found = of_map(points, factors)["map"]
    assert "of the 2 of 4 recipes whose curves reach that compute, " in found.sentences[0]
    whole = of_map(*grid({"a": [1, 2], "b": [3]}, seeds=3))["map"]
    assert "of 2 recipes, " in whole.sentences[0] and " of the 2" not in whole.sentences[0]


def test_blank_cells_are_said_with_what_would_fill_them() -> None:
    points, factors = barely_overlapping()
    trained, main = maps.of_training(points, 8)
    (said,) = maps.filled_by([trained[main]], points)
    spans = at_compute.recipe_ranges(points)
    at = trained[main].at
    ended = sum(last < at.training - 0.01 for _, last in spans.values())
    assert ended == 2 and at.recipes == ["64", "256"]
    assert "more iterations where a curve ends too early (2 recipes)" in said
    assert "earlier" not in said
    (first, second), start = list(spans.values())[:2], maps.compare(points, 10.0, budget=8)
    assert start.at.recipes == ["4"] and first[0] < second[0]
    (said,) = maps.filled_by([start], points)
    assert "earlier rated versions" in said and "begins too late (3 recipes)" in said
    assert "more iterations" not in said
    assert "only `network.width 4` of 4 recipes" in start.sentence(factors)
    for name in ("map", "map_move"):
        own = of_map(points, factors)[name].sentences
        assert own[-1].startswith("What would fill the blanks: ") and len(own) > 1
    level = replace(points, training=np.tile(points.training[:8], len(points) // 8))
    assert maps.filled_by([maps.compare(level, 10.3, budget=8)], level) == []


def test_blanks_of_a_budget_and_of_a_cost_are_filled_by_games_and_budgets() -> None:
    points, _ = grid({"network.width": [4, 16]}, seeds=3)
    rare = points.select((points.recipe == "4") | (points.covariates["simulations"] == 0))
    one = maps.compare(rare, 10.9, budget=8)
    assert maps.filled_by([one], rare) == [
        "What would fill the blanks: games at that search budget (1 recipe)."
    ]
    cheap = maps.compare(points, 10.6, search=3.0)
    assert cheap.at.recipes == ["4"]
    assert maps.filled_by([cheap], points) == [
        "What would fill the blanks: other search budgets in play (1 recipe)."
    ]


def test_moves_of_one_cost_are_compared_with_what_they_search() -> None:
    points, factors = grid()
    found = of_map(points, factors)["map_move"]
    (main,) = {row["training_log10_flops"] for row in rows(found)}
    filled = [row for row in rows(found) if row["elo"] != ""]
    for row in filled:
        width = [4, 16, 64].index(int(row["network.width"]))
        cost = 3 + 0.8 * width + np.log10(1 + row["simulations"])
        assert cost == pytest.approx(row["search_log10_flops"], abs=0.02)
    assert filled and main > 10 and any(0.5 < row["simulations"] < 7.5 for row in filled)


def test_the_first_map_is_of_the_budget_that_tells_recipes_apart() -> None:
    points, factors = grid(seeds=3)
    for level in (0, 8):  # the budget at which all play alike, as if perfectly
        alike = points.covariates["simulations"] == level
        solved = replace(points, elo=np.where(alike, points.seed * 20.0, points.elo))
        assert maps.telling_budget(solved) == 8 - level
        (first, *_) = findings.of_map(solved, factors)
        assert {row["simulations"] for row in rows(first)} == {8 - level}
    apart = replace(points, training=points.training + 9.0 * points.search)
    assert maps.telling_budget(apart.select(points.recipe == points.recipe[0])) is None


def test_one_seed_says_what_its_intervals_hold() -> None:
    points, factors = grid(seeds=1)
    found = of_map(points, factors)["map"]
    assert found.drawing and "one run of each recipe" in found.drawing.caption
    *answers, blanks = found.sentences
    assert all("with one run of each" in said for said in answers) and "blanks" in blanks
    assert not any("probability" in said for said in found.sentences)
    two = of_map(*grid(seeds=2))["map"]
    assert two.drawing and "one run of each recipe" not in two.drawing.caption


def test_the_same_map_is_the_same_file() -> None:
    first, again = (of_map(*grid({"a": [1, 2], "b": [3, 4]}))["map"].drawing for _ in range(2))
    assert first and again and _svg(first) == _svg(again)
