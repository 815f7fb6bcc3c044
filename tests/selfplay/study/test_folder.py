"""A study's folder: it grows, and refuses what it does not hold."""

import contextlib
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.ladder.database import LadderDatabase, Pairing
from selfplay.ladder.match import GameResult
from selfplay.players.specs import Player
from selfplay.runs.metrics import MetricsLog
from selfplay.study.folder import Study
from selfplay.study.grid import Arm, Axis, RunSpec, cells


def some(values: str, seeds: int, *flags: str) -> list[RunSpec]:
    return cells([Arm("hex_3", flags, (Axis.parse(f"network.width={values}"),))], seeds)


def test_a_study_comes_back_and_grows(tmp_path: Path) -> None:
    first = Study.extended(tmp_path / "study", some("8,16", 1), "first")
    assert not first.folder.exists()
    first.write()
    assert Study.read(first.folder) == first
    more = Study.extended(first.folder, some("16,32", 2), "second")
    assert Study.read(first.folder) == first  # nothing is written yet
    more.write()
    names = [cell.name for cell in Study.read(first.folder).cells]
    seeds = ["width-16_seed-0", "width-32_seed-0", "width-16_seed-1", "width-32_seed-1"]
    assert names == ["width-8_seed-0", *seeds]
    assert Study.read(first.folder).commands == ("first", "second")
    assert more.done(more.cells[0]) == -1 and more.games() == {}


def test_what_runs_have_taken_is_known(tmp_path: Path) -> None:
    study = Study.extended(tmp_path / "study", some("8,16", 2), "c")
    label, other = dict.fromkeys(cell.label for cell in study.cells)
    assert study.iteration_seconds(label) is None
    own = [cell for cell in study.cells if cell.label == label]
    for cell, took in zip(own, (2.0, 4.0), strict=True):
        log = MetricsLog(study.run(cell))
        for iteration in range(3):  # 30 seconds of imitation are no iteration
            log.append({"iteration": iteration, "seconds": {"total": 30 + took * iteration}})
        log.close()
    assert study.iteration_seconds(label) == 3.0
    assert study.iteration_seconds(other) is None


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    study = Study.extended(tmp_path / "study", some("8", 1), "c")
    study.write()
    with pytest.raises(ValueError, match=r"has a run width-8_seed-0 of hex_3 .* choose another"):
        Study.extended(study.folder, some("8", 1, "--iterations", "9"), "c")
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ValueError, match="is no study and not empty"):
        Study.extended(tmp_path, some("8", 1), "c")
    with pytest.raises(ValueError, match=r"is not a study: it has no study\.json"):
        Study.read(tmp_path)
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 9'))
    with pytest.raises(ValueError, match="has format 9, this program reads 1"):
        Study.read(study.folder)


def test_ladders_of_different_games_lie_apart(tmp_path: Path) -> None:
    study = Study(tmp_path, ())
    names = {study.ladder(game).name for game in ("hex?size=3", "hex?size=4", "go?size=9&komi=7")}
    assert names == {"hex-size-3", "hex-size-4", "go-size-9-komi-7"}


def test_the_games_of_a_ladder_are_counted(tmp_path: Path) -> None:
    study = Study(tmp_path / "a study? yes", ())
    assert study.games_played("hex") == 0
    path = study.ladder("hex") / "ladder.db"
    made_with = {"game": "hex"}
    with contextlib.closing(LadderDatabase(path, made_with)) as base:
        base.enter([Player("random", None), Player("solver", None)])
        pairing = Pairing(1, 0, 1, 2, 0, 1)
        base.begin_round([pairing])
        games = [GameResult(0, swapped, (), (), 1, "") for swapped in (False, True)]
        base.finish(pairing, games, 0)
        assert study.games_played("hex") == 2  # while it is being played
        assert len(base.games()) == 2
    assert study.games_played("hex") == 2
    with contextlib.closing(LadderDatabase(path, made_with)):
        pass  # it can still be played


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
    """A ladder of which the end is lost."""
    with contextlib.closing(LadderDatabase(path, {"game": "hex"})):
        pass
    path.write_bytes(path.read_bytes()[:4096])


@pytest.mark.parametrize("stopped", [Path.touch, without_tables])
def test_a_ladder_that_was_stopped_at_once_has_no_games(
    tmp_path: Path, stopped: Callable[[Path], None]
) -> None:
    study = Study(tmp_path, ())
    study.ladder("hex").mkdir(parents=True)
    stopped(study.ladder("hex") / "ladder.db")
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
def test_what_is_not_a_ladder_is_a_sentence_with_its_path(
    tmp_path: Path, damaged: Callable[[Path], object]
) -> None:
    study = Study(tmp_path, ())
    path = study.ladder("hex") / "ladder.db"
    path.parent.mkdir(parents=True)
    damaged(path)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        study.games_played("hex")
