"""Grading during training: which versions take how much of the exam of solved positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax

import games
from games.game import Game
from selfplay.model import network
from selfplay.model.architecture import Params
from selfplay.runs.codec import Json
from selfplay.search.base import SearchFn
from selfplay.search.make import make_search
from selfplay.solved import exam as exams
from selfplay.solved import suite
from selfplay.solved.config import ExamConfig
from selfplay.solved.suite import Exam
from selfplay.training.config import TrainConfig


@dataclass(frozen=True)
class ExamGrader:
    """Grader of the versions of one run.

    Attributes:
        config: when and how versions are graded.
        game: the game.
        exam: the whole exam, for the last version.
        sample: the positions for versions during training.
        searches: search function by budget.
    """

    config: ExamConfig
    game: Game
    exam: Exam
    sample: Exam
    searches: Mapping[int, SearchFn]

    @classmethod
    def build(cls, config: TrainConfig) -> ExamGrader | None:
        """Builds the grader of a run; None if its game has no exam, or no budget is configured.

        Raises:
            ValueError: the exam's file is damaged or missing.
        """
        if not config.exam.budgets or config.game not in suite.FILES:
            return None
        exam, game = suite.load(config.game), games.make(config.game)
        evaluate = network.make(game, config.network).apply
        searches = {
            budget: make_search(game, evaluate, config.search.for_evaluation(budget))
            for budget in config.exam.budgets
        }
        return cls(config.exam, game, exam, exam.sample(config.exam.positions), searches)

    def is_due(self, iteration: int, final: bool) -> bool:
        """Returns True if the version of an iteration is graded; the last one always is."""
        every = self.config.every
        return final or (every > 0 and iteration % every == 0)

    def grade(self, params: Params, whole: bool) -> dict[str, Json]:
        """Grades parameters at every budget, on the whole exam or on its sample.

        Returns:
            Scores by budget: ``{"sims0": {"kept": …}, …}``.
        """
        exam = self.exam if whole else self.sample
        params = jax.device_put(jax.device_get(params))
        return {
            f"sims{budget}": exams.evaluate(self.game, exam, search_fn, params).metrics()
            for budget, search_fn in self.searches.items()
        }
