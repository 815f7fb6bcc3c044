"""What a run is: every choice in it, composed of what each part of it may choose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from selfplay.acting.config import SelfPlayConfig
from selfplay.cluster.config import ClusterConfig
from selfplay.imitation.config import ImitationConfig
from selfplay.ladder.config import EloConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs.codec import ADDED
from selfplay.runs.window import ReplayConfig
from selfplay.search.config import SearchConfig
from selfplay.solved.config import ExamConfig

MUTABLE = (  # what may change when a run is resumed: no bit of it
    *("cluster", "exam", "store"),
    *("elo.budgets", "elo.games", "elo.until_stderr", "imitation.monitor_iterations"),
)


@dataclass(frozen=True)
class StoreConfig:
    """What a run folder keeps.

    Attributes:
        keep: newest commits that can be resumed from.
        keep_for_verify: keep every checkpoint and replay shard, so that ``launch/verify.py`` can
            recompute any iteration. Without it, only the newest ones can be.
    """

    keep: int = 2
    keep_for_verify: bool = False

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"store.keep must be at least 1, got {self.keep}")


@dataclass(frozen=True)
class TrainConfig:
    """A whole run. The same config and seed give the same bits.

    Attributes:
        game: a game's name, with its options behind it: "go?size=9&komi=7.5", "pgx:othello".
        iterations: rounds of play and learning; iteration i makes version i. 0: imitation only.
        policy_lag: 0 plays with the newest version; 1 plays the next iteration with the version
            before, while the learner trains. It changes what is computed, unlike `cluster`.
        seed: seed of everything random; the same config and seed give the same bits.
        init_from: the version whose averaged parameters version 0 has: RUN@12, RUN@last, RUN@best
            or an exported .safetensors file. The optimizer is fresh and the replay window empty,
            and the FLOPs of that version count. The run keeps the parameters' digest here, so that
            folders may move; resuming needs neither this option nor the other run.
    """

    game: str = "connect_four"
    iterations: int = 100
    policy_lag: Literal[0, 1] = 0
    seed: int = 0
    init_from: str = field(default="", metadata=ADDED)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    selfplay: SelfPlayConfig = field(default_factory=SelfPlayConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    exam: ExamConfig = field(default_factory=ExamConfig)
    elo: EloConfig = field(default_factory=EloConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        least = 0 if self.imitation.dataset else 1
        if self.iterations < least:
            raise ValueError(f"iterations must be at least {least}, got {self.iterations}")
        if self.init_from and self.imitation.dataset:
            raise ValueError(
                f"init_from={self.init_from} and imitation.dataset={self.imitation.dataset} would "
                "both give version 0 its parameters; leave one out (--imitation.dataset '' "
                "--imitation.expert-fraction 0 where the preset imitates)"
            )

    def player(self) -> tuple[Any, ...]:
        """The arguments of ``StreamPlayer``."""
        return self.game, self.network, self.search, self.selfplay, self.seed
