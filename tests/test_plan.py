"""What a study shows: its plan at 80 columns, and how long the rest may take."""

import io
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks.plans import bounds
from launch import cli
from launch.plan import Plan, Planned, Watch, show
from selfplay.command_line import USER_FOLDER, near
from selfplay.study import grid
from selfplay.study.estimate import SPREAD, LadderSize
from selfplay.study.folder import Study
from selfplay.study.grid import Arm, Axis
from selfplay.study.jobs import Ended, Job
from selfplay.study.timing import StartCost
from tests.runs import PLAIN


def plan(arms: tuple[Arm, ...], seeds: int, seconds: float = 60.0, failure: str = "") -> Plan:
    runs = [
        Planned(cell, PLAIN, 1e12, None if failure else seconds, StartCost(seconds, 6.0), False)
        for cell in grid.cells(arms, seeds)
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
def test_a_plan_fits_80_columns_and_cuts_no_value(arms: tuple[Arm, ...]) -> None:
    one = plan(arms, 3)
    lines = shown(one)
    assert max(map(len, lines)) <= 80 and "…" not in "".join(lines)
    labels = len({run.cell.label for run in one.runs})
    rows = [line.split() for line in lines[1 : 1 + labels]]
    assert all(row[-7:] == ["10^12.0", "60", "s", "6", "0", "of", "3"] for row in rows)
    values = [[value for _, value in run.cell.settings] for run in one.runs[:labels]]
    for line, row in zip(lines[1:], values, strict=False):
        assert all(value in line.split() for value in row)


def test_a_plan_counts_training_compiling_and_rating() -> None:
    one = plan(GRID, 2)
    assert one.parts() == {"training": 240.0, "compiling": 24.0 + 20.0, "rating": 200.0}
    assert [line.split()[0] for line in shown(one)[5:8]] == ["training", "compiling", "rating"]
    total = sum(one.parts().values())
    low, high = total / 1.34 / 60, total * 1.34 / 60
    assert shown(one)[-1].endswith(f"; {low:.0f} to {high:.0f} min left")


def test_a_plan_without_an_estimate_says_why() -> None:
    assert shown(plan(GRID, 1, failure="no device is free"))[-1].endswith(
        "no estimate of time: no device is free"
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("launch.plan.time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("pace", [0.5, 1.0, 3.0])
def test_what_is_left_follows_what_was_measured(
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
            watch.ended(Ended(name, 0, took))
        ended += 2
        low, high = bounds(watch.left().removesuffix(" left"))
        truth = took * (24 - ended) / 2
        if ended >= 6 or pace == 1.0:
            assert low < truth < high, (ended, low, truth, high)
        assert high <= 2 * low


def test_without_a_plan_the_first_end_tells(tmp_path: Path, clock: list[float]) -> None:
    one = plan(GRID, 1, failure="it failed")
    watch = Watch(Study(tmp_path, ()), one, Console(file=io.StringIO()))
    assert watch.left() == ""
    watch.ended(Ended(one.runs[0].cell.name, 0, 100.0))
    assert watch.left() != ""


def test_a_line_at_every_end_and_a_failure_in_words(tmp_path: Path, clock: list[float]) -> None:
    text = io.StringIO()
    one = plan(GRID, 1)
    watch = Watch(Study(tmp_path, ()), one, Console(file=text, soft_wrap=True, highlight=False))
    first, second = (run.cell.name for run in one.runs[:2])
    watch.started(Job(second, (), tmp_path))
    watch.ended(Ended(first, 0, 45.0))
    assert second in watch._line().plain and watch._line().plain.startswith("1 of 4 runs done; ")
    assert len(watch._line().plain) < 80
    watch.ended(Ended(second, 1, 45.0, "alarm", 2))
    lines = text.getvalue().splitlines()
    assert lines[0].startswith(f"1 of 4  {first}  45 s, ") and lines[0].endswith(" left")
    assert f"2 of 4  {second}  failed with status 1 after 45 s, 2 tries: alarm" in lines[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(0.2, "0 s"), (45, "45 s"), (119.4, "119 s"), (119.6, "2 min"), (725, "12 min")],
        *[(3599, "1 h 00 min"), (3900, "1 h 05 min"), (97_000, "27 h")],
    ],
)
def test_a_time_is_written_in_one_way(seconds: float, text: str) -> None:
    assert cli.duration(seconds) == text


def test_a_range_names_its_unit_once() -> None:
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


def test_a_range_stays_narrow_as_it_is_written() -> None:
    for center in np.geomspace(5, 1e6, 400):
        low, high = bounds(cli.time_range(center / SPREAD, center * SPREAD))
        assert low < high <= 2 * low
        assert low * 0.85 < center / SPREAD < low * 1.25


def test_a_path_is_written_from_where_the_user_stands(
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
