"""Presets for Connect Four (7×6)."""

from dataclasses import replace

from configs.baseline import connect_four_baseline
from selfplay.acting.config import SelfPlayConfig
from selfplay.cluster.config import ClusterConfig
from selfplay.imitation.config import ImitationConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs.window import ReplayConfig
from selfplay.search.config import SearchConfig
from selfplay.solved.config import ExamConfig
from selfplay.training.config import StoreConfig, TrainConfig


def connect_four() -> TrainConfig:
    """Trains from nothing to strong in about ten minutes on 2 cores; `make train` runs it.

    Version 95 keeps the result in 89.7 % of the exam's questions with 64 simulations and in 83.5 %
    without search (seed 0; 9:58 minutes of training, 10:22 with compilation). The preset before it,
    `connect_four_baseline`, kept 86.7 and 81.7 % after the same time, and 91.1 and 85.8 % after an
    hour (docs/results/connect_four_strength.md). The opening is the weak phase.

    The recipe was found by the studies `techniques`, `screening` and `combined`; 24 channels and
    two shards are for minutes rather than FLOPs (docs/decisions/0035).
    """
    return TrainConfig(
        game="connect_four",
        iterations=95,
        policy_lag=1,
        network=NetworkConfig(width=24, depth=3),
        search=SearchConfig(num_simulations=8),
        selfplay=SelfPlayConfig(
            random_opening_plies=20, archive_fraction=0.5, archive_by_regret=True
        ),
        learner=LearnerConfig(
            batch_size=128,
            shards=2,
            optimizer="muon",
            learning_rate=3e-3,
            weight_decay=0.05,
            value_weight=0.4,
            root_value_weight=0.0,
            losses=("lambda_return?decay=0.7&weight=0.6", "td_value?horizon=2"),
        ),
        replay=ReplayConfig(minimum=20_000),
        store=StoreConfig(keep_for_verify=True),
    )


def connect_four_imitation() -> TrainConfig:
    """Imitates a perfect player that blunders, then plays itself: AlphaGo's two steps.

    Self-play has the recipe of `connect_four_baseline`, with which the figures below were measured.

    It reads `experts/connect_four_20`, or the archive that `--imitation.dataset` names:

        python launch/experts.py generate connect_four --games 10000 --blunder 0.2 \\
            --out experts/connect_four_20

    Imitation takes 4 000 of its games, once, and 10^12.1 FLOPs; 80 iterations of self-play follow.
    After 46 of them (three seeds) the run was 190 Elo above its teacher and equal to the baseline
    at the same FLOPs; at 10^12.7 FLOPs it was 71 ± 66 Elo ahead (docs/results/two_steps.md).
    """
    return replace(
        connect_four_baseline(),
        imitation=ImitationConfig(
            dataset="experts/connect_four_20",
            epochs=1,
            game_fraction=0.4,
            positions_per_iteration=50_000,
            expert_fraction=0.9,
            expert_half_life=3.0,
        ),
    )


def connect_four_smoke() -> TrainConfig:
    """Runs the whole system in under a minute, for tests; so small a network learns little."""
    return TrainConfig(
        game="connect_four",
        iterations=4,
        network=NetworkConfig(width=8, depth=1, head_width=16),
        search=SearchConfig(num_simulations=8),
        selfplay=SelfPlayConfig(streams=3, batch_size=16, segment_length=16),
        learner=LearnerConfig(batch_size=64, warmup_steps=5),
        exam=ExamConfig(every=2, budgets=(0, 8), positions=64),
        store=StoreConfig(keep_for_verify=True),
    )


def connect_four_gpu() -> TrainConfig:
    """Trains a larger network on one accelerator, with batches of games that fill the device.

    Self-play and learning share the device in one process (`cluster.actors` 0). On an H100 an
    iteration took 5.6 s of self-play and 2.6 s of learning; version 16, after 129 s, kept the
    result in 91.6 % of the exam's questions with 64 simulations. An H200 took 5.5 s and 2.8 s
    (docs/results/accelerator.md, one seed each). Those runs were planned for 60 and 30 iterations
    and stopped after 19 and 29; all 400 have never been run.
    """
    return TrainConfig(
        game="connect_four",
        iterations=400,
        network=NetworkConfig(width=128, depth=6, head_width=128),
        search=SearchConfig(num_simulations=64),
        selfplay=SelfPlayConfig(streams=2, batch_size=1024, segment_length=32),
        learner=LearnerConfig(batch_size=4096),
        replay=ReplayConfig(minimum=500_000),
        cluster=ClusterConfig(actors=0),
    )
