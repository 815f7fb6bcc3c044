"""A game of one's own, from an empty folder that holds nothing but docs/examples/gomoku.py.

It is trained on two Ray actors, killed, resumed, verified, rated and played with the commands that
docs/guide/extend.md shows, at a smaller size.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_runs import ROOT, TINY, digests

pytestmark = pytest.mark.slow

GAME = "gomoku:Gomoku?size=5&line=4"
TRAIN = ("train", "small", "--game", GAME, *TINY, "--plain", "--out")


def run(
    folder: Path,
    command: str,
    *arguments: str,
    expect: int = 0,
    typed: str = "",
    failpoint: str = "",
) -> str:
    """Runs a command of `launch/` in a folder; returns what it printed."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "launch" / f"{command}.py"), *arguments],
        cwd=folder,
        env={**os.environ, "OOMZERO_FAILPOINT": failpoint, "COLUMNS": "200"},
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
    )
    assert done.returncode == expect, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the game, and a run that two Ray actors played: killed, then resumed."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copy(ROOT / "docs/examples/gomoku.py", folder)
    actors = (*TRAIN, "runs/gomoku", "--cluster.actors", "2")
    run(folder, *actors, expect=-signal.SIGKILL, failpoint="commit.point@2")
    assert len(digests(folder / "runs/gomoku")) < 4
    run(folder, *actors)
    return folder


def test_killed_run_of_two_actors_has_the_bytes_of_an_undisturbed_one(folder: Path) -> None:
    run(folder, *TRAIN, "runs/alone", "--cluster.actors", "0")
    alone = digests(folder / "runs/alone")
    assert len(alone) == 4
    assert digests(folder / "runs/gomoku") == alone


def test_run_is_verified_once_its_imports_are_trusted(folder: Path) -> None:
    refused = run(folder, "verify", "runs/gomoku", expect=2)
    assert "--trust-imports" in refused
    assert run(folder, "verify", "runs/gomoku", "--trust-imports").endswith("identical\n")


def test_run_is_rated_against_random_and_rollouts(folder: Path) -> None:
    players = ("--players", "random", "rollouts?sims=16", "--versions", "1", "--sims", "0", "8")
    size = ("--max-games", "64", "--workers", "1", "--until-stderr", "200")
    text = run(folder, "ladder", "runs/gomoku", *players, *size, "--trust-imports", "--plain")
    for player in ("random", "rollouts", "gomoku@3"):
        assert player in text
    report = text.partition("report: ")[2].split()
    assert report[-2:] == ["runs/gomoku", "--trust-imports"]
    assert "runs/gomoku" in run(folder, "report", *report[-2:])


def test_run_is_played_in_the_terminal(folder: Path) -> None:
    arguments = (
        "terminal",
        "runs/gomoku@last",
        "--sims",
        "4",
        "--side",
        "first",
        "--trust-imports",
    )
    text = run(folder, "play", *arguments, typed="c3\nundo\nb2\nquit\n")
    assert re.search(r"runs/gomoku@3 plays [a-e][1-5]|plays [a-e][1-5]", text)
    assert text.endswith("Goodbye.\n")
