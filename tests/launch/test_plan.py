"""What a study shows: its plan at 80 columns, and how long the rest may take."""

import io
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.plans import bounds
from launch import cli
from launch.plan import Plan, Planned, Watch, fitted, show, waiting
from selfplay.command_line import USER_FOLDER, near
from selfplay.runs.metrics import MetricsLog
from selfplay.study import grid
from selfplay.study.folder import Study
from selfplay.study.forecast import SPREAD, LadderSize
from selfplay.study.grid import Arm, Axis
from selfplay.study.jobs import Job, JobResult
from selfplay.study.timing import StartCost
from tests.small_runs import PLAIN


def plan(arms: tuple[Arm, ...], seeds: int, seconds: float = 60.0, failure: str = "") -> Plan:
    runs = [
        Planned(cell, PLAIN, 1e12, None if failure else seconds, StartCost(seconds, 6.0), False)
        for cell in grid.run_specs(arms, seeds)
    ]
    size = LadderSize(135, (0, 64), 20_224, 512)
    rating = () if failure else ((size, StartCost(200.0, 20.0)),)
    return Plan(tuple(runs), 2, rating, failure)


AXES = Axis.parse("network.width=4,16"), Axis.parse("search.num-simulations=2,32")
GRID = (Arm("hex_3", (), AXES),)
SCALING = tuple(
    Arm(f"hex_{n}", (), (Axis.parse("network.width=4,64"), Axis.parse("network.depth=1,3")))
    for n in (3, 4, 5)
)
NAMED = tuple(Arm("connect_four", (), name=name) for name in ("preset", "no symmetries"))


def shown(plan: Plan) -> list[str]:
    text = io.StringIO()
    show(plan, Console(file=text, width=80, soft_wrap=True, highlight=False))
    return [line.rstrip() for line in text.getvalue().splitlines()]


@pytest.mark.parametrize("arms", [GRID, SCALING, NAMED, (Arm("hex_3"),)])
def test_plan_fits_80_columns_and_cuts_no_value(arms: tuple[Arm, ...]) -> None:
    one = plan(arms, 3)
    lines = shown(one)
    assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)
    labels = len({run.cell.label for run in one.runs})
    rows = [line.split() for line in lines[1 : 1 + labels]]
    assert all(row[-7:] == ["10^12.0", "60", "s", "6", "0", "of", "3"] for row in rows)
    values = [[value for _, value in run.cell.settings] for run in one.runs[:labels]]
    for line, row in zip(lines[1:], values, strict=False):
        assert all(value in line.split() for value in row)


def test_plan_counts_training_compiling_and_rating() -> None:
    one = plan(GRID, 2)
    assert one.parts() == {"training": 240.0, "compiling": 24.0 + 20.0, "rating": 200.0}
    assert [line.split()[0] for line in shown(one)[5:8]] == ["training", "compiling", "rating"]
    total = sum(one.parts().values())
    low, high = total / 1.34 / 60, total * 1.34 / 60
    assert shown(one)[-1].endswith(f"; {low:.0f} to {high:.0f} min left")


