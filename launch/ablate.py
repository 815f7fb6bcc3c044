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
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from configs.studies import STUDIES
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
    """Runs of every combination: seeds 0 to N − 1."""
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


def planned(options: Options) -> list[tuple[Cell, TrainConfig]]:
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
    for axis in axes:
        if axis.field in {one.field for one in fixed}:
            raise ValueError(f"--grid and --set both name {axis.field}")
    arms = (Arm(options.name),)
    if options.name in STUDIES:
        arms = STUDIES[options.name]().arms
        if axes:
            raise ValueError(f"the study {options.name} has its grid; --grid is for a preset")
    arms = tuple(replace(a, flags=(*a.flags, *flags), axes=(*a.axes, *axes)) for a in arms)
    cells = grid.cells(arms, options.seeds)
    return [(cell, parse([cell.preset, *cell.flags])[1].config) for cell in cells]


def show_plan(study: Study, plan: Sequence[tuple[Cell, TrainConfig]], options: Options) -> None:
    """The combinations with their cost, and what is left to do."""
    console = Console(highlight=False)
    console.print("timing a little of every kind of run")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("run", "seeds", "FLOPs each", "one core, each", "iterations", "done"):
        table.add_column(title, justify="left" if title == "run" else "right", overflow="fold")
    flops = left = 0.0
    shown: dict[str, list[tuple[Cell, TrainConfig]]] = {}
    for cell, config in plan:
        shown.setdefault(cell.label, []).append((cell, config))
    for label, group in shown.items():
        config = group[0][1]
        total, seconds = estimate.ledger(config).total, estimate.seconds(config)
        done = [max(study.done(cell), 0) / max(config.iterations, 1) for cell, _ in group]
        flops += total * len(group)
        left += seconds * (len(group) - sum(done))
        row = [label, str(len(group)), _power(total), _time(seconds), str(config.iterations)]
        table.add_row(*row, f"{sum(share >= 1 for share in done)} of {len(group)}")
    console.print(table)
    at_once = min(options.jobs, cli.cores()) if not options.address else options.jobs
    console.print(
        f"{len(plan)} runs, {_power(flops)} FLOPs; about {_time(left / at_once)} left with "
        f"{options.jobs} at a time, compilation and rating left out"
    )


def _power(flops: float) -> str:
    return f"10^{math.log10(max(flops, 1)):.1f}"


def _time(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02d} h" if seconds >= 60 else f"{seconds:.0f} s"


def train(study: Study, plan: Sequence[tuple[Cell, TrainConfig]], options: Options) -> list[str]:
    """Train what is not finished; the names of the runs that failed."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    waiting = []
    for cell, config in plan:
        if study.done(cell) < config.iterations:
            flags = [*cell.flags, "--out", str(study.run(cell).absolute()), "--plain"]
            flags += HERE if options.address or options.jobs >= cli.cores() else ()
            command = (sys.executable, str(LAUNCH / "train.py"), cell.preset, *flags)
            waiting.append(jobs.Job(cell.name, command, study.log(cell).absolute()))
    cluster = ClusterConfig(address=options.address)
    failed = []
    slots = min(options.jobs, max(len(waiting), 1))
    for number, ended in enumerate(jobs.run(waiting, slots, options.retries, cluster), 1):
        how = _time(ended.seconds)
        if ended.status:
            failed.append(ended.name)
            how = f"failed with status {ended.status} after {how}, {ended.tries} tries"
            how += f": {ended.words}" if ended.words else ""
        console.print(f"{number} of {len(waiting)}  {ended.name}  {how}")
    return failed


def rate(study: Study, options: Options) -> bool:
    """A ladder for every game; False if one did not come to its end."""
    good = True
    for game, cells in study.games().items():
        runs = [str(study.run(cell)) for cell in cells]
        out = ("--game", game, "--out", str(study.ladder(game)))
        command = [sys.executable, str(LAUNCH / "ladder.py"), *runs, *options.rating.flags(), *out]
        good &= subprocess.run(command).returncode == 0
    return good


def parsed(arguments: list[str]) -> Options:
    """The options; those of a named study begin with its own seeds and ratings."""
    lines = [f"  {n:28}{(study.__doc__ or '').splitlines()[0]}" for n, study in STUDIES.items()]
    told: dict[str, Any] = {
        "prog": "launch/ablate.py",
        "description": f"{__doc__}\n" + "\n".join(lines),
    }
    name = arguments[0] if arguments else ""
    if name not in STUDIES:
        return tyro.cli(Options, args=arguments, **told)
    study = STUDIES[name]()
    default = Options(name, seeds=study.seeds, rating=study.rating)
    return tyro.cli(Options, args=arguments[1:], default=default, **told)


def main() -> None:
    """Plan, train, rate."""
    options = parsed(sys.argv[1:])
    plan = planned(options)
    out = options.out or Path("studies") / options.name
    command = shlex.join(["python", "launch/ablate.py", *sys.argv[1:]])
    study = Study.extended(out, [cell for cell, _ in plan], command)
    show_plan(study, plan, options)
    if options.plan:
        return
    study.write()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        failed = train(study, plan, options)
        rated = not options.ladder or rate(study, options)
    except KeyboardInterrupt:
        print(f"interrupted; the same command goes on in {out}")
        raise SystemExit(130) from None
    if failed:
        print(f"{len(failed)} of {len(plan)} runs failed; see {out / 'logs'}; the same command")
        print("tries them again")
    if failed or not rated:
        raise SystemExit(1)
    print(f"report: python launch/report.py {out}")


if __name__ == "__main__":
    cli.guarded(main)
