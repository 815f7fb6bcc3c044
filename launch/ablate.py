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

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any

import tyro
from rich.console import Console

import games
from configs import PRESETS
from configs.studies import STUDIES
from games.spelling import did_you_mean
from launch.plan import Plan, Planned, Watch, show, waiting
from launch.train import parse
from selfplay import command_line
from selfplay.cluster.config import ClusterConfig
from selfplay.command_line import LAUNCH, USER_FOLDER, documented, near
from selfplay.ladder.anchor import default_anchor
from selfplay.runs.files import check_writable, in_words
from selfplay.study import forecast, grid, jobs
from selfplay.study.folder import Study
from selfplay.study.forecast import Estimator, LadderSize, TimingFailed
from selfplay.study.grid import Arm, Axis, RatingConfig, RunSpec
from selfplay.study.timing import StartCost, TimingRequest
from selfplay.training.config import TrainConfig

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
    rating: Annotated[RatingConfig, tyro.conf.arg(name="")] = field(default_factory=RatingConfig)


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


def cells_of(options: Options) -> list[tuple[RunSpec, TrainConfig]]:
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
            raise ValueError(f"{axis.field} is not a field of the config{_fields_near(axis.field)}")
    for axis in fixed:
        if axis.field in varied:
            raise ValueError(f"--set names {axis.field}, and the grid varies it")
    arms = tuple(replace(a, flags=(*a.flags, *flags), axes=(*a.axes, *axes)) for a in arms)
    cells = grid.run_specs(arms, options.seeds)
    configs = [(cell, parse([cell.preset, *cell.flags])[1].config) for cell in cells]
    for game in {config.game for _, config in configs}:
        games.make(game)  # an unknown game is an error before any work
    return configs


