"""The anchor of a ladder: chosen once, recorded, and never exchanged silently."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

import games
from selfplay.ladder.anchor import default_anchor, recorded_anchor, resolve_anchor
from selfplay.ladder.database import LadderDatabase
from selfplay.players import solvers, specs

GAME = games.make("tic_tac_toe")


def begin_ladder(path: Path, *players: str) -> Path:
    """Makes a ladder's file that these players have entered."""
    base = LadderDatabase(path, {"game": "tic_tac_toe"})
    base.enter([specs.parse(spec, GAME) for spec in players])
    base.close()
    return path


@pytest.fixture
def no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the `solver` extra."""

    def solver_for(game: object) -> NoReturn:
        raise ValueError("install the solver")

    monkeypatch.setattr(solvers, "solver_for", solver_for)


def test_default_anchor_is_the_solver_of_a_solved_game() -> None:
    assert default_anchor(GAME) == "solver"
    assert default_anchor(games.make("go?size=5")) == "random"


def test_auto_becomes_the_anchor_that_the_ladder_began_with(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    assert resolve_anchor("auto", GAME, path) == "solver"
    begin_ladder(path, "random", "solver")
    assert resolve_anchor("auto", GAME, path) == "random"


def test_other_anchor_than_the_recorded_one_is_refused(tmp_path: Path) -> None:
    path = begin_ladder(tmp_path / "ladder.db", "solver", "random")
    assert resolve_anchor("solver", GAME, path) == "solver"
    with pytest.raises(ValueError, match=r"--elo\.anchor solver"):
        resolve_anchor("random", GAME, path)


@pytest.mark.usefixtures("no_solver")
def test_missing_solver_is_replaced_only_in_a_new_ladder(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    assert resolve_anchor("auto", GAME, path) == "random"
    with pytest.raises(ValueError, match="install the solver"):
        resolve_anchor("solver", GAME, path)
    begin_ladder(path, "random")
    assert resolve_anchor("auto", GAME, path) == "random"


def test_ladder_anchored_at_a_missing_solver_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = begin_ladder(tmp_path / "ladder.db", "solver", "random")
    request.getfixturevalue("no_solver")
    with pytest.raises(ValueError, match="install the solver"):
        resolve_anchor("auto", GAME, path)


def test_unreadable_ladder_records_no_anchor(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    assert recorded_anchor(path) is None
    path.write_bytes(b"no database " * 100)
    assert recorded_anchor(path) is None
