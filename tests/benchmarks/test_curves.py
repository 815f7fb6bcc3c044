"""Error rates of two sides that trained for the same minutes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks import curves
from benchmarks.grades import Row


def graded(errors: float, minutes: float) -> dict[float, dict[int, Row]]:
    rows = {
        sims: Row("version 1", 60 * minutes, sims, 1 - errors, 0.0, 0.0, 1000, "exam")
        for sims in (64, 0)
    }
    return {minutes: rows}


@pytest.mark.parametrize("other", list(curves.OTHERS))
def test_ratio_is_the_geometric_mean_over_the_seeds_of_both_sides(other: str) -> None:
    errors = {
        ("ours", 0): 0.1,
        ("ours", 1): 0.05,
        (other, 0): 0.2,
        (other, 1): 0.2,
        (other, 2): 0.9,
    }
    results = {side: graded(rate, 10.0) for side, rate in errors.items()}
    found = curves.ratio(results, 10.0, 64)
    assert found is not None
    assert found.seeds == (0, 1)
    assert found.mean == pytest.approx(math.sqrt(0.5 * 0.25))
    assert found.interval is not None
    assert found.interval[0] < found.mean < found.interval[1]


@pytest.mark.parametrize(("errors", "verdict"), [(0.05, "pass"), (0.15, "fail")])
def test_targets_are_those_of_the_other_side(errors: float, verdict: str, tmp_path: Path) -> None:
    results = {("ours", 0): graded(errors, 10.0), ("baseline", 0): graded(0.2, 10.0)}
    table = curves.verdicts(results)
    cells = [list(column.cells) for column in table.columns]
    assert cells[3][:2] == ["≤ 62%", "≤ 67%"]
    assert all(verdict in str(cell) for cell in cells[4][:2])
    assert cells[4][2:] == ["not measured"] * 2
    document = curves.summary(results, {})
    assert [ratio["target"] for ratio in document["ratios"]] == [0.62, 0.67]
    curves.plot(results, tmp_path / "strength.png", 0.6)
    assert (tmp_path / "strength.png").stat().st_size > 10_000


def test_one_side_alone_has_no_ratio() -> None:
    results = {("ours", 0): graded(0.1, 10.0)}
    assert curves.ratio(results, 10.0, 64) is None
    assert not curves.verdicts(results).rows
    assert curves.table(results, 64).row_count == 1
