"""The compiled parts of a run: what plays, what learns, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import games
from games.game import Game
from selfplay.acting.episode import Carry
from selfplay.acting.stream_player import StreamPlayer
from selfplay.cluster import plan
from selfplay.imitation.dataset import ExpertData
from selfplay.imitation.imitate import Imitation
from selfplay.learning.batches import Source
from selfplay.learning.learner import Learner
from selfplay.model import flops, network
from selfplay.model.flops import Ledger
from selfplay.model.network import Model, Params
from selfplay.training.config import TrainConfig


@dataclass(frozen=True)
class Trainer:
    """The compiled parts of a run, without its state."""

    config: TrainConfig
    game: Game
    model: Model
    learner: Learner
    player: StreamPlayer
    lessons: ExpertData | None  # of imitation

    @classmethod
    def build(cls, config: TrainConfig) -> Trainer:
        """Compile-ready parts for a config; ValueError for experts' games that cannot be used."""
        game = games.make(config.game)
        model = network.make_once(game, config.network)
        steps = config.iterations * config.learner.steps(config.selfplay.positions)
        devices = config.cluster.learner_devices or None
        learner = Learner(game, model, config.learner, steps, config.seed, devices)
        lessons = None
        if config.imitation.dataset:
            lessons = ExpertData.open(config.imitation, config.game, game, model, config.seed)
        player = StreamPlayer(game, model, config.stream_spec())
        return cls(config, game, model, learner, player, lessons)

    def imitation(self) -> Imitation:
        """The compiled parts of imitation; there are lessons."""
        assert self.lessons
        devices = self.config.cluster.learner_devices
        return Imitation.build(self.lessons, self.model, self.config.network, devices)

    def start(self, params: Params | None = None) -> tuple[dict[str, Any], list[Carry]]:
        """State and carries of version 0: of these parameters, or of fresh ones."""
        state = self.learner.initial(params)
        carries = [self.player.start(s) for s in range(self.config.selfplay.streams)]
        return {"learner": state, "playing": state.averaged}, carries

    def fit(
        self, state: dict[str, Any], source: Source, work: plan.Work, new_rows: int
    ) -> tuple[dict[str, Any], dict[str, float], int]:
        """One iteration's learning: the state after it, metrics, and the steps taken."""
        before = state["learner"]
        steps = self.config.learner.steps(new_rows) if source.size else 0
        if self.lessons:
            source = self.lessons.with_window(source, work.iteration)
        after, metrics = self.learner.fit(before, source, work.iteration, steps)
        # With lag 1 the next iteration is played by the version before this one.
        playing = before.averaged if self.config.policy_lag else after.averaged
        return {"learner": after, "playing": playing}, metrics, steps

    def ledger(self, before: Ledger, steps: int) -> Ledger:
        """The ledger after one more iteration with that many gradient steps."""
        config, game = self.config, self.game
        per_move = flops.move(game, config.network, config.search.num_simulations)
        per_step = flops.training_step(game, config.network, config.learner.batch_size)
        return before.plus(selfplay=config.selfplay.positions * per_move, learning=steps * per_step)
