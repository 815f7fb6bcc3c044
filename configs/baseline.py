"""Frozen presets: the recipes of the published studies, with every value written out.

The other presets change when something better is found. A study names these, so that its command
trains the same networks whatever the other presets become. A test holds the digest of each.
"""

from dataclasses import replace

from selfplay.acting.config import SelfPlayConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs.window import ReplayConfig
from selfplay.search.config import GumbelConfig, PuctConfig, SearchConfig
from selfplay.training.config import StoreConfig, TrainConfig


def connect_four_baseline() -> TrainConfig:
    """Trains as `connect_four` did in November 2026; for studies, never changed."""
    config = _baseline("connect_four", iterations=80, width=32, depth=3, num_simulations=8)
    return replace(
        config,
        selfplay=replace(config.selfplay, random_opening_plies=20),
        store=StoreConfig(keep_for_verify=True),
    )


def hex_3_baseline() -> TrainConfig:
    """Trains as `hex_3` did in November 2026; for studies, never changed."""
    return _hex(3, iterations=12, width=16, depth=1)


def hex_4_baseline() -> TrainConfig:
    """Trains as `hex_4` did in November 2026; for studies, never changed."""
    return _hex(4, iterations=20, width=16, depth=2)


def hex_5_baseline() -> TrainConfig:
    """Trains as `hex_5` did in November 2026; for studies, never changed."""
    return _hex(5, iterations=60, width=32, depth=2)


def go_5x5_baseline() -> TrainConfig:
    """Trains as `go_5x5` did in November 2026; for studies, never changed."""
    config = _baseline(
        "go?size=5&komi=24.5&max_plies=100", iterations=150, width=32, depth=3, num_simulations=32
    )
    return replace(
        config,
        selfplay=replace(config.selfplay, random_opening_plies=20),
        replay=replace(config.replay, minimum=100_000),
    )


def _hex(size: int, iterations: int, width: int, depth: int) -> TrainConfig:
    config = _baseline(f"hex?size={size}", iterations, width, depth, num_simulations=32)
    return replace(
        config,
        selfplay=replace(config.selfplay, temperature_plies=size, random_opening_plies=size),
    )


def _baseline(
    game: str, iterations: int, width: int, depth: int, num_simulations: int
) -> TrainConfig:
    return TrainConfig(
        game=game,
        iterations=iterations,
        policy_lag=1,
        network=NetworkConfig(
            kind="conv", width=width, depth=depth, norm="none", head_width=64, dtype="auto"
        ),
        search=SearchConfig(
            algorithm="gumbel",
            num_simulations=num_simulations,
            gumbel=GumbelConfig(
                max_considered_actions=16,
                scale=1.0,
                c_visit=50.0,
                c_scale=0.3,
                rescale_values=False,
            ),
            puct=PuctConfig(
                pb_c_init=1.25,
                pb_c_base=19652.0,
                fpu_reduction=0.2,
                dirichlet_fraction=0.25,
                dirichlet_concentration=10.83,
                temperature=1.0,
            ),
        ),
        selfplay=SelfPlayConfig(
            streams=4,
            batch_size=64,
            segment_length=32,
            temperature=1.0,
            temperature_plies=12,
            random_opening_fraction=0.5,
            random_opening_plies=12,
        ),
        replay=ReplayConfig(minimum=60_000, exponent=0.65, scale=0.4, maximum=None),
        learner=LearnerConfig(
            batch_size=256,
            shards=4,
            replay_ratio=4.0,
            max_steps=1000,
            learning_rate=2e-3,
            warmup_steps=50,
            lr_decay_fraction=0.3,
            final_lr_fraction=0.1,
            weight_decay=1e-4,
            gradient_clip=1.0,
            value_weight=1.0,
            root_value_weight=0.5,
            ema_decay=0.995,
            symmetries=True,
            losses=(),
            optimizer="adamw",
            schedule="warmup_cosine",
        ),
    )
