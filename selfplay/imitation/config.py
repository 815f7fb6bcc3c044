"""Settings of imitation (section `imitation`)."""

from dataclasses import dataclass, field

from selfplay.learning.config import LearnerConfig
from selfplay.ranges import check_above, check_at_least
from selfplay.runs.codec import MUTABLE


@dataclass(frozen=True)
class ImitationConfig:
    """Settings of learning from expert games, before self-play and during its first iterations.

    Attributes:
        dataset: an archive that ``launch/experts.py`` made; "" starts self-play from scratch.
        epochs: passes over the archive's training games.
        game_fraction: fraction of the training games that is used.
        positions_per_iteration: positions of one iteration, approximately; each iteration ends
            with a held-out evaluation and a commit.
        patience: iterations without a lower held-out loss that end imitation early; 0: never.
        eval_positions: held-out positions of an evaluation; the last one takes all of them.
        learner: settings of the learner during imitation. Its `replay_ratio` and `max_steps` have
            no effect, since `epochs` sets the number of steps. Self-play has the run's own
            `learner`, with a fresh optimizer and a warm-up. Each learns its own `losses`, and the
            network has the auxiliary heads of both. Expert games lack the row fields that losses
            add: their rows have the value that means "missing", in both learners.
        expert_fraction: fraction of expert rows among those that the first iteration of self-play
            learns from.
        expert_half_life: iterations of self-play in which the fraction of expert rows halves.
        monitor_iterations: first iterations of self-play that are evaluated on the held-out games.
    """

    dataset: str = ""
    epochs: int = 8
    game_fraction: float = 1.0
    positions_per_iteration: int = 100_000
    patience: int = 0
    eval_positions: int = 8192
    learner: LearnerConfig = field(
        default_factory=lambda: LearnerConfig(
            batch_size=256, shards=4, lr_decay_fraction=0.6, ema_decay=0.998
        )
    )
    expert_fraction: float = 0.0
    expert_half_life: float = 10.0
    monitor_iterations: int = field(default=10, metadata=MUTABLE)

    def __post_init__(self) -> None:
        check_at_least(self, "imitation", 1, "epochs", "positions_per_iteration", "eval_positions")
        check_at_least(self, "imitation", 0, "patience", "monitor_iterations")
        if not 0 < self.game_fraction <= 1:
            raise ValueError(
                f"imitation.game-fraction must be above 0 and at most 1, got {self.game_fraction}"
            )
        if not 0 <= self.expert_fraction < 1:
            raise ValueError(
                f"imitation.expert-fraction must be at least 0 and below 1, "
                f"got {self.expert_fraction}"
            )
        check_above(self, "imitation", 0, "expert_half_life")
        if self.learner.surprise_weight:
            raise ValueError(
                "imitation.learner.surprise-weight must be 0, because expert games have no search "
                f"that could surprise; got {self.learner.surprise_weight}"
            )
        if self.expert_fraction and not self.dataset:
            raise ValueError(
                f"imitation.expert-fraction is {self.expert_fraction}, but imitation.dataset "
                "names no archive of expert games"
            )
