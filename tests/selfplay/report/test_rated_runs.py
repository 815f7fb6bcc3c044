"""Runs that share a ladder: found, compared, reported, and refused with the way out."""

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
    """A function from a command's name to its module, in this process, where JAX has started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "configure_process", lambda: None)
        yield lambda name: importlib.import_module(f"launch.{name}")


def versions(run: str, last: int = 4, first: int = 1) -> Specs:
    """Versions of a run at two budgets, and how strong they are."""
    numbers = sorted({first, (first + last) // 2, last})
    return [(f"{run}@{v}?sims={s}", 0.4 * v + s / 16) for v in numbers for s in (0, 8)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs of two recipes, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, config in CONFIGS.items():
        make_run(tmp_path / name, config, versions=5)
    return tmp_path


def compared(paths: list[str]) -> Finding:
    """The comparison, which is the first finding of the report."""
    page = study_report.page(study_report.material([Path(path) for path in paths]))
    findings = [one for section in page.sections for one in section.findings]
    assert findings[0].name == "comparison"
    assert findings[0].sentences[0] in page.lead
    return findings[0]


def test_two_runs_are_compared_on_the_ladder_that_they_share(here: Path) -> None:
    play(Path("runs/a/ladder/ladder.db"), versions("runs/a"))
    play(Path("ladders/one/ladder.db"), versions("runs/a") + versions("runs/b-1"))
    three = versions("runs/a") + versions("runs/b") + versions("runs/b-1")
    play(Path("ladders/two/ladder.db"), three)
    finding = compared(["runs/a", "runs/b"])
    assert "`runs/b`" in finding.sentences[0] and "`runs/a`" in finding.sentences[0]
    assert "these two networks, not the recipes" in finding.sentences[0]
    assert finding.table is not None
    assert {row[:3] for row in finding.table[1]} == {(s, "runs/b", "runs/a") for s in ("0", "8")}
    # The first run that is named is the baseline, and the most games make the ladder.
    assert rated_runs.shared_by([Path("runs/b-1"), Path("runs/a")]).ladder.parent.name == "two"
    turned = study_report.material([Path("runs/b"), here / "runs/a"])
    assert turned.baselines == {"tic_tac_toe": "runs/b"}


def test_seeds_of_a_recipe_are_one_side(here: Path) -> None:
    rows = versions("runs/a") + versions("runs/b") + versions("runs/b-1")
    play(Path("ladders/hex/ladder.db"), rows)
    finding = compared(["ladders/hex"])
    assert finding.table is not None
    assert {row[1:5] for row in finding.table[1]} == {("runs/b", "runs/a", "10^3.60", "2 and 1")}


def test_the_reports_command_writes_a_ladders_page_beside_it(
    here: Path, launch: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(here / "ladders/x/ladder.db", versions("runs/a") + versions("runs/b"))
    monkeypatch.setattr(sys, "argv", ["report.py", "ladders/x"])
    launch("report").main()
    assert "At 0 simulations" in capsys.readouterr().out
    for name in ("index.html", "report.md", "comparison.png", "comparison.csv"):
        assert (here / "ladders/x/report" / name).exists(), name


def test_a_studys_ladder_is_read_wherever_the_study_lies(tmp_path: Path) -> None:
    axis = Axis.parse("network.width=4,8")
    study = Study.extended(tmp_path / "before", run_specs([Arm("tic", axes=(axis,))], 2), "c")
    study.write()
    specs: Specs = []
    for cell in study.runs:
        network = NetworkConfig(width=int(cell.settings[0][1]), depth=1, head_width=4)
        make_run(
            study.run_folder(cell), replace(PLAIN, seed=cell.seed, network=network), versions=5
        )
        specs += versions(f"runs/{cell.name}")
    play(study.ladder_folder("tic_tac_toe") / "ladder.db", specs)
    moved = study.folder.rename(tmp_path / "after")
    finding = compared([str(Study.read(moved).ladder_folder("tic_tac_toe"))])
    assert finding.table is not None
    sides = ("network.width 8", "network.width 4", "10^3.60", "2 and 2")
    assert {row[1:5] for row in finding.table[1]} == {sides}
    both = [str(moved / "runs" / cell.name) for cell in study.runs[:2]]
    rated = study_report.material([Path(run) for run in both]).rated
    assert rated is not None and set(rated.labels.values()) == set(sides[:2])


def test_without_a_common_ladder_the_command_is_named(here: Path) -> None:
    play(here / "runs/a/ladder/ladder.db", versions("runs/a"))
    play(here / "runs/b/ladder/ladder.db", versions("runs/b"))
    with pytest.raises(ValueError, match=r"launch/ladder\.py runs/a runs/b$"):
        study_report.material([Path("runs/a"), Path("runs/b")])


def test_other_ladders_that_cannot_be_read_do_not_matter(here: Path) -> None:
    for name in ("another", "no game", "garbage", "shared"):
        play(here / "ladders" / name / "ladder.db", versions("runs/a") + versions("runs/b"))
    play(here / "ladders/other run/ladder.db", versions("runs/b-1") + versions("runs/c"))
    shutil.copytree("runs/a", "runs/c")
    Path("runs/c/config.json").write_bytes(b"{")
    with contextlib.closing(sqlite3.connect("ladders/no game/ladder.db")) as base, base:
        base.execute("DELETE FROM settings WHERE name = 'game'")
    Path("ladders/garbage/ladder.db").write_bytes(b"garbage " * 1000)
    asked = [Path("runs/a"), Path("runs/b")]
    assert rated_runs.shared_by(asked).ladder.parent.name in ("another", "shared")
    with pytest.raises(ValueError, match="does not say which game it rates"):
        study_report.material([Path("ladders/no game")])
    for name in ("another", "shared"):
        shutil.rmtree(here / "ladders" / name)
    with pytest.raises(ValueError) as error:
        rated_runs.shared_by(asked)
    assert all(text in str(error.value) for text in ("runs/c", "no game", "garbage"))


def test_a_run_named_twice_is_refused(here: Path, launch: Any) -> None:
    Path("link").symlink_to("runs/a")
    command = launch("ladder")
    for again in ("runs/a/", "runs/../runs/a", "link", str(here / "runs/a")):
        with pytest.raises(ValueError, match="named twice"):
            study_report.material([Path("runs/a"), Path(again)])
        options = command.Options(runs=("runs/a", again))
        with pytest.raises(ValueError, match="named twice"):
            command.gather(options, games.make("tic_tac_toe"))


def test_runs_of_different_games_are_refused_in_one_sentence(here: Path, launch: Any) -> None:
    make_run(here / "runs/hex", replace(PLAIN, game="hex?size=3"))
    play(here / "ladders/tic/ladder.db", versions("runs/a") + versions("runs/b"))
    paths = [Path("runs/a"), Path("runs/b"), Path("runs/hex")]
    with pytest.raises(ValueError, match=r"hex\?size=3 in runs/hex\), and only runs of one game"):
        study_report.material(paths)
    with pytest.raises(ValueError, match="of different games are not compared"):
        study_report.material(paths[::2])
    command = launch("ladder")
    options = command.Options(runs=("runs/hex", "runs/a"))
    with pytest.raises(ValueError, match=r"runs/hex plays hex\?size=3"):
        command.gather(options, games.make("tic_tac_toe"))


def test_a_ladder_whose_runs_are_gone_is_told(here: Path, tmp_path: Path) -> None:
    play(here / "ladders/x/ladder.db", versions("runs/a") + versions("runs/b"))
    shutil.rmtree(here / "runs/b")
    missing = study_report.material([Path("ladders/x")]).missing
    assert len(missing) == 1 and "`runs/b`" in missing[0]
    shutil.rmtree(here / "runs/a")
    with pytest.raises(ValueError, match=r"ladders/x rates runs/a, runs/b, and none of them"):
        study_report.material([Path("ladders/x")])


@pytest.fixture
def said(launch: Any) -> Any:
    """A function from a ladder's folder to what launch/ladder.py, with runs, says at its end."""

    def read(folder: str, *runs: str) -> str:
        console = Console(file=io.StringIO(), width=80, soft_wrap=True)
        standing = from_ladder.read_state(Path(folder) / "ladder.db")
        launch("ladder").compare(Path(folder), "tic_tac_toe", runs, standing, console)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return read


