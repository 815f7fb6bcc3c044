"""Runs of a user's game: what a session records, and what happens when the code has changed."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import games
from games import plugins
from games.plugins import NotTrusted
from games.tic_tac_toe import TicTacToe
from selfplay.runs import code_changes
from selfplay.runs.code_changes import CodeChanged
from selfplay.runs.files import CorruptedFile
from selfplay.training.loop import train
from selfplay.training.verify import verify
from tests.small_runs import PLAIN, run_cli

pytestmark = pytest.mark.usefixtures("trusts_nothing")

PATH = "users_game:UsersGame"
GAME = """
from dataclasses import dataclass

from games.tic_tac_toe import TicTacToe


@dataclass(frozen=True)
class UsersGame(TicTacToe):
    name = "users"
"""
CONFIG = replace(PLAIN, game=PATH, iterations=1)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "users_game.py").write_text(GAME)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "users_game.py"


def forget() -> None:
    """Does what a new process would: nothing is trusted or imported."""
    plugins._Trust.followed.clear()
    plugins._Trust.paths.clear()
    plugins._Trust.everything = False
    sys.modules.pop("users_game", None)


def sessions(run: Path) -> list[dict[str, Any]]:
    return json.loads((run / "manifest.json").read_text())["sessions"]


def stop(text: str) -> None:
    raise StopIteration(text)


def test_changed_module_must_be_accepted_and_is_recorded(module: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(NotTrusted):
        train(CONFIG, run)
    assert not run.exists()
    plugins.trust([PATH])
    train(CONFIG, run)
    (source,) = plugins.followed()
    (session,) = sessions(run)
    assert session["rules"] == {"name": "users", "version": 1}
    assert session["imports"] == [{"path": PATH, "version": "", "digest": source.digest}]
    assert "accepted_code_change" not in session

    forget()
    module.write_text(f"{GAME}# changed\n")
    plugins.trust([PATH])
    before = (run / "manifest.json").read_bytes()
    with pytest.raises(CodeChanged, match=rf"{PATH} .*{source.digest[:12]}.*accept_code_change=Tr"):
        train(CONFIG, run)
    assert (run / "manifest.json").read_bytes() == before
    with pytest.raises(StopIteration, match=rf"{PATH} had the digest '{source.digest[:12]}', and"):
        verify(run, 1, 1, announce=stop)
    train(CONFIG, run, accept_code_change=True)
    _, session = sessions(run)
    (sentence,) = session["accepted_code_change"]
    assert PATH in sentence and source.digest[:12] in sentence
    train(CONFIG, run)  # the last session counts
    assert "accepted_code_change" not in sessions(run)[2]


@pytest.mark.slow
def test_run_is_resumed_and_verified_by_who_trusts_its_game(module: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = (
        "--game users_game:UsersGame --iterations 1 --network.kind mlp --network.width 4 "
        "--network.depth 0 --network.head-width 4 --search.num-simulations 2 --selfplay.streams 1 "
        "--selfplay.batch-size 8 --selfplay.segment-length 10 --learner.batch-size 16 "
        "--cluster.learner-devices 1 --cluster.actors 0 --exam.every 0 --exam.budgets --out"
    )
    typed = ["connect_four_smoke", *flags.split(), str(run)]

    def result(command: str, *arguments: str) -> tuple[int, str]:
        forget()
        (answer,) = run_cli(f"launch.{command}", [arguments])
        return answer

    assert result("train", *typed)[0] == 0
    assert result("train", *typed)[0] == 0 and len(sessions(run)) == 2
    status, text = result("verify", str(run))
    assert status == 2 and f"{run}: the game '{PATH}' is an import path that nobody typed" in text
    status, text = result("verify", str(run), "--trust-imports")
    assert (status, text[-9:]) == (0, "identical")
    module.write_text(f"{GAME}# changed\n")
    status, text = result("train", *typed)
    assert status == 2 and "with other code" in text and "--accept-code-change" in text
    assert result("train", *typed, "--accept-code-change")[0] == 0
    assert len(sessions(run)) == 3 and sessions(run)[2]["accepted_code_change"]


def test_changed_rules_name_both_versions() -> None:
    class Newer(TicTacToe):
        version = 2

        @property
        def name(self) -> str:
            return "tic_tac_toe"

    code = code_changes.describe({}, games.make("tic_tac_toe"))
    newer = code_changes.describe({}, Newer())
    assert newer["rules"]["version"] == 2 and newer["imports"] == []
    (text,) = code_changes.changes(Path("run"), newer, [code])
    assert text == "the rules of tic_tac_toe were version 1, and are version 2 now"
    assert code_changes.changes(Path("run"), newer, [newer, {}]) == []
    assert code_changes.changes(Path("run"), {}, [code]) == []


def test_only_modules_that_the_config_names_are_recorded(module: Path) -> None:
    (module.parent / "users_other.py").write_text(GAME)
    plugins.trust([PATH, "users_other:UsersGame"])
    game, _ = games.make(PATH), games.make("users_other:UsersGame")
    for config in ({"game": f"{PATH}"}, {"learner": {"losses": ["x", f"{PATH}?weight=1"]}}):
        (entry,) = code_changes.describe(config, game)["imports"]
        assert entry["path"] == PATH


@pytest.mark.parametrize(
    "session",
    [
        {"rules": 5},
        {"rules": {"name": "tic_tac_toe"}},
        {"imports": 5},
        {"imports": ["x"]},
        {"imports": [{"path": PATH, "digest": 5}]},
        {"imports": [{"path": [], "digest": "0"}]},
        "session",
    ],
)
def test_damaged_record_of_code_is_reported(session: Any) -> None:
    code = {
        "rules": {"name": "tic_tac_toe", "version": 1},
        "imports": [{"path": PATH, "digest": "0"}],
    }
    with pytest.raises(CorruptedFile, match=r"run/manifest\.json is damaged: its record"):
        code_changes.changes(Path("run"), code, [session])
