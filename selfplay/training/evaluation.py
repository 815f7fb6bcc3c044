"""What is measured of versions while training goes on; no bit of the training depends on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from selfplay.imitation.dataset import ExpertData
from selfplay.ladder.evaluator import BackgroundEvaluator
from selfplay.model.flops import Ledger
from selfplay.model.network import Params
from selfplay.phase import Enter, Phase
from selfplay.runs.codec import to_json
from selfplay.training.config import TrainConfig
from selfplay.training.grader import Grader


class Examination:
    """The exam of solved positions, the run's ladder, and the experts' held-out games."""

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        lessons: ExpertData | None,
        announce: Callable[[str], None],
        enter: Enter,
    ) -> None:
        """For the run in `folder`; `announce` gets failures, `enter` each step as it begins."""
        self._config, self._lessons = config, lessons
        self._announce, self._enter = announce, enter
        self._grader = Grader.build(config.game, config.network, config.search, config.exam)
        self._rating = BackgroundEvaluator(
            folder, to_json(config), config.seed, config.elo, config.cluster
        )
        self._failed = False

    def warm_up(self, params: Params) -> None:
        """Compile ahead of time what is needed in every run."""
        if self._grader:
            self._enter(Phase("compiling the exam"))
            self._grader.grade(params, whole=False)

    def due(self, params: Params, iteration: int, ledger: Ledger, final: bool) -> dict[str, Any]:
        """``exam``, ``elo`` and ``held_out`` of the version of an iteration, empty if not due."""
        grades = {}
        if self._grader and self._grader.is_due(iteration, final):
            self._enter(Phase("exam", iteration))
            grades = self._grader.grade(params, whole=final)
        if final and self._config.elo.budgets:
            self._enter(Phase("rating the last versions"))
        ratings = self._rating.evaluate_if_due(params, iteration, ledger, final=final)
        if self._rating.failure and not self._failed:
            self._failed = True
            self._announce(f"versions are rated no more ({self._rating.failure}); training goes on")
        watched, imitation = {}, self._config.imitation
        if self._lessons and iteration <= imitation.monitor_iterations:
            self._enter(Phase("measuring on held-out games", iteration))
            watched = self._lessons.measure(params, imitation.eval_positions)
        return {"exam": grades, "elo": ratings, "held_out": watched}

    def close(self) -> None:
        """End what works beside the training."""
        self._rating.close()
