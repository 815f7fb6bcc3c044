"""Findings: each question is answered with its interval, or says why it is not."""

import numpy as np
import pytest

from selfplay.scaling import findings
from selfplay.scaling.points import Points

SIZES, SEEDS, SPENT, BUDGETS = (3.6, 4.3, 5.0), 3, np.linspace(10.5, 13, 5), (0, 8, 64)


def study(sizes: tuple[float, ...] = SIZES, seeds: int = SEEDS) -> Points:
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
    return Points.of(
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
    assert list(found) == ["training", "search", "exchange", "size", "recipes", "extrapolation"]
    text = {name: " ".join(one.sentences) for name, one in found.items()}
    assert "Elo per OOM of training" in text["training"]
    assert "Elo per OOM of search" in text["search"]
    assert "64 simulations" in text["search"] and "OOM" in text["size"]
    assert "of training buys off" in text["exchange"]
    assert "held-out versions lie in their" in text["extrapolation"]
    assert not any("Not answered" in said for said in text.values()), text
    drawn = {name for name, one in found.items() if one.drawing}
    assert drawn == {"training", "search", "exchange", "size", "extrapolation"}
    table = found["recipes"].table
    assert table and [row[0] for row in table[1]] == ["size 4.3", "size 5.0"]


def test_a_single_run_answers_nothing_and_says_why() -> None:
    found = findings.of_ladder(study((4.3,), 1))
    assert [one.name for one in found] == [
        "training",
        "search",
        "exchange",
        "size",
        "extrapolation",
    ]
    for one in found:
        assert one.sentences and all(s.startswith("Not answered: ") for s in one.sentences), one
    assert found[0].drawing and not found[2].drawing  # the ratings can be shown, a fit cannot
    assert any("Only one seed of a recipe" in said for said in findings.caveats(study((4.3,), 1)))


def test_the_headline_budget_is_the_one_with_most_versions() -> None:
    points = study()
    few = points.select((points.covariates["simulations"] < 64) | (points.training < 12))
    assert findings.headline_budget(points) == 64 and findings.headline_budget(few) == 8


@pytest.mark.parametrize("name", ["training", "search", "exchange", "size"])
def test_a_figures_table_holds_all_that_is_in_it(name: str) -> None:
    points = study()
    (found,) = (one for one in findings.of_ladder(points) if one.name == name)
    assert found.drawing
    rows = [dict(zip(found.drawing.header, row, strict=True)) for row in found.drawing.rows]
    if name == "size":
        at = np.isclose(points.training, SPENT[-1]) & (points.covariates["simulations"] == 8)
        best = points.elo[at & (points.parameters == 4.3)].mean()
        cell = next(r for r in rows if r["simulations"] == 8 and round(r["parameters"]) == 19953)
        assert cell["elo"] == pytest.approx(best) and cell["runs"] == SEEDS
        assert cell["stderr_of_rating"] == pytest.approx(10 / np.sqrt(SEEDS))
        return
    wanted = (
        points.elo if name != "training" else points.elo[points.covariates["simulations"] == 64]
    )
    assert sorted(row["elo"] for row in rows) == pytest.approx(sorted(wanted))
