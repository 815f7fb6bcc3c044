"""Sizes of the presets for accelerators, by arithmetic: memory, FLOPs, and time on an H100.

    python -m benchmarks.accelerator_presets                      # all, in half a minute
    python -m benchmarks.accelerator_presets connect_four_gpu

Needs no accelerator. Memory is `selfplay/training/memory.py`'s estimate for one card that plays and
learns in bfloat16. Times divide the ledger's FLOPs by rates that were measured on an H100 or H200
before the learner and the search copied less (docs/results/accelerator.md): those of the smaller
network, `connect_four_gpu`, and of the larger one, `go_9x9_gpu` from positions of all stages.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace

import configs
import games
from selfplay.acting.cost import mean_evaluations
from selfplay.learning.step_cost import step_flops
from selfplay.model import flops, network
from selfplay.training import memory
from selfplay.training.config import TrainConfig
from selfplay.training.memory import DeviceMemory, in_words

PRESETS = (
    "connect_four_gpu",
    "hex_7_gpu",
    "go_9x9_gpu",
    "go_9x9_imitation_gpu",
    "go_19x19_cluster",
)
SELF_PLAY_RATES = (113e12, 218e12)  # FLOP/s
LEARNING_RATES = (45e12, 200e12)  # FLOP/s
PETA = 1e15
HEAD = """\
| preset | parameters | memory | search trees | self-play, PFLOPs an iteration | learning \
| seconds an iteration | hours in all |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Size:
    """What one iteration of a preset takes."""

    memory: DeviceMemory
    parameters: int
    selfplay_flops: float
    learning_flops: float
    iterations: int

    @classmethod
    def of(cls, config: TrainConfig) -> Size:
        """Computes the size of a config, played and learned on one card."""
        config = replace(
            config,
            network=config.network.resolved("gpu"),
            cluster=replace(config.cluster, actors=0, learner_devices=1),
        )
        game, selfplay = games.make(config.game), config.selfplay
        model = network.make(game, config.network)
        evaluations = mean_evaluations(config.search, selfplay, config.iterations)
        steps = config.learner.steps(selfplay.positions)
        return cls(
            memory=memory.estimate(config, many=True),
            parameters=network.num_parameters(network.shapes(model.init)),
            selfplay_flops=selfplay.streams * evaluations * flops.evaluation(game, config.network),
            learning_flops=steps * step_flops(game, config.network, config.learner),
            iterations=config.iterations,
        )

    def seconds(self, self_play_rate: float, learning_rate: float) -> float:
        """Returns the seconds of an iteration at rates in FLOP/s."""
        return self.selfplay_flops / self_play_rate + self.learning_flops / learning_rate

    def row(self, name: str) -> str:
        """Returns the preset's row of the table."""
        slow, fast = (
            self.seconds(*rates) for rates in zip(SELF_PLAY_RATES, LEARNING_RATES, strict=True)
        )
        hours = self.iterations / 3600
        cells = (
            f"`{name}`",
            f"{self.parameters / 1e6:.1f} M",
            in_words(self.memory.most),
            in_words(self.memory.trees),
            f"{self.selfplay_flops / PETA:.2f}",
            f"{self.learning_flops / PETA:.2f}",
            f"{_number(fast)} to {_number(slow)}",
            f"{_number(fast * hours)} to {_number(slow * hours)}",
        )
        return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="*", default=PRESETS, help="names of presets")
    sys.stdout.write(HEAD)
    for name in parser.parse_args().presets:
        print(Size.of(configs.get(name)).row(name), flush=True)


if __name__ == "__main__":
    main()