def test_the_ladder_ends_in_sentences_and_a_figure(here: Path, said: Any) -> None:
    play(here / "ladders/x/ladder.db", versions("runs/a") + versions("runs/b"))
    text = said("ladders/x")
    for budget in (0, 8):
        assert f"At {budget} simulations and 10^3.60 FLOPs of training each" in text
    assert "No number of games settles which recipe is better" in text
    assert (here / "ladders/x/comparison.png").stat().st_size > 10_000
    assert "these two networks" in (here / "ladders/x/comparison.md").read_text()
    with (here / "ladders/x/comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["side"], row["against"]) for row in rows} == {("runs/b", "runs/a")}


def test_the_ladder_compares_the_runs_that_are_named(here: Path, said: Any) -> None:
    """It has rated another one before."""
    play(here / "ladders/x/ladder.db", [s for run in CONFIGS for s in versions(run)])
    assert "`runs/a`" in said("ladders/x", "runs/a@2")  # one alone is compared with the others
    text = said("ladders/x", "runs/b", "runs/b-1@last", "runs/b-1@2", "net.safetensors")
    assert "`runs/a`" not in text and "All runs are of one recipe" in text
    with (here / "ladders/x/comparison.csv").open() as file:
        assert {row["side"] for row in csv.DictReader(file)} == {"runs/b-1"}


def test_a_comparison_that_cannot_be_written_is_told_in_words(here: Path, said: Any) -> None:
    play(here / "ladders/x/ladder.db", versions("runs/a") + versions("runs/b"))
    (here / "ladders/x/comparison.md").mkdir()
    text = said("ladders/x")
    assert "the runs are not compared: " in text and "Errno" not in text


def test_the_ladder_of_one_run_compares_nothing(here: Path, said: Any) -> None:
    play(here / "ladders/x/ladder.db", versions("runs/a"))
    assert said("ladders/x") == ""


def test_runs_that_miss_each_other_are_told_below_the_table(here: Path, said: Any) -> None:
    rows = versions("runs/a", last=1) + versions("runs/b", first=3)
    play(here / "ladders/x/ladder.db", rows)
    text = said("ladders/x")
    assert "`runs/a` is rated up to 10^3.00" in text and "`runs/b` from 10^3.48" in text
    assert "0.48 orders of magnitude apart" in text and "`runs/a` has one rated version" in text
    assert not (here / "ladders/x/comparison.png").exists()


def test_what_cannot_be_compared_does_not_spoil_the_ladder(here: Path, said: Any) -> None:
    """The table is written by then."""
    play(here / "ladders/x/ladder.db", versions("runs/b", last=9) + versions("runs/a"))
    assert "the runs are not compared: runs/b has no ledger of version 5" in said("ladders/x")
