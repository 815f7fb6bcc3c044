"""Train a grid of configs with several seeds, and rate everything on one ladder.

    python launch/ablate.py hex_4 --grid network.width=8,32,128 search.num-simulations=2,8,32 \\
        --seeds 3 --out studies/hex_4
    python launch/ablate.py connect_four --grid learner.symmetries=true,false --set iterations=20

The plan stands first, with FLOPs and time; --plan stops there. The same command goes on where it
was stopped, more values or seeds extend the study, and runs that failed are tried again. A run that
fails does not stop the others; logs/RUN.log has what it said.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

import math
import shlex
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, NamedTuple

import tyro
from rich.console import Console
from rich.table import Table

from configs import PRESETS
from configs.studies import STUDIES
from games.spelling import did_you_mean
from launch.train import parse
from selfplay.cluster.config import ClusterConfig
from selfplay.config import TrainConfig
from selfplay.study import estimate, grid, jobs
from selfplay.study.folder import Study
from selfplay.study.grid import Arm, Axis, Cell, Rating

LAUNCH = Path(__file__).resolve().parent
HERE = ("--cluster.actors", "0")  # a job has one core


@dataclass(frozen=True)
class Options:
    """What is varied, and where and how it runs."""

    name: Annotated[str, tyro.conf.Positional]
    """A study of configs/studies.py, or a preset of launch/train.py to make one of."""
    grid: tuple[str, ...] = ()
    """FIELD=VALUE,VALUE,… of the config, around a preset; every combination is trained."""
    set: tuple[str, ...] = ()
    """FIELD=VALUE, the same for all runs."""
    seeds: int = 3
    """Runs of every combination: seeds 0 to N − 1; a part of a named study may have fewer."""
    out: Path | None = None
    """The study's folder; studies/NAME when left out."""
    jobs: int = field(default_factory=cli.cores)
    """Runs at a time; on this machine they share its cores evenly."""
    retries: int = 1
    """How often a run that failed is started again."""
    address: str | None = None
    """Train on this Ray cluster (auto, ray://host:port), whose nodes share the study's folder."""
    plan: bool = False
    """Show the plan and stop."""
    ladder: bool = True
    """Rate the versions when all are trained."""
    rating: Annotated[Rating, tyro.conf.arg(name="")] = field(default_factory=Rating)


class Planned(NamedTuple):
    """A run of the plan."""

    cell: Cell
    config: TrainConfig
    flops: float
    seconds: float  # on one core
    left: float  # the share of it that is still to be done


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The names of all fields of a nested config, as on the command line: network.head-width."""
    for name, value in section.items():
        name = prefix + name.replace("_", "-")
        yield from _leaves(value, f"{name}.") if isinstance(value, dict) else [name]


FIELDS = tuple(_leaves(asdict(TrainConfig())))


def _fields_near(name: str) -> str:
    """Which field may have been meant, and those of the same section, or all sections."""
    section = name.rpartition(".")[0] + "."
    near = [field for field in FIELDS if field.startswith(section)]
    tops = dict.fromkeys(field.partition(".")[0] + ".…" * ("." in field) for field in FIELDS)
    return f"{did_you_mean(name, FIELDS)}; choose from {', '.join(near or tops)}"


def cells_of(options: Options) -> list[tuple[Cell, TrainConfig]]:
    """Every run and its config; bad input is an error here, before any work."""
    for name, least in (("jobs", 1), ("retries", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name} must be at least {least}, got {getattr(options, name)}")
    fixed = [Axis.parse(text) for text in options.set]
    for text, axis in zip(options.set, fixed, strict=True):
        if len(axis.values) > 1:
            raise ValueError(f"--set {text}: several values are a --grid")
    flags = [flag for axis in fixed for flag in axis.flags(axis.values[0])]
    axes = tuple(Axis.parse(text) for text in options.grid)
    arms = (Arm(options.name),)
    if options.name not in (*STUDIES, *PRESETS):
        raise ValueError(
            f"unknown study or preset {options.name!r}"
            f"{did_you_mean(options.name, (*STUDIES, *PRESETS))}; choose from the studies "
            f"{', '.join(STUDIES)}, or the presets {', '.join(PRESETS)}"
        )
    if options.name in STUDIES:
        arms = STUDIES[options.name]().arms
        if axes:
            raise ValueError(f"the study {options.name} has its grid; --grid is for a preset")
    varied = {axis.field for arm in arms for axis in (*arm.axes, *axes)}
    for axis in (*fixed, *axes):
        if axis.field not in FIELDS:
            raise ValueError(f"{axis.field} is no field of the config{_fields_near(axis.field)}")
    for axis in fixed:
        if axis.field in varied:
            raise ValueError(f"--set names {axis.field}, and the grid varies it")
    arms = tuple(replace(a, flags=(*a.flags, *flags), axes=(*a.axes, *axes)) for a in arms)
    cells = grid.cells(arms, options.seeds)
    return [(cell, parse([cell.preset, *cell.flags])[1].config) for cell in cells]


def planned(study: Study, cells: Sequence[tuple[Cell, TrainConfig]]) -> list[Planned]:
    """What each run will cost, measured once for all seeds: in those that have begun, or now."""
    costs: dict[str, tuple[float, float]] = {}
    plan = []
    for cell, config in cells:
        if cell.label not in costs:
            known = study.iteration_seconds(cell.label)
            seconds = estimate.seconds(config) if known is None else known * config.iterations
            costs[cell.label] = estimate.ledger(config).total, seconds
        done = (study.done(cell) + 1) / (config.iterations + 1)  # version 0 counts, too
        plan.append(Planned(cell, config, *costs[cell.label], left=1 - min(done, 1.0)))
    return plan


def show(plan: Sequence[Planned], options: Options, console: Console) -> None:
    """The combinations with their cost, and what is left to do."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("run", "seeds", "FLOPs each", "one core, each", "iterations", "done"):
        table.add_column(title, justify="left" if title == "run" else "right", overflow="fold")
    groups: dict[str, list[Planned]] = {}
    for one in plan:
        groups.setdefault(one.cell.label, []).append(one)
    for label, group in groups.items():
        first = group[0]
        row = [label, str(len(group)), _power(first.flops), _time(first.seconds)]
        done = sum(one.left == 0 for one in group)
        table.add_row(*row, str(first.config.iterations), f"{done} of {len(group)}")
    console.print(table)
    at_once = options.jobs if options.address else min(options.jobs, cli.cores())
    left = sum(one.seconds * one.left for one in plan) / at_once
    console.print(
        f"{len(plan)} runs, {_power(sum(one.flops for one in plan))} FLOPs; about {_time(left)} "
        f"left with {options.jobs} at a time, without compilation, imitation, exams and rating"
    )


