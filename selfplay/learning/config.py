"""Settings of the learner (section `learner`)."""

from dataclasses import dataclass, field

from games import plugins
from games.plugins import Kind
from selfplay.ranges import check_above, check_fraction
from selfplay.runs.codec import ADDED

LOSS = Kind(
    "loss term",
    "oomzero.losses",
    (
        *("reply", "soft_policy", "td_value", "moves_left", "owner", "score", "lambda_return"),
        "value_entropy",
    ),
)
OPTIMIZER = Kind("optimizer", "oomzero.optimizers", ("adamw", "muon", "sgd"))
SCHEDULE = Kind("schedule", "oomzero.schedules", ("warmup_cosine", "warmup_constant"))


@dataclass(frozen=True)
class LearnerConfig:
    """Settings of learning from the replay window.

    Attributes:
        batch_size: positions per gradient step.
        shards: pieces a batch's gradient is summed from, in order; the devices must divide it.
        replay_ratio: how often each new position is trained on, on average; sets the number of
            gradient steps per iteration.
        max_steps: at most this many gradient steps in one iteration.
        learning_rate: the learning rate after the warm-up.
        warmup_steps: gradient steps in which the learning rate rises linearly from 0.
        lr_decay_fraction: fraction of the run, at its end, in which the learning rate falls along
            a cosine.
        final_lr_fraction: learning rate at the run's end, as a fraction of `learning_rate`.
        weight_decay: weight decay, decoupled from the gradient.
        gradient_clip: global norm above which gradients are scaled down.
        value_weight: weight of the value loss (mean squared error) against the policy's cross
            entropy.
        root_value_weight: w in the value target, (1 − w)·outcome + w·(the search's root value).
        ema_decay: decay per step of the averaged weights that play and are rated.
        surprise_weight: s in the weight with which rows are drawn, 1 − s + s·(surprise / its mean
            in the game). The surprise is the divergence between the search's policy and the
            network's (policy surprise weighting, Wu 2020; KataGo has 0.5). 0: all rows alike.
        symmetries: draw a random symmetry of the board for every row.
        losses: further terms of the loss: ``reply``, ``soft_policy``, ``td_value``, ``moves_left``,
            ``owner``, ``score``, ``lambda_return``, ``value_entropy`` (see `auxiliary`),
            MODULE:NAME?weight=0.15, or names that installed packages register. Each may add row
            fields and auxiliary heads of the network.
        optimizer: ``adamw``, ``muon`` (?momentum=0.95), ``sgd`` (?momentum=0.9&nesterov=true), a
            registered name, or an import path.
        schedule: of the learning rate: ``warmup_cosine``, ``warmup_constant`` (ignores
            `lr_decay_fraction` and `final_lr_fraction`), a registered name, or an import path.
    """

    batch_size: int = 512
    shards: int = 8
    replay_ratio: float = 4.0
    max_steps: int = 1000
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    lr_decay_fraction: float = 0.3
    final_lr_fraction: float = 0.1
    weight_decay: float = 1e-4
    gradient_clip: float = 1.0
    value_weight: float = 1.0
    root_value_weight: float = 0.5
    ema_decay: float = 0.995
    surprise_weight: float = field(default=0.0, metadata=ADDED)
    symmetries: bool = True
    losses: tuple[str, ...] = field(default=(), metadata=ADDED)
    optimizer: str = field(default="adamw", metadata=ADDED)
    schedule: str = field(default="warmup_cosine", metadata=ADDED)

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.shards < 1 or self.batch_size % self.shards:
            raise ValueError(
                f"learner.batch-size must be a positive multiple of learner.shards, "
                f"got {self.batch_size} and {self.shards}"
            )
        check_above(self, "learner", 0, "replay_ratio", "learning_rate", "max_steps")
        check_fraction(self, "learner", "root_value_weight", "ema_decay", "surprise_weight")
        check_fraction(self, "learner", "lr_decay_fraction", "final_lr_fraction")
        named = [(OPTIMIZER, self.optimizer), (SCHEDULE, self.schedule)]
        for kind, spec in [*named, *((LOSS, spec) for spec in self.losses)]:
            plugins.check(kind, spec.partition("?")[0])

    def steps(self, new_rows: int) -> int:
        """Returns the gradient steps that follow `new_rows` new positions."""
        return min(self.max_steps, round(new_rows * self.replay_ratio / self.batch_size))
