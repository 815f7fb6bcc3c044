"""Train a grid of configs with several seeds, and rate everything on one ladder.

    python launch/ablate.py hex_4 --grid network.width=8,32,128 search.num-simulations=2,8,32 \\
        --seeds 3 --out studies/hex_4
    python launch/ablate.py connect_four --grid learner.symmetries=true,false --fix iterations=20

It first prints a plan with FLOPs and time; --plan stops there. The same command resumes a study
that was stopped, more values or seeds extend it, and runs that failed are started again. A run that
fails does not stop the others; its output is in logs/RUN.log.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import games
from configs import PRESETS
from configs.studies import STUDIES
from games import plugins
from games.spelling import did_you_mean
from launch import cli
from launch.train import parse
from selfplay import command_line
from selfplay.command_line import documented, near, without
from selfplay.study import grid
from selfplay.study.grid import Arm, Axis, RatingConfig, RunSpec
from selfplay.tracking.defaults import DEFAULT_TRACKERS
from selfplay.training.config import TrainConfig


@dataclass(frozen=True)
class Options(cli.Trust):
    """What is varied, and where and how it runs."""

    name: Annotated[str, cli.Positional]
    """A study of configs/studies.py, or a preset of launch/train.py to vary."""
    grid: tuple[str, ...] = ()
    """FIELD=VALUE,VALUE,… of the config, around a preset; every combination is trained."""
    fix: tuple[str, ...] = ()
    """FIELD=VALUE of the config, the same for all runs."""
    seeds: int = 3
    """Runs of every combination, each with a seed; a part of a named study may have fewer."""
    first_seed: int = 0
    """The first of these seeds; what other seeds have chosen is confirmed on fresh ones."""
    out: Path | None = None
    """The study's folder; studies/NAME if left out."""
    jobs: int = field(default_factory=cli.cores)
    """Runs at a time; on this machine they share its cores evenly."""
    retries: int = 1
    """How often a run that failed is started again."""
    address: str | None = None
    """Train on this Ray cluster (auto, ray://host:port), whose nodes share the study's folder."""
    track: tuple[str, ...] = DEFAULT_TRACKERS
    """Trackers of every run, as of launch/train.py."""
    plan: bool = False
    """Print the plan and stop."""
    ladder: bool = True
    """Rate the versions when all runs are trained."""
    rating: Annotated[RatingConfig, cli.Inline] = field(default_factory=RatingConfig)


def main() -> None:
    """Plans a study, trains its runs, rates their versions."""
    options = parse_options(sys.argv[1:])
    runs = runs_of(options)
    out = options.out or Path("studies") / options.name

    from launch import ablation
    from launch.plan import show
    from selfplay.runs.files import check_writable
    from selfplay.study.folder import Study
    from selfplay.tracking import tracker_specs

    tracker_specs.resolve(options.track)  # an unknown tracker is an error before any work
    typed = documented("ablate", *sys.argv[1:])
    specs, configs = zip(*runs, strict=True)
    study = Study.extended(out, specs, typed)
    runs = list(zip(study.with_stored_names(specs), configs, strict=True))
    check_writable(out)
    console = cli.console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        rating = options.rating if options.ladder else None
        plan = ablation.make_plan(study, runs, rating, options.jobs, options.address, console)
        show(plan, console)
        if options.plan:
            return
        study.write()
        failed = ablation.train(
            study, plan, options.retries, options.track, options.address, console
        )
        rated = rating is None or ablation.rate(study, rating)
    except KeyboardInterrupt:
        console.print(f"interrupted; the same command resumes {near(out)}", markup=False)
        raise SystemExit(130) from None
    if failed:
        console.print(
            f"{len(failed)} of {len(plan.runs)} runs failed, see {near(out / 'logs')}; "
            "the same command starts them again",
            markup=False,
        )
    if failed or not rated:
        raise SystemExit(1)
    has_imports = plugins.typed_paths([*options.grid, *options.fix])
    trust = ("--trust-imports",) if has_imports else ()
    report = command_line.command("report", near(out), *trust)
    console.print(f"report: {report}", markup=False, soft_wrap=True)


def parse_options(arguments: list[str]) -> Options:
    """Returns the options; the defaults of a named study are its own seeds and ratings."""
    lines = [f"  {n:28}{(study.__doc__ or '').splitlines()[0]}" for n, study in STUDIES.items()]
    description = f"{__doc__}\n\nNamed studies:\n" + "\n".join(lines)
    name = arguments[0] if arguments else ""
    if name not in STUDIES:
        options = cli.parse(Options, "ablate", description, arguments=arguments)
        if options.name in STUDIES:
            raise ValueError(
                f"the study comes first: {command_line.command('ablate', options.name)} …"
            )
        return options
    study = STUDIES[name]()
    default = Options(name, seeds=study.seeds, first_seed=study.first_seed, rating=study.rating)
    return cli.parse(Options, "ablate", description, arguments=arguments[1:], default=default)


def runs_of(options: Options) -> list[tuple[RunSpec, TrainConfig]]:
    """Returns every run and its config; bad input is an error here, before any work."""
    for name, least in (("jobs", 1), ("retries", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name} must be at least {least}, got {getattr(options, name)}")
    specs = grid.run_specs(arms_of(options), options.seeds, options.first_seed)
    recipe = cache(lambda preset, *flags: parse([preset, *flags])[1].config)  # parsed once
    runs = [
        (spec, replace(recipe(spec.preset, *without(spec.flags, "--seed")), seed=spec.seed))
        for spec in specs
    ]
    for game in dict.fromkeys(config.game for _, config in runs):
        games.make(game)  # an unknown game is an error before any work
    return runs


def arms_of(options: Options) -> list[Arm]:
    """Returns the parts of a study, with what --grid and --fix add to each.

    Raises:
        ValueError: an unknown study, preset or field, or a field that is both fixed and varied.
    """
    fixed = [Axis.parse(text) for text in options.fix]
    for text, axis in zip(options.fix, fixed, strict=True):
        if len(axis.values) > 1:
            raise ValueError(f"--fix {text}: several values are a --grid")
    flags = [flag for axis in fixed for flag in axis.flags(axis.values[0])]
    axes = tuple(Axis.parse(text) for text in options.grid)
    if options.name not in (*STUDIES, *PRESETS):
        raise ValueError(
            f"unknown study or preset {options.name!r}"
            f"{did_you_mean(options.name, (*STUDIES, *PRESETS))}; choose from the studies "
            f"{', '.join(STUDIES)}, or the presets {', '.join(PRESETS)}"
        )
    arms = (Arm(options.name),)
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
            raise ValueError(f"--fix names {axis.field}, and the grid varies it")
    return [replace(a, flags=(*a.flags, *flags), axes=(*a.axes, *axes)) for a in arms]


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yields all fields of a nested config as they are typed: network.head-width."""
    for name, value in section.items():
        path = prefix + name.replace("_", "-")
        yield from _leaves(value, f"{path}.") if isinstance(value, dict) else [path]


FIELDS: Sequence[str] = tuple(_leaves(asdict(TrainConfig())))


def _fields_near(name: str) -> str:
    """Returns which field may have been meant, and those of the same section, or all sections."""
    section = name.rpartition(".")[0] + "."
    siblings = [field for field in FIELDS if field.startswith(section)]
    sections = dict.fromkeys(field.partition(".")[0] + ".…" * ("." in field) for field in FIELDS)
    return f"{did_you_mean(name, FIELDS)}; choose from {', '.join(siblings or sections)}"


if __name__ == "__main__":
    cli.run_command(main)
