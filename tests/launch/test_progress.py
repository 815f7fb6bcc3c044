"""The live view: nothing is cut at any width, it tells the step and its clock, it knows no nan."""

import functools
import io
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

import configs
from launch.progress import Progress, clock
from selfplay.cluster.config import ClusterConfig
from selfplay.ladder.config import EloConfig
from selfplay.learning.config import LearnerConfig
from selfplay.phase import Phase
from selfplay.runs.metrics_row import parse
from selfplay.training.config import TrainConfig
from tests.small_runs import PLAIN

HEADLINE = ("12,345", "1.936", "0.331", "10^12.34", "1:02:03")  # positions/s, losses, FLOPs, time
EXAM, ELO = "0:81.6% 64:86.9%", "48:-320±60"


def connect_four(**changes: Any) -> TrainConfig:
    return replace(configs.get("connect_four"), iterations=100, **changes)


def full() -> TrainConfig:
    """Every column that self-play can have."""
    return connect_four(
        cluster=ClusterConfig(address="10.0.0.1:6379", actors=128),
        elo=EloConfig(budgets=(64,)),
    )


def row(config: TrainConfig, iteration: int = 99, **changes: Any) -> dict[str, Any]:
    """A committed iteration with long numbers, the first one of a resumed run."""
    took = config.selfplay.positions / 12_345
    return {
        "iteration": iteration,
        "steps": 12,
        "learner": {"policy_loss": 1.936, "value_loss": 0.331},
        "selfplay": {"games": 1024, "plies": 23.4, "positions": 15_360},
        "exam": {"sims0": {"kept": 0.816}, "sims64": {"kept": 0.869}},
        "elo": {"version": 48, "sims64": {"elo": -320.0, "low": -380.0, "high": -260.0}},
        "pool": {"actors": 128.0},
        "ledger": {"ooms": 12.34},
        "seconds": {
            "play": took - 0.25,
            "learn": 0.25,
            "exam": 0.0,
            "commit": 0.0,
            "total": 3723.0 + took,
        },
        **changes,
    }


def imitated(config: TrainConfig) -> dict[str, Any]:
    held_out = {"policy_loss": 1.625, "value_loss": 0.812, "top1": 0.375, "top5": 0.875}
    made = {"epoch": 5.25, "held_out": held_out}
    seconds = {"learn": 1.0, "measure": 1.0, "total": 3725.0}
    made = row(config, 105, seconds=seconds, **made)
    return {name: value for name, value in made.items() if name not in ("selfplay", "steps")}


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``terminal(width, height)`` makes the view's console; it returns what is drawn on it."""
    screen = io.StringIO()

    def make(width: int, height: int = 24) -> io.StringIO:
        monkeypatch.setenv("TERM", "xterm")  # a dumb one has no live view
        size = {"width": width, "height": height}
        console = functools.partial(Console, file=screen, force_terminal=True, **size)
        monkeypatch.setattr("launch.progress.Console", console)
        return screen

    yield make


