"""Expert data of a run: its training and held-out games, and their mixture with self-play."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from games.game import Game
from selfplay import rng
from selfplay.acting.row_schema import RowField
from selfplay.experts.archive import ExpertArchive, Split
from selfplay.imitation.config import ImitationConfig
from selfplay.imitation.held_out import HeldOutEvaluator
from selfplay.learning.row_sources import Completed, Source, with_experts
from selfplay.model.architecture import Model
from selfplay.rng import Purpose

MIN_KOMI_SHARE = 0.01  # of the games; a network hardly knows a komi that is rarer


@dataclass(frozen=True, eq=False)
class ExpertData:
    """An archive of expert games as a run uses it.

    Attributes:
        config: the run's settings of imitation.
        game: the run's game.
        seed: the run's seed.
        train: positions to learn from.
        held_out: positions of other games, for evaluation.
        rows: positions to learn from, with all fields that a learner of the run reads. The archive
            lacks those that loss terms add; they are "missing" (`RowField.missing`).
        evaluate: ``(params, count) → measures`` on the first `count` held-out positions, in an
            order drawn from the seed.
    """

    config: ImitationConfig
    game: Game
    seed: int
    train: Split
    held_out: Split
    rows: Source
    evaluate: HeldOutEvaluator

    @classmethod
    def open(
        cls,
        config: ImitationConfig,
        game_spec: str,
        game: Game,
        model: Model,
        seed: int,
        absent: tuple[RowField, ...] = (),
    ) -> ExpertData:
        """Opens the archive ``config.dataset``.

        Args:
            config: settings of imitation.
            game_spec: the run's game as its config names it.
            game: the run's game.
            model: the run's network.
            seed: the run's seed.
            absent: the row fields that the run's loss terms add.

        Raises:
            ValueError: it is not an archive, one of another game, or has too few positions.
            CorruptedFile: a file is missing or cut.
        """
        archive = ExpertArchive(config.dataset)
        if not _same_shapes(archive.game, game):
            raise ValueError(
                f"imitation.dataset={config.dataset} has games of {archive.manifest['game']}, "
                f"this run plays {game_spec}"
            )
        train, held_out = archive.train.sample(config.game_fraction), archive.held_out
        if train.size < config.learner.batch_size or not held_out.size:
            raise ValueError(
                f"imitation.dataset={config.dataset} has {train.size} positions to learn from and "
                f"{held_out.size} held out; a batch ({config.learner.batch_size}) and 1 are needed"
            )
        order = rng.generator(seed, Purpose.HELD_OUT).permutation(held_out.size)
        evaluator = HeldOutEvaluator(game, model.apply, train, held_out, order)
        rows = Completed(train, game, absent) if absent else train
        return cls(config, game, seed, train, held_out, rows, evaluator)

    @property
    def digest(self) -> str:
        """The digest of the archive."""
        return self.train.archive.digest

    @property
    def komi_warning(self) -> str:
        """A warning if hardly any expert game has the run's komi; "" otherwise."""
        komi = self.game.komi
        if komi is None:
            return ""
        expert_komi = self.train.archive.games["komi"][self.train.games]
        counts = dict(zip(*np.unique(expert_komi, return_counts=True), strict=True))
        if counts.get(komi, 0) >= MIN_KOMI_SHARE * len(expert_komi):
            return ""
        most = max(counts, key=counts.__getitem__)
        return (
            f"{counts.get(komi, 0)} of {len(expert_komi):,} games in {self.config.dataset} have "
            f"komi {komi:g}, with which this run plays, and most have {most:g}"
        )

    def with_window(self, window: Source, iteration: int) -> Source:
        """Adds expert rows to the replay window from which an iteration of self-play learns.

        Their fraction is `expert_fraction` in iteration 1 and halves every `expert_half_life`
        iterations.
        """
        halvings = (iteration - 1) / self.config.expert_half_life
        fraction = self.config.expert_fraction * 0.5**halvings
        return with_experts(window, self.rows, fraction, self.seed, iteration)

    def check_digest(self, expected: str, folder: Path) -> None:
        """Raises ValueError unless the run in `folder` was begun with this archive.

        `expected` is the archive's digest in the run.
        """
        if expected != self.digest:
            raise ValueError(
                f"{self.config.dataset} has changed since {folder} began with it (digest "
                f"{self.digest[:12]}, was {expected[:12]}); begin another run"
            )


def _same_shapes(a: Game, b: Game) -> bool:
    """Returns True if two games have the same name, observations and actions."""
    return (a.name, a.observation_shape, a.num_actions) == (
        b.name,
        b.observation_shape,
        b.num_actions,
    )