def planned(
    study: Study, cells: Sequence[tuple[RunSpec, TrainConfig]], options: Options, console: Console
) -> Plan:
    """Estimate what each run will cost, from runs that have begun and from timing a little now."""
    spent = {config: forecast.ledger(config).total for config in recipes_of(cells)}
    sizes = ladder_sizes(study, cells, options)
    try:
        estimator = timed(study, cells, sizes, options, console)
        failure = ""
    except (TimingFailed, OSError) as error:
        estimator, failure = None, in_words(error)
    todo = sum(study.last_iteration(cell) < config.iterations for cell, config in cells)
    slots = max(1, min(options.jobs, todo))
    ray = starts_ray(options, slots)
    cores = 1 if options.address else max(1, cli.cores() // slots)
    runs, known = [], dict[str, float | None]()
    for cell, config in cells:
        if cell.label not in known:
            known[cell.label] = study.iteration_seconds(cell.label)
        left, took = StartCost(), known[cell.label]
        whole = None if took is None else took * config.iterations
        if estimator:
            actors = ray and config.cluster.actors != 0
            left = estimator.run(config, study.last_iteration(cell), took, cores, actors)
            whole = estimator.run(config, -1, took, cores, actors).seconds
        finished = study.last_iteration(cell) >= config.iterations
        flops = spent[forecast.recipe(config)]
        runs.append(Planned(cell, config, flops, whole, left, finished))
    rating = [
        (size, estimator.ladder([c for _, c in cells if c.game == game], size, cli.cores()))
        for game, size in sizes.items()
        if estimator
    ]
    return Plan(tuple(runs), slots, tuple(rating), failure, bool(options.address))


def starts_ray(options: Options, slots: int) -> bool:
    """Tells whether each run has cores of this machine for actors of its own."""
    return not options.address and slots < cli.cores()


def recipes_of(cells: Sequence[tuple[RunSpec, TrainConfig]]) -> list[TrainConfig]:
    """The configs without their seeds, each once."""
    return list(dict.fromkeys(forecast.recipe(config) for _, config in cells))


def ladder_sizes(
    study: Study, cells: Sequence[tuple[RunSpec, TrainConfig]], options: Options
) -> dict[str, LadderSize]:
    """How much each game's ladder still has to play; none where nothing is rated."""
    rating, sizes = options.rating, dict[str, LadderSize]()
    for game in dict.fromkeys(config.game for _, config in cells) if options.ladder else ():
        configs = [config for _, config in cells if config.game == game]
        rated = sum(forecast.count_rated_versions(config, rating.versions) for config in configs)
        players = 1 + len(rating.players) + rated * len(rating.sims)
        size = LadderSize.of(players, rating.sims, rating.until_stderr, rating.max_games)
        sizes[game] = replace(size, games=max(0, size.games - study.games_played(game)))
    return sizes


def timed(
    study: Study,
    cells: Sequence[tuple[RunSpec, TrainConfig]],
    sizes: Mapping[str, LadderSize],
    options: Options,
    console: Console,
) -> Estimator | None:
    """Time some recipes; None where nothing is left that takes time."""
    todo = [
        (cell, config) for cell, config in cells if study.last_iteration(cell) < config.iterations
    ]
    if not todo and not any(size.games for size in sizes.values()):
        return None
    asked, anchored = [], set[str]()
    for config in forecast.recipes_to_time(recipes_of(cells)):
        game, anchor = config.game, ""
        if game in sizes and game not in anchored:  # a solver's tables take time: once a game
            anchor = options.rating.anchor or default_anchor(games.make(game))
            anchored.add(game)
        budgets = options.rating.sims if game in sizes else ()
        plies = options.rating.opening_plies
        asked.append(TimingRequest(config, budgets, anchor, plies))
    with waiting("timing a little of the cheapest and the most expensive runs", console):
        return forecast.time_recipes(asked, min(options.jobs, cli.cores()), LAUNCH / "timing.py")


def train(study: Study, plan: Plan, options: Options, console: Console) -> list[str]:
    """Train what is not finished; the names of the runs that failed."""
    watch = Watch(study, plan, console)
    if not watch.todo:
        return []
    slots = plan.slots
    alone = () if starts_ray(options, slots) else HERE
    waiting = []
    for one in watch.todo:
        out = str(study.run_folder(one.cell).absolute())
        flags = (*one.cell.flags, "--out", out, "--plain", *alone)
        command = (sys.executable, str(LAUNCH / "train.py"), one.cell.preset, *flags)
        waiting.append(jobs.Job(one.cell.name, command, study.log_file(one.cell).absolute()))
    console.print(f"what the runs say is in {near(study.folder / 'logs')}", markup=False)
    failed = []
    cluster = ClusterConfig(address=options.address)
    with watch:
        for end in jobs.run(waiting, slots, options.retries, cluster, watch.started):
            watch.ended(end)
            failed += [end.name] if end.status else []
    return failed


def rate(study: Study, options: Options) -> bool:
    """A ladder for every game; False if one did not come to its end."""
    good, environment = True, {USER_FOLDER: os.getcwd()}
    for game, cells in study.runs_to_rate().items():
        # Names on the ladder start from the study's folder, which may be moved.
        runs = [str(study.run_folder(cell).relative_to(study.folder)) for cell in cells]
        out = ("--game", game, "--out", str(study.ladder_folder(game).relative_to(study.folder)))
        command = [
            sys.executable,
            str(LAUNCH / "ladder.py"),
            *runs,
            *options.rating.flags(),
            *out,
        ]
        # Interrupted, it ends the matches in play.
        status = jobs.run_foreground(command, study.folder, environment)
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
            raise ValueError(
                f"the study comes first: {command_line.command('ablate', options.name)} …"
            )
        return options
    study = STUDIES[name]()
    default = Options(name, seeds=study.seeds, rating=study.rating)
    return tyro.cli(Options, args=arguments[1:], default=default, **told)


def main() -> None:
    """Plan, train, rate."""
    options = parsed(sys.argv[1:])
    cells = cells_of(options)
    out = options.out or Path("studies") / options.name
    typed = documented("ablate", *sys.argv[1:])
    study = Study.extended(out, [cell for cell, _ in cells], typed)
    check_writable(out)
    console = cli.console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        plan = planned(study, cells, options, console)
        show(plan, console)
        if options.plan:
            return
        study.write()
        failed = train(study, plan, options, console)
        rated = not options.ladder or rate(study, options)
    except KeyboardInterrupt:
        console.print(f"interrupted; the same command goes on in {near(out)}", markup=False)
        raise SystemExit(130) from None
    if failed:
        console.print(
            f"{len(failed)} of {len(plan.runs)} runs failed, see {near(out / 'logs')}; "
            "the same command tries them again",
            markup=False,
        )
    if failed or not rated:
        raise SystemExit(1)
    report = command_line.command("report", near(out))
    console.print(f"report: {report}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    cli.guarded(main)
