"""Presets for Go: Tromp-Taylor rules with positional superko, on several boards."""

from dataclasses import replace

from selfplay.acting.config import SelfPlayConfig
from selfplay.cluster.config import ClusterConfig
from selfplay.imitation.config import ImitationConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs.window import ReplayConfig
from selfplay.search.config import SearchConfig
from selfplay.training.config import TrainConfig


def go_5x5() -> TrainConfig:
    """Trains the solved board: Black takes all 25 points, opening in the center; komi 24.5.

    It takes 27 minutes on two cores that tests shared, and 10^14.2 FLOPs. From version 24 on, after
    4 minutes, Black opens in the center and wins against itself at 200 simulations, and wins all
    games from White's 24 answers to the center (benchmarks/go_5x5.py).

    `max_plies` is 100: at the usual 50 White has the last move, and one living stone refutes
    Black's win.
    """
    return TrainConfig(
        game="go?size=5&komi=24.5&max_plies=100",
        iterations=150,
        policy_lag=1,
        network=NetworkConfig(width=32, depth=3),
        search=SearchConfig(num_simulations=32),
        selfplay=SelfPlayConfig(random_opening_plies=20),
        learner=LearnerConfig(batch_size=256, shards=4),
        replay=ReplayConfig(minimum=100_000),
    )


def go_7x7() -> TrainConfig:
    """Trains 7×7, komi 8.5; one of its 400 iterations took 0:31 minutes on 2 cores.

    No more was run; all 400 would take hours.
    """
    return TrainConfig(
        game="go?size=7",
        iterations=400,
        policy_lag=1,
        network=NetworkConfig(width=48, depth=4),
        search=SearchConfig(num_simulations=32),
        learner=LearnerConfig(batch_size=256, shards=4),
    )


def go_9x9() -> TrainConfig:
    """Trains 9×9, komi 7.5, sized for 2 cores; one of its 600 iterations took 1:20 minutes there.

    No more was run; all 600 would take a night.
    """
    return TrainConfig(
        game="go?size=9",
        iterations=600,
        policy_lag=1,
        network=NetworkConfig(width=64, depth=4),
        search=SearchConfig(num_simulations=32),
        selfplay=SelfPlayConfig(temperature_plies=16),
        learner=LearnerConfig(batch_size=256, shards=4),
    )


def go_9x9_imitation() -> TrainConfig:
    """Imitates human games on 9×9, then trains by self-play: AlphaGo's two steps.

    It reads `experts/go_9x9`, or the archive that `--imitation.dataset` names:

        python launch/experts.py import go9x9 FILES… --min-rating 2000 --min-rank 1d \\
            --out experts/go_9x9

    Imitation takes 41 minutes on 2 cores and 10^14.5 FLOPs. The network then predicts 48.6 % of the
    moves in held-out games, and with 64 simulations it is ahead of GNU Go's level 10
    (docs/results/imitation_go_9x9.md; seed 0, 17 774 games). An iteration of self-play takes about
    a minute; five were run, with `expert_fraction` 0.2 and `expert_half_life` 10. Today's values
    were measured with a smaller network: at equal FLOPs, two steps are 900 to 1 400 Elo ahead of
    one, and 13 iterations of self-play gain 97 ± 84 Elo on the imitated network
    (docs/results/two_steps.md).

    Komi is 7, as in most records: planes of another komi would be new to the network.
    """
    recipe = go_9x9()
    return replace(
        recipe,
        game="go?size=9&komi=7",
        network=NetworkConfig(width=48, depth=4),
        imitation=ImitationConfig(
            dataset="experts/go_9x9",
            epochs=4,
            positions_per_iteration=200_000,
            expert_fraction=0.9,
            expert_half_life=3.0,
            learner=LearnerConfig(
                batch_size=128,
                shards=4,
                lr_decay_fraction=0.8,
                final_lr_fraction=0.02,
                ema_decay=0.999,
            ),
        ),
    )


def go_9x9_gpu() -> TrainConfig:
    """Trains a larger network for 9×9 on one accelerator, with batches of games that fill it.

    Self-play and learning share the device in one process (`cluster.actors` 0). Only two
    iterations were ever run, on an H200. The speed of its parts on an H100 and on an H200 is in
    docs/results/accelerator.md.
    """
    return TrainConfig(
        game="go?size=9",
        iterations=1000,
        network=NetworkConfig(width=128, depth=10, head_width=128),
        search=SearchConfig(num_simulations=64),
        selfplay=SelfPlayConfig(
            streams=2, batch_size=1024, segment_length=32, temperature_plies=16
        ),
        learner=LearnerConfig(batch_size=4096),
        replay=ReplayConfig(minimum=1_000_000),
        cluster=ClusterConfig(actors=0),
    )


def go_9x9_imitation_gpu() -> TrainConfig:
    """Imitates the games of `go_9x9_imitation` with the network of `go_9x9_gpu`, then plays on.

    On one accelerator, in one process; never run.
    """
    larger, two_steps = go_9x9_gpu(), go_9x9_imitation()
    learner = replace(two_steps.imitation.learner, batch_size=1024, shards=8)
    return replace(
        larger,
        game=two_steps.game,
        imitation=replace(two_steps.imitation, learner=learner),
    )


def go_19x19_cluster() -> TrainConfig:
    """Trains 19×19 on a Ray cluster (`--cluster.address`) with accelerators; never run yet.

    By arithmetic an iteration takes 41 to 89 minutes of one H100, and the run 700 to 1 500 hours:
    a week on eight of them, if actors share the work evenly (docs/guide/accelerators.md). Games
    that are not over travel with the work, 61 MB a stream or more; so streams are few and segments
    long.
    """
    return TrainConfig(
        game="go?size=19",
        iterations=1000,
        policy_lag=1,
        network=NetworkConfig(width=192, depth=15, head_width=256),
        search=SearchConfig(num_simulations=128),
        selfplay=SelfPlayConfig(
            streams=16, batch_size=256, segment_length=128, temperature_plies=30
        ),
        learner=LearnerConfig(batch_size=4096),
        replay=ReplayConfig(minimum=2_000_000),
    )
