"""The compiled parts of a run: the player, the learner, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

import games
from games.game import Game
from selfplay.acting.config import StreamSpec
from selfplay.acting.cost import evaluations_per_segment
from selfplay.acting.episode import Carry
from selfplay.acting.row_schema import Rows, finished_fields
from selfplay.acting.stream_player import StreamPlayer
from selfplay.cluster import plan
from selfplay.imitation.dataset import ExpertData
from selfplay.imitation.imitate import Imitation
from selfplay.learning import loss_terms
from selfplay.learning.learner import Learner, LearnerState
from selfplay.learning.row_sources import Window, by_surprise
from selfplay.learning.step_cost import step_flops
from selfplay.model import flops, network
from selfplay.model.architecture import Model, Params
from selfplay.model.flops import Ledger
from selfplay.training.config import TrainConfig


class TrainState(NamedTuple):
    """The state of training between iterations, besides the streams' carries and the replay.

    Attributes:
        learner: parameters, their averages and the optimizer.
        acting_params: the parameters that play the next iteration; with a policy lag of 1 they are
            one version behind.
    """

    learner: LearnerState
    acting_params: Params


class Learned(NamedTuple):
    """The result of one iteration's learning.

    Attributes:
        state: the state after it.
        metrics: mean losses and other numbers.
        steps: gradient steps taken.
    """

    state: TrainState
    metrics: dict[str, float]
    steps: int


@dataclass(frozen=True)
class Trainer:
    """The compiled parts of a run, without its state.

    Attributes:
        config: the run's config.
        game: its game.
        model: its network, with the auxiliary heads of its loss terms. Self-play, and everybody
            else who plays with the parameters, uses the network without them.
        learner: its learner.
        player: its player, for one stream.
        experts: its expert games; None without imitation.
        spec: what its streams play.
    """

    config: TrainConfig
    game: Game
    model: Model
    learner: Learner
    player: StreamPlayer
    experts: ExpertData | None
    spec: StreamSpec

    @classmethod
    def build(cls, config: TrainConfig) -> Trainer:
        """Builds the parts for a config; they compile at their first use.

        Raises:
            ValueError: there is no such game, network or search, one of them has no such option, a
                loss term or its head cannot be used, or the expert games cannot be used.
            CorruptedFile: the archive of expert games is damaged.
        """
        game = games.make(config.game)
        resolved = config.resolved(jax.default_backend())
        model, spec = learned_model(game, resolved), resolved.stream_spec()
        steps = config.iterations * config.learner.steps(config.selfplay.rows)
        devices = config.cluster.learner_devices or None
        learner = Learner(game, model, config.learner, steps, config.seed, devices)
        experts = None
        if config.imitation.dataset:
            absent = loss_terms.row_fields(*config.losses_by_learner(), surprise=spec.surprise)
            experts = ExpertData.open(
                config.imitation, config.game, game, model, config.seed, absent
            )
        extra = loss_terms.row_fields(spec.losses, surprise=spec.surprise)
        player = StreamPlayer(game, network.make(game, spec.network), spec, extra)
        return cls(config, game, model, learner, player, experts, spec)

    def imitation(self) -> Imitation:
        """Builds the compiled parts of imitation.

        Raises:
            ValueError: the run does not imitate.
        """
        if self.experts is None:
            raise ValueError("imitation.dataset names no archive of expert games")
        devices = self.config.cluster.learner_devices
        return Imitation.build(self.experts, self.model, self.config.network, devices)

    def example_rows(self, carries: Sequence[Carry]) -> Rows:
        """Returns no rows, with the fields that the learner's fingerprint draws noise for.

        `carries` are those of `start`.
        """
        extra = loss_terms.row_fields(self.spec.losses, surprise=self.spec.surprise)
        return carries[0].pending | finished_fields(self.game, extra)

    def start(self, params: Params | None = None) -> tuple[TrainState, list[Carry]]:
        """Returns state and carries of version 0, from `params` or from fresh parameters."""
        learner = self.learner.init(params)
        carries = [self.player.start(s) for s in range(self.config.selfplay.streams)]
        return TrainState(learner, learner.ema_params), carries

    def fit(self, state: TrainState, window: Window, work: plan.Work, new_rows: int) -> Learned:
        """Learns for one iteration.

        Args:
            state: the state before it.
            window: the replay window, the iteration's own rows included.
            work: the iteration.
            new_rows: rows that it added, which determine the number of steps.
        """
        config = self.config
        steps = config.learner.steps(new_rows) if window.size else 0
        source = by_surprise(window, config.learner.surprise_weight, config.seed, work.iteration)
        if self.experts:
            source = self.experts.with_window(source, work.iteration)
        learner, metrics = self.learner.fit(state.learner, source, work.iteration, steps)
        # With lag 1 the version before this one plays the next iteration.
        acting = state.learner if config.policy_lag else learner
        return Learned(TrainState(learner, acting.ema_params), metrics, steps)

    def ledger(self, before: Ledger, iteration: int, steps: int) -> Ledger:
        """Computes the ledger after one more iteration, which took `steps` gradient steps."""
        config = self.config
        search = config.selfplay.search_at(config.search, iteration)
        segment = evaluations_per_segment(search, config.selfplay)
        evaluations = config.selfplay.streams * segment
        selfplay = evaluations * flops.evaluation(self.game, config.network)
        per_step = step_flops(self.game, config.network, config.learner)
        return before.plus(selfplay=selfplay, learning=steps * per_step)


def learned_model(game: Game, config: TrainConfig) -> Model:
    """Builds the network of a run's learners, with the auxiliary heads of their loss terms.

    Raises:
        ValueError: a loss term cannot be used, or the architecture with heads does not contain the
            parameters of the one without.
    """
    model = network.make(game, config.network, loss_terms.heads(*config.losses_by_learner()))
    network.without_heads(network.make(game, config.network), network.shapes(model.init))
    return model


def split_results(results: Sequence[plan.Result]) -> tuple[list[Carry], Rows]:
    """Splits the streams' results into their carries and their rows, joined in stream order."""
    carries = [carry for carry, _ in results]
    names = results[0][1]
    return carries, {name: np.concatenate([rows[name] for _, rows in results]) for name in names}
