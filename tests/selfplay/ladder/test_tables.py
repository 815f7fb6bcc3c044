"""Tables and plots of a ladder: who is ranked, and that every name can be read."""

from __future__ import annotations

import csv
import io
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from rich.console import Console

from launch import cli, ladder, rating
from launch.ladder_progress import Watcher
from selfplay.ladder import tables
from selfplay.ladder.database import Entry, Game, Pairing
from selfplay.ladder.ladder import LadderState
from selfplay.players.specs import Player
from selfplay.ratings import elo

FLOPS = 10.0 ** np.arange(12, 16)
ENGINE = 'gtp:sh -c "gnugo `x` --level 0 | tee $LOG_$X"'


def standing(specs: list[str], played: int | None = None, training: float = 0.0) -> LadderState:
    """A chain of the first `played` players, four games a pair, the earlier one ahead."""
    count = len(specs) if played is None else played
    entries = [
        Entry(i + 1, spec, "", 0.0, FLOPS[i % len(FLOPS)] if "@" in spec else training)
        for i, spec in enumerate(specs)
    ]
    recorded = [
        Game(1, i, i + 1, i + 2, k, (k,), (k,), (1, 1, -1, 0)[k], "")
        for i in range(count - 1)
        for k in range(4)
    ]
    games = elo.Games(
        np.array([g.first - 1 for g in recorded], int),
        np.array([g.second - 1 for g in recorded], int),
        np.array([g.outcome for g in recorded], int),
        np.arange(len(recorded)),
    )
    return LadderState(
        entries, elo.fit(games, len(specs), 0), games, recorded, list(range(len(specs)))
    )


def shown(table: Any, width: int = 140) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(table)
    return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("width", [80, 140])
def test_a_player_without_a_game_is_not_rated(width: int) -> None:
    made = standing(["solver", "random", "new|comer"], played=2)
    rated = list(csv.DictReader(io.StringIO(tables.to_csv(made))))
    assert [(row["rank"], row["player"]) for row in rated] == [("1", "solver"), ("2", "random")]
    assert tables.unrated(made) == ["new|comer"]
    line = next(s for s in shown(tables.table(made, "", width), width).splitlines() if "new" in s)
    assert "not rated" in line and not line.strip(" │").split()[0].isdigit()
    line = next(s for s in tables.to_markdown(made).splitlines() if "new" in s)
    assert line == r"| | `new\|comer` | not rated | | 0 | | |"


def test_a_ladder_without_a_rated_game_has_empty_tables() -> None:
    made = standing(["solver", "random"], played=0)
    assert tables.to_csv(made).count("\n") == 1 and not tables.rows(made)
    assert tables.to_markdown(made).count("not rated") == 2


def test_a_command_of_any_characters_keeps_the_markdown_table() -> None:
    lines = tables.to_markdown(standing([ENGINE, "random"])).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 4
    assert all(line.replace(r"\|", "").count("|") == 8 for line in table)
    assert r'`` gtp:sh -c "gnugo `x` --level 0 \| tee $LOG_$X" ``' in table[2]


RUNS = ["/tmp/x/runs/a", "/tmp/y/runs/a", "studies/_b", "studies/$c^$"]
VERSIONS = [f"{run}@{v}?sims={sims}" for run in RUNS for sims in (0, 64) for v in (1, 2, 3, 4)]
NEIGHBORS = [f"rollouts?sims={sims}" for sims in range(1, 13)]


@pytest.mark.parametrize(
    "specs",
    [
        ["solver", *VERSIONS, *NEIGHBORS, ENGINE, "random"],
        ["solver", *VERSIONS[:8], *NEIGHBORS],
        ["solver", *(f"runs/{i}/seed@{v}?sims=0" for i in range(12) for v in (1, 2))],
        ["solver", *NEIGHBORS, ENGINE],
    ],
    ids=["runs and budgets", "budgets", "many runs", "no runs"],
)
def test_names_of_a_plot_neither_overlap_nor_hold_paths(specs: list[str]) -> None:
    before = dict(mpl.rcParams)
    figure = tables.plot(standing(specs), "a title")
    figure.draw_without_rendering()
    assert dict(mpl.rcParams) == before, "the user's settings stay"
    (axes,) = figure.axes
    texts = [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        places = zip(axis.get_majorticklabels(), axis.get_majorticklocs(), strict=True)
        texts += [label for label, place in places if low <= place <= high]
    for legend in figure.legends:
        texts += [*legend.get_texts(), legend.get_title()]
    texts = [text for text in texts if text.get_text()]
    boxes = [Text.get_window_extent(text) for text in texts]  # without an annotation's arrow
    for (one, box), (other, another) in combinations(zip(texts, boxes, strict=True), 2):
        assert not box.overlaps(another), (one.get_text(), other.get_text())
    for box in boxes:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
    assert not any("/tmp" in text.get_text() or "studies" in text.get_text() for text in texts)


def test_lines_of_a_plot_differ_and_stand_out() -> None:
    figure = tables.plot(standing(["solver", *VERSIONS, "random"]), "")
    drawn = [line for line in figure.axes[0].lines if line.get_marker() in tables.MARKERS]
    assert len({(line.get_color(), line.get_marker()) for line in drawn}) == 8
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "x/runs/a",
        "y/runs/a",
        " _b",
        r"\$c^\$",
        "raw network",
        "64 simulations",
    ]
    for line in figure.axes[0].lines:
        channels = np.array(to_rgb(line.get_color()))
        linear = np.where(channels > 0.04045, ((channels + 0.055) / 1.055) ** 2.4, channels / 12.92)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 3