def test_plan_without_an_estimate_says_why() -> None:
    assert shown(plan(GRID, 1, failure="no device is free"))[-1].endswith(
        "no estimate of time: no device is free"
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("launch.plan.time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
def test_remaining_time_follows_the_measured_pace(
    tmp_path: Path, clock: list[float], pace: float
) -> None:
    """Two runs at a time: after the first of 24, 22 and most of one are left, not 23 in a row."""
    one = replace(plan(SCALING, 2, 594.0), rating=())
    watch = Watch(Study(tmp_path, ()), one, Console(file=io.StringIO()))
    names = [run.cell.name for run in one.runs]
    took, ended = 600.0 * pace, 0
    while ended < 20:
        for name in names[ended : ended + 2]:
            watch.started(Job(name, (), tmp_path))
        clock[0] += took
        for name in names[ended : ended + 2]:
            watch.ended(JobResult(name, 0, took))
        ended += 2
        low, high = bounds(watch.left().removesuffix(" left"))
        truth = took * (24 - ended) / 2
        if ended >= 6 or pace == 1.0:
            assert low < truth < high, (ended, low, truth, high)
        assert high <= 2 * low


def test_remaining_time_without_a_plan_comes_from_the_first_run(
    tmp_path: Path, clock: list[float]
) -> None:
    one = plan(GRID, 1, failure="it failed")
    watch = Watch(Study(tmp_path, ()), one, Console(file=io.StringIO()))
    assert watch.left() == ""
    watch.ended(JobResult(one.runs[0].cell.name, 0, 100.0))
    assert watch.left() != ""


def test_each_end_of_a_run_prints_a_line(tmp_path: Path, clock: list[float]) -> None:
    text = io.StringIO()
    one = plan(GRID, 1)
    watch = Watch(Study(tmp_path, ()), one, Console(file=text, soft_wrap=True, highlight=False))
    first, second = (run.cell.name for run in one.runs[:2])
    watch.started(Job(second, (), tmp_path))
    watch.ended(JobResult(first, 0, 45.0))
    assert second in watch._line().plain and watch._line().plain.startswith("1 of 4 runs done; ")
    assert len(watch._line().plain) < 80
    watch.ended(JobResult(second, 1, 45.0, "alarm", 2))
    lines = text.getvalue().splitlines()
    assert lines[0].startswith(f"1 of 4  {first}  45 s, ") and lines[0].endswith(" left")
    assert f"2 of 4  {second}  failed with status 1 after 45 s, 2 tries: alarm" in lines[1]


def drawn(screen: io.StringIO) -> list[str]:
    """Every drawing of a line that changes, without colors."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def terminal(width: int = 80) -> tuple[io.StringIO, Console]:
    screen = io.StringIO()
    variables = {"TERM": "xterm"}
    return screen, Console(
        file=screen, force_terminal=True, width=width, height=24, _environ=variables
    )


AXES_3 = Axis.parse("learner.learning-rate=0.0003,0.001"), *AXES


@pytest.mark.parametrize(
    ("axes", "jobs", "width", "running"),
    [
        (
            AXES,
            2,
            120,
            "width-4_num-simulations-2_seed-0 5/6, width-4_num-simulations-32_seed-0 0/6",
        ),
        (AXES, 2, 80, "w-4_n-s-2_s-0 5/6, w-4_n-s-32_s-0 0/6"),
        (AXES_3, 2, 80, "l-r-0.0003_w-4_n-s-2_s-0 5/6 and 1 more"),
        (AXES_3, 2, 60, "2 running"),
        (AXES_3, 16, 80, "16 running"),
        (AXES_3, 16, 60, ""),
    ],
)
def test_line_of_running_runs_cuts_no_number(
    tmp_path: Path,
    clock: list[float],
    axes: tuple[Axis, ...],
    jobs: int,
    width: int,
    running: str,
) -> None:
    screen, console = terminal(width)
    one = replace(plan((Arm("hex_3", (), axes),), 4, 12345.0), slots=jobs)
    study = Study(tmp_path, ())
    log = MetricsLog(study.run_folder(one.runs[0].cell))
    log.append({"iteration": 5})
    with Watch(study, one, console) as watch:
        for run in one.runs[:jobs]:
            watch.started(Job(run.cell.name, (), tmp_path))
        watch._live.refresh()
        lines = drawn(screen)
    parts = [f"0 of {len(one.runs)} runs done", watch.left(), running]
    assert lines[-1] == "; ".join(part for part in parts if part)
    assert max(map(len, lines)) < width


def test_fitted_shortens_names_evenly_and_as_little_as_needed() -> None:
    running = [("width-128_num-simulations-32", "3/40"), ("width-4_norm-rms", "12/40")]
    assert fitted(running, 80) == "width-128_num-simulations-32 3/40, width-4_norm-rms 12/40"
    assert fitted(running, 46) == "wid-128_num-sim-32 3/40, wid-4_nor-rms 12/40"
    assert fitted(running, 36) == "w-128_n-s-32 3/40, w-4_n-r 12/40"
    assert fitted(running, 31) == "wi-128_nu-si-32 3/40 and 1 more"
    assert fitted(running, 12) == "2 running" and fitted(running, 5) == ""
    assert fitted([], 80) == ""


def test_damaged_or_long_metrics_do_not_stop_the_view(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = plan(GRID, 1)
    watch = Watch(Study(tmp_path, ()), one, Console(file=io.StringIO(), width=200))
    answers: list[int | Exception] = [3, ValueError("a damaged line"), OSError(5, "broken"), 4]

    def last_iteration(_: Study, run: object) -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(Study, "last_iteration", last_iteration)
    watch.started(Job(one.runs[0].cell.name, (), tmp_path))
    seen = []
    for _ in range(8):
        seen.append(watch._line().plain.rpartition(" ")[2])
        clock[0] += 5.0  # the line is drawn more often than the metrics are read
    assert seen == ["3/6", "3/6", "3/6", "3/6", "3/6", "3/6", "4/6", "4/6"] and not answers


def test_waiting_shows_a_clock(clock: list[float]) -> None:
    screen, console = terminal()
    with waiting("timing a little", console):
        assert drawn(screen)[-1] == "0:00  timing a little"
        clock[0] += 75
        deadline = time.perf_counter() + 20
        while drawn(screen)[-1] != "1:15  timing a little" and time.perf_counter() < deadline:
            time.sleep(0.05)  # it is drawn while others work
        assert drawn(screen)[-1] == "1:15  timing a little"
    for variables in ({}, {"TERM": "dumb"}):
        plain = io.StringIO()
        console = Console(file=plain, force_terminal=bool(variables), _environ=variables)
        with waiting("timing a little", console):
            assert plain.getvalue() == "timing a little\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0.2, "0 s"), (45, "45 s"), (119.4, "119 s"), (119.6, "2 min"), (725, "12 min")],
        *[(3599, "1 h 00 min"), (3900, "1 h 05 min"), (97_000, "27 h")],
    ],
)
def test_duration_has_one_form(seconds: float, text: str) -> None:
    assert cli.duration(seconds) == text


def test_time_range_names_a_shared_unit_once() -> None:
    assert cli.time_range(480, 840) == "8 to 14 min"
    assert cli.time_range(45, 80) == "45 to 80 s"
    assert cli.time_range(91.4, 164) == "91 to 160 s"
    assert cli.time_range(187, 336) == "190 to 340 s"
    assert cli.time_range(250, 450) == "4 to 8 min"
    assert cli.time_range(3000, 5000) == "50 min to 1 h 23 min"
    assert cli.time_range(50_000, 90_000) == "14 to 25 h"
    assert cli.time_range(3900, 7000) == "1 h 05 min to 1 h 57 min"
    assert cli.time_range(4500, 8100) == "1 h 15 min to 2 h 15 min"
    assert cli.time_range(700, 705) == "12 min"


def test_time_range_stays_narrow_when_rounded() -> None:
    for center in np.geomspace(5, 1e6, 400):
        low, high = bounds(cli.time_range(center / SPREAD, center * SPREAD))
        assert low < high <= 2 * low
        assert low * 0.85 < center / SPREAD < low * 1.25


def test_near_is_relative_to_the_folder_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "studies" / "a b"
    monkeypatch.chdir(tmp_path)
    assert near(study) == near("studies/a b") == os.path.join("studies", "a b")
    monkeypatch.chdir(tmp_path / "..")
    assert near(study) == os.path.join(tmp_path.name, "studies", "a b")
    study.mkdir(parents=True)
    monkeypatch.chdir(study)  # as the ladder of a study
    monkeypatch.setenv(USER_FOLDER, str(tmp_path))
    assert near("ladder/hex") == os.path.join("studies", "a b", "ladder", "hex")
