"""Against published figures: a study that is as Jones says agrees with Jones, line by line."""

from collections.abc import Iterator
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
    """Jones's boards, seen at 64 simulations and, 120 Elo weaker, at 8."""
    design, truth = studies.boards(3)
    rng = np.random.default_rng(0)
    found = {}
    for size in BOARDS:
        own = design.covariates["board"] == size
        part = replace(design, elo=truth).select(own)
        deep = part.select(np.tile(np.arange(len(part)), 2))
        budget = np.repeat([64.0, 8.0], len(part))
        found[f"hex?size={size}"] = replace(
            deep,
            elo=deep.elo - 120 * (budget == 8) + rng.normal(0, 4, len(deep)),
            covariance=np.eye(len(deep)),
            search=7 + np.log10(1 + budget),
            covariates={**deep.covariates, "simulations": budget},
        )
    return found


@pytest.fixture(scope="module")
def lines() -> dict[str, Line]:
    def found() -> Iterator[Line]:
        given = boards()
        yield from published.jones(given, dict.fromkeys(given, PERFECT))

    return {line.what: line for line in found()}


def test_what_is_as_published_agrees(lines: dict[str, Line]) -> None:
    slope = lines["64 simulations, all boards, Jones's model: incline"]
    assert str(slope).endswith("| yes |") and "+510" in str(slope)
    assert float(slope.ask().value) == pytest.approx(510, abs=8)
    for name, value in (("incline", 430), ("plateau", 270)):
        line = lines[f"64 simulations, all boards, Jones's model: a row, {name}"]
        assert float(line.ask().value) == pytest.approx(value, abs=8)


def test_what_is_not_does_not(lines: dict[str, Line]) -> None:
    line = lines["hex?size=5: OOMs of search per OOM of training"]
    assert str(line).endswith("| no |")


def test_plain_ratings_are_pressed_together_by_a_first_move() -> None:
    """Where moving first is worth 500 Elo: to what two games of a pair, one as either, tell."""
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


def test_the_difference_of_two_thresholds_has_both_their_errors() -> None:
    a, b = (published.slopes.per_training(points) for points in list(boards().values())[:2])
    less = published._less(a, b)
    assert float(less.stderr) == pytest.approx(float(np.hypot(a.stderr, b.stderr)))
    assert min(a.df, b.df) <= less.df <= a.df + b.df


def test_a_stand_in_for_perfect_play_is_said() -> None:
    given = boards()
    first = next(iter(given))
    anchors = dict.fromkeys(given, PERFECT) | {first: "random"}
    said = [line.what for line in published.jones(given, anchors)]
    assert sum("stands in for perfect play" in what for what in said) == 2  # budgets


def test_the_strongest_is_a_mean_over_runs_at_the_largest_budget() -> None:
    points = next(iter(boards().values()))
    deep = points.select(points.require("simulations") == 64)
    last = [deep.elo[deep.run == run][-1] for run in deep.runs]
    assert published.strongest(points) == pytest.approx(np.mean(last))
    first = points.run == points.runs[0]
    apart = replace(points, recipe=np.where(first, "a", "b"))
    each = np.array(last)
    assert published.strongest(apart) == pytest.approx(max(each[0], each[1:].mean()))