def test_a_plot_ignores_a_matplotlibrc() -> None:
    made = standing(["solver", *VERSIONS, "random"])
    plain = tables.to_png(made, "")
    with mpl.rc_context({"savefig.facecolor": "black", "lines.linewidth": 9, "axes.grid": True}):
        assert tables.to_png(made, "") == plain


def test_names_are_spread_and_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    for count, gap in ((1, 0.1), (8, 0.1), (20, 0.05), (5, 0.0), (30, 0.1)):
        wanted = rng.uniform(0, 1, count) ** 3
        places = np.array(tables.spread(wanted.tolist(), gap))
        order = np.argsort(wanted)
        assert (np.diff(places[order]) >= gap - 1e-9).all()
        assert places.min() >= -1e-9 and places.max() <= max(1, gap * (count - 1)) + 1e-9
    assert tables.spread([0.1, 0.9, 0.5], 0.05) == pytest.approx([0.1, 0.9, 0.5])
    assert tables.spread([], 0.1) == []


@pytest.mark.parametrize("players", [3, 60])
def test_the_progress_line_is_always_visible(players: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    console = Console(width=80, height=24, file=out, force_terminal=True, soft_wrap=True)
    made = standing([f"player {i}" for i in range(players)])
    with Watcher("tic_tac_toe", console, plain=False) as watcher:
        assert "0:00" in out.getvalue() and "compiled" in out.getvalue(), "before any game"
        watcher.round(made)
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
def test_a_request_to_end_is_an_interrupt(number: int, signals: dict[int, Any]) -> None:
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
    made, drawn = standing([ANCHOR, "random"]), dict[str, str]()

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
        fake.return_value.climb.side_effect = lambda *_: arrive("play")
        fake.return_value.standing.return_value = made
        fake.return_value.games_left.return_value = left
        monkeypatch.setattr(rating, "Ladder", fake)
        monkeypatch.setattr(rating, "gather", gather)
        monkeypatch.setattr(rating, "compare", lambda *_: None)
        monkeypatch.setattr(tables, "to_png", to_png)
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
def test_a_signal_ends_the_command_with_a_sentence(
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


def test_a_ladder_s_title_holds_no_path(run_until: Any, capsys: pytest.CaptureFixture[str]) -> None:
    status, drawn = run_until("", None)
    assert (status, drawn) == (0, {"ladder.png": "tic_tac_toe, run@4?sims=0 at 0 Elo"})
    assert drawn["ladder.png"] in capsys.readouterr().out


def test_a_full_ladder_says_why_it_plays_no_game(
    run_until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_until("", None)[0] == 0 and "--max-games" not in capsys.readouterr().out
    assert run_until("", None, left=0)[0] == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--max-games 20,000" in said and "--out" in said


def version(run: str, number: int, training_flops: float) -> Player:
    return Player(f"{run}@{number}?sims=0", None, f"{run}{number}", 1.0, training_flops)


def test_runs_without_common_training_are_told_before_they_play() -> None:
    short = [version("runs/short", 1, 1e9), version("runs/short", 2, 1e10)]
    long = [version("runs/long", 1, 1e11), version("runs/long", 2, 1e12)]
    said = rating.without_common_training([*long, *short, Player("random", None)])
    assert said.startswith("runs/short ends at 10^10.00") and "runs/long begins at 10^11.00" in said
    assert not rating.without_common_training([*long, version("runs/short", 3, 2e11)])
    assert not rating.without_common_training(long)
