"""Reading rated versions from a ladder: values, names, and rejected input."""

import json
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import games
from selfplay.ladder.database import Entry, LadderDatabase, Pairing
from selfplay.ladder.ladder import LadderState, compute_state
from selfplay.ladder.match import GameResult
from selfplay.model.config import NetworkConfig
from selfplay.players.specs import SIMULATIONS, Player
from selfplay.ratings.elo import Games, Ratings, fit
from selfplay.runs.codec import FORMAT_VERSION, to_json
from selfplay.scaling import from_ladder
from selfplay.scaling.compute_units import selfplay_multiply_adds
from selfplay.search.config import SearchConfig
from selfplay.training.config import TrainConfig
from tests.small_runs import PLAIN

LARGE = replace(PLAIN, network=NetworkConfig(width=8, depth=1, head_width=4))


def make_run(folder: Path, config: TrainConfig, versions: int = 3) -> None:
    """Config and metrics of a run, as training leaves them."""
    folder.mkdir(parents=True)
    document = {"format_version": FORMAT_VERSION, "config": to_json(config)}
    (folder / "config.json").write_text(json.dumps(document))
    rows = [
        {"iteration": v, "ledger": {"imitation": 0, "selfplay": 700 * v, "learning": 300 * v}}
        for v in range(versions)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def entry(i: int, spec: str, flops: float = 1e4) -> Entry:
    return Entry(
        i, spec, "" if spec in ("random", "solver") else spec.partition("?")[0], flops, math.nan
    )


def rated(*entries: Entry, without_games: int = 0) -> LadderState:
    """A standing in which everybody has played, except for the last ones."""
    rng = np.random.default_rng(0)
    size = len(entries)
    root = rng.normal(size=(size, size))
    covariance = root @ root.T
    covariance[0] = covariance[:, 0] = 0
    ratings = Ratings(rng.normal(size=size) * 100, covariance, 0, 0.0, 1.0, 0.0, 0.0)
    played = np.arange(size - without_games)
    games = Games(played, played, *np.zeros((2, len(played)), np.int64))
    return LadderState(list(entries), ratings, games, [], [])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    make_run(tmp_path / "small-0", PLAIN)
    make_run(tmp_path / "small-1", replace(PLAIN, seed=1, iterations=9))
    make_run(tmp_path / "large-0", LARGE)
    return tmp_path


def test_versions_have_the_values_of_runs_and_ladder(study: Path) -> None:
    ladder = rated(
        entry(1, "random"),
        entry(2, "small-0@1?sims=0", 10.0**3),
        entry(3, "small-0@2?sims=64", 10.0**5),
        entry(4, "small-1@2?sims=0", 10.0**3),
        entry(5, "large-0@2?sims=0&search=puct", 10.0**4),
        entry(6, "small-1@0?sims=0", 10.0**3),
    )
    result = from_ladder.read_versions(ladder, study)
    assert result.run.tolist() == ["small-0", "small-0", "small-1", "large-0"]
    assert result.recipe.tolist() == ["small", "small", "small", "large"]
    assert result.seed.tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(10**result.training, [1000, 2000, 2000, 2000])
    np.testing.assert_allclose(result.search, [3, 5, 3, 4])
    assert result.require("simulations").tolist() == [0, 64, 0, 0]
    assert result.require("board").tolist() == [3] * 4
    budget = math.log10(1 + PLAIN.search.num_simulations)
    np.testing.assert_allclose(result.require("selfplay_simulations"), budget)
    at = [1, 2, 3, 4]
    np.testing.assert_array_equal(result.elo, ladder.ratings.elo[at])
    np.testing.assert_array_equal(result.covariance, ladder.ratings.covariance[np.ix_(at, at)])


def test_parameters_count_weights_and_biases(tmp_path: Path) -> None:
    """Three layers of 8 units, policy and value heads, counted by hand."""
    make_run(tmp_path / "mlp", replace(PLAIN, network=NetworkConfig("mlp", 8, 1, head_width=4)))
    result = from_ladder.read_versions(rated(entry(1, "mlp@1?sims=0")), tmp_path)
    inputs = math.prod(games.make(PLAIN.game).observation_shape)
    layers = ((inputs, 8), (8, 8), (8, 8), (8, 9), (8, 4), (4, 1))
    assert 10 ** result.parameters[0] == pytest.approx(sum((n + 1) * m for n, m in layers))


def test_training_uses_the_given_count_of_compute(study: Path) -> None:
    ladder = rated(entry(1, "random"), entry(2, "small-0@2"))
    result = from_ladder.read_versions(ladder, study, selfplay_multiply_adds)
    assert 10 ** result.training[0] == pytest.approx(700)
    assert result.require("simulations")[0] == SIMULATIONS


def test_runs_of_one_config_are_one_recipe_under_any_name(tmp_path: Path) -> None:
    make_run(tmp_path / "runs/first", PLAIN)
    make_run(tmp_path / "runs/second", replace(PLAIN, seed=1))
    ladder = rated(*(entry(i, f"runs/{n}@1") for i, n in enumerate(("first", "second"))))
    assert from_ladder.read_versions(ladder, tmp_path).recipe.tolist() == ["runs/first"] * 2


def test_version_in_two_folders_is_rejected(study: Path) -> None:
    one = entry(1, "small-0@1?sims=0")
    twice = rated(one, replace(entry(2, "small-1@1?sims=0"), digest=one.digest))
    with pytest.raises(ValueError, match=r"small-0@1.* and small-1@1.* have the same parameters"):
        from_ladder.read_versions(twice, study)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("random", "rates no version that cost any training"),
        ("small-0@0", "rates no version that cost any training"),
        ("small-0@7", "small-0 has no ledger of version 7"),
        ("gone@1", "gone is not a run folder"),
        ("small.safetensors?sims=4", "does not say which version of which run it is"),
    ],
)
def test_unreadable_players_are_rejected(study: Path, spec: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        from_ladder.read_versions(rated(entry(1, spec)), study)


def test_recipes_with_one_name_are_rejected(study: Path) -> None:
    make_run(study / "small-2", replace(PLAIN, seed=2, search=SearchConfig(num_simulations=9)))
    ladder = rated(*(entry(i, f"small-{i}@1") for i in (0, 1, 2)))
    with pytest.raises(ValueError, match=r"small-2 is not another seed .* search\.num_simulations"):
        from_ladder.read_versions(ladder, study)


def test_run_name_may_contain_any_character(study: Path) -> None:
    make_run(study / "a@b?c", replace(PLAIN, seed=7))
    odd = entry(1, "a@b?c@2?sims=3&search=puct")
    assert from_ladder.run_of(odd) == "a@b?c"
    points = from_ladder.read_versions(rated(entry(0, "random"), odd), study)
    assert points.run.tolist() == ["a@b?c"]
    assert points.covariates["simulations"].tolist() == [3.0]


def test_runs_from_different_versions_are_different_recipes() -> None:
    configs = {
        name: to_json(replace(PLAIN, seed=seed, init_from=digest, iterations=9))
        for name, seed, digest in (("more", 0, "aa"), ("more-1", 1, "bb"), ("more-2", 2, "bb"))
    }
    names = from_ladder.recipe_names(configs)
    assert names == {"more": "more", "more-1": "more-1", "more-2": "more-1"}
    other = to_json(replace(PLAIN, seed=3, init_from="cc", game="hex?size=3"))
    with pytest.raises(ValueError, match=r"more-3 is not another seed .* game, init_from"):
        from_ladder.recipe_names({**configs, "more-3": other})


def test_state_is_read_from_a_ladders_file_without_its_players(tmp_path: Path) -> None:
    players = [Player("solver", None), Player("random", None), Player("runs/a@1?sims=0", None, "x")]
    path = tmp_path / "ladder.db"
    with closing(LadderDatabase(path, {"game": "tic_tac_toe", "seed": 3})) as base:
        ids = [one.id for one in base.enter(players)]
        plan = [Pairing(1, 0, ids[0], ids[1], 0, 4), Pairing(1, 1, ids[1], ids[2], 0, 4)]
        base.begin_round(plan)
        for number, pairing in enumerate(plan):
            played = [GameResult(i, s, (i,), (), 1, "") for i in range(4) for s in (False, True)]
            base.finish(pairing, played[: 8 - number], 3)
        known = compute_state(base, "solver")
    result = from_ladder.read_state(path)
    assert [entry.spec for entry in result.entries] == [player.spec for player in players]
    np.testing.assert_array_equal(result.ratings.covariance, known.ratings.covariance)
    np.testing.assert_array_equal(result.ratings.elo, known.ratings.elo)
    assert result.active == [] and len(result.recorded) == 15
    other = from_ladder.read_state(path, "random")
    assert other.ratings.elo[1] == 0 and other.ratings.covariance[1, 1] == 0
    with pytest.raises(ValueError, match="anchor 'nobody' is not among the players solver, random"):
        from_ladder.read_state(path, "nobody")


def test_file_that_is_not_a_ladder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no ladder"):
        from_ladder.read_state(tmp_path / "ladder.db")
    (tmp_path / "ladder.db").write_text("no database, but text that is long enough to be read")
    with pytest.raises(ValueError, match="cannot be read as a ladder"):
        from_ladder.read_state(tmp_path / "ladder.db")


def test_version_without_games_is_not_read(study: Path) -> None:
    entries = (entry(0, "random"), entry(1, "small-0@2?sims=4"), entry(2, "small-1@2?sims=4"))
    assert from_ladder.read_versions(rated(*entries), study).runs == ["small-0", "small-1"]
    assert from_ladder.read_versions(rated(*entries, without_games=1), study).runs == ["small-0"]


def test_full_covariance_narrows_differences() -> None:
    """What a table of standard errors loses: the ratings' common error."""
    pairs = np.array([(0, 1), (1, 0), (1, 2), (2, 1)] * 20)
    first, second = pairs.T
    outcome = np.where(np.arange(len(pairs)) % 3 == 0, 1, -1)
    ratings = fit(Games(first, second, outcome, np.arange(len(pairs))), 3, 0)
    both = ratings.covariance[1:, 1:]
    assert np.array([1, -1]) @ both @ np.array([1, -1]) < 0.8 * np.trace(both)
