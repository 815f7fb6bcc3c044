"""What a run takes from experts: which of their games, for how long, and how well it knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import games
from games.game import Game
from games.go import Go
from selfplay import rng
from selfplay.experts.archive import Experts, View
from selfplay.imitation.held_out import Measure
from selfplay.learning.learner import LearnerConfig, Source
from selfplay.learning.mixture import beside
from selfplay.model import network
from selfplay.model.network import NetworkConfig
from selfplay.rng import Purpose

RARE = 0.01  # of the games; what is rarer than that is hardly known


@dataclass(frozen=True)
class ImitationConfig:
    """What is learnt from experts before self-play, and how much of them stays.

    Attributes:
        data: an archive that ``launch/experts.py`` made; empty: self-play begins from nothing.
        epochs: passes over the archive's training games.
        games: share of the training games that is used: how much is data worth?
        part: positions of one iteration, about; after each comes a measurement and a commit.
        patience: iterations without a lower held-out loss that end it early; 0: never.
        measured: held-out positions of a measurement; the last one takes all there are.
        learner: how it learns (its `reuse` and `max_steps` do not count: `epochs` does); self-play
            has the run's own `learner`, with a fresh optimizer and a warm-up.
        stays: share of experts' rows among those that the first iteration of self-play learns
            from.
        halves: iterations of self-play in which the share of experts' rows halves.
        watch: first iterations of self-play that are measured on the held-out games, too.
    """

    data: str = ""
    epochs: int = 8
    games: float = 1.0
    part: int = 100_000
    patience: int = 0
    measured: int = 8192
    learner: LearnerConfig = field(
        default_factory=lambda: LearnerConfig(batch_size=256, shards=4, decay=0.6, ema=0.998)
    )
    stays: float = 0.0
    halves: float = 10.0
    watch: int = 10

    def __post_init__(self) -> None:
        for name in ("epochs", "part", "measured"):
            if getattr(self, name) < 1:
                raise ValueError(f"imitation.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("patience", "watch"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"imitation.{name} must not be negative, got {getattr(self, name)}"
                )
        if not 0 < self.games <= 1:
            raise ValueError(f"imitation.games must lie in (0, 1], got {self.games}")
        if not 0 <= self.stays < 1:
            raise ValueError(f"imitation.stays must lie in [0, 1), got {self.stays}")
        if not self.halves > 0:
            raise ValueError(f"imitation.halves must be above 0, got {self.halves}")
        if self.stays and not self.data:
            raise ValueError(f"imitation.stays is {self.stays}, but imitation.data names no games")


@dataclass(frozen=True, eq=False)
class Lessons:
    """An archive as a run uses it: games to learn from, and games held out."""

    config: ImitationConfig
    game: Game
    seed: int
    train: View
    held_out: View
    measure: Measure

    @classmethod
    def open(cls, config: ImitationConfig, game: str, shape: NetworkConfig, seed: int) -> Lessons:
        """Open ``config.data``.

        Raises:
            ValueError: no archive, one of another game, or one without positions.
            CorruptedFile: a file is missing or cut.
        """
        experts, rules = Experts(config.data), games.make(game)
        if (experts.game.name, *_shapes(experts.game)) != (rules.name, *_shapes(rules)):
            raise ValueError(
                f"imitation.data={config.data} holds games of {experts.manifest['game']}, this "
                f"run plays {game}"
            )
        train, out = experts.train.share(config.games), experts.held_out
        if train.size < config.learner.batch_size or not out.size:
            raise ValueError(
                f"imitation.data={config.data} has {train.size} positions to learn from and "
                f"{out.size} held out; a batch ({config.learner.batch_size}) and 1 are needed"
            )
        order = rng.generator(seed, Purpose.HELD_OUT).permutation(out.size)
        _, evaluate = network.make(rules, shape)
        return cls(config, rules, seed, train, out, Measure(rules, evaluate, train, out, order))

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
            f"{counts.get(self.game.komi, 0)} of {len(shown):,} games in {self.config.data} have "
            f"komi {self.game.komi:g}, which this run plays with, and most have {most:g}"
        )

    def with_window(self, window: Source, iteration: int) -> Source:
        """What an iteration of self-play learns from: the window, and experts as long as any stay.

        Their share is `stays` in iteration 1, and halves every `halves` iterations.
        """
        share = self.config.stays * 0.5 ** ((iteration - 1) / self.config.halves)
        return beside(window, self.train, share, self.seed, iteration)

    def check(self, known: str, folder: Any) -> None:
        """Raises ValueError unless this is the archive that a run was begun with."""
        if known != self.digest:
            raise ValueError(
                f"{self.config.data} has changed since {folder} began with it (digest "
                f"{self.digest[:12]}, was {known[:12]}); begin another run"
            )


def _shapes(game: Any) -> tuple[Any, ...]:
    return game.observation_shape, game.num_actions