def _power(flops: float) -> str:
    return f"10^{math.log10(max(flops, 1)):.1f}"


def _time(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02d} h" if seconds >= 60 else f"{seconds:.0f} s"


def train(study: Study, plan: Sequence[Planned], options: Options, console: Console) -> list[str]:
    """Train what is not finished; the names of the runs that failed."""
    todo = {one.cell.name: one for one in plan if study.done(one.cell) < one.config.iterations}
    if not todo:
        return []
    slots = min(options.jobs, len(todo))
    alone = HERE if options.address or slots >= cli.cores() else ()
    waiting = []
    for one in todo.values():
        out = str(study.run(one.cell).absolute())
        flags = (*one.cell.flags, "--out", out, "--plain", *alone)
        command = (sys.executable, str(LAUNCH / "train.py"), one.cell.preset, *flags)
        waiting.append(jobs.Job(one.cell.name, command, study.log(one.cell).absolute()))
    console.print(f"what the runs say is in {study.folder / 'logs'}", markup=False)
    began, failed = time.monotonic(), []
    work = {name: one.seconds * one.left for name, one in todo.items()}
    cluster = ClusterConfig(address=options.address)
    for ended in jobs.run(waiting, slots, options.retries, cluster):
        how = _time(ended.seconds)
        if ended.status:
            failed.append(ended.name)
            how = f"failed with status {ended.status} after {how}, {ended.tries} tries"
            how += f": {ended.words}" if ended.words else ""
        del todo[ended.name]
        share = sum(work[name] for name in todo) / (sum(work.values()) or 1.0)
        left = (time.monotonic() - began) * share / (1 - share) if share < 1 else 0.0
        done = f"{len(waiting) - len(todo)} of {len(waiting)}"
        until = f", about {_time(left)} left" if todo else ""
        console.print(f"{done}  {ended.name}  {how}{until}", markup=False)
    return failed


def rate(study: Study, options: Options) -> bool:
    """A ladder for every game; False if one did not come to its end."""
    good = True
    for game, cells in study.games().items():
        # Names on the ladder start from the study's folder, which may be moved.
        runs = [str(study.run(cell).relative_to(study.folder)) for cell in cells]
        out = ("--game", game, "--out", str(study.ladder(game).relative_to(study.folder)))
        command = [sys.executable, str(LAUNCH / "ladder.py"), *runs, *options.rating.flags(), *out]
        status = jobs.attend(command, study.folder)  # interrupted, it ends the matches in play
        if status == 130:  # somebody interrupted it alone
            raise KeyboardInterrupt
        good &= status == 0
    return good


def parsed(arguments: list[str]) -> Options:
    """The options; those of a named study begin with its own seeds and ratings."""
    lines = [f"  {n:28}{(study.__doc__ or '').splitlines()[0]}" for n, study in STUDIES.items()]
    told: dict[str, Any] = {
        "prog": "launch/ablate.py",
        "description": cli.laid_out(__doc__) + "\n\nNamed studies:\n" + "\n".join(lines),
    }
    name = arguments[0] if arguments else ""
    if name not in STUDIES:
        options = tyro.cli(Options, args=arguments, **told)
        if options.name in STUDIES:
            raise ValueError(f"the study comes first: launch/ablate.py {options.name} …")
        return options
    study = STUDIES[name]()
    default = Options(name, seeds=study.seeds, rating=study.rating)
    return tyro.cli(Options, args=arguments[1:], default=default, **told)


def main() -> None:
    """Plan, train, rate."""
    options = parsed(sys.argv[1:])
    cells = cells_of(options)
    out = options.out or Path("studies") / options.name
    command = shlex.join(["python", "launch/ablate.py", *sys.argv[1:]])
    study = Study.extended(out, [cell for cell, _ in cells], command)
    console = Console(soft_wrap=True, highlight=False)
    console.print("timing a little of every kind of run that has not begun")
    plan = planned(study, cells)
    show(plan, options, console)
    if options.plan:
        return
    study.write()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        failed = train(study, plan, options, console)
        rated = not options.ladder or rate(study, options)
    except KeyboardInterrupt:
        console.print(f"interrupted; the same command goes on in {out}", markup=False)
        raise SystemExit(130) from None
    if failed:
        console.print(
            f"{len(failed)} of {len(plan)} runs failed, see {out / 'logs'}; the same command tries "
            "them again",
            markup=False,
        )
    if failed or not rated:
        raise SystemExit(1)
    console.print(f"report: python launch/report.py {out}", markup=False)


if __name__ == "__main__":
    cli.guarded(main)
