"""A study's folder can be extended, and rejects runs and ladders that do not belong to it."""

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from selfplay.ladder.database import LadderDatabase, Pairing
from selfplay.ladder.match import GameResult
from selfplay.players.specs import Player
from selfplay.runs.metrics import MetricsLog
from selfplay.study.folder import Study
from selfplay.study.grid import Arm, Axis, RunSpec, run_specs


def width_runs(values: str, seeds: int, *flags: str) -> list[RunSpec]:
    return run_specs([Arm("hex_3", flags, (Axis.parse(f"network.width={values}"),))], seeds)


def test_study_round_trips_and_can_be_extended(tmp_path: Path) -> None:
    first = Study.extended(tmp_path / "study", width_runs("8,16", 1), "first")
    assert not first.folder.exists()
    first.write()
    assert Study.read(first.folder) == first
    more = Study.extended(first.folder, width_runs("16,32", 2), "second")
    assert Study.read(first.folder) == first  # nothing is written yet
    more.write()
    names = [run.name for run in Study.read(first.folder).runs]
    seeds = ["width-16_seed-0", "width-32_seed-0", "width-16_seed-1", "width-32_seed-1"]
    assert names == ["width-8_seed-0", *seeds]
    assert Study.read(first.folder).commands == ("first", "second")
    assert more.last_iteration(more.runs[0]) == -1 and more.runs_to_rate() == {}


def test_iteration_seconds_are_the_mean_over_a_recipes_runs(tmp_path: Path) -> None:
    study = Study.extended(tmp_path / "study", width_runs("8,16", 2), "c")
    label, other = dict.fromkeys(run.label for run in study.runs)
    assert study.iteration_seconds(label) is None
    runs = [run for run in study.runs if run.label == label]
    for run, seconds in zip(runs, (2.0, 4.0), strict=True):
        log = MetricsLog(study.run_folder(run))
        for iteration in range(3):  # 30 seconds of imitation are not counted
            log.append({"iteration": iteration, "seconds": {"total": 30 + seconds * iteration}})
    assert study.iteration_seconds(label) == 3.0
    assert study.iteration_seconds(other) is None


def test_study_rejects_conflicting_runs_and_foreign_folders(tmp_path: Path) -> None:
    study = Study.extended(tmp_path / "study", width_runs("8", 1), "c")
    study.write()
    with pytest.raises(ValueError, match=r"has a run width-8_seed-0 of hex_3 .* choose another"):
        Study.extended(study.folder, width_runs("8", 1, "--iterations", "9"), "c")
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="is no study and not empty"):
        Study.extended(tmp_path, width_runs("8", 1), "c")
    with pytest.raises(ValueError, match=r"is not a study: it has no study\.json"):
        Study.read(tmp_path)
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 9'))
    with pytest.raises(ValueError, match="has format 9, this program reads 1"):
        Study.read(study.folder)


STORED = {  # as the first format has it
    "name": "reuse-2_seed-0",
    "arm": "hex_3",
    "preset": "hex_3",
    "flags": [
        *("--selfplay.lanes", "8", "--search.no-rescale-values"),
        *("--learner.reuse", "2", "--seed", "0"),
    ],
    "settings": [["learner.reuse", "2"]],
    "seed": 0,
}


def test_study_of_format_1_keeps_its_runs_and_their_folders(tmp_path: Path) -> None:
    document = {"format_version": 1, "commands": ["first"], "cells": [STORED]}
    (tmp_path / "study.json").write_text(json.dumps(document))
    flags = ("--selfplay.batch-size", "8", "--search.gumbel.no-rescale-values")
    arm = Arm("hex_3", flags, (Axis.parse("learner.replay-ratio=2,4"),))
    runs = run_specs([arm], 1)
    names = ["reuse-2_seed-0", "replay-ratio-4_seed-0"]
    for _ in range(2):
        study = Study.extended(tmp_path, runs, "second")
        assert [run.name for run in study.runs] == names
        assert study.with_stored_names(runs) == list(study.runs)
        assert [run.label for run in study.runs] == [run.label for run in runs]
        study.write()
    with pytest.raises(ValueError, match=r"has a run replay-ratio-4_seed-0 of hex_3 "):
        Study.extended(tmp_path, run_specs([replace(arm, flags=())], 1), "third")


def test_ladder_folder_differs_between_games(tmp_path: Path) -> None:
    study = Study(tmp_path, ())
    names = {
        study.ladder_folder(game).name for game in ("hex?size=3", "hex?size=4", "go?size=9&komi=7")
    }
    assert names == {"hex-size-3", "hex-size-4", "go-size-9-komi-7"}


def test_games_played_counts_games_of_a_ladder(tmp_path: Path) -> None:
    study = Study(tmp_path / "a study? yes", ())
    assert study.games_played("hex") == 0
    path = study.ladder_folder("hex") / "ladder.db"
    settings = {"game": "hex"}
    with contextlib.closing(LadderDatabase(path, settings)) as base:
        base.enter([Player("random", None), Player("solver", None)])
        pairing = Pairing(1, 0, 1, 2, 0, 1)
        base.begin_round([pairing])
        games = [GameResult(0, swapped, (), (), 1, "") for swapped in (False, True)]
        base.finish(pairing, games, 0)
        assert study.games_played("hex") == 2  # while it is being played
        assert len(base.games()) == 2
    assert study.games_played("hex") == 2
    with contextlib.closing(LadderDatabase(path, settings)):
        pass  # counting has not damaged it


def without_tables(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("PRAGMA journal_mode = WAL")


def other_tables(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE settings (name TEXT, value TEXT)")


def endless(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute(
            "CREATE VIEW games AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) "
            "SELECT i FROM n"
        )


def cut(path: Path) -> None:
    """Makes a ladder and truncates its file."""
    with contextlib.closing(LadderDatabase(path, {"game": "hex"})):
        pass
    path.write_bytes(path.read_bytes()[:4096])


@pytest.mark.parametrize("stopped", [Path.touch, without_tables])
def test_games_played_is_zero_for_ladder_stopped_at_once(
    tmp_path: Path, stopped: Callable[[Path], None]
) -> None:
    study = Study(tmp_path, ())
    study.ladder_folder("hex").mkdir(parents=True)
    stopped(study.ladder_folder("hex") / "ladder.db")
    assert study.games_played("hex") == 0


@pytest.mark.parametrize(
    "damaged",
    [
        lambda path: path.write_bytes(b"garbage " * 200),
        lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(4080)),
        Path.mkdir,
        lambda path: path.symlink_to("elsewhere"),
        other_tables,
        endless,
        cut,
    ],
    ids=["garbage", "zeros", "folder", "link", "other tables", "endless", "cut"],
)
def test_games_played_names_the_path_of_an_invalid_ladder(
    tmp_path: Path, damaged: Callable[[Path], object]
) -> None:
    study = Study(tmp_path, ())
    path = study.ladder_folder("hex") / "ladder.db"
    path.parent.mkdir(parents=True)
    damaged(path)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        study.games_played("hex")
