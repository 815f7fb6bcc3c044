"""A preset that fits every game on a small board."""

from selfplay.acting.config import SelfPlayConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs.window import ReplayConfig
from selfplay.search.config import SearchConfig
from selfplay.training.config import StoreConfig, TrainConfig


def small() -> TrainConfig:
    """Trains a small network in any game on a small board: `--game my_game:MyGame`.

    For the first run of a game of one's own (docs/guide/extend.md); tic-tac-toe if no game is
    named. Gomoku 7×7, docs/examples/gomoku.py, takes three minutes of one core and 10^12.5 FLOPs
    (seed 0).
    """
    return TrainConfig(
        game="tic_tac_toe",
        iterations=30,
        policy_lag=1,
        network=NetworkConfig(width=16, depth=2, head_width=32),
        search=SearchConfig(num_simulations=16),
        selfplay=SelfPlayConfig(segment_length=16),
        learner=LearnerConfig(batch_size=256, shards=4),
        replay=ReplayConfig(minimum=60_000),
        store=StoreConfig(keep_for_verify=True),
    )
