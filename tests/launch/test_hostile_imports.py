"""Import paths in folders and files from untrusted sources: none is followed, each is one sentence.

`evil.py` leaves a mark when it is imported. Copies of it are in the hostile folder, in the working
directory and on the path.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import games
import selfplay
from games import plugins
from games.plugins import NotTrusted
from selfplay.experts.archive import FORMAT, MANIFEST, ExpertArchive
from selfplay.ladder.database import LadderDatabase
from selfplay.model.config import NetworkConfig
from selfplay.players.version import Version
from selfplay.runs.files import write_hashed_json
from selfplay.study.folder import Study
from tests.selfplay.ladder.test_ladder import store_run
from tests.selfplay.report.test_study_report import play
from tests.selfplay.scaling.test_from_ladder import make_run
from tests.small_runs import PLAIN, ROOT, assert_rejected

pytestmark = pytest.mark.usefixtures("trusts_nothing")

EVIL = "import pathlib; pathlib.Path({!r}).touch()\nclass Game: pass\n"
PATHS = ("os:system", "os.path:join", "evil:Game", "evil:Game?size=3")
FIELDS = ("game", "network.kind")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two versions."""
    store_run(folder := tmp_path_factory.mktemp("runs") / "run", 2)
    return folder


@pytest.fixture
def run(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, with evil.py in it, around it and on the path."""
    shutil.copytree(template, folder := tmp_path / "run")
    (tmp_path / "on_path").mkdir()
    for place in (tmp_path, folder, tmp_path / "on_path"):
        (place / "evil.py").write_text(EVIL.format(str(tmp_path / "mark")))
    monkeypatch.syspath_prepend(tmp_path / "on_path")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def nothing_was_imported(tmp_path: Path) -> Any:
    yield
    assert not (tmp_path / "mark").exists() and "evil" not in sys.modules


def poison(folder: Path, field: str, value: object) -> None:
    """Changes a field of a run's config."""
    document = json.loads((folder / "config.json").read_text())
    *sections, name = field.split(".")
    section = document["config"]
    for key in sections:
        section = section[key]
    section[name] = value
    (folder / "config.json").write_text(json.dumps(document))


def commands(run: Path) -> dict[str, tuple[str, Sequence[str]]]:
    """Commands that build something from a run's folder."""
    return {
        "verify": ("verify", [str(run)]),
        "exam": ("exam", [str(run)]),
        "export": ("export", [f"{run}@last", "--out", str(run.parent / "a.safetensors")]),
        "terminal": ("play", ["terminal", str(run)]),
        "ladder": ("ladder", [str(run), "--max-games", "1"]),
        "player": ("ladder", ["--game", "tic_tac_toe", "--players", f"{run}@1?sims=0"]),
        "init-from": (
            "train",
            ["connect_four_smoke", "--init-from", str(run), "--out", str(run.parent / "new")],
        ),
    }


@pytest.mark.parametrize("field", FIELDS)
def test_every_command_refuses_the_import_path_of_a_run(run: Path, field: str) -> None:
    for value in PATHS:
        poison(run, field, value)
        path = value.partition("?")[0]
        noun = field.partition(".")[0]
        expected = f"the {noun} '{path}' is an import path that nobody typed on this command line"
        for command, arguments in commands(run).values():
            bad = {f"{command} {arguments}": (arguments, expected)}
            assert_rejected(f"launch.{command}", bad)
        with pytest.raises(NotTrusted, match=rf"^{run}: the {noun} .* selfplay\.trust_imports\("):
            Version.load(run)


def test_search_of_a_run_is_not_imported(run: Path) -> None:
    for value in ("os:system", "evil:Game"):
        poison(run, "search.algorithm", value)
        for command in ("verify", "terminal", "init-from"):
            name, arguments = commands(run)[command]
            assert_rejected(f"launch.{name}", {command: (arguments, value)})


@pytest.mark.parametrize("field", ["losses", "optimizer", "schedule"])
@pytest.mark.parametrize("section", ["learner", "imitation.learner"])
def test_learner_of_a_run_is_not_imported(run: Path, section: str, field: str) -> None:
    for value in ("os:system", "evil:Game?weight=1"):
        poison(run, f"{section}.{field}", [value] if field == "losses" else value)
        expected = f"'{value.partition('?')[0]}' is an import path that nobody typed"
        assert_rejected("launch.verify", {section: ([str(run)], expected)})


@pytest.mark.parametrize("value", [5, None, ["evil:Game"], {"name": "evil:Game"}])
def test_game_that_is_no_text_is_one_sentence(run: Path, value: object) -> None:
    poison(run, "game", value)
    for command in ("verify", "terminal", "ladder"):
        name, arguments = commands(run)[command]
        assert_rejected(f"launch.{name}", {command: (arguments, repr(value))})


STRANGE = (
    *(" evil:Game", "evil:Game ", "evil:Game\n", "evil:Game?evil:Game", "ｅｖｉｌ:Game"),
    *("pgx:evil:Game", "pgx:../evil", "gtp:evil", "evil:Game.x", "evil", ":evil", "evil:"),
)


@pytest.mark.parametrize("name", STRANGE)
def test_strange_spelling_of_an_import_path_is_refused(run: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"is an import path that nobody|unknown|pgx"):
        games.make(name)
    with pytest.raises(ValueError, match=r"is an import path that nobody|unknown network"):
        NetworkConfig(kind=name)


def test_command_in_the_folder_of_a_stranger_imports_nothing(run: Path) -> None:
    """In a process of its own, whose working directory has a module by the name in the config."""
    poison(run, "game", "evil:Game")
    result = subprocess.run(
        [sys.executable, str(ROOT / "launch/play.py"), "gtp", "."],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2 and result.stdout == "" and result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: .: the game 'evil:Game' is an import path that nobody")


def test_package_in_the_working_directory_registers_no_names(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "strange-1.dist-info").mkdir()
    (run / "strange-1.dist-info" / "entry_points.txt").write_text(
        "[oomzero.games]\nstrange = evil:Game\n"
    )
    monkeypatch.syspath_prepend(run)  # as `python -m` does
    plugins._registered.cache_clear()
    with pytest.raises(ValueError, match="unknown game 'strange'"):
        games.make("strange")
    with chdir(run.parent):  # the same package elsewhere on the path counts as installed
        plugins._registered.cache_clear()
        assert "strange" in games.names()
    plugins._registered.cache_clear()


def test_exported_file_is_refused(run: Path) -> None:
    version = Version.load(run)
    for value in ("os:system", "evil:Game"):
        file = run.parent / "hostile.safetensors"
        replace(version, config={**version.config, "game": value}).export(file)
        expected = f"{file}: the game '{value}' is an import path that nobody typed"
        for command, arguments in (
            ("exam", [str(file)]),
            ("play", ["terminal", str(file)]),
            ("ladder", [str(file), "--max-games", "1"]),
            ("ladder", [str(file), "--game", "tic_tac_toe", "--max-games", "1"]),
        ):
            assert_rejected(f"launch.{command}", {command: (arguments, expected)})


def test_archive_of_expert_games_is_refused(run: Path) -> None:
    folder = run.parent / "experts"
    folder.mkdir()
    write_hashed_json(folder / MANIFEST, {"format": FORMAT, "game": "evil:Game"})
    expected = f"{folder}: the game 'evil:Game' is an import path that nobody typed"
    assert_rejected("launch.experts", {"inspect": (["inspect", str(folder)], expected)})
    with pytest.raises(NotTrusted):
        ExpertArchive(folder)


def test_ladder_and_its_runs_are_not_imported(run: Path) -> None:
    """A report reads a ladder's game as text, and refuses the runs that it rates."""
    home = run.parent
    with chdir(home):
        make_run(home / "a", PLAIN)
        make_run(home / "b", replace(PLAIN, seed=1))
        specs = [(f"{name}@{v}?sims=0", 0.0) for name in "ab" for v in (1, 2)]
        play(home / "ladders" / "x" / "ladder.db", specs)
        for name in "ab":
            poison(home / name, "game", "evil:Game")
        expected = f"{home / 'a'}: the game 'evil:Game' is an import path that nobody typed"
        assert_rejected("launch.report", {"x": ([str(home / "ladders" / "x")], expected)})
        with closing(LadderDatabase(home / "ladder.db", {"game": "evil:Game"})):
            pass
        arguments = ["--game", "tic_tac_toe", "--players", "rollouts?sims=1", "--out", str(home)]
        assert_rejected("launch.ladder", {"other game": (arguments, "evil:Game")})


def test_typed_name_that_is_no_game_is_not_called(run: Path) -> None:
    bad = {
        f"{flag} {value}": (
            ["connect_four_smoke", flag, value, "--out", str(run.parent / "new")],
            f"{value} is not a {noun}: expected ",
        )
        for flag, noun in (("--game", "game"), ("--network.kind", "network"))
        for value in ("os:system", "os.path:join", "builtins:print")
    }
    assert_rejected("launch.train", bad)
    assert not (run.parent / "new").exists()


def test_training_into_a_folder_with_another_game_imports_nothing(run: Path) -> None:
    poison(run, "game", "evil:Game")
    bad = {"other": (["connect_four_smoke", "--out", str(run)], 'game was "evil:Game", is')}
    assert_rejected("launch.train", bad)


def test_study_with_a_run_that_is_called_like_an_import_path_is_refused(run: Path) -> None:
    from selfplay.study.grid import Arm, run_specs

    study = Study.extended(run.parent / "study", run_specs([Arm("tic")], 1), "ablate")
    study.write()
    path = run.parent / "study" / "study.json"
    path.write_text(path.read_text().replace(study.runs[0].name, "x=evil:Game"))
    with pytest.raises(ValueError, match="'x=evil:Game', which is no name of a study's run"):
        Study.read(run.parent / "study")


def test_study_does_not_pass_on_what_only_its_folder_names(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ladder of a study gets the game on its command line, where a person's would be."""
    from launch import ablation
    from selfplay.study.grid import Arm, RatingConfig, run_specs

    study = Study.extended(run.parent / "study", run_specs([Arm("tic")], 1), "ablate")
    study.write()
    folder = study.run_folder(study.runs[0])
    make_run(folder, PLAIN)
    poison(folder, "game", "evil:Game")
    started: list[Any] = []
    monkeypatch.setattr("selfplay.study.jobs.run_foreground", lambda *a: started.append(a) or 0)
    with pytest.raises(NotTrusted, match=f"^{folder}: the game 'evil:Game'"):
        ablation.rate(study, RatingConfig())
    assert started == []
    poison(folder, "game", "tic_tac_toe")
    plugins.trust(["mine:Game"])
    assert ablation.rate(study, RatingConfig())
    ((_, _, environment),) = started
    assert environment == {plugins.TRUSTED: "mine:Game", plugins.USER_FOLDER: str(run)}


def test_trust_of_a_command_reaches_the_commands_that_it_starts(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.trust_all()
    monkeypatch.setenv(plugins.TRUSTED, plugins.environment()[plugins.TRUSTED])
    monkeypatch.setattr(plugins._Trust, "everything", False)
    plugins.trust_environment()
    assert plugins._Trust.everything and plugins.TRUSTED not in os.environ
    monkeypatch.setattr(plugins._Trust, "everything", False)
    plugins.trust_environment()
    assert not plugins._Trust.everything and plugins._Trust.paths == set()


def test_trust_imports_takes_import_paths_only(run: Path) -> None:
    for text in ("go", "os", "a/b:c", "", "pgx:othello"):
        with pytest.raises(ValueError, match="is not an import path; write MODULE:NAME"):
            selfplay.trust_imports("mine:Game", text)
    assert plugins._Trust.paths == set()
    selfplay.trust_imports("mine:Game?size=3", "mine.nets:make")
    assert plugins._Trust.paths == {"mine:Game", "mine.nets:make"}


def test_paths_with_a_meaning_of_their_own_are_not_typed_paths() -> None:
    words = ["--players", "gtp:gnugo", "--game=pgx:othello", "--x", "a:b,c.d:e?f=1", "ray://h:x"]
    assert plugins.typed_paths(words) == ["a:b", "c.d:e"]


def test_refusal_survives_the_way_from_another_process() -> None:
    error = pickle.loads(pickle.dumps(NotTrusted("game", "evil:Game", "runs/a")))
    assert isinstance(error, NotTrusted) and str(error).startswith("runs/a: the game 'evil:Game' ")
