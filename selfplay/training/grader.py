"""Grading along the way: which versions of a run sit the exam, and with which questions."""

from dataclasses import dataclass
from typing import Any

import jax

import games
from games.game import Game
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.search.base import SearchFn
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search
from selfplay.solved import exam as exams
from selfplay.solved import suite
from selfplay.solved.config import ExamConfig
from selfplay.solved.suite import Exam


@dataclass(frozen=True)
class Grader:
    """Grades the versions of one run."""

    config: ExamConfig
    game: Game
    exam: Exam
    part: Exam  # the questions asked along the way
    searches: dict[int, SearchFn]  # by budget

    @classmethod
    def build(
        cls, name: str, shape: NetworkConfig, how: SearchConfig, config: ExamConfig
    ) -> "Grader | None":
        """None where the game called `name` has no exam, or no budget is asked for."""
        if not config.budgets:
            return None
        try:
            exam = suite.load(name)
        except ValueError:
            return None
        game = games.make(name)
        evaluate = network.make(game, shape).apply
        searches = {
            budget: make_search(game, evaluate, how.for_evaluation(budget))
            for budget in config.budgets
        }
        return cls(config, game, exam, exam.sample(config.positions), searches)

    def is_due(self, iteration: int, final: bool) -> bool:
        """Tells whether the version of an iteration is graded; the run's last one always is."""
        every = self.config.every
        return final or (every > 0 and iteration % every == 0)

    def grade(self, params: Any, whole: bool) -> dict[str, Any]:
        """Grades by budget: ``{"sims0": {"kept": …}, …}``."""
        exam = self.exam if whole else self.part
        params = jax.device_put(jax.device_get(params))
        return {
            f"sims{budget}": exams.evaluate(self.game, exam, fn, params).metrics()
            for budget, fn in self.searches.items()
        }
