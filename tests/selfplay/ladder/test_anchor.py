"""The anchor of a ladder: chosen once, recorded, and never exchanged silently."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console

import games
from launch import rating
from launch.ladder_options import Options
from selfplay.ladder import game_table
from selfplay.ladder.anchor import (
    default_anchor,
    recorded_anchor,
    resolve_anchor,
    resolve_study_anchor,
)
from selfplay.ladder.config import LadderConfig
from selfplay.ladder.database import LadderDatabase
from selfplay.ladder.ladder import Ladder
from selfplay.players import solvers, specs
from tests.golden.recording import FORMAT_1

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


@pytest.mark.parametrize("extra", [True, False])
def test_default_anchor_depends_on_the_game_alone(
    extra: bool, request: pytest.FixtureRequest
) -> None:
    if not extra:
        request.getfixturevalue("no_solver")
    expected = {
        **{"tic_tac_toe": "solver", "hex?size=4": "solver", "hex?size=5": "random"},
        **{"go?size=5": "random", "connect_four": "random"},
    }
    assert {name: default_anchor(games.make(name)) for name in expected} == expected


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
def test_missing_solver_is_never_replaced_silently(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    for named in ("auto", "solver"):
        with pytest.raises(ValueError, match=r"install the solver; or name --elo\.anchor random"):
            resolve_anchor(named, GAME, path)
    with pytest.raises(ValueError, match="install the solver; or name another one, as in --anchor"):
        resolve_study_anchor(None, GAME, path)
    begin_ladder(path, "random")
    assert resolve_anchor("auto", GAME, path) == "random"
    assert resolve_study_anchor(None, GAME, path) == "random"


def test_anchor_is_recorded_in_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    players = [specs.parse(spec, GAME) for spec in ("random", "rollouts?sims=2")]
    for anchor in ("rollouts?sims=2", "random"):  # the second one does not replace the first
        with Ladder(path, GAME, "tic_tac_toe", players, anchor, LadderConfig()) as ladder:
            assert ladder.state().ratings.elo[[p.spec for p in players].index(anchor)] == 0
        assert recorded_anchor(path) == "rollouts?sims=2"


def test_ladder_anchored_at_a_missing_solver_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = begin_ladder(tmp_path / "ladder.db", "solver", "random")
    request.getfixturevalue("no_solver")
    for anchor in ("auto", "solver"):
        with pytest.raises(ValueError, match="install the solver"):
            resolve_anchor(anchor, GAME, path)
    with pytest.raises(ValueError, match=r"ladder\.db records its anchor: .*install the solver"):
        resolve_study_anchor(None, GAME, path)


def test_ladder_of_an_earlier_version_has_its_first_player_at_zero(tmp_path: Path) -> None:
    path = begin_ladder(tmp_path / "ladder.db", "rollouts?sims=4", "random", "solver")
    assert recorded_anchor(path) == "rollouts?sims=4"
    for anchor in ("auto", "random"):
        with pytest.raises(ValueError, match="rollouts"):
            resolve_anchor(anchor, GAME, path)
    assert recorded_anchor(FORMAT_1 / "ladder" / "ladder.db") == "random"


def test_unprintable_name_is_no_recorded_anchor(tmp_path: Path) -> None:
    """It would steer the terminal."""
    path = begin_ladder(tmp_path / "ladder.db", "solver", "random")
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE players SET spec = ? WHERE id = 1", ("\x1b[2J",))
    assert recorded_anchor(path) is None


def rate(folder: Path, **options: Any) -> tuple[str, str]:
    """Rates random players in a ladder's folder; returns who is at 0 Elo, and the output."""
    console = Console(file=io.StringIO(), width=200)
    players = ("random", "rollouts?sims=2")
    few = LadderConfig(pairs=1, opening_plies=1, pairings=1)
    rating.rate(
        Options(
            game="tic_tac_toe", out=folder, players=players, comparison=few, max_games=2, **options
        ),
        console,
    )
    assert isinstance(console.file, io.StringIO)
    output = console.file.getvalue()
    with (folder / "ladder.csv").open() as file:
        zeros = {row["player"] for row in csv.DictReader(file) if float(row["elo"]) == 0}
    zero = re.findall(r"anchored at (\S+), in", output)[0]
    assert zero in zeros
    return zero, output


def test_ladder_keeps_any_anchor_and_says_if_another_is_named(tmp_path: Path) -> None:
    first, _ = rate(tmp_path, anchor="rollouts?sims=2")
    second, output = rate(tmp_path)
    assert first == second == "rollouts?sims=2"
    notice = "0 Elo is random here; this ladder began with rollouts?sims=2"
    assert notice not in output
    other, output = rate(tmp_path, anchor="random")
    assert other == "random" and notice in output
    assert game_table.read(tmp_path / "data").anchor == "rollouts?sims=2"
    assert rate(tmp_path)[0] == "rollouts?sims=2"


def test_engine_at_zero_is_not_run_unless_it_is_named(tmp_path: Path) -> None:
    go = games.make("go?size=5")
    options = Options(game="go?size=5")
    for named in (
        replace(options, engines=("sh -c x",)),
        replace(options, players=("gtp:sh -c x",)),
    ):
        rating.check_anchor("gtp:sh -c x", named, go)
    with pytest.raises(ValueError, match="--anchor"):
        rating.check_anchor("gtp:sh -c x", options, go)


def test_absent_run_at_zero_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--anchor"):
        rating.check_anchor(f"{tmp_path}/run@3?sims=4", Options(), GAME)


def test_unreadable_ladder_records_no_anchor(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    assert recorded_anchor(path) is None
    path.write_bytes(b"no database " * 100)
    assert recorded_anchor(path) is None
