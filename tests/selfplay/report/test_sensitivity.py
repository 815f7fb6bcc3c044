"""Sensitivity: headlines from other games, and which of them leave their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selfplay.ladder.database import Entry
from selfplay.ladder.kinds import kinds
from selfplay.ladder.ladder import LadderState
from selfplay.ratings import elo
from selfplay.ratings.bradley_terry import NATS_PER_ELO
from selfplay.report.evidence import Evidence
from selfplay.report.scale_question import of_scale
from selfplay.report.sensitivity import of_sensitivity, rate_again, variants
from selfplay.scaling.rated_versions import RatedVersions

BUDGETS, SEEDS, VERSIONS, OPPONENTS = (0, 16), 2, 4, 6


def ladder(between: float) -> tuple[LadderState, RatedVersions]:
    """Plays versions of two recipes; search is worth `between` Elo more against the raw networks.

    Every version plays `OPPONENTS` others, 8 openings each.
    """
    rng = np.random.default_rng(0)
    keys = [
        (recipe, seed, version, budget)
        for recipe in "ab"
        for seed in range(SEEDS)
        for version in range(VERSIONS)
        for budget in BUDGETS
    ]
    truth = np.array([400 * v / 3 + 60 * (r == "b") + 150 * (s > 0) for r, _, v, s in keys])
    searched = np.array([s > 0 for *_, s in keys])
    first = np.repeat(np.arange(len(keys)), OPPONENTS)
    second = (first + np.tile(rng.permutation(len(keys) - 1)[:OPPONENTS] + 1, len(keys))) % len(
        keys
    )
    seats = np.repeat(np.stack([first, second], axis=1), 8, axis=0)
    ids, columns = np.arange(len(seats)), []
    for side in (1, -1):
        a, b = seats[:, ::side].T
        ahead = truth[a] - truth[b] + between * (searched[a].astype(float) - searched[b])
        won = rng.random(len(a)) < 1 / (1 + np.exp(-ahead * NATS_PER_ELO))
        columns.append(np.stack([a, b, np.where(won, 1, -1), ids]))
    games = elo.Games(*np.concatenate(columns, axis=1))
    names = [f"runs/{r}-{s}@{v + 1}?sims={b}" for r, s, v, b in keys]
    entries = [Entry(i + 1, name, f"{i}", 1e6, 1e9) for i, name in enumerate(names)]
    ratings = elo.fit(games, len(keys), 0)
    points = RatedVersions.of(
        ratings.elo,
        ratings.covariance,
        [f"{r}-{s}" for r, s, _, _ in keys],
        [9 + v / 3 for _, _, v, _ in keys],
        search=[6 + np.log10(1 + b) for *_, b in keys],
        recipe=[r for r, *_ in keys],
        covariates={"simulations": [b for *_, b in keys], "player": range(len(keys))},
    )
    return LadderState(entries, ratings, games, [], []), points


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    """Evidence of a ladder on which all players share one scale."""
    state, points = ladder(0.0)
    return Evidence(points, ladder=state)


def test_variants_choose_their_games(evidence: Evidence) -> None:
    assert evidence.ladder is not None
    state = evidence.ladder
    by_name = {variant.name: variant for variant in variants(evidence.points, state)}
    kind = np.array(kinds(state.entries))
    chosen = by_name["one budget"].games
    same = kind[state.games.first] == kind[state.games.second]
    np.testing.assert_array_equal(chosen, same)
    recipe = evidence.points.recipe
    crossing = recipe[state.games.first] != recipe[state.games.second]
    np.testing.assert_array_equal(by_name["between recipes"].games, crossing)
    half = by_name["half of the openings"].games
    assert half.mean() == 0.5
    openings = state.games.opening
    assert not set(openings[half]) & set(openings[~half])
    plain = rate_again(evidence.points, state, by_name["no pair effects"])
    expected = elo.fit(state.games, len(state.entries), 0, pair_effects=False)
    np.testing.assert_array_equal(plain.elo, expected.elo)


def test_versions_without_a_game_are_left_out(evidence: Evidence) -> None:
    assert evidence.ladder is not None
    state = evidence.ladder
    variant = variants(evidence.points, state)[0]
    only = (state.games.first < 10) & (state.games.second < 10)
    rated = rate_again(evidence.points, state, replace(variant, games=only))
    assert set(rated.require("player")) <= set(range(10)) and len(rated) > 2


def test_headlines_stay_in_their_intervals_on_one_scale(evidence: Evidence) -> None:
    finding = of_sensitivity(evidence)
    assert finding is not None and finding.table is not None
    header, rows = finding.table.header, finding.table.rows
    assert header[:2] == ("number", "as reported") and len(header) == 6
    assert {str(row[0]).split(",")[0] for row in rows} >= {
        "training at 0 simulations",
        "search at a fixed network",
        "b",
    }
    search = next(row for row in rows if str(row[0]).startswith("search at"))
    assert search[2] == "–"  # games within one budget do not compare budgets
    marked = sum("(!)" in str(cell) for row in rows for cell in row)
    assert marked <= 2


def test_marked_numbers_are_those_outside_their_interval(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain ratings that are stretched to three times leave the intervals of slopes."""
    fit = elo.fit

    def stretched(*args: object, pair_effects: bool = True) -> elo.Ratings:
        ratings = fit(*args)  # pyright: ignore[reportArgumentType]
        return ratings if pair_effects else replace(ratings, elo=3 * ratings.elo)

    monkeypatch.setattr(elo, "fit", stretched)
    finding = of_sensitivity(evidence)
    assert finding is not None and finding.table is not None
    row = next(r for r in finding.table.rows if str(r[0]).startswith("training at 0"))
    assert "(!)" in str(row[4]) and "(!)" not in str(row[5])
    assert "no pair effects" in finding.sentences[0]


def test_report_without_games_has_no_sensitivity(evidence: Evidence) -> None:
    assert of_sensitivity(replace(evidence, ladder=None)) is None
    assert of_scale(replace(evidence, ladder=None)) is None


def test_scale_question_finds_no_kinds_on_one_scale(evidence: Evidence) -> None:
    finding = of_scale(evidence)
    assert finding is not None and finding.data is None


def test_scale_question_rates_within_budgets_where_they_differ() -> None:
    """Search that gains 250 Elo against raw networks only: one budget stretches the other."""
    state, points = ladder(0.0)
    rng = np.random.default_rng(1)
    searched = np.array([kind == "16 simulations" for kind in kinds(state.entries)])
    a, b = state.games.first, state.games.second
    crossing = searched[a] != searched[b]
    won = np.where(rng.random(len(a)) < 0.5, 1, -1)
    games = state.games._replace(outcome=np.where(crossing, won, state.games.outcome))
    ratings = elo.fit(games, len(state.entries), 0)
    finding = of_scale(Evidence(points, ladder=state._replace(games=games, ratings=ratings)))
    assert finding is not None and finding.data is not None
    rows = finding.data.rows
    assert {row[0] for row in rows} == {"0 simulations", "16 simulations"}
    for kind in ("0 simulations", "16 simulations"):
        values = [float(row[2]) for row in rows if row[0] == kind]
        assert sum(values) == pytest.approx(0, abs=5)
        assert values == sorted(values, reverse=True)