def drawn(screen: io.StringIO) -> list[str]:
    """The last drawing, without colors."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n")
    last = text[text.rindex(" → ") :]
    return last[last.index("\n") :].strip("\n").splitlines()


@pytest.mark.parametrize("width", [200, 120, 80, 60, 40])
@pytest.mark.parametrize("kind", ["plain", "full", "imitation"])
def test_view_cuts_no_value_at_any_width(
    terminal: Any, tmp_path: Path, width: int, kind: str
) -> None:
    config = full() if kind == "full" else connect_four()
    screen = terminal(width)
    made = imitated(config) if kind == "imitation" else row(config)
    with Progress(config, tmp_path) as progress:
        for _ in range(20):
            progress.show(parse(made))
    lines = drawn(screen)
    shown = " ".join(lines)
    assert max(map(len, lines)) <= width and "…" not in shown
    expected = {
        "plain": ("99/100", "1024", "23.4", *HEADLINE, EXAM),
        "full": ("99/100", "1024", "23.4", "128", *HEADLINE, EXAM, ELO),
        "imitation": ("105/160", "5.25/8", *HEADLINE[1:], "1.625", "0.812", "37.5%", "87.5%"),
    }[kind]
    assert [text for text in expected if text not in shown] == []


def test_view_of_80_columns_keeps_the_main_columns_in_the_table(
    terminal: Any, tmp_path: Path
) -> None:
    for config in (connect_four(), full()):
        screen = terminal(80)
        with Progress(config, tmp_path) as progress:
            for iteration in (98, 99):
                progress.show(parse(row(config, iteration)))
        before = next(line for line in drawn(screen) if "98/100" in line)
        assert [text for text in ("1024", *HEADLINE, EXAM) if text not in before] == []


@pytest.mark.parametrize("height", [24, 12, 8])
def test_low_terminal_shows_the_newest_iteration_and_the_phase(
    terminal: Any, tmp_path: Path, height: int
) -> None:
    screen = terminal(80, height)
    with Progress(full(), tmp_path) as progress:
        for iteration in range(70, 100):
            progress.show(parse(row(full(), iteration)))
        progress.enter(Phase("playing", 100))
        lines = drawn(screen)
    assert len(lines) < height
    assert any("99/100" in line for line in lines) and "iteration 100: playing 0:00" in lines[-1]


def test_view_shows_the_phase_and_its_clock(terminal: Any, tmp_path: Path, ticking: Clock) -> None:
    screen = terminal(80)
    with Progress(connect_four(), tmp_path) as progress:
        ticking.now += 3
        progress.enter(Phase("compiling self-play and starting the actors"))
        ticking.now += 72
        expected = "compiling self-play and starting the actors 1:12, 1:15 since the start"
        deadline = time.perf_counter() + 20
        while drawn(screen)[-1] != expected and time.perf_counter() < deadline:
            time.sleep(0.05)  # it is drawn while training works
        assert drawn(screen)[-1] == expected
        progress.enter(Phase("compiling " + "everything " * 20))
        assert (
            drawn(screen)[-1].endswith(" 0:00, 1:15 since the start")
            and len(drawn(screen)[-1]) <= 80
        )
        progress.end("that was it")
    assert "since the start" not in screen.getvalue().rsplit(" → ", 1)[1]


def test_remaining_time_counts_compilation_exams_and_commits(
    tmp_path: Path, ticking: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    config, resumed_at = connect_four(), 500.0
    with Progress(config, tmp_path, plain=True) as progress:
        progress.enter(Phase("compiling self-play"))
        ticking.now += 60
        for iteration in (51, 52):
            progress.enter(Phase("playing", iteration))
            ticking.now += 10  # 4 of training, 6 of exam and commit
            total = resumed_at + 4 * (iteration - 50)
            seconds = {"play": 3.0, "learn": 1.0, "exam": 5.0, "commit": 1.0, "total": total}
            progress.show(parse(row(config, iteration, seconds=seconds)))
    said = capsys.readouterr().out
    assert "compiling self-play …" in said and "playing" not in said
    assert "time 9:30  left 8:10" in said  # 500 + 60 + 10 s; 49 iterations of 10 s
    assert "time 9:40  left 8:00" in said


def test_iteration_without_a_learner_step_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = connect_four()
    idle = {"steps": 0, "learner": {}, "exam": {}}
    cases: Mapping[str, dict[str, Any]] = {
        "none of its games has ended": {"games": 0, "positions": 0},
        "half a batch": {"games": 2, "positions": 31, "plies": 15.5},
    }
    for words, play in cases.items():
        with Progress(config, tmp_path, plain=True) as progress:
            for iteration in (1, 2):
                progress.show(parse(row(config, iteration, **idle, selfplay=play)))
        said = capsys.readouterr().out
        assert "nan" not in said and "policy -  value -" in said
        assert said.count("took no learner step") == 1 and words in said


def test_run_that_never_learns_is_explained_at_start_and_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(PLAIN, learner=LearnerConfig(batch_size=4096, shards=2, replay_ratio=1.0))
    assert config.learner.steps(config.selfplay.positions) == 0
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 6, "steps": 0}\n')
    commit = SimpleNamespace(row=parse({"iteration": 0}))
    run = SimpleNamespace(next_iteration=7, commits=SimpleNamespace(read=lambda _: commit))
    with Progress(config, tmp_path, plain=True) as progress:
        said = capsys.readouterr().out
        assert "no iteration will take a learner step: 192 new positions" in said
        assert "--learner.batch-size" in said
        progress.finished(run)
    assert "version 6 is still version 0" in capsys.readouterr().out


def test_clock_formats_seconds() -> None:
    texts = [clock(seconds) for seconds in (0, 59.9, 61, 3599, 3600, 36_125)]
    assert texts == ["0:00", "0:59", "1:01", "59:59", "1:00:00", "10:02:05"]
