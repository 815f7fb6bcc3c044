"""Train a player by imitation and self-play; the same command on a run's folder resumes it.

python launch/train.py connect_four
python launch/train.py connect_four --search.num-simulations 64 --out runs/deeper
python launch/train.py connect_four_smoke --cluster.actors 0      # in-process, without Ray
python launch/train.py connect_four --init-from runs/connect_four@80 --seed 1 --out runs/more
"""

from __future__ import annotations

import itertools
import json
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import configs
import games
from launch import cli
from selfplay import command_line
from selfplay.tracking.defaults import DEFAULT_TRACKERS
from selfplay.training.config import TrainConfig

if TYPE_CHECKING:
    from selfplay.runs.metrics_row import MetricsRow
    from selfplay.runs.run import OtherConfig


@dataclass(frozen=True)
class Options(cli.Trust):
    """Where the run is stored and when it ends early; everything else is its config."""

    out: Path | None = None
    """Run folder; runs/PRESET if left out. An existing run is resumed."""
    max_seconds: float | None = None
    """End cleanly at the first commit after this many seconds of training."""
    plain: bool = False
    """Print one line per iteration, on a terminal as well."""
    accept_code_change: Annotated[bool, cli.FlagCreatePairsOff] = False
    """Resume a run whose rules or imported modules have changed; its manifest records that."""
    track: tuple[str, ...] = DEFAULT_TRACKERS
    """Trackers that get every row of metrics: tensorboard, "wandb?project=x", trackio, or one's own
    as an import path, MODULE:NAME. --track without any tracks nothing."""


@dataclass(frozen=True)
class Command(Options):
    """The options and a preset's config, every field of which can be overridden."""

    config: Annotated[TrainConfig, cli.Inline] = field(default_factory=TrainConfig)


def parse(arguments: list[str]) -> tuple[str, Command]:
    """Returns the preset's name, and the options with the config.

    Raises:
        ValueError: no preset or an unknown one, or an option that has another name today.
    """
    names = ", ".join(configs.PRESETS)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{cli.format_description(__doc__)}\n\npresets:")
        for name, preset in configs.PRESETS.items():
            print(f"  {name:24}{(preset.__doc__ or '').splitlines()[0]}")
        print(f"\n`{command_line.command('train', 'PRESET', '--help')}` lists every field.")
        raise SystemExit(0 if arguments else cli.BAD_INPUT)
    if arguments[0].startswith("-"):
        raise ValueError(f"the preset comes first, got {arguments[0]!r}; choose from {names}")
    name, rest = arguments[0], arguments[1:]
    default = Command(config=configs.get(name))
    text = configs.PRESETS[name].__doc__
    return name, cli.parse(Command, f"train {name}", text, arguments=rest, default=default)


def main() -> None:
    """Trains, then prints where the run is stored and what can be done with it."""
    name, command = parse(sys.argv[1:])
    config, folder, limit = command.config, command.out or Path("runs") / name, command.max_seconds
    game = games.make(config.game)  # an unknown game is an error before any work

    from launch.progress import Progress
    from selfplay.cluster.ray_pool import PoolFailed
    from selfplay.learning.learner import Diverged
    from selfplay.model import network
    from selfplay.runs.run import DiskFull, OtherConfig
    from selfplay.search.make import find_algorithm
    from selfplay.tracking import tracker_specs
    from selfplay.training.loop import train

    # An unknown network, search or tracker is an error before any work as well.
    network.make(game, config.network)
    find_algorithm(config.search)
    tracker_specs.resolve(command.track)
    # A batch system's SIGTERM ends the run as cleanly as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Progress(config, folder, plain=command.plain) as progress:

        def on_iteration(row: MetricsRow) -> bool:
            progress.show(row)
            return limit is not None and row.seconds.total >= limit

        started = time.time()
        try:
            run = train(
                config,
                folder,
                on_iteration,
                progress.say,
                progress.enter,
                command.track,
                accept_code_change=command.accept_code_change,
            )
        except KeyboardInterrupt:
            progress.interrupted(started)
            raise SystemExit(130) from None
        except OtherConfig as error:
            if set(error.fields) != {"iterations"}:
                raise
            text = explain_other_length(error, sys.argv[1:], config, folder)
            raise ValueError(text) from None
        except (PoolFailed, DiskFull) as error:
            progress.interrupted(started, f"stopped ({error})")
            raise SystemExit(1) from None
        except Diverged as error:
            progress.end(f"alarm: {error}")
            raise SystemExit(1) from None
        progress.finished(run)


def explain_other_length(
    error: OtherConfig, arguments: list[str], config: TrainConfig, folder: Path
) -> str:
    """Returns why a run cannot have another number of iterations, and which commands to use.

    Args:
        error: of a run that was started with another number, and agrees in everything else.
        arguments: what was typed behind ``launch/train.py``.
        config: the config that they give.
        folder: the run's folder.
    """
    from selfplay.runs.snapshots import snapshot_versions

    before = json.loads(error.fields["iterations"][0])
    typed = command_line.without(arguments, "--out", "--iterations")
    length = ("--iterations", config.iterations)
    versions = snapshot_versions(folder)
    lines = []
    if not versions or versions[-1] < before:
        same = command_line.command("train", *typed, "--iterations", before, "--out", folder)
        lines.append(f"  resume it with its own number:\n    {same}")
    if versions and versions[-1]:
        origin = ("--init-from", f"{folder}@{versions[-1]}", "--seed", config.seed + 1)
        if config.imitation.dataset:
            origin = (*origin, "--imitation.dataset", "", "--imitation.expert-fraction", 0)
        rest = command_line.without(typed, "--init-from", "--seed")
        new = (*origin, *length, "--out", _unused(folder, "more"))
        more = command_line.command("train", *rest, *new)
        lines.append(
            f"  train for {config.iterations} iterations from its version {versions[-1]} on, with "
            f"a fresh optimizer and an empty replay window:\n    {more}"
        )
    other = _unused(folder, str(config.iterations))
    lines.append(
        f"  train for {config.iterations} iterations from the start:\n"
        f"    {command_line.command('train', *typed, *length, '--out', other)}"
    )
    return (
        f"{folder} is a run of {before} iterations, not of {config.iterations}. The schedule of "
        "its learning rate covers all of them and falls towards the end, so another number gives "
        "another training. You can\n" + "\n".join(lines)
    )


def _unused(folder: Path, suffix: str) -> Path:
    """Returns a path next to `folder` that does not exist: "runs/a_more", "runs/a_more_2", …"""
    names = (f"{folder.name}_{suffix}{f'_{n}' if n > 1 else ''}" for n in itertools.count(1))
    return next(path for name in names if not (path := folder.with_name(name)).exists())


if __name__ == "__main__":
    cli.run_command(main)
