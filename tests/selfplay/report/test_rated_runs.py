"""Runs that share a ladder are found, compared and reported; errors name the command to run."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import games
from launch import cli
from selfplay.model.config import NetworkConfig
from selfplay.report import rated_runs, study_report
from selfplay.report.findings import Finding
from selfplay.scaling import from_ladder
from selfplay.scaling.comparison import Lead
from selfplay.study.folder import Study
from selfplay.study.grid import Arm, Axis, run_specs
from tests.selfplay.report.test_study_report import play
from tests.selfplay.scaling.test_from_ladder import make_run
from tests.small_runs import PLAIN

WIDE = NetworkConfig(width=8, depth=1, head_width=4)
CONFIGS = {
    "runs/a": PLAIN,
    "runs/b": replace(PLAIN, network=WIDE),
    "runs/b-1": replace(PLAIN, network=WIDE, seed=1),
}
Specs = list[tuple[str, float]]


@pytest.fixture(scope="module")
def launch() -> Iterator[Any]:
    """Returns a function that imports a command's module without preparing the process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "configure_process", lambda: None)
        yield lambda name: importlib.import_module(f"launch.{name}")


def versions(run: str, last: int = 4, first: int = 1) -> Specs:
    """Lists versions of a run at two budgets, with their strengths."""
    numbers = sorted({first, (first + last) // 2, last})
    return [(f"{run}@{v}?sims={s}", 0.4 * v + s / 16) for v in numbers for s in (0, 8)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes three runs of two recipes in a temporary working directory."""
    monkeypatch.chdir(tmp_path)
    for name, config in CONFIGS.items():
        make_run(tmp_path / name, config, versions=5)
    return tmp_path


def compared(paths: list[str]) -> Finding:
    """Returns the comparison, which is the first finding of the report."""
    page = study_report.build_page(study_report.read_inputs([Path(path) for path in paths]))
    findings = [finding for section in page.sections for finding in section.findings]
    assert findings[0].name == "comparison"
    assert findings[0].sentences[0] in page.lead
    return findings[0]


def test_two_runs_are_compared_on_their_shared_ladder(folder: Path) -> None:
    play(Path("runs/a/ladder/ladder.db"), versions("runs/a"))
    play(Path("ladders/one/ladder.db"), versions("runs/a") + versions("runs/b-1"))
    three = versions("runs/a") + versions("runs/b") + versions("runs/b-1")
    play(Path("ladders/two/ladder.db"), three)
    finding = compared(["runs/a", "runs/b"])
    assert "`runs/b`" in finding.sentences[0] and "`runs/a`" in finding.sentences[0]
    leads = [result for result in finding.results if isinstance(result, Lead)]
    assert len(leads) == 2 and all(lead.recipes is None for lead in leads)  # of networks only
    assert finding.table is not None
    assert {row[:3] for row in finding.table.rows} == {(s, "runs/b", "runs/a") for s in ("0", "8")}
    # The first run is the baseline; of several ladders, the one with the most games is used.
    assert rated_runs.shared_by([Path("runs/b-1"), Path("runs/a")]).ladder.parent.name == "two"
    reversed_inputs = study_report.read_inputs([Path("runs/b"), folder / "runs/a"])
    assert reversed_inputs.baselines == {"tic_tac_toe": "runs/b"}


def test_seeds_of_one_recipe_are_one_side(folder: Path) -> None:
    rows = versions("runs/a") + versions("runs/b") + versions("runs/b-1")
    play(Path("ladders/hex/ladder.db"), rows)
    finding = compared(["ladders/hex"])
    assert finding.table is not None
    assert {row[1:5] for row in finding.table.rows} == {("runs/b", "runs/a", "10^3.60", "2 and 1")}


def test_report_command_writes_into_the_ladders_folder(
    folder: Path, launch: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(folder / "ladders/x/ladder.db", versions("runs/a") + versions("runs/b"))
    monkeypatch.setattr(sys, "argv", ["report.py", "ladders/x"])
    launch("report").main()
    assert "report.md" in capsys.readouterr().out
    for name in ("index.html", "report.md", "comparison.png", "comparison.csv"):
        assert (folder / "ladders/x/report" / name).exists(), name


def test_ladder_of_a_moved_study_is_read(tmp_path: Path) -> None:
    axis = Axis.parse("network.width=4,8")
    study = Study.extended(tmp_path / "before", run_specs([Arm("tic", axes=(axis,))], 2), "c")
    study.write()
    specs: Specs = []
    for run in study.runs:
        network = NetworkConfig(width=int(run.settings[0][1]), depth=1, head_width=4)
        make_run(study.run_folder(run), replace(PLAIN, seed=run.seed, network=network), versions=5)
        specs += versions(f"runs/{run.name}")
    play(study.ladder_folder("tic_tac_toe") / "ladder.db", specs)
    moved = study.folder.rename(tmp_path / "after")
    finding = compared([str(Study.read(moved).ladder_folder("tic_tac_toe"))])
    assert finding.table is not None
    sides = ("network.width 8", "network.width 4", "10^3.60", "2 and 2")
    assert {row[1:5] for row in finding.table.rows} == {sides}
    both = [str(moved / "runs" / run.name) for run in study.runs[:2]]
    rated = study_report.read_inputs([Path(run) for run in both]).rated
    assert rated is not None and set(rated.labels.values()) == set(sides[:2])


def test_runs_without_shared_ladder_raise_with_the_command(folder: Path) -> None:
    play(folder / "runs/a/ladder/ladder.db", versions("runs/a"))
    play(folder / "runs/b/ladder/ladder.db", versions("runs/b"))
    with pytest.raises(ValueError, match=r"launch/ladder\.py runs/a runs/b$"):
        study_report.read_inputs([Path("runs/a"), Path("runs/b")])


def test_unreadable_ladders_are_ignored_unless_none_is_left(folder: Path) -> None:
    for name in ("another", "no game", "garbage", "shared"):
        play(folder / "ladders" / name / "ladder.db", versions("runs/a") + versions("runs/b"))
    play(folder / "ladders/other run/ladder.db", versions("runs/b-1") + versions("runs/c"))
    shutil.copytree("runs/a", "runs/c")
    Path("runs/c/config.json").write_bytes(b"{")
    with contextlib.closing(sqlite3.connect("ladders/no game/ladder.db")) as base, base:
        base.execute("DELETE FROM settings WHERE name = 'game'")
    Path("ladders/garbage/ladder.db").write_bytes(b"garbage " * 1000)
    paths = [Path("runs/a"), Path("runs/b")]
    assert rated_runs.shared_by(paths).ladder.parent.name in ("another", "shared")
    with pytest.raises(ValueError, match="does not say which game it rates"):
        study_report.read_inputs([Path("ladders/no game")])
    for name in ("another", "shared"):
        shutil.rmtree(folder / "ladders" / name)
    with pytest.raises(ValueError) as error:
        rated_runs.shared_by(paths)
    assert all(text in str(error.value) for text in ("runs/c", "no game", "garbage"))


def test_run_named_twice_is_rejected(folder: Path, launch: Any) -> None:
    Path("link").symlink_to("runs/a")
    command = launch("rating")
    for alias in ("runs/a/", "runs/../runs/a", "link", str(folder / "runs/a")):
        with pytest.raises(ValueError, match="named twice"):
            study_report.read_inputs([Path("runs/a"), Path(alias)])
        options = command.Options(runs=("runs/a", alias))
        with pytest.raises(ValueError, match="named twice"):
            command.gather(options, games.make("tic_tac_toe"))


def test_runs_of_different_games_are_rejected(folder: Path, launch: Any) -> None:
    make_run(folder / "runs/hex", replace(PLAIN, game="hex?size=3"))
    play(folder / "ladders/tic/ladder.db", versions("runs/a") + versions("runs/b"))
    paths = [Path("runs/a"), Path("runs/b"), Path("runs/hex")]
    with pytest.raises(ValueError, match=r"hex\?size=3 in runs/hex\), and only runs of one game"):
        study_report.read_inputs(paths)
    with pytest.raises(ValueError, match="of different games are not compared"):
        study_report.read_inputs(paths[::2])
    command = launch("rating")
    options = command.Options(runs=("runs/hex", "runs/a"))
    with pytest.raises(ValueError, match=r"runs/hex plays hex\?size=3"):
        command.gather(options, games.make("tic_tac_toe"))


def test_missing_run_folders_are_listed(folder: Path, tmp_path: Path) -> None:
    play(folder / "ladders/x/ladder.db", versions("runs/a") + versions("runs/b"))
    shutil.rmtree(folder / "runs/b")
    missing = study_report.read_inputs([Path("ladders/x")]).missing
    assert len(missing) == 1 and "`runs/b`" in missing[0]
    shutil.rmtree(folder / "runs/a")
    with pytest.raises(ValueError, match=r"ladders/x rates runs/a, runs/b, and none of them"):
        study_report.read_inputs([Path("ladders/x")])


@pytest.fixture
def printed(launch: Any) -> Any:
    """Returns a function that returns the last output of launch/ladder.py for a ladder and runs."""

    def read(folder: str, *runs: str) -> str:
        console = Console(file=io.StringIO(), width=80, soft_wrap=True)
        standing = from_ladder.read_state(Path(folder) / "ladder.db")
        launch("rating").compare(Path(folder), "tic_tac_toe", runs, standing, console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return read


def test_ladder_command_prints_comparison_and_writes_figure(folder: Path, printed: Any) -> None:
    play(folder / "ladders/x/ladder.db", versions("runs/a") + versions("runs/b"))
    text = printed("ladders/x")
    for budget in (0, 8):
        assert f"At {budget} simulations and 10^3.60 FLOPs" in text
    assert (folder / "ladders/x/comparison.png").stat().st_size > 10_000
    lines = (folder / "ladders/x/comparison.md").read_text().splitlines()
    sentences = [line[2:].replace("\\", "") for line in lines if line.startswith("- ")]
    assert sentences and all(sentence in text for sentence in sentences)
    with (folder / "ladders/x/comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["side"], row["against"]) for row in rows} == {("runs/b", "runs/a")}


def test_ladder_command_compares_the_named_runs(folder: Path, printed: Any) -> None:
    play(folder / "ladders/x/ladder.db", [s for run in CONFIGS for s in versions(run)])
    assert "`runs/a`" in printed(
        "ladders/x", "runs/a@2"
    )  # a single run is compared with all others
    text = printed("ladders/x", "runs/b", "runs/b-1@last", "runs/b-1@2", "net.safetensors")
    assert "`runs/a`" not in text and "`runs/b-1`" in text
    with (folder / "ladders/x/comparison.csv").open() as file:
        assert {row["side"] for row in csv.DictReader(file)} == {"runs/b-1"}


def test_unwritable_comparison_is_reported_in_words(folder: Path, printed: Any) -> None:
    play(folder / "ladders/x/ladder.db", versions("runs/a") + versions("runs/b"))
    (folder / "ladders/x/comparison.md").mkdir()
    text = printed("ladders/x")
    assert "the runs are not compared: " in text and "Errno" not in text


def test_ladder_of_one_run_prints_no_comparison(folder: Path, printed: Any) -> None:
    play(folder / "ladders/x/ladder.db", versions("runs/a"))
    assert printed("ladders/x") == ""


def test_runs_without_common_training_are_reported(folder: Path, printed: Any) -> None:
    rows = versions("runs/a", last=1) + versions("runs/b", first=3)
    play(folder / "ladders/x/ladder.db", rows)
    text = printed("ladders/x")
    assert "`runs/a` is rated up to 10^3.00" in text and "`runs/b` from 10^3.48" in text
    assert "0.48 orders of magnitude apart" in text and "`runs/a` has one rated version" in text
    assert not (folder / "ladders/x/comparison.png").exists()


def test_failed_comparison_is_reported_after_the_ladder(folder: Path, printed: Any) -> None:
    play(folder / "ladders/x/ladder.db", versions("runs/b", last=9) + versions("runs/a"))
    assert "the runs are not compared: runs/b has no ledger of version 5" in printed("ladders/x")
