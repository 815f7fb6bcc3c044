"""Ratings during training: what they record, and that training does not depend on them."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from selfplay.cluster import pool
from selfplay.cluster.config import ClusterConfig
from selfplay.ladder.config import EloConfig
from selfplay.ladder.evaluator import BackgroundEvaluator, Evaluator, evaluation_flops
from selfplay.ladder.ladder import Ladder
from selfplay.players import solvers
from selfplay.players.version import Version
from selfplay.runs import manifest, metrics
from selfplay.runs.codec import to_json
from selfplay.runs.files import read_json
from selfplay.runs.run import load_version
from selfplay.training import loop
from selfplay.training.config import TrainConfig
from selfplay.training.loop import train
from tests.small_runs import PLAIN

RATED = replace(PLAIN, elo=EloConfig(budgets=(0, 4), games=64, opening_plies=2))


def trained(config: TrainConfig, folder: Path, **more: Any) -> list[dict[str, Any]]:
    train(config, folder, **more)
    return metrics.read(folder)


def digests(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["digest"] for row in rows]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return trained(PLAIN, tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rated") / "run"
    trained(RATED, folder)
    return folder


def test_ratings_do_not_change_the_training(folder: Path, plain: list[dict[str, Any]]) -> None:
    rows = metrics.read(folder)
    assert digests(rows) == digests(plain)
    assert all(row["elo"] == {} and row["ledger"]["evaluation"] == 0 for row in plain[1:])
    for row, other in zip(rows[1:], plain[1:], strict=True):
        ledger = {**row["ledger"], "evaluation": 0}
        assert ledger == other["ledger"], "evaluation is counted separately"


def test_rows_have_the_newest_ratings(folder: Path) -> None:
    rows = metrics.read(folder)[1:]
    assert [row["elo"]["version"] for row in rows] == [1, 2, 3, 4, 4, 6]
    for row in rows:
        for budget in ("sims0", "sims4"):
            rating = row["elo"][budget]
            assert rating["low"] < rating["elo"] < rating["high"]
    flops = [row["ledger"]["evaluation"] for row in rows]
    assert 0 < flops[0] < flops[1] < flops[2] < flops[3] == flops[4] < flops[5]
    # Relative to perfect play, which no player exceeds by more than luck.
    with (folder / "elo" / "ladder.csv").open() as file:
        table = {row["player"]: float(row["elo"]) for row in csv.DictReader(file)}
    assert table["solver"] == 0 and len(table) == 2 + 2 * 5
    assert table["random"] < -100
    last = rows[-1]["elo"]["sims4"]["elo"]
    assert table["run@6?sims=4"] == pytest.approx(last)


def test_best_version_has_the_highest_rating(folder: Path, tmp_path: Path) -> None:
    with (folder / "elo" / "ladder.csv").open() as file:
        table = [(float(row["elo"]), row["player"]) for row in csv.DictReader(file)]
    highest = max(row for row in table if row[1].startswith("run@"))[1]
    assert f"run{Version.load(f'{folder}@best').name[len(str(folder)) :]}" == highest.split("?")[0]
    unrated = tmp_path / "run"
    unrated.mkdir()
    (unrated / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(ValueError, match=r"rate it first: .*launch/ladder\.py "):
        Version.load(f"{unrated}@best")


def test_resumed_run_has_the_same_ladder(tmp_path: Path, folder: Path) -> None:
    """Stops after four iterations, by its report, then resumes; version 5 is not rated."""
    again = tmp_path / "run"
    trained(RATED, again, on_iteration=lambda row: row.iteration == 4)
    rows = trained(RATED, again)
    expected = metrics.read(folder)
    assert digests(rows) == digests(expected)
    assert [row["elo"] for row in rows[1:]] == [row["elo"] for row in expected[1:]]
    assert [row["ledger"] for row in rows] == [row["ledger"] for row in expected]
    table = "elo/ladder.csv"
    assert (again / table).read_text() == (folder / table).read_text()


def test_version_is_rated_once(folder: Path, tmp_path: Path) -> None:
    """A run that was killed before its commit submits the same version again."""
    stored = load_version(folder, 2)
    config = replace(RATED.elo, anchor="solver")
    evaluator = Evaluator(tmp_path, to_json(RATED), RATED.seed, config)
    answers = [evaluator.rate(2, stored.params, stored.ledger) for _ in range(2)]
    assert answers[0] == answers[1] and answers[0]["games"] >= 128
    with (tmp_path / "elo" / "ladder.csv").open() as file:
        names = sorted(row["player"] for row in csv.DictReader(file))
    assert names == ["random", "run@2?sims=0", "run@2?sims=4", "solver"]


def test_length_of_openings_cannot_change_on_resume(folder: Path) -> None:
    other = replace(RATED, elo=replace(RATED.elo, opening_plies=3))
    with pytest.raises(ValueError, match="opening_plies"):
        train(other, folder)


def test_failing_evaluator_does_not_stop_training(
    tmp_path: Path, plain: list[dict[str, Any]]
) -> None:
    again = tmp_path / "run"
    messages: list[str] = []
    trained(RATED, again, on_iteration=lambda row: row.iteration == 1)
    for file in (again / "elo").glob("ladder.db*"):
        file.write_bytes(b"no database, whatever its name may say " * 100)
    rows = trained(RATED, again, announce=messages.append)
    assert digests(rows) == digests(plain)
    assert (
        sum(
            "rating is disabled" in text and "cannot be read as a ladder" in text
            for text in messages
        )
        == 1
    )


def test_anchor_is_recorded_in_manifest_and_ratings(folder: Path) -> None:
    session = read_json(folder / manifest.FILE)["sessions"][-1]
    assert session["elo_anchor"] == "solver"
    assert {row["elo"]["anchor"] for row in metrics.read(folder)[1:]} == {"solver"}


def test_run_rated_against_a_missing_solver_is_refused(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shutil.copytree(folder, tmp_path / "run")

    def solver_for(game: object) -> NoReturn:
        raise ValueError("install the solver")

    monkeypatch.setattr(solvers, "solver_for", solver_for)
    with pytest.raises(ValueError, match=r"install the solver.*--elo\.budgets"):
        train(replace(RATED, iterations=7), run)
    assert train(RATED, run).next_iteration == 7, "a complete run needs no solver"


def test_link_in_the_folder_of_ratings_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run" / "elo").mkdir(parents=True)
    (tmp_path / "run" / "elo" / "ladder.db").symlink_to(tmp_path / "other.db")

    def resolve_anchor(*arguments: object) -> NoReturn:
        raise AssertionError("the ladder was opened")

    monkeypatch.setattr(loop, "resolve_anchor", resolve_anchor)
    with pytest.raises(ValueError, match="link"):
        train(RATED, tmp_path / "run")


def test_unrated_run_reads_no_rows_of_metrics(tmp_path: Path) -> None:
    (tmp_path / metrics.FILE).write_text("damaged\ndamaged\n")
    unrated = BackgroundEvaluator(tmp_path, {}, 0, EloConfig(), ClusterConfig())
    assert unrated.failure == ""


def test_pool_is_closed_if_the_evaluator_cannot_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[pool.Pool] = []
    close = pool.InProcess.close
    monkeypatch.setattr(pool.InProcess, "close", lambda self: (closed.append(self), close(self)))

    def start(*arguments: object) -> NoReturn:
        raise OSError("no evaluator")

    monkeypatch.setattr(loop, "VersionEvaluator", start)
    with pytest.raises(OSError, match="no evaluator"):
        train(PLAIN, tmp_path / "run")
    assert len(closed) == 1


@pytest.mark.slow
def test_actor_gives_the_same_ratings(tmp_path: Path, folder: Path) -> None:
    config = replace(RATED, cluster=ClusterConfig(actors=1))
    rows = trained(config, tmp_path / "run")
    expected = metrics.read(folder)
    assert digests(rows) == digests(expected)
    assert rows[-1]["elo"] == expected[-1]["elo"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"budgets": (-1,)}, r"elo.budgets must not be negative, got \(-1,\)"),
        ({"games": 0}, "elo.games must be above 0, got 0"),
        ({"until_stderr": 0.0}, "elo.until-stderr must be above 0, got 0.0"),
        ({"opening_plies": -1}, "elo.opening-plies must be at least 0, got -1"),
    ],
)
def test_invalid_config_is_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        EloConfig(**options)


def test_evaluation_flops_are_those_of_the_moves(folder: Path) -> None:
    """Compares with a count move by move."""
    import games
    from selfplay.ladder.config import LadderConfig
    from selfplay.players import specs

    game = games.make("tic_tac_toe")
    only = [specs.parse(spec, game) for spec in ("solver", "random")]
    config = LadderConfig(seed=0, opening_plies=2, pairs=8, pairings=4)
    with Ladder(folder / "elo/ladder.db", game, "tic_tac_toe", only, "solver", config) as ladder:
        price = {e.id: e.flops_per_move for e in ladder.database.players()}
        total = 0.0
        for played in ladder.database.games():
            for ply in range(len(played.opening), len(played.opening) + len(played.moves)):
                total += price[played.first if ply % 2 == 0 else played.second]
        assert total == evaluation_flops(ladder) > 0
