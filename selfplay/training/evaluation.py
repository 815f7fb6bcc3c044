"""Evaluation of versions during training, on which no bit of the training depends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from selfplay.imitation.dataset import ExpertData
from selfplay.ladder.evaluator import BackgroundEvaluator
from selfplay.model.architecture import Params
from selfplay.model.flops import Ledger
from selfplay.phase import Enter, Phase
from selfplay.runs.codec import to_json
from selfplay.runs.metrics_row import Section
from selfplay.training.config import TrainConfig
from selfplay.training.grader import ExamGrader


class Evaluation(NamedTuple):
    """The evaluation of a version; a part that was not due is empty.

    Attributes:
        exam: scores on solved positions by budget.
        elo: the newest ratings, possibly of an earlier version.
        held_out: measures on the experts' held-out games.
    """

    exam: Section
    elo: Section
    held_out: Section


class VersionEvaluator:
    """Evaluator of a run's versions: exam, ratings on the run's ladder, experts' held-out games."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        grader: ExamGrader | None,
        experts: ExpertData | None,
        announce: Callable[[str], None],
        enter: Enter,
    ) -> None:
        """Starts the evaluation of the run in `folder`.

        Args:
            config: the run's config, with a resolved ``elo.anchor``.
            folder: the run's folder.
            grader: grades by the exam; None if the game has no exam.
            experts: the experts' games; None without imitation.
            announce: gets failures.
            enter: gets each phase as it begins.
        """
        self._config, self._grader, self._experts = config, grader, experts
        self._announce, self._enter = announce, enter
        self._rating = BackgroundEvaluator(
            folder, to_json(config), config.seed, config.elo, config.cluster
        )
        self._announced_failure = False

    def warm_up(self, params: Params) -> None:
        """Compiles the exam, if the run takes one."""
        if self._grader:
            self._enter(Phase("compiling the exam"))
            self._grader.grade(params, whole=False)

    def evaluate_if_due(
        self, params: Params, iteration: int, ledger: Ledger, final: bool
    ) -> Evaluation:
        """Evaluates the version of an iteration by everything that is due.

        Args:
            params: the version's parameters.
            iteration: the iteration that made it.
            ledger: FLOPs behind it.
            final: True = the last iteration, in which everything is due.
        """
        exam: Section = {}
        if self._grader and self._grader.is_due(iteration, final):
            self._enter(Phase("exam", iteration))
            exam = self._grader.grade(params, whole=final)
        if final and self._config.elo.budgets:
            self._enter(Phase("rating the last versions"))
        elo = self._rating.evaluate_if_due(params, iteration, ledger, final=final)
        if self._rating.failure and not self._announced_failure:
            self._announced_failure = True
            self._announce(f"rating is disabled ({self._rating.failure}); training continues")
        held_out: Section = {}
        imitation = self._config.imitation
        if self._experts and iteration <= imitation.monitor_iterations:
            self._enter(Phase("measuring on held-out games", iteration))
            held_out = self._experts.evaluate(params, imitation.eval_positions)
        return Evaluation(exam, elo, held_out)

    def close(self) -> None:
        """Stops the background actor that rates versions."""
        self._rating.close()
