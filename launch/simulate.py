"""Predict a run on clusters of any size from times that it measured on a small one.

    python launch/train.py go_9x9 --iterations 5 --cluster.actors 1 --out runs/measure
    python launch/simulate.py runs/measure --actors 2 8 32 128 --iterations 600 \\
        --actor-price-per-hour 0.04

Prints iterations an hour with policy lag 0 and 1, how busy actors, driver and learner are, and the
bottleneck; with prices, what the run costs. The number of streams is part of what is computed, and
actors beyond that number have nothing to do: --streams sets that of a larger run, whose gradient
steps and commits grow with it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

if TYPE_CHECKING:
    from rich.table import Table

    from selfplay.cluster.simulator import Prediction


@dataclass(frozen=True)
class Options(cli.Trust):
    """What was measured, and what is predicted from it."""

    run: Annotated[Path, cli.Positional]
    """A run that has played some iterations on actors."""
    actors: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1000)
    """Sizes of the cluster."""
    streams: int | None = None
    """Streams of the larger run; the run's own if left out. All are as long as those measured."""
    iterations: int | None = None
    """Iterations of the larger run; the run's own if left out."""
    actor_price_per_hour: float = 0.0
    """Price of an actor's share of its machine, in any currency."""
    learner_price_per_hour: float = 0.0
    """Price of the driver's machine."""


def main() -> None:
    """Simulates each size of cluster and prints a table."""
    options = cli.parse(Options, "simulate", __doc__)
    check(options)

    from rich.console import Console

    from selfplay.cluster.simulator import costs_from_metrics, simulate
    from selfplay.learning.config import LearnerConfig
    from selfplay.runs import metrics
    from selfplay.runs.codec import from_json
    from selfplay.runs.run import read_config

    config = read_config(options.run)
    measured_streams = config["selfplay"]["streams"]
    streams = options.streams or measured_streams
    iterations = options.iterations or config["iterations"]
    costs = costs_from_metrics(metrics.read_rows(options.run))
    learner = from_json(LearnerConfig, config["learner"])
    rows = config["selfplay"]["batch_size"] * config["selfplay"]["segment_length"]
    steps = learner.steps(streams * rows) / max(learner.steps(measured_streams * rows), 1)
    commit = costs.commit * streams / measured_streams
    costs = replace(costs, learn=costs.learn * steps, commit=commit)
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
        console.print(f"hours are for the measured run's {iterations} iterations; see --iterations")
    if max(options.actors) > streams:
        console.print(f"the run has {streams} streams, so more actors have nothing to do")


def check(options: Options) -> None:
    """Raises ValueError for the first option that is out of range."""
    for name in ("actors", "streams", "iterations"):
        value = getattr(options, name)
        if value is not None and min(value if name == "actors" else [value], default=0) < 1:
            raise ValueError(f"--{name} must be 1 or more, got {value}")
    for name in ("actor_price_per_hour", "learner_price_per_hour"):
        if getattr(options, name) < 0:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag} must not be negative, got {getattr(options, name)}")


def table(predictions: Sequence[Prediction], iterations: int, options: Options) -> Table:
    """Returns a table with a row for each size of cluster and policy lag."""
    from rich.table import Table

    result = Table(box=None, padding=(0, 2, 0, 0))
    titles = ["actors", "lag", "it/h", "hours", "busy", "driver", "learner"]
    priced = options.actor_price_per_hour or options.learner_price_per_hour
    for title in (*titles, *(["cost"] if priced else [])):
        result.add_column(title, justify="right")
    result.add_column("bottleneck")
    for prediction in predictions:
        hours = iterations / prediction.per_hour
        shares = (prediction.actors_busy, prediction.driver_busy, prediction.learner_busy)
        hourly = prediction.actors * options.actor_price_per_hour + options.learner_price_per_hour
        row = [str(prediction.actors), str(prediction.policy_lag)]
        row += [f"{prediction.per_hour:,.0f}", f"{hours:,.2f}"]
        row += [f"{share:.0%}" for share in shares] + ([f"{hours * hourly:,.2f}"] if priced else [])
        result.add_row(*row, prediction.bottleneck)
    return result


if __name__ == "__main__":
    cli.run_command(main)
