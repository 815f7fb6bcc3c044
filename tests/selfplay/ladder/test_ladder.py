"""The ladder: the same table however it was cut, killed or parallelised; every game kept once."""

from __future__ import annotations

import csv
import io
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sgfmill import sgf

import games
from selfplay.ladder import match, tables
from selfplay.ladder.config import LadderConfig
from selfplay.ladder.ladder import Ladder
from selfplay.ladder.match import Played
from selfplay.model.flops import Ledger
from selfplay.players import specs
from selfplay.players.specs import Player
from selfplay.runs.codec import mutable_fields
from selfplay.runs.run import Run
from selfplay.training.trainer import Trainer
from tests.selfplay.players import quirky_engine
from tests.selfplay.serve.thinkers import untrained
from tests.small_runs import PLAIN, ROOT, ask

NAME = "tic_tac_toe"
GAME = games.make(NAME)
SPECS = ("solver", "random", "rollouts?sims=4", "solver?blunder=0.7", "solver?blunder=0.4")
CONFIG = LadderConfig(opening_plies=2, pairs=4, pairings=4)
GAMES = 160


def players(names: tuple[str, ...] = SPECS) -> list[Player]:
    return [specs.parse(spec, GAME) for spec in names]


def ladder(path: Path, names: tuple[str, ...] = SPECS, config: LadderConfig = CONFIG) -> Ladder:
    return Ladder(path, GAME, NAME, players(names), "solver", config)


def climbed(path: Path, workers: int = 1) -> tuple[str, list[Any]]:
    with ladder(path) as made:
        standing = made.climb(1.0, GAMES, workers)
        return tables.to_csv(standing), made.records.games()


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Any]]:
    return climbed(tmp_path_factory.mktemp("unbroken") / "ladder.db")


def test_the_table_is_complete(unbroken: tuple[str, list[Any]]) -> None:
    table, recorded = unbroken
    rows = list(csv.DictReader(io.StringIO(table)))
    assert sorted(row["player"] for row in rows) == sorted(SPECS)
    assert [float(row["elo"]) for row in rows] == sorted(float(r["elo"]) for r in rows)[::-1]
    assert sum(int(row["games"]) for row in rows) == 2 * len(recorded)
    assert len(recorded) >= GAMES
    solver = next(row for row in rows if row["player"] == "solver")
    assert float(solver["elo"]) == float(solver["stderr"]) == 0
    assert rows[-1]["player"] == "random"


def test_workers_change_nothing(tmp_path: Path, unbroken: tuple[str, list[Any]]) -> None:
    assert climbed(tmp_path / "ladder.db", workers=3) == unbroken


