"""Predict a run on clusters of any size from times that it measured on a small one.

    python launch/train.py go_9x9 --iterations 5 --cluster.actors 1 --out runs/measure
    python launch/simulate.py runs/measure --actors 2 8 32 128 --iterations 600 \\
        --per-actor-hour 0.04

Iterations an hour with lag 0 and 1, how busy actors, driver and learner are, and the bottleneck;
with prices, what the run costs. Streams are part of what is computed, and actors beyond their
number find nothing to do: --streams says what a larger run would have; its gradient steps and
commits grow with them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

from dataclasses import dataclass, replace
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from selfplay.cluster.simulator import Prediction, costs_from_metrics, simulate
from selfplay.learning.config import LearnerConfig
from selfplay.runs import metrics
from selfplay.runs.codec import from_json
from selfplay.runs.run import read_config


@dataclass(frozen=True)
class Options:
    """What is measured, and what is predicted from it."""

    run: Annotated[Path, tyro.conf.Positional]
    """A run that has played some iterations on actors."""
    actors: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1000)
    """Sizes of the cluster."""
    streams: int | None = None
    """Streams of the larger run; the run's own when left out. All are as long as those measured."""
    iterations: int | None = None
    """Iterations of the larger run; the run's own when left out."""
    per_actor_hour: float = 0.0
    """Price of an actor's share of its machine, in any currency."""
    per_learner_hour: float = 0.0
    """Price of the driver's machine."""


def main() -> None:
    """Read the run's metrics, simulate, print."""
    options = tyro.cli(Options, prog="launch/simulate.py", description=cli.laid_out(__doc__))
    for name in ("actors", "streams", "iterations"):
        given = getattr(options, name)
        if given is not None and min(given if name == "actors" else [given], default=0) < 1:
            raise ValueError(f"--{name} must be 1 or more, got {given}")
    for name in ("per_actor_hour", "per_learner_hour"):
        if getattr(options, name) < 0:
            raise ValueError(
                f"--{name.replace('_', '-')} must not be negative, got {getattr(options, name)}"
            )
    config = read_config(options.run)
    own = config["selfplay"]["streams"]
    streams, iterations = options.streams or own, options.iterations or config["iterations"]
    costs = costs_from_metrics(metrics.read_rows(options.run))
    learner = from_json(LearnerConfig, config["learner"])
    rows = config["selfplay"]["lanes"] * config["selfplay"]["plies"]
    steps = learner.steps(streams * rows) / max(learner.steps(own * rows), 1)
    costs = replace(costs, learn=costs.learn * steps, commit=costs.commit * streams / own)
    predictions = [
        simulate(costs, streams, actors, lag) for actors in options.actors for lag in (0, 1)
    ]
    console = Console(highlight=False)
    console.print(
        f"measured: a segment {costs.segment:.2f} s (± {costs.spread:.0%}), its way there and back "
        f"{costs.send + costs.receive:.3f} s; learning {costs.learn:.2f} s, commit "
        f"{costs.commit:.2f} s; {streams} streams, {iterations} iterations"
    )
    console.print(table(predictions, iterations, options))
    if not options.iterations:
        console.print(f"hours are of the measured run's {iterations} iterations: see --iterations")
    if max(options.actors) > streams:
        console.print(f"actors beyond {streams} find nothing to do: the run has as many streams")


def table(predictions: list[Prediction], iterations: int, options: Options) -> Table:
    """A line for each size and lag."""
    made = Table(box=None, padding=(0, 2, 0, 0))
    titles = ["actors", "lag", "it/h", "hours", "busy", "driver", "learner"]
    priced = options.per_actor_hour or options.per_learner_hour
    for title in (*titles, *(["cost"] if priced else [])):
        made.add_column(title, justify="right")
    made.add_column("bottleneck")
    for one in predictions:
        hours = iterations / one.per_hour
        shares = (one.actors_busy, one.driver_busy, one.learner_busy)
        hourly = one.actors * options.per_actor_hour + options.per_learner_hour
        row = [str(one.actors), str(one.policy_lag), f"{one.per_hour:,.0f}", f"{hours:,.2f}"]
        row += [f"{share:.0%}" for share in shares] + ([f"{hours * hourly:,.2f}"] if priced else [])
        made.add_row(*row, one.bottleneck)
    return made


if __name__ == "__main__":
    cli.guarded(main)
