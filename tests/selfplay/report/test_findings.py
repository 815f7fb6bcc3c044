"""Every question is answered with an interval, or the finding says why the data do not allow it."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.report import evidence, study_questions
from selfplay.report.evidence import Evidence, caveats
from selfplay.report.findings import Finding
from selfplay.report.maps import RecipeComparison
from selfplay.report.questions import answer_all
from selfplay.scaling.bends import Bend
from selfplay.scaling.best_size import BestSize
from selfplay.scaling.candidates import CANDIDATES
from selfplay.scaling.compute_to_reach import Threshold
from selfplay.scaling.estimate import Estimate, InsufficientData
from selfplay.scaling.exchange import Exchange
from selfplay.scaling.extrapolation import Comparison
from selfplay.scaling.frontier import Frontier
from selfplay.scaling.multiplier import Multiplier
from selfplay.scaling.phases import PhasesFit
from selfplay.scaling.rated_versions import RatedVersions, most_rated_budget
from selfplay.scaling.slopes import Slope

SIZES, SEEDS, SPENT, BUDGETS = (3.6, 4.3, 5.0), 3, np.linspace(10.5, 13, 5), (0, 8, 64)


def study(sizes: tuple[float, ...] = SIZES, seeds: int = SEEDS) -> RatedVersions:
    """Makes versions whose Elo rises by 400 per OOM of training and 130 per OOM of search."""
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


def of_ladder(points: RatedVersions, perfect: bool = False) -> list[Finding]:
    return answer_all(Evidence(points, perfect=perfect), study_questions.OF_STUDY)


def by_name(answers: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in answers}


def test_of_ladder_answers_every_question() -> None:
    answers = by_name(of_ladder(study()))
    names = ["map", "map_move", "training", "search", "exchange", "size", "recipes"]
    assert list(answers) == [*names, "extrapolation"]  # the map with the answer comes first
    kinds = {name: [type(r) for r in finding.results] for name, finding in answers.items()}
    assert set(kinds["map"]) == set(kinds["map_move"]) == {RecipeComparison}
    assert kinds["training"] == [Frontier, Slope] * len(BUDGETS)
    assert kinds["search"] == [Slope, Multiplier, Multiplier]
    assert kinds["exchange"] == [Exchange]
    assert kinds["size"] == [Slope, BestSize, BestSize]
    assert kinds["recipes"] == [Multiplier, Multiplier]
    assert kinds["extrapolation"] == [Comparison] * len(BUDGETS)
    errors = answers["extrapolation"].table
    assert errors and len(errors.rows) == len(BUDGETS) * len(CANDIDATES)
    assert [row[-1] for row in errors.rows].count("yes") == len(BUDGETS)
    drawn = {name for name, finding in answers.items() if finding.figure}
    assert drawn == {"map", "training", "search", "exchange", "extrapolation"}
    table = answers["recipes"].table
    assert table and [row[:2] for row in table.rows] == [
        (f"size {size}", f"{budget:g}") for budget in BUDGETS for size in (4.3, 5.0)
    ]
    for finding in answers.values():
        estimates = [r for r in finding.results if not isinstance(r, RecipeComparison)]
        for estimate in estimates:  # a sentence may begin with it, in upper case
            assert any(str(estimate)[1:] in sentence for sentence in finding.sentences)


def test_single_run_has_no_estimates_but_reasons() -> None:
    answers = by_name(of_ladder(study((4.3,), 1)))
    assert list(answers) == ["training", "search", "exchange", "extrapolation"]  # there is one size
    for finding in answers.values():
        assert len(finding.sentences) == len(finding.results) > 0
        for sentence, reason in zip(finding.sentences, finding.results, strict=True):
            assert isinstance(reason, InsufficientData) and str(reason)[1:] in sentence
    assert answers["training"].figure and not answers["exchange"].figure  # there is no fit to draw


def test_caveats_warn_of_few_seeds_and_of_other_recipes() -> None:
    assert len(caveats(study((4.3,), 1))) == 2  # few seeds; standard errors
    assert len(caveats(study())) == 3  # and estimates across recipes
    assert len(caveats(study(seeds=evidence.FEW_SEEDS))) == 2


def test_headline_budget_has_most_versions() -> None:
    points = study()
    few = points.select((points.covariates["simulations"] < 64) | (points.training < 12))
    assert most_rated_budget(points) == 64 and most_rated_budget(few) == 8


@pytest.mark.parametrize("name", ["training", "search", "exchange", "map"])
def test_table_of_a_figure_has_all_its_numbers(name: str) -> None:
    points = study()
    figure = by_name(of_ladder(points))[name].figure
    assert figure
    rows = [dict(zip(figure.table.header, row, strict=True)) for row in figure.table.rows]
    if name == "map":
        size = 3.6  # whose curves end at that compute, so that the map has their mean
        row = next(r for r in rows if r["parameters"] == "3981" and r["simulations"] == 8)
        at = np.isclose(points.training, row["training_log10_flops"], atol=0.006)
        chosen = at & (points.parameters == size) & (points.covariates["simulations"] == 8)
        assert row["runs"] == chosen.sum() == SEEDS
        assert row["elo"] == pytest.approx(points.elo[chosen].mean(), abs=0.01)
        assert len(rows) == len(SIZES) * len(BUDGETS)
        return
    assert sorted(row["elo"] for row in rows) == pytest.approx(sorted(points.elo))


def test_plateau_is_excluded_from_every_line_but_not_from_maps() -> None:
    points = study(seeds=5)
    top = np.quantile(points.elo, 0.6) + 130 * np.log10(1 + points.covariates["simulations"])
    answers = by_name(of_ladder(replace(points, elo=np.minimum(points.elo, top))))
    frontiers = [fit for fit in answers["training"].results if isinstance(fit, Frontier)]
    assert len(frontiers) == len(BUDGETS)
    assert all(fit.curve.in_phases.plateau for fit in frontiers)
    notes = {answers[name].note for name in ("search", "exchange")}
    assert len(notes) == 1 and (note := notes.pop())
    assert all(answers[name].note.endswith(note) for name in ("size", "recipes"))
    search, drawn = answers["search"].figure, answers["map"].figure
    assert search and len(search.table.rows) < len(points)
    assert drawn and len(drawn.table.rows) == len(SIZES) * len(BUDGETS)
    whole = by_name(of_ladder(points))
    assert whole["search"].note == "" and note not in whole["size"].note


def test_perfect_budget_is_excluded() -> None:
    points = study(seeds=5)
    deep = points.covariates["simulations"] == 64
    noise = np.random.default_rng(0).normal(0, 15, len(points))
    solved = replace(points, elo=np.where(deep, noise, points.elo - points.elo.max() - 300))
    answers = by_name(of_ladder(solved, perfect=True))
    assert answers["search"].note and answers["size"].note.endswith(answers["search"].note)
    assert [type(result) for result in answers["search"].results] == [Slope, Multiplier]
    any_anchor = by_name(of_ladder(solved))  # 0 Elo may be any player
    assert any_anchor["search"].note == ""
    assert [type(r) for r in any_anchor["search"].results] == [Slope, Multiplier, Multiplier]
    everywhere = of_ladder(replace(points, elo=noise), perfect=True)
    assert everywhere[1].note == "", "nothing would be left"


def test_of_recipes_replaces_unrated_baseline_and_says_so() -> None:
    points = study()
    both = (study_questions.of_recipes(Evidence(points, name)) for name in ("size 9", "size 3.6"))
    replaced, first = both
    assert replaced and first
    assert "size 9" in replaced.sentences[0] and "size 3.6" in replaced.sentences[0]
    assert list(replaced.sentences[1:]) == first.sentences and len(first.sentences) == 2
    assert replaced.table == first.table
    assert first.table and len(first.table.rows) == 2 * len(BUDGETS)


def test_of_recipes_tells_seconds_from_flops() -> None:
    points = study()
    slower = np.where(points.recipe == "size 4.3", np.log10(2.0), 0.0)  # 2 times the seconds a FLOP
    timed = replace(
        points, covariates={**points.covariates, "seconds": points.training - 9 + slower}
    )
    found = [study_questions.of_recipes(Evidence(p)) for p in (points, timed)]
    without, table = [finding.table for finding in found if finding and finding.table]
    width = len(without.header)
    assert table.header[width:] == study_questions.IN_SECONDS
    assert [row[:width] for row in table.rows] == without.rows
    for row in table.rows:
        saved = -np.log10(2.0) if row[0] == "size 4.3" else 0.0
        difference = float(str(row[width])) - float(str(row[2]))
        assert difference == pytest.approx(saved, abs=0.02)


def test_of_size_finds_best_selfplay_budget_if_it_was_varied() -> None:
    points = study(seeds=4)
    played = np.log10(1 + np.array([2.0, 8.0, 32.0, 128.0])[points.seed])  # a budget each
    loss = 300 * (played - 1.2) ** 2
    covariates = {**points.covariates, "selfplay_simulations": played}
    varied = replace(points, elo=points.elo - 30 * points.seed - loss, covariates=covariates)
    results = by_name(of_ladder(varied))["size"].results
    (best,) = (r for r in results if isinstance(r, BestSize) and r.choice != "parameters")
    assert best.choice == "selfplay_simulations"
    assert float(best.best_at(12.0).value) == pytest.approx(1.2, abs=0.1)
    results = by_name(of_ladder(points))["size"].results
    assert {r.choice for r in results if isinstance(r, BestSize)} == {"parameters"}


def test_of_extrapolation_needs_reach() -> None:
    points = study()
    level = replace(points, training=points.training - 0.49 * (points.parameters - 4.3))
    finding = by_name(of_ladder(level))["extrapolation"]
    assert len(finding.results) == len(BUDGETS) and not finding.figure
    assert all(isinstance(reason, InsufficientData) for reason in finding.results)


def test_of_boards_recovers_planted_costs() -> None:
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
    test, mean_board, slope_cost, plateau_cost, delay = study_questions.of_boards(
        Evidence(points)
    ).results
    assert isinstance(test, Bend) and isinstance(mean_board, PhasesFit)
    costs = (slope_cost, 400, 40), (plateau_cost, 100, 20), (delay, 0.6, 0.1)
    for cost, planted, tolerance in costs:
        assert isinstance(cost, Estimate)
        assert float(cost.value) == pytest.approx(planted, abs=tolerance)
    straight = study_questions.of_boards(Evidence(points.select(points.training < 12)))
    assert [type(result) for result in straight.results] == [Bend]  # there is no plateau


def test_of_training_finds_compute_to_reach_perfect_play() -> None:
    points = study()
    near = replace(points, elo=points.elo - np.quantile(points.elo, 0.4))
    for perfect in (True, False):
        results = study_questions.of_training(Evidence(near, perfect=perfect)).results
        assert any(isinstance(result, Threshold) for result in results) is perfect
