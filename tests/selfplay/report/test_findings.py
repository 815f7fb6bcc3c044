"""Findings: each question is answered with its interval, or says why it is not."""

import re
from dataclasses import replace

import numpy as np
import pytest

from selfplay.report import findings
from selfplay.scaling.rated_versions import RatedVersions

SIZES, SEEDS, SPENT, BUDGETS = (3.6, 4.3, 5.0), 3, np.linspace(10.5, 13, 5), (0, 8, 64)


def study(sizes: tuple[float, ...] = SIZES, seeds: int = SEEDS) -> RatedVersions:
    """Elo rises by 400 per OOM of training and 130 per OOM of search, by no more with size."""
    rng = np.random.default_rng(1)
    rows = [
        (400 * t + 130 * np.log10(1 + b) + 30 * seed + rng.normal(0, 20), size, seed, t, b)
        for size in sizes
        for seed in range(seeds)
        for t in SPENT + 0.5 * (size - 4.3)
        for b in BUDGETS
    ]
    elo, size, seed, spent, budget = (np.array(column) for column in zip(*rows, strict=True))
    return RatedVersions.of(
        elo,
        np.eye(len(elo)) * 100,
        [f"size {a}, seed {b}" for a, b in zip(size, seed, strict=True)],
        spent,
        search=size + np.log10(1 + budget),
        parameters=size,
        recipe=[f"size {a}" for a in size],
        seed=seed.astype(int),
        covariates={"simulations": budget, "board": np.full(len(elo), 4.0)},
    )


def test_every_question_is_answered() -> None:
    found = {one.name: one for one in findings.of_ladder(study())}
    names = ["map", "map_move", "training", "search", "exchange", "size", "recipes"]
    assert list(found) == [*names, "extrapolation"]  # the answer first
    text = {name: " ".join(one.sentences) for name, one in found.items()}
    assert "Elo per OOM of training" in text["training"]
    assert "Elo per OOM of search" in text["search"]
    assert "64 simulations" in text["search"] and "OOM" in text["size"]
    assert "of training replaces" in text["exchange"]
    assert "OOMs beyond, lie in their 95 % prediction" in text["extrapolation"]
    assert not any("Not answered" in said for said in text.values()), text
    drawn = {name for name, one in found.items() if one.drawing}
    assert drawn == {"map", "training", "search", "exchange", "extrapolation"}
    table = found["recipes"].table
    names = [f"size {size}" for size in (4.3, 5.0)]
    told = [(name, f"{b:g}") for b in BUDGETS for name in names]
    assert table and [row[:2] for row in table[1]] == told


def test_a_single_run_answers_nothing_and_says_why() -> None:
    found = findings.of_ladder(study((4.3,), 1))
    assert [one.name for one in found] == [
        "training",
        "search",
        "exchange",
        "extrapolation",  # nothing about sizes: there is one
    ]
    for one in found:
        assert one.sentences and all(s.startswith("Not answered") for s in one.sentences), one
    assert any("Not answered at 8 simulations: " in said for said in found[0].sentences)
    assert found[0].drawing and not found[2].drawing  # the ratings can be shown, a fit cannot
    assert any("Only one seed of a recipe" in said for said in findings.caveats(study((4.3,), 1)))


def test_the_headline_budget_is_the_one_with_most_versions() -> None:
    points = study()
    few = points.select((points.covariates["simulations"] < 64) | (points.training < 12))
    assert findings.headline_budget(points) == 64 and findings.headline_budget(few) == 8


@pytest.mark.parametrize("name", ["training", "search", "exchange", "map"])
def test_a_figures_table_holds_all_that_is_in_it(name: str) -> None:
    points = study()
    (found,) = (one for one in findings.of_ladder(points) if one.name == name)
    assert found.drawing
    rows = [dict(zip(found.drawing.header, row, strict=True)) for row in found.drawing.rows]
    if name == "map":
        size = 3.6  # whose curves end at that compute, so that the map has their mean
        row = next(r for r in rows if r["parameters"] == "3981" and r["simulations"] == 8)
        at = np.isclose(points.training, row["training_log10_flops"], atol=0.006)
        own = at & (points.parameters == size) & (points.covariates["simulations"] == 8)
        assert row["runs"] == own.sum() == SEEDS
        assert row["elo"] == pytest.approx(points.elo[own].mean(), abs=0.01)
        assert len(rows) == len(SIZES) * len(BUDGETS)
        return
    assert sorted(row["elo"] for row in rows) == pytest.approx(sorted(points.elo))


