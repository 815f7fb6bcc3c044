"""Presets for Hex, 3×3 to 9×9: the boards of Jones (2021), each with a network that fits it.

Costs were measured in November 2026 on two cores that other work shared at times, and count
training alone. From 6×6 on no preset was run to its end; docstrings say what a few iterations took.
"""

from dataclasses import replace

from selfplay.acting.config import SelfPlayConfig
from selfplay.cluster.config import ClusterConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs.window import ReplayConfig
from selfplay.search.config import SearchConfig
from selfplay.training.config import TrainConfig


def hex_3() -> TrainConfig:
    """Trains 3×3 in half a minute, 10^11.6 FLOPs; its value loss falls to 0.006."""
    return _hex(3, iterations=12, width=16, depth=1)


def hex_4() -> TrainConfig:
    """Trains 4×4 in 2.5 minutes, 10^12.4 FLOPs; its value loss falls to 0.012."""
    return _hex(4, iterations=20, width=16, depth=2)


def hex_5() -> TrainConfig:
    """Trains 5×5 in 16 minutes, 10^13.6 FLOPs; its value loss falls to 0.011. Not rated yet."""
    return _hex(5, iterations=60, width=32, depth=2)


def hex_6() -> TrainConfig:
    """Trains 6×6; three of its 100 iterations took 0:34 minutes."""
    return _hex(6, iterations=100, width=32, depth=3)


def hex_7() -> TrainConfig:
    """Trains 7×7; three of its 150 iterations took 1:45 minutes."""
    return _hex(7, iterations=150, width=32, depth=4)


def hex_8() -> TrainConfig:
    """Trains 8×8; three of its 250 iterations took 2:44 minutes."""
    return _hex(8, iterations=250, width=48, depth=4)


def hex_9() -> TrainConfig:
    """Trains 9×9; one of its 400 iterations took 1:15 minutes."""
    return _hex(9, iterations=400, width=64, depth=4)


def hex_7_gpu() -> TrainConfig:
    """Trains a larger network for 7×7 on one accelerator, in one process; never run.

    By arithmetic an iteration takes 4 to 10 s on an H100 (docs/guide/accelerators.md).
    """
    return replace(
        hex_7(),
        iterations=300,
        policy_lag=0,
        network=NetworkConfig(width=128, depth=6, head_width=128),
        search=SearchConfig(num_simulations=64),
        selfplay=SelfPlayConfig(
            streams=2,
            batch_size=1024,
            segment_length=32,
            temperature_plies=7,
            random_opening_plies=7,
        ),
        learner=LearnerConfig(batch_size=4096),
        replay=ReplayConfig(minimum=500_000),
        cluster=ClusterConfig(actors=0),
    )


def _hex(size: int, iterations: int, width: int, depth: int) -> TrainConfig:
    return TrainConfig(
        game=f"hex?size={size}",
        iterations=iterations,
        policy_lag=1,
        network=NetworkConfig(width=width, depth=depth),
        search=SearchConfig(num_simulations=32),
        selfplay=SelfPlayConfig(temperature_plies=size, random_opening_plies=size),
        learner=LearnerConfig(batch_size=256, shards=4),
        replay=ReplayConfig(minimum=60_000),
    )
