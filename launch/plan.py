"""The view of launch/ablate.py: the plan of a study, and the progress of its runs."""

import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from launch import cli
from launch.progress import clock
from selfplay.runs.files import CorruptedFile
from selfplay.study import grid, jobs
from selfplay.study.folder import Study
from selfplay.study.forecast import SPREAD, LadderSize, makespan
from selfplay.study.grid import Axis, RunSpec
from selfplay.study.timing import StartCost
from selfplay.style.powers_of_ten import power_of_ten
from selfplay.training.config import TrainConfig

REREAD_S = 10.0  # seconds until the metrics of a run are read again


class Planned(NamedTuple):
    """A run of the plan.

    Attributes:
        cell: which run.
        config: its config.
        flops: FLOPs of the whole run.
        whole: seconds of the whole run with its programs compiled; None: it could not be timed.
        left: seconds of the remaining iterations, and of compiling for them.
        finished: True = nothing remains to be done.
    """

    cell: RunSpec
    config: TrainConfig
    flops: float
    whole: float | None
    left: StartCost
    finished: bool


@dataclass(frozen=True)
class Plan:
    """The work of a study, and how long each part may take.

    Attributes:
        runs: all runs, finished ones included.
        slots: how many train at a time.
        rating: seconds of the ladders, each with its size; empty if they could not be timed.
        failure: why there is no estimate of time; "" if there is one.
        elsewhere: True = runs train on other machines than the one that was timed.
    """

    runs: tuple[Planned, ...]
    slots: int
    rating: tuple[tuple[LadderSize, StartCost], ...] = ()
    failure: str = ""
    elsewhere: bool = False

    def parts(self) -> dict[str, float]:
        """Returns the seconds of training, compiling and rating that remain."""
        warm = makespan([run.left.seconds for run in self.runs], self.slots)
        cold_runs = [run.left.seconds + run.left.compiling for run in self.runs]
        cold = makespan(cold_runs, self.slots)
        compiling = cold - warm + sum(phase.compiling for _, phase in self.rating)
        rating = sum(phase.seconds for _, phase in self.rating)
        return {"training": warm, "compiling": compiling, "rating": rating}

    @property
    def rating_seconds(self) -> float:
        """Returns the seconds of all ladders, compiling included."""
        return sum(phase.seconds + phase.compiling for _, phase in self.rating)


def show(plan: Plan, console: Console) -> None:
    """Prints the combinations with their cost, and how long the remaining work may take."""
    groups: dict[str, list[Planned]] = {}
    for run in plan.runs:
        groups.setdefault(run.cell.label, []).append(run)
    axes = list(dict.fromkeys(field for run in plan.runs for field, _ in run.cell.settings))
    several = len({run.cell.arm for run in plan.runs}) > 1 or not axes
    table = Table(box=None, padding=(0, 2, 0, 0))
    names = [grid.short_name([Axis(f, ()) for f in axes], f) for f in axes]
    for title in (*(["runs"] if several else []), *names):
        table.add_column(title, justify="left" if title == "runs" else "right", overflow="fold")
    for title in ("seeds", "FLOPs each", "time each", "iterations", "done"):
        table.add_column(title, justify="right", no_wrap=True)
    for group in groups.values():
        first, done = group[0], sum(run.finished for run in group)
        settings = dict(first.cell.settings)
        row = [first.cell.arm] if several else []
        row += [settings.get(f, "") for f in axes] + [str(len(group)), power_of_ten(first.flops)]
        row.append("?" if first.whole is None else cli.duration(first.whole))
        table.add_row(*row, str(first.config.iterations), f"{done} of {len(group)}")
    console.print(table)
    count = f"{len(plan.runs)} {'run' if len(plan.runs) == 1 else 'runs'}"
    total = f"{count}, {power_of_ten(sum(run.flops for run in plan.runs))} FLOPs"
    if plan.failure:
        console.print(f"{total}; no estimate of time: {plan.failure}", markup=False)
        return
    notes = {
        "training": f"{plan.slots} {'run' if plan.slots == 1 else 'runs'} at a time",
        "compiling": "programs that are not cached yet",
        "rating": ", ".join(
            f"{size.players} players, about {size.games:,} games" for size, _ in plan.rating
        ),
    }
    parts = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, seconds in plan.parts().items():
        if seconds:
            parts.add_row(name, _range(seconds), notes[name])
    console.print(parts)
    seconds = sum(plan.parts().values())
    console.print(f"{total}; {_range(seconds)} left" if seconds else f"{total}; all is done")
    if plan.elsewhere:
        console.print("timed on this machine; the cluster's nodes may be faster or slower")
    if any(config.elo.budgets for _, config, *_ in plan.runs):
        console.print("the ratings that runs make along the way are not counted")


@contextmanager
def waiting(words: str, console: Console) -> Iterator[None]:
    """Shows `words` until the block ends: with a clock on a terminal, as one line elsewhere."""
    if not console.is_terminal or console.is_dumb_terminal:
        console.print(words)
        yield
        return
    began = time.monotonic()

    def line() -> Text:
        return _one_line(f"{clock(time.monotonic() - began)}  {words}")

    with Live(console=console, get_renderable=line, refresh_per_second=2, transient=True) as live:
        live.refresh()
        yield


