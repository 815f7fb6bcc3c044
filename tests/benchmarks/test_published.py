"""Comparison with published figures: a study planted after Jones agrees with Jones."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import published
from benchmarks.published import Line
from selfplay.ladder.database import Entry
from selfplay.ladder.ladder import LadderState
from selfplay.report.study_report import PERFECT
from selfplay.scaling.rated_versions import RatedVersions
from tests.simulation import studies
from tests.simulation.ladders import Field, Ladder, cycle

BOARDS = (5, 7, 9)  # of studies.boards


def boards() -> dict[str, RatedVersions]:
    """Plants Jones's boards at 64 simulations and, 120 Elo weaker, at 8."""
    design, truth = studies.boards(3)
    rng = np.random.default_rng(0)
    result = {}
    for size in BOARDS:
        part = replace(design, elo=truth).select(design.covariates["board"] == size)
        deep = part.select(np.tile(np.arange(len(part)), 2))
        budget = np.repeat([64.0, 8.0], len(part))
        result[f"hex?size={size}"] = replace(
            deep,
            elo=deep.elo - 120 * (budget == 8) + rng.normal(0, 4, len(deep)),
            covariance=np.eye(len(deep)),
            search=7 + np.log10(1 + budget),
            covariates={**deep.covariates, "simulations": budget},
        )
    return result


@pytest.fixture(scope="module")
def lines() -> dict[str, Line]:
    points = boards()
    return {x.what: x for x in published.jones(points, dict.fromkeys(points, PERFECT))}


def test_planted_study_agrees_with_jones(lines: dict[str, Line]) -> None:
    slope = lines["64 simulations, all boards, Jones's model: incline"]
    assert str(slope).endswith("| yes |") and "+510" in str(slope)
    assert float(slope.ask().value) == pytest.approx(510, abs=8)
    for name, value in (("incline", 430), ("plateau", 270)):
        line = lines[f"64 simulations, all boards, Jones's model: a row, {name}"]
        assert float(line.ask().value) == pytest.approx(value, abs=8)


def test_different_exchange_does_not_agree(lines: dict[str, Line]) -> None:
    line = lines["hex?size=5: OOMs of search per OOM of training"]
    assert str(line).endswith("| no |")


def test_plain_ratings_are_compressed_by_a_first_move_advantage() -> None:
    """A first move worth 500 Elo compresses them to the mean result of a pair's two games."""
    truth = np.array([0.0, 150.0, 300.0])
    played = Ladder(Field(truth, 0, 500.0, 0.0, "even", 0.0), np.random.default_rng(0))
    for pairings in cycle(3):
        played.play(pairings, 2000)
    entries = [Entry(i, str(i), "", 0.0, 0.0) for i in range(3)]
    rated = LadderState(entries, played.rate(), played.games, [], [])
    np.testing.assert_allclose(rated.ratings.elo, truth, atol=25)
    pressed = published.plain(rated).ratings
    points = sum(1 / (1 + 10 ** (-(150 + side) / 400)) for side in (500, -500)) / 2
    assert pressed.elo[1] == pytest.approx(400 * np.log10(points / (1 - points)), abs=12)


def test_difference_of_estimates_has_both_errors() -> None:
    a, b = (published.slopes.per_training(points) for points in list(boards().values())[:2])
    less = published._less(a, b)
    assert float(less.stderr) == pytest.approx(float(np.hypot(a.stderr, b.stderr)))
    assert min(a.df, b.df) <= less.df <= a.df + b.df


def test_stand_in_for_perfect_play_is_named() -> None:
    points = boards()
    first = next(iter(points))
    anchors = dict.fromkeys(points, PERFECT) | {first: "random"}
    lines = [line.what for line in published.jones(points, anchors)]
    assert sum("stands in for perfect play" in line for line in lines) == 2  # budgets


def test_strongest_is_a_mean_over_runs_at_the_largest_budget() -> None:
    points = next(iter(boards().values()))
    deep = points.select(points.require("simulations") == 64)
    last = [deep.elo[deep.run == run][-1] for run in deep.runs]
    assert published.strongest(points) == pytest.approx(np.mean(last))
    first = points.run == points.runs[0]
    apart = replace(points, recipe=np.where(first, "a", "b"))
    each = np.array(last)
    assert published.strongest(apart) == pytest.approx(max(each[0], each[1:].mean()))
