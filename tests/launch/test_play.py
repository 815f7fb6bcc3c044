"""The play command: games in the terminal, and a stdout that carries GTP and nothing else."""

import functools
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import games
from launch.terminal import Session, Side
from tests.selfplay.serve.analysts import FirstLegal, untrained
from tests.small_runs import ROOT, run_cli


def talk(game: str, lines: Iterable[str], side: Side = "first", thinker: Any = None) -> str:
    """What the screen shows while a person types these lines, and then Ctrl-D."""
    screen, typed = io.StringIO(), iter(lines)

    def ask(prompt: str) -> str:
        screen.write(prompt)
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    thinker = thinker or FirstLegal(games.make(game))
    console = Console(file=screen, width=200)
    Session(thinker, 4, side, "Zero", console, ask).run()
    assert screen.getvalue().endswith("Goodbye.\n")
    return screen.getvalue()


@pytest.mark.parametrize(
    ("game", "move", "answer"),
    [
        ("connect_four", "4", "1"),
        ("go?size=3", "b2", "A3"),
        ("hex?size=3", "b2", "a1"),
        ("tic_tac_toe", "b2", "a1"),
        ("pgx:othello", "d3", "c3"),
    ],
)
def test_session_starts_in_every_game(game: str, move: str, answer: str) -> None:
    shown = talk(game, [move])
    assert f"Zero plays {answer}\n" in shown
    assert shown.index(f"Zero plays {answer}") < shown.index("(O)"), "the last move is marked"
    assert "X to move (you)" in shown


def test_session_plays_a_game_to_its_end_and_another() -> None:
    shown = talk("tic_tac_toe", ["a2", "b2", "c2", "a2", "hint", "new", "a3", "a2"])
    assert "X won" not in shown and "You win.\n" in shown
    assert "The game is over; choose from new, undo, board, quit." in shown
    assert "nothing to hint at" in shown
    assert shown.count("Zero plays a1") == 2, "a new game has begun"
    lost = talk("tic_tac_toe", ["b2", "b3", "a3"])
    assert "Zero wins.\n" in lost
    drawn = talk("tic_tac_toe", ["b2", "a2", "b1", "c1", "b3", "a3", "c3", "c2"])
    assert "A draw.\n" in drawn


def test_person_may_move_second() -> None:
    assert "Zero plays 1\n" in talk("connect_four", [], "second")
    shown = talk("connect_four", ["perhaps", "n", "4"], "ask")
    assert "Please answer y" in shown and "O to move (you)" in shown
    assert shown.count("Zero plays 1\n") == 2
    assert "Zero plays" not in talk("connect_four", ["y"], "ask")
    assert "Zero plays" not in talk("connect_four", ["quit"], "ask")


def test_illegal_move_is_rejected_with_the_choices() -> None:
    shown = talk("tic_tac_toe", ["b2", "b2", "d9", "[bold]", "a1"])
    assert shown.count("is not a legal move here; choose from b1, c1, a2, c2, a3, b3, c3.") == 2
    assert "'d9' is neither a move nor a command (help lists those); choose from" in shown
    assert "'[bold]' is neither" in shown
    listed = re.findall(r"choose from (.*)\.", talk("go?size=9", ["z9"]))[0]
    assert listed.endswith(", ..., pass") and len(listed.split(", ")) == 24


def test_undo_takes_back_a_pair_of_moves() -> None:
    shown = talk("connect_four", ["4", "undo", "undo", "2", "3", "undo"])
    boards = re.findall(r"╭.*?╯", shown, re.DOTALL)
    assert boards[0] == boards[2] != boards[1]
    assert boards[-1] == boards[-3] != boards[-2]
    assert "There is no move of yours to take back." in shown
    second = talk("connect_four", ["4", "undo", "undo"], "second")
    assert second.count("There is no move of yours") == 1
    over = talk("tic_tac_toe", ["a2", "b2", "c2", "undo", "c2"])
    assert over.count("You win.") == 2


def test_hint_shows_policy_and_value() -> None:
    shown = talk("connect_four", ["hint"], thinker=untrained("connect_four"))
    rows = re.findall(r"^ (\d) +(\d+)% +(\d+)% +(\d+)% +(\d \d) *$", shown, re.MULTILINE)
    assert len(rows) >= 3 and all(row[0] == row[4][0] for row in rows)
    assert re.search(r"The network alone gives you \d+% here", shown)


def test_ctrl_c_ends_the_session() -> None:
    screen = io.StringIO()

    def interrupt(_: str) -> str:
        raise KeyboardInterrupt

    console = functools.partial(Console, file=screen)()
    Session(FirstLegal(games.make("tic_tac_toe")), 4, "first", "Zero", console, interrupt).run()
    assert screen.getvalue().endswith("Goodbye.\n")


def command(*arguments: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
    script = [sys.executable, str(ROOT / "launch/play.py"), *arguments]
    return subprocess.run(script, input=typed, capture_output=True, text=True, timeout=200)


def test_stdout_carries_only_gtp(tmp_path: Path) -> None:
    file = tmp_path / "tiny.safetensors"
    untrained("go?size=5&komi=0.5").export(file)
    done = command("gtp", f"{file}?sims=2", typed="1 name\n2 genmove b\n3 version\nquit\n")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"=1 oomzero\n\n=2 [A-E][1-5]\n\n=3 untrained, 2 simulations a move\n\n=\n\n", done.stdout
    )


def test_play_rejects_bad_input_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "it's tiny.safetensors"
    untrained("tic_tac_toe").export(file)
    done = command("gtp", f"{file}?search=puct", "--sims", "2", typed="1 name\n")
    assert (done.returncode, done.stdout) == (2, "")
    reason, _, hint = done.stderr.strip().rpartition(": ")
    assert reason == (
        "error: GTP is spoken in Go only, and this version plays tic_tac_toe; "
        "play it in the terminal"
    )
    ((status, said),) = run_cli("launch.play", [["gtp", f"{file}?sims=2", "--sims", "3"]])
    assert status == 2 and "say different things; leave one out" in said
    hinted = shlex.split(hint)[2:]
    assert hinted[0] == "terminal"
    done = command(*hinted, "--side", "second", typed="a1\nb2\n")
    assert done.returncode == 0 and done.stdout.endswith("Goodbye.\n"), done.stderr
