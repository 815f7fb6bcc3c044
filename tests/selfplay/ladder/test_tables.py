"""Tables of a ladder, and the command that plays one: its progress and its signals."""

from __future__ import annotations

import csv
import io
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from rich.console import Console

from launch import cli, ladder, rating
from launch.ladder_progress import Watcher
from selfplay.ladder import rating_plot, tables
from selfplay.ladder.database import Pairing
from selfplay.ladder.ladder import LadderState
from selfplay.players.specs import Player
from tests.selfplay.ladder.states import ENGINE, chain_state


def shown(table: Any, width: int = 140) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(table)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("width", [80, 140])
def test_player_without_a_game_is_not_rated(width: int) -> None:
    state = chain_state(["solver", "random", "new|comer"], played=2)
    rated = list(csv.DictReader(io.StringIO(tables.to_csv(state))))
    assert [(row["rank"], row["player"]) for row in rated] == [("1", "solver"), ("2", "random")]
    assert tables.unrated(state) == ["new|comer"]
    line = next(s for s in shown(tables.table(state, "", width), width).splitlines() if "new" in s)
    assert "not rated" in line and not line.strip(" │").split()[0].isdigit()
    line = next(s for s in tables.to_markdown(state).splitlines() if "new" in s)
    assert line == r"| | `new\|comer` | not rated | | 0 | | |"


def test_ladder_without_a_rated_game_has_empty_tables() -> None:
    state = chain_state(["solver", "random"], played=0)
    assert tables.to_csv(state).count("\n") == 1 and not tables.rows(state)
    assert tables.to_markdown(state).count("not rated") == 2


def test_markdown_table_survives_any_characters_of_a_command() -> None:
    lines = tables.to_markdown(chain_state([ENGINE, "random"])).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert all(line.replace(r"\|", "").count("|") == 8 for line in table)
    assert r'`` gtp:sh -c "gnugo `x` --level 0 \| tee $LOG_$X" ``' in table[2]


@pytest.mark.parametrize("players", [3, 60])
def test_progress_line_is_always_visible(players: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    console = Console(width=80, height=24, file=out, force_terminal=True, soft_wrap=True)
    state = chain_state([f"player {i}" for i in range(players)])
    with Watcher("tic_tac_toe", console, plain=False) as watcher:
        assert "0:00" in out.getvalue() and "compiled" in out.getvalue(), "before any game"
        watcher.round(state)
        out.truncate(0)
        watcher.played(Pairing(2, 0, 1, 2, 0, 1), [])
        watcher._games = 8
        watcher._show()
        last = out.getvalue().splitlines()[-1]
    assert "round 2:" in last and "largest standard error" in last and "…" not in last
    assert ("player 1" in out.getvalue()) == (players == 3)


@pytest.fixture
def signals() -> Iterator[dict[int, Any]]:
    """The handlers of the test's process, which stay."""
    before = {int(each): signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield before
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_raises_keyboard_interrupt(number: int, signals: dict[int, Any]) -> None:
    with Watcher("", Console(file=io.StringIO()), plain=True) as watcher:
        watcher.catch()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert all(signal.getsignal(each) == signal.SIG_DFL for each in signals), "then at once"
    assert {each: signal.getsignal(each) for each in signals} == signals


ANCHOR = "/tmp/x/run@4?sims=0"


@pytest.fixture
def run_until(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: dict[int, Any]
) -> Callable[[str, int | None], tuple[Any, dict[str, str]]]:
    """A function that runs the command; a signal arrives while it loads, plays or writes.

    Returns its status, and the title of every picture that it drew.
    """
    monkeypatch.setattr(cli, "configure_process", lambda: None)
    made, drawn = chain_state([ANCHOR, "random"]), dict[str, str]()

    def run(moment: str, number: int | None, left: int = 1) -> tuple[Any, dict[str, str]]:
        def arrive(now: str) -> None:
            if number is not None and moment == now:
                signal.raise_signal(number)

        def gather(*_: Any) -> tuple[list[Any], str]:
            arrive("load")
            return [], ANCHOR

        def to_png(_: LadderState, title: str) -> bytes:
            arrive("write")
            drawn["ladder.png"] = title
            return b"png"

        fake = MagicMock()
        fake.return_value.run_until.side_effect = lambda *_: arrive("play")
        fake.return_value.state.return_value = made
        fake.return_value.games_left.return_value = left
        monkeypatch.setattr(rating, "Ladder", fake)
        monkeypatch.setattr(rating, "gather", gather)
        monkeypatch.setattr(rating, "compare", lambda *_: None)
        monkeypatch.setattr(rating, "write_games", lambda *_: None)
        monkeypatch.setattr(rating_plot, "to_png", to_png)
        arguments = ["ladder", "--game", "tic_tac_toe", "--plain", "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", arguments)
        try:
            ladder.main()
        except SystemExit as end:
            return end.code, drawn
        return 0, drawn

    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["load", "play", "write"])
def test_signal_stops_the_command_with_a_sentence(
    run_until: Any, moment: str, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    status, _ = run_until(moment, number)
    said = capsys.readouterr().out
    assert status == 130
    assert said.count(ladder.STOPPED) == 1
    assert ("matches in play" in said) == (moment == "play")
    written = {path.name for path in tmp_path.iterdir()}
    assert ({"ladder.csv", "ladder.md", "ladder.png"} <= written) == (moment == "play")


def test_title_of_a_ladder_contains_no_path(
    run_until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    status, drawn = run_until("", None)
    assert (status, drawn) == (0, {"ladder.png": "tic_tac_toe, run@4?sims=0 at 0 Elo"})
    assert drawn["ladder.png"] in capsys.readouterr().out


def test_full_ladder_explains_why_it_plays_no_game(
    run_until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_until("", None)[0] == 0 and "--max-games" not in capsys.readouterr().out
    assert run_until("", None, left=0)[0] == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--max-games 20,000" in said and "--out" in said


def version(run: str, number: int, training_flops: float) -> Player:
    return Player(f"{run}@{number}?sims=0", None, f"{run}{number}", 1.0, training_flops)


def test_runs_without_common_training_are_reported_before_they_play() -> None:
    short = [version("runs/short", 1, 1e9), version("runs/short", 2, 1e10)]
    long = [version("runs/long", 1, 1e11), version("runs/long", 2, 1e12)]
    said = rating.without_common_training([*long, *short, Player("random", None)])
    assert said.startswith("runs/short ends at 10^10.00") and "runs/long begins at 10^11.00" in said
    assert not rating.without_common_training([*long, version("runs/short", 3, 2e11)])
    assert not rating.without_common_training(long)
