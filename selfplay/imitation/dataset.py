"""What a run takes from experts: which of their games, for how long, and how well it knows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from games.game import Game
from games.go import Go
from selfplay import rng
from selfplay.experts.archive import ExpertArchive, Split
from selfplay.imitation.config import ImitationConfig
from selfplay.imitation.held_out import Measure
from selfplay.learning.learner import Source
from selfplay.learning.mixture import beside
from selfplay.model.network import Model
from selfplay.rng import Purpose

RARE = 0.01  # of the games; what is rarer than that is hardly known


@dataclass(frozen=True, eq=False)
class ExpertData:
    """An archive as a run uses it: games to learn from, and games held out."""

    config: ImitationConfig
    game: Game
    seed: int
    train: Split
    held_out: Split
    measure: Measure

    @classmethod
    def open(
        cls, config: ImitationConfig, game_spec: str, game: Game, model: Model, seed: int
    ) -> ExpertData:
        """Opens `config.dataset` for a run of `game`, which is the game of `game_spec`.

        Raises:
            ValueError: no archive, one of another game, or one without positions.
            CorruptedFile: a file is missing or cut.
        """
        experts = ExpertArchive(config.dataset)
        if (experts.game.name, *_shapes(experts.game)) != (game.name, *_shapes(game)):
            raise ValueError(
                f"imitation.dataset={config.dataset} holds games of {experts.manifest['game']}, "
                f"this run plays {game_spec}"
            )
        train, out = experts.train.sample(config.game_fraction), experts.held_out
        if train.size < config.learner.batch_size or not out.size:
            raise ValueError(
                f"imitation.dataset={config.dataset} has {train.size} positions to learn from and "
                f"{out.size} held out; a batch ({config.learner.batch_size}) and 1 are needed"
            )
        order = rng.generator(seed, Purpose.HELD_OUT).permutation(out.size)
        measure = Measure(game, model.apply, train, out, order)
        return cls(config, game, seed, train, out, measure)

    @property
    def digest(self) -> str:
        """Of the archive."""
        return self.train.archive.digest

    @property
    def doubt(self) -> str:
        """A sentence on what self-play will show the network and no expert did; mostly empty."""
        if not isinstance(self.game, Go):
            return ""
        shown = self.train.archive.games["komi"][self.train.games]
        counts = dict(zip(*np.unique(shown, return_counts=True), strict=True))
        if counts.get(self.game.komi, 0) >= RARE * len(shown):
            return ""
        most = max(counts, key=counts.__getitem__)
        return (
            f"{counts.get(self.game.komi, 0)} of {len(shown):,} games in {self.config.dataset} "
            f"have komi {self.game.komi:g}, which this run plays with, and most have {most:g}"
        )

    def with_window(self, window: Source, iteration: int) -> Source:
        """What an iteration of self-play learns from: the window, and experts as long as any stay.

        Their share is `expert_fraction` in iteration 1 and halves every `expert_half_life`
        iterations.
        """
        share = self.config.expert_fraction * 0.5 ** (
            (iteration - 1) / self.config.expert_half_life
        )
        return beside(window, self.train, share, self.seed, iteration)

    def check(self, known: str, folder: Any) -> None:
        """Raises ValueError unless this is the archive that a run was begun with."""
        if known != self.digest:
            raise ValueError(
                f"{self.config.dataset} has changed since {folder} began with it (digest "
                f"{self.digest[:12]}, was {known[:12]}); begin another run"
            )


def _shapes(game: Any) -> tuple[Any, ...]:
    return game.observation_shape, game.num_actions