def test_a_broken_ladder_goes_on(tmp_path: Path, unbroken: tuple[str, list[Any]]) -> None:
    """Cut after every few pairings, in the middle of rounds."""

    class Cut(Exception):
        pass

    path, cuts = tmp_path / "ladder.db", 0
    while True:
        left = [3]

        def count(*_: Any, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise Cut

        try:
            with ladder(path) as made:
                made.climb(1.0, GAMES, 1, report=count)
                break
        except Cut:
            cuts += 1
    assert cuts > 3
    assert climbed(path) == unbroken


@pytest.mark.slow
def test_a_killed_command_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle of a match; the table is that of a command that was left alone."""

    def command(folder: Path) -> list[str]:
        options = "--game tic_tac_toe --opening-plies 2 --pairs 4 --pairings 3 --max-games 200"
        names = ["--players", "random", "solver?blunder=0.7", "solver?blunder=0.4"]
        script = [sys.executable, str(ROOT / "launch/ladder.py"), *options.split(), "--plain"]
        return [*script, "--until-stderr", "1", *names, "--out", str(folder)]

    subprocess.run(command(tmp_path / "whole"), check=True, capture_output=True)
    process = subprocess.Popen(command(tmp_path / "cut"), stdout=subprocess.DEVNULL)
    while process.poll() is None and recorded(tmp_path / "cut" / "ladder.db") < 8:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert recorded(tmp_path / "cut" / "ladder.db") < 200
    subprocess.run(command(tmp_path / "cut"), check=True, capture_output=True)
    for name in ("ladder.csv", "ladder.md"):
        assert (tmp_path / "cut" / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert (tmp_path / "cut" / "ladder.png").stat().st_size > 10_000
    assert recorded(tmp_path / "cut" / "ladder.db") == recorded(tmp_path / "whole" / "ladder.db")


@pytest.mark.slow
def test_a_terminated_command_writes_its_table(tmp_path: Path) -> None:
    options = "--game tic_tac_toe --opening-plies 2 --pairs 4 --until-stderr 1 --plain"
    script = [sys.executable, str(ROOT / "launch/ladder.py"), *options.split()]
    process = subprocess.Popen([*script, "--players", "random", "--out", str(tmp_path)])
    while process.poll() is None and recorded(tmp_path / "ladder.db") < 16:
        time.sleep(0.005)
    process.terminate()
    assert process.wait() == 130
    assert {"ladder.csv", "ladder.md", "ladder.png"} <= {path.name for path in tmp_path.iterdir()}


def stored(folder: Path, versions: int) -> None:
    """A run whose versions are as their seeds have drawn them."""
    with Run.create_or_open(
        folder, PLAIN, window=PLAIN.replay, mutable=mutable_fields(type(PLAIN))
    ) as run:
        for version in range(versions):
            state, _ = Trainer.build(replace(PLAIN, seed=version)).start()
            spent = asdict(Ledger(selfplay=1_000_000 * version))
            row = {"ledger": spent}
            run.commit(version, state, row, state["playing"], carries=[], ledger=spent)


def test_the_command_rates_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    stored(run, 3)
    options = "--sims 0 4 --players random --opening-plies 2 --pairs 4 --max-games 60"
    script = [sys.executable, str(ROOT / "launch/ladder.py"), str(run), *options.split()]
    subprocess.run([*script, "--until-stderr", "1", "--plain"], check=True, capture_output=True)
    with (run / "ladder" / "ladder.csv").open() as file:
        rated = {row["player"]: float(row["training_flops"]) for row in csv.DictReader(file)}
    versions = [f"{run}@{version}?sims={budget}" for version in (1, 2) for budget in (0, 4)]
    assert set(rated) == {"solver", "random", *versions}
    assert 0 < rated[versions[0]] == rated[versions[1]] < rated[versions[2]]


def recorded(path: Path) -> int:
    """Games in the file; 0 while there is none."""
    try:
        base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        count = base.execute("SELECT count(*) FROM games").fetchone()[0]
        base.close()
    except sqlite3.Error:
        return 0
    return count


def test_a_sure_ladder_stops(tmp_path: Path) -> None:
    with ladder(tmp_path / "ladder.db", ("solver", "solver?blunder=0.4")) as made:
        standing = made.climb(60.0, 100_000)
        assert standing.worst < 60
        played = len(standing.games.first)
        assert 0 < played < 4000
        assert len(made.climb(60.0, 100_000).games.first) == played, "nothing more to learn"


def test_players_may_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    with ladder(path, ("solver", "random")) as made:
        before = made.climb(1.0, 40)
    with ladder(path, ("solver", "solver?blunder=0.7")) as made:
        after = made.climb(1.0, 120)
    assert [entry.spec for entry in after.entries] == ["solver", "random", "solver?blunder=0.7"]
    games = after.games
    against_random = (games.first == 1) | (games.second == 1)
    assert against_random.sum() == len(before.games.first), "who is away does not play"


def test_another_player_of_the_same_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    act = specs.parse("random", GAME).act
    first = [specs.parse("solver", GAME), Player("runs/a@1?sims=0", act, digest="one")]
    Ladder(path, GAME, NAME, first, "solver", CONFIG).records.close()
    second = [first[0], Player("runs/a@1?sims=0", act, digest="two")]
    with pytest.raises(ValueError, match="its parameters were one, now they are two"):
        Ladder(path, GAME, NAME, second, "solver", CONFIG)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    ladder(path).records.close()
    with pytest.raises(ValueError, match="made with opening plies 2, not 3"):
        ladder(path, config=LadderConfig(opening_plies=3))
    (tmp_path / "text.db").write_text("this is no database, whatever its name may say " * 30)
    with pytest.raises(ValueError, match=r"text\.db cannot be read as a ladder"):
        ladder(tmp_path / "text.db")


def test_an_unfinished_round_goes_on_without_who_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "ladder.db"
    with ladder(path) as made:
        with pytest.raises(KeyboardInterrupt):
            made.climb(1.0, GAMES, report=interrupt)
        assert made.records.games() and not len(made.standing().games.first), "whole rounds count"
    said: list[str] = []
    with ladder(path, ("solver", "random")) as made:
        kept = {(g.round, g.slot, g.first, g.opening_index) for g in made.records.games()}
        made.climb(1.0, GAMES, announce=said.append)
        after = {(g.round, g.slot, g.first, g.opening_index) for g in made.records.games()}
    assert len(said) == 1 and "was not finished and goes on without" in said[0]
    assert "blunder" in said[0] and kept < after, "nothing computed is lost"


def test_a_match_in_play_is_kept_when_the_ladder_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C after the first match: the second one, already begun, is kept as well."""
    path = tmp_path / "ladder.db"
    with ladder(path) as made:
        with pytest.raises(KeyboardInterrupt):
            made.climb(1.0, GAMES, workers=4, report=interrupt)
        kept = len(made.records.games())
    assert kept > 2 * CONFIG.pairs and kept % (2 * CONFIG.pairs) == 0


def test_a_repeated_game_counts_once(tmp_path: Path) -> None:
    """Two networks that play without noise from one opening have two games, however many play."""
    made = [specs.of_version(untrained(NAME, seed), 0) for seed in (0, 1)]
    made = [replace(one, spec=f"{one.spec}&{i}") for i, one in enumerate(made)]
    path, anchor = tmp_path / "ladder.db", made[0].spec
    with Ladder(path, GAME, NAME, made, anchor, CONFIG, [(4,)]) as few:
        standing = few.climb(1.0, 1000)
        recorded = len(standing.recorded)
    assert len(standing.games.first) == 2, "the two colours"
    assert recorded <= 4 * CONFIG.pairs, "and then no more is played"
    assert "2 of them distinct" in tables.caption(standing)
    assert standing.worst > 200, "two games teach little"


def one_sided(monkeypatch: pytest.MonkeyPatch, strength: dict[str, int], spoiled: int = 0) -> None:
    """Let the stronger player win all openings but the first `spoiled`; equals win in turn."""

    def play(a: Player, b: Player, _: Any, starts: Any, seed: int, first: int, *__: Any) -> Any:
        ahead = strength[a.spec] - strength[b.spec]
        made = []
        for index, opening in enumerate(starts, start=first):
            outcome = (1 if index % 2 else -1) if ahead == 0 else 1 if ahead > 0 else -1
            outcome *= -1 if index < spoiled else 1
            made += [
                Played(index, swapped, opening, (index,), -outcome if swapped else outcome, "")
                for swapped in (False, True)
            ]
        return made

    monkeypatch.setattr(match, "play", play)


def climbed_apart(path: Path, names: tuple[str, ...], budget: int) -> tuple[Any, list[str]]:
    """The standing, and what is announced, of players that need no rules."""
    act, said = specs.parse("random", GAME).act, list[str]()
    everyone = [Player(spec, act) for spec in names]
    with Ladder(path, GAME, NAME, everyone, names[0], replace(CONFIG, pairs=10), [(4,)]) as made:
        return made.climb(25.0, budget, announce=said.append), said


def test_a_pair_too_far_apart_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_sided(monkeypatch, {"solver": 1, "random": 0})
    standing, said = climbed_apart(tmp_path / "ladder.db", ("solver", "random"), 20_000)
    assert 100 <= len(standing.recorded) < 400, "not to the budget"
    assert len(said) == 1 and said[0].startswith("solver and random are too far apart")
    assert said[0].endswith("would help: solver?blunder=0.5")
    assert f"100% of {len(standing.recorded)} games" in said[0]
    again, repeated = climbed_apart(tmp_path / "ladder.db", ("solver", "random"), 20_000)
    assert len(again.recorded) == len(standing.recorded) and repeated == said


def test_a_pair_with_losses_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_sided(monkeypatch, {"solver": 1, "random": 0}, spoiled=20)
    standing, said = climbed_apart(tmp_path / "ladder.db", ("solver", "random"), 600)
    assert len(standing.recorded) == 600 and not said


def test_players_far_from_the_anchor_are_compared_with_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_sided(monkeypatch, {"solver": 2, "a": 1, "b": 1})
    standing, said = climbed_apart(tmp_path / "ladder.db", ("solver", "a", "b"), 20_000)
    assert standing.ratings.difference(1, 2)[1] < 25 < standing.ratings.stderr[1]
    assert len(said) == 1 and len(standing.recorded) < 2_000


def test_a_part_that_is_apart_can_have_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("solver", "runs/a@9?sims=16", "random")
    one_sided(monkeypatch, dict(zip(names, (2, 1, 0), strict=True)))
    _, said = climbed_apart(tmp_path / "ladder.db", names, 20_000)
    assert [text.rpartition("help: ")[2] for text in said] == [
        "solver?blunder=0.5",
        "runs/a@9?sims=4",
    ]


def test_an_engine_that_cannot_be_understood_is_refused_before_any_game(tmp_path: Path) -> None:
    go = games.make("go?size=9")
    quirky = shlex.join([sys.executable, "-ISu", quirky_engine.__file__, "komi refused"])
    both = [specs.parse("random", go), specs.parse(f"gtp:{quirky}", go)]
    with Ladder(tmp_path / "ladder.db", go, "go?size=9", both, "random", CONFIG, [(0,)]) as made:
        with pytest.raises(ValueError, match="cannot be rated: it refused 'komi 7") as refusal:
            made.climb(1.0, 40)
        assert quirky in str(refusal.value) and not made.records.pairings()


def test_two_ladders_at_once_are_refused(tmp_path: Path) -> None:
    with ladder(tmp_path / "ladder.db"), pytest.raises(ValueError, match="by another process"):
        ladder(tmp_path / "ladder.db")


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("twice", [("solver", "random", "random"), ("random",)])
def test_who_plays_is_checked(tmp_path: Path, twice: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"is named twice|the anchor 'solver' is not among"):
        ladder(tmp_path / "ladder.db", twice)


def test_sgf_holds_every_game(tmp_path: Path) -> None:
    go = games.make("go?size=3")
    one = specs.parse("random", go)
    both = [one, replace(one, spec="another")]
    starts = [(0, 8), (9, 4)]
    path = tmp_path / "ladder.db"
    with Ladder(path, go, "go?size=3", both, "random", LadderConfig(pairs=2), starts) as made:
        made.climb(1.0, 4)
        text = tables.to_sgf(go, made.records.players(), made.records.games()).decode()
        recorded_games = made.records.games()
    parsed = [sgf.Sgf_game.from_string(line) for line in text.split("\n(") if line.startswith("(")]
    parsed += [sgf.Sgf_game.from_string("(" + part) for part in text.split("\n(")[1:]]
    assert len(parsed) == len(recorded_games) == 4
    for tree, game in zip(parsed, recorded_games, strict=True):
        moves = [node.get_move() for node in tree.get_main_sequence()[1:]]
        assert len(moves) == len(game.opening + game.moves)
        for (_, point), action in zip(moves, game.opening + game.moves, strict=True):
            assert action == (9 if point is None else (2 - point[0]) * 3 + point[1])
        assert tree.get_winner() == {1: "b", -1: "w"}[game.outcome or 0]


def test_the_plot_has_a_line_for_each_budget(tmp_path: Path) -> None:
    versions = [
        replace(one, spec=f"runs/a@{number}?sims={budget}", training_flops=10.0**number)
        for number, budget, one in zip((1, 2, 1, 2), (0, 0, 4, 4), players()[1:], strict=True)
    ]
    everyone = [*players(("solver",)), *versions]
    with Ladder(tmp_path / "ladder.db", GAME, NAME, everyone, "solver", CONFIG) as made:
        standing = made.climb(1.0, 40)
    figure = tables.plot(standing, "a title")
    figure.savefig(tmp_path / "plot.png")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log" and [t.get_text() for t in axes.texts] == ["solver"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["raw network", "4 simulations"]
    assert figure.legends[0].get_title().get_text() == "a"
    elo = {e.spec: r for e, r in zip(standing.entries, standing.ratings.elo, strict=True)}
    drawn = [line.get_ydata() for line in axes.lines if len(line.get_xdata()) == 2]
    wanted = [elo["runs/a@1?sims=0"], elo["runs/a@2?sims=0"]]
    assert any(np.allclose(line, wanted) for line in drawn)


def test_long_names_are_shortened_for_the_plot() -> None:
    engine = "gtp:/usr/games/gnugo --mode gtp --chinese-rules --never-resign --level 10"
    assert tables.shortened(engine) == "gnugo … --never-resign --level 10"
    assert tables.shortened(engine, 20) == "gnugo … --level 10"
    assert tables.shortened("gtp:gnugo --level 1") == "gnugo --level 1"
    assert tables.shortened("random") == "random"
    assert tables.shortened("studies/run/imitation (sims=64)", 20) == "…imitation (sims=64)"


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_can_be_read(unbroken: tuple[str, list[Any]], tmp_path: Path, width: int) -> None:
    """Names stand whole, in any terminal, whatever they hold."""
    odd = replace(players(("random",))[0], spec="runs/[red]very_long_name_of_a_run@128?sims=64")
    with ladder(tmp_path / "ladder.db") as made:
        made.records.enter([odd])
        standing = made.climb(1.0, 40)
    entries = [replace(e, spec=odd.spec) if e.spec == "random" else e for e in standing.entries]
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(tables.table(standing._replace(entries=entries), "[/odd] title", width))
    said = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert odd.spec in said and "[/odd] title" in said and "of them distinct" in said
    assert max(map(len, said.splitlines())) <= width


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("runs/none", "runs/none is no run folder"),
        ("--game tic_tac_toe", "a ladder takes two players"),
        ("--game tic_tac_toe --players random --versions 0", "--versions must be above 0, got 0"),
        ("--game tic_tac_toe --players random --timeout-s -1", "--timeout-s must be above 0"),
        (
            "--game tic_tac_toe --players random --openings /no/such",
            "read: /no/such: it does not exist",
        ),
        ("--game tic_tac_toe --players random --sgf", "tic_tac_toe have no SGF"),
        ("--game tic_tac_toe --players random --sims -1", "got -1"),
        ("--game tic_tac_toe --players random --out /proc/none", "/proc/none/ladder.db cannot be"),
    ],
)
def test_bad_input_is_one_sentence(options: str, sentence: str) -> None:
    assert sentence in answers()[options]


@cache
def answers() -> dict[str, str]:
    """What the command says to all of them, asked in one process."""
    marks: Any = test_bad_input_is_one_sentence
    questions = [options for options, _ in marks.pytestmark[0].args[1]]
    found = ask("launch.ladder", [options.split() for options in questions])
    assert all(status == 2 for status, _ in found), found
    return dict(zip(questions, (said for _, said in found), strict=True))