def test_what_lies_on_a_plateau_is_left_out_of_every_line() -> None:
    points = study(seeds=5)
    top = np.quantile(points.elo, 0.6) + 130 * np.log10(1 + points.covariates["simulations"])
    bent = replace(points, elo=np.minimum(points.elo, top))
    found = {one.name: one for one in findings.of_ladder(bent)}
    assert len(found["training"].sentences) == 3
    assert all("then a plateau" in said for said in found["training"].sentences)
    for name in ("search", "exchange", "size", "recipes", "extrapolation"):
        said = r"on a plateau are left out: .* \d+ of 75 at 64 simulations, where it begins at "
        assert re.search(said, found[name].note)
    shown, drawn = found["search"].drawing, found["map"].drawing
    assert shown and len(shown.rows) < len(points)
    assert drawn and len(drawn.rows) == len(SIZES) * len(BUDGETS)  # no line goes through a map
    whole = {one.name: one for one in findings.of_ladder(points)}
    assert whole["search"].note == "" and whole["size"].note == "At 64 simulations."


def test_a_budget_at_which_all_play_perfectly_is_left_out() -> None:
    points = study(seeds=5)
    deep = points.covariates["simulations"] == 64
    noise = np.random.default_rng(0).normal(0, 15, len(points))
    solved = replace(points, elo=np.where(deep, noise, points.elo - points.elo.max() - 300))
    found = {one.name: one for one in findings.of_ladder(solved, perfect=True)}
    said = "Versions on a plateau are left out: all at 64 simulations."
    assert found["search"].note == said and found["size"].note == f"At 8 simulations. {said}"
    assert not any("64 sim" in sentence for sentence in found["search"].sentences)
    free = {one.name: one for one in findings.of_ladder(solved)}  # its 0 may be anybody
    assert free["search"].note == ""
    level = replace(points, elo=noise)
    everywhere = findings.of_ladder(level, perfect=True)
    assert everywhere[1].note == "", "nothing would be left"


def test_a_baseline_that_is_not_there_is_named() -> None:
    points = study()
    found = findings.of_recipes(points, 8, "size 9")
    said = "No version of size 9 is here: size 3.6 stands in its place."
    assert found.sentences[0] == said and len(found.sentences) == 3
    assert found.table and len(found.table[1]) == 2 * len(BUDGETS)
    assert said not in findings.of_recipes(points, 8, "size 3.6").sentences


def test_the_best_budget_of_selfplay_is_asked_where_it_was_varied() -> None:
    points = study(seeds=4)
    played = np.log10(1 + np.array([2.0, 8.0, 32.0, 128.0])[points.seed])  # a budget each
    worse = -300 * (played - 1.2) ** 2
    given = {**points.covariates, "selfplay_simulations": played}
    varied = replace(points, elo=points.elo - 30 * points.seed + worse, covariates=given)
    (found,) = (f for f in findings.of_ladder(varied) if f.name == "size")
    (said,) = (s for s in found.sentences if "selfplay_simulations" in s)
    assert "he best selfplay_simulations: 10^1.2 at " in said
    (alike,) = (f for f in findings.of_ladder(points) if f.name == "size")
    assert not any("selfplay_simulations" in s for s in alike.sentences)


def test_an_extrapolation_that_goes_nowhere_is_none() -> None:
    points = study()
    level = replace(points, training=points.training - 0.49 * (points.parameters - 4.3))
    (found,) = (f for f in findings.of_ladder(level) if f.name == "extrapolation")
    assert "OOMs beyond the others, not 0.3" in found.sentences[0] and not found.drawing


def test_boards_cost_what_they_were_made_to_cost() -> None:
    rows = [
        (min(500 * (t - 10 - 0.8 * size), -100 * size) + rng, size, seed, t)
        for size in (3.0, 4.0, 5.0)
        for seed in range(5)
        for t, rng in zip(
            np.linspace(9, 15.5, 14), np.random.default_rng([int(size), seed]).normal(0, 15, 14),
            strict=True,
        )
    ]  # fmt: skip
    elo, size, seed, spent = (np.array(column) for column in zip(*rows, strict=True))
    points = RatedVersions.of(
        elo, np.eye(len(elo)) * 25, [f"{a}-{b}" for a, b in zip(size, seed, strict=True)], spent,
        parameters=np.full(len(elo), 4.0), recipe=[f"board {a}" for a in size],
        seed=seed.astype(int),
        covariates={"simulations": np.full(len(elo), 64.0), "board": size},
    )  # fmt: skip
    said = findings.of_boards(points).sentences
    assert "saturates" in said[0] and "then a plateau" in said[1]
    cost = [re.search(r": \+(\d+)", s) for s in said[2:4]]
    assert cost[0] and cost[1]
    assert int(cost[0][1]) == pytest.approx(400, abs=40)
    assert int(cost[1][1]) == pytest.approx(100, abs=20)
    straight = points.select(points.training < 12)
    assert len(findings.of_boards(straight).sentences) == 1  # no plateau, no change point


def test_where_perfect_play_is_the_zero_it_is_asked_what_it_takes() -> None:
    points = study()
    near = replace(points, elo=points.elo - np.quantile(points.elo, 0.4))
    sentences = {
        perfect: " ".join(findings.of_training(near, perfect)[0].sentences)
        for perfect in (True, False)
    }
    assert "gets to -50 Elo with the least training, 10^1" in sentences[True]
    assert "gets to" not in sentences[False]
