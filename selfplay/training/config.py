"""The config of a run, composed of the configs of its parts.

Parsing a command line needs no JAX, so this module and those it imports do without; whether the
game exists is checked when the run is built (`Trainer.build`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.cluster.config import ClusterConfig
from selfplay.imitation.config import ImitationConfig
from selfplay.ladder.config import EloConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs.codec import ADDED, MUTABLE
from selfplay.runs.window import ReplayConfig
from selfplay.search.config import SearchConfig
from selfplay.solved.config import ExamConfig

_NOT_IN_RECIPE = {"recipe": False}  # metadata of a field that runs of one recipe may differ in


@dataclass(frozen=True)
class StoreConfig:
    """Settings of what a run folder keeps (section `store`).

    Attributes:
        keep: number of the newest commits whose checkpoints are kept, to resume from.
        keep_for_verify: keep every checkpoint and replay shard, so that ``launch/verify.py`` can
            recompute any iteration; otherwise it can recompute only the newest ones.
    """

    keep: int = 2
    keep_for_verify: bool = False

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"store.keep must be at least 1, got {self.keep}")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a run is made of. The same config computes the same bits.

    Attributes:
        game: a game's name, with its options behind it: "go?size=9&komi=7.5", "pgx:othello".
        iterations: rounds of play and learning; iteration i makes version i. 0: imitation only.
        policy_lag: 0 plays with the newest version; 1 plays the next iteration with the version
            before, while the learner trains. Unlike `cluster`, it changes what is computed.
        seed: seed of everything random.
        init_from: the version whose averaged parameters version 0 has: RUN@12, RUN@last, RUN@best
            or an exported .safetensors file. The optimizer is fresh, the replay window is empty,
            and the FLOPs of that version count. The run keeps the parameters' digest here, so that
            folders may move; resuming needs neither this option nor the other run.
    """

    game: str = "connect_four"
    iterations: int = field(default=100, metadata=_NOT_IN_RECIPE)
    policy_lag: Literal[0, 1] = 0
    seed: int = field(default=0, metadata=_NOT_IN_RECIPE)
    init_from: str = field(default="", metadata=ADDED)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    selfplay: SelfPlayConfig = field(default_factory=SelfPlayConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    exam: ExamConfig = field(default_factory=ExamConfig, metadata=_NOT_IN_RECIPE | MUTABLE)
    elo: EloConfig = field(default_factory=EloConfig, metadata=_NOT_IN_RECIPE)
    store: StoreConfig = field(default_factory=StoreConfig, metadata=_NOT_IN_RECIPE | MUTABLE)
    cluster: ClusterConfig = field(default_factory=ClusterConfig, metadata=_NOT_IN_RECIPE | MUTABLE)

    def __post_init__(self) -> None:
        least = 0 if self.imitation.dataset else 1
        if self.iterations < least:
            raise ValueError(f"iterations must be at least {least}, got {self.iterations}")
        first, budget = self.selfplay.first_simulations, self.search.num_simulations
        if first > budget:
            raise ValueError(
                f"selfplay.first-simulations is {first}, more than search.num-simulations, {budget}"
            )
        if self.init_from and self.imitation.dataset:
            raise ValueError(
                f"init_from={self.init_from} and imitation.dataset={self.imitation.dataset} would "
                "both give version 0 its parameters; leave one out (--imitation.dataset '' "
                "--imitation.expert-fraction 0 where the preset imitates)"
            )

    def resolved(self, platform: str) -> TrainConfig:
        """Returns the config with the type in which the network computes.

        Who plays and who learns compute in the same one: that of CPUs if the actors play on CPUs.

        Args:
            platform: the JAX platform of the driver, which learns, such as "cpu".
        """
        plays_on_cpu = self.cluster.actors != 0 and self.cluster.on_cpu
        network = self.network.resolved("cpu" if plays_on_cpu else platform)
        return replace(self, network=network)

    def stream_spec(self) -> StreamSpec:
        """Returns what a process needs to know to play the run's streams."""
        return StreamSpec(
            self.game,
            self.network,
            self.search,
            self.selfplay,
            self.seed,
            self.learner.losses,
            surprise=self.learner.surprise_weight > 0,
        )

    def losses_by_learner(self) -> tuple[tuple[str, ...], ...]:
        """Returns the further loss terms of each learner: of self-play, and of imitation, if any.

        The run's network has the auxiliary heads of all of them.
        """
        imitation = self.imitation.learner.losses if self.imitation.dataset else ()
        return self.learner.losses, imitation


NOT_IN_RECIPE = tuple(f.name for f in fields(TrainConfig) if not f.metadata.get("recipe", True))
"""Fields and sections in which runs of the same recipe may differ."""