def fitted(running: Sequence[tuple[str, str]], room: int) -> str:
    """Lists runs and their iterations in at most `room` characters, without cutting a number.

    The words in names are shortened to as many letters as fit. Runs that do not fit even then are
    counted; if there is no room for the count, the text is "".
    """
    longest = max((len(name) for name, _ in running), default=0)
    for shown in range(len(running), 0, -1):
        more = f" and {len(running) - shown} more" if shown < len(running) else ""
        for letters in range(longest, 0, -1):
            word = re.compile(rf"([^\W\d_]{{{letters}}})[^\W\d_]+")
            names = ((word.sub(r"\1", name), done) for name, done in running[:shown])
            line = ", ".join(f"{name} {done}" for name, done in names) + more
            if len(line) <= room:
                return line
    line = f"{len(running)} running"
    return line if running and len(line) <= room else ""


def _one_line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _range(seconds: float) -> str:
    return cli.time_range(seconds / SPREAD, seconds * SPREAD)


class Watch:
    """The progress of a study: which runs train, how many are done, how long the rest may take."""

    def __init__(self, study: Study, plan: Plan, console: Console) -> None:
        """Watches the plan's unfinished runs; prints a line to `console` when one ends."""
        self._study, self._plan, self._console = study, plan, console
        self._todo = {run.cell.name: run for run in plan.runs if not run.finished}
        self._count = len(self._todo)
        self._began: dict[str, float] = {}  # of runs that train now, by name: when they started
        self._took = self._expected = 0.0  # seconds of the runs that have ended
        self._read: dict[str, tuple[float, int]] = {}  # when metrics were read; the iteration then
        self._live = Live(
            console=console, get_renderable=self._line, refresh_per_second=1, transient=True
        )

    @property
    def todo(self) -> list[Planned]:
        """Returns the runs that have not ended."""
        return list(self._todo.values())

    def started(self, job: jobs.Job) -> None:
        """Records that a run has started."""
        self._began[job.name] = time.monotonic()

    def ended(self, end: jobs.JobResult) -> None:
        """Records a run's end and prints a line about it."""
        run = self._todo.pop(end.name)
        self._began.pop(end.name, None)
        text = cli.duration(end.seconds)
        if end.status:
            text = f"failed with status {end.status} after {text}, {end.tries} tries"
            text += f": {end.last_line}" if end.last_line else ""
        else:
            self._took += end.seconds
            self._expected += self._work(run)
        rest = f", {self.left()}" if self._todo and self.left() else ""
        done = f"{self._count - len(self._todo)} of {self._count}"
        self._console.print(f"{done}  {end.name}  {text}{rest}", markup=False)

    def left(self) -> str:
        """Returns how long the rest may take, rating included; "" if nothing was measured yet."""
        if self._plan.failure and not self._expected:
            return ""
        todo = dict(self._todo)  # a run may end while the live line is drawn
        rest = [self._work(run) for run in todo.values()]
        # The plan's estimate counts as one run that took exactly as long as estimated.
        trust = 0.0 if self._plan.failure else sum(rest) / max(len(rest), 1)
        pace = (self._took + trust) / ((self._expected + trust) or 1.0)
        waiting = [pace * self._work(run) for name, run in todo.items() if name not in self._began]
        running = []
        for name, began in list(self._began.items()):
            if name in todo:
                expected = pace * self._work(todo[name])
                running.append(max(expected - (time.monotonic() - began), expected / 10))
        training = makespan(waiting, self._plan.slots, running)
        return f"{_range(training + pace * self._plan.rating_seconds)} left"

    def _work(self, run: Planned) -> float:
        """Returns the estimated seconds of a run; 1 for each run if there is no estimate."""
        return run.left.seconds + run.left.compiling if not self._plan.failure else 1.0

    def _line(self) -> Text:
        now = []
        for name in list(self._began):
            if (run := self._todo.get(name)) is not None:
                now.append((name, f"{self._done(run.cell)}/{run.config.iterations}"))
        done = f"{self._count - len(self._todo)} of {self._count} runs done"
        line = "; ".join(text for text in (done, self.left()) if text)
        running = fitted(now, self._console.width - 1 - len(f"{line}; "))
        return _one_line(f"{line}; {running}" if running else line)

    def _done(self, cell: RunSpec) -> int:
        """Returns the iteration that a run had committed a few seconds ago; reading takes time."""
        at, done = self._read.get(cell.name, (-math.inf, 0))
        if time.monotonic() - at >= REREAD_S:
            with suppress(
                ValueError, OSError, CorruptedFile
            ):  # an error would end the drawing thread
                done = max(self._study.last_iteration(cell), 0)
            self._read[cell.name] = time.monotonic(), done
        return done

    def __enter__(self) -> "Watch":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._live.stop()
