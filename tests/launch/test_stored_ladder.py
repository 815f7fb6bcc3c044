"""launch/ladder.py rates a ladder again without playing, and launch/report.py reports from data."""

from __future__ import annotations

import csv
import importlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launch import cli
from selfplay.players import solvers
from selfplay.report import page
from tests.selfplay.report.test_report_data import contents, make_study, write_text
from tests.selfplay.report.test_study_report import play

Command = Callable[..., str]
SPECS = [("runs/a@1?sims=0", 0.0), ("runs/a@2?sims=0", 1.0), ("runs/a@4?sims=0", 2.0)]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Returns a function that runs a command in a temporary folder and returns its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "configure_process", lambda: None)
    monkeypatch.setattr(solvers, "solver_for", lambda game: pytest.fail("no solver is needed"))

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        importlib.import_module(f"launch.{name}").main()
        return capsys.readouterr().out

    return run


def elo(path: Path) -> dict[str, float]:
    with path.open() as file:
        return {row["player"]: float(row["elo"]) for row in csv.DictReader(file)}


def test_ladder_is_published_and_rated_again(command: Command) -> None:
    play(Path("ladders/x/ladder.db"), SPECS, anchor="solver")
    before = contents(Path("ladders/x"))
    printed = command("ladder", "ladders/x")
    assert "runs/a@4?sims=0" in printed and "test of fit" in printed
    assert contents(Path("ladders/x")).keys() - before.keys() <= {"lock"}  # it writes nothing
    command("ladder", "ladders/x", "--out", "published")
    shutil.rmtree("ladders")
    files = contents(Path("published"))
    assert {"ladder.csv", "ladder.md", "ladder.png", "data/games.csv.gz"} <= files.keys()
    for name in ("published", "published/data"):
        assert command("ladder", name) == printed
        command("ladder", name, "--out", "again")
        assert contents(Path("again")) == files
    command("ladder", "published", "--anchor", "runs/a@2?sims=0", "--out", "other")
    first, second = (elo(Path(name, "ladder.csv")) for name in ("published", "other"))
    assert first["solver"] == second["runs/a@2?sims=0"] == 0.0
    moved = {player: first[player] - second[player] for player in first}
    assert max(moved.values()) - min(moved.values()) < 1e-6  # the same ratings, another zero
    assert Path("other/data/ladder.json").read_bytes() == files["data/ladder.json"]


def test_options_of_a_ladder_that_plays_are_refused(command: Command) -> None:
    play(Path("ladders/x/ladder.db"), SPECS)
    with pytest.raises(ValueError, match=r"--max-games is for a ladder that plays"):
        command("ladder", "ladders/x", "--max-games", "10")
    with pytest.raises(ValueError, match=r"ladders/x is a ladder.* runs/b is not"):
        command("ladder", "runs/b", "ladders/x")
    with pytest.raises(ValueError, match="did you mean"):
        command("ladder", "ladders/x", "--anchor", "runs/a@2?sims=")


def test_report_command_writes_and_reads_data(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "write", write_text)
    study = make_study(tmp_path / "study")
    first = command("report", "study", "--out", "first")
    assert first.endswith(" are in first/data\n")
    shutil.rmtree(study.folder)
    files = contents(Path("first"))
    for arguments in (["first"], ["first/data"], ["first", "--out", "second"]):
        command("report", *arguments)
        assert contents(Path("first")) == files
    assert contents(Path("second")) == files
    assert "runs/width-8_seed-0@3" in command("ladder", "first")
