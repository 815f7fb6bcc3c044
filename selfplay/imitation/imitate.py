"""Imitation: what the network learns from expert games before it plays itself.

It is a run of its own, in ``RUN/imitation``: an iteration learns from a part of the experts'
positions, measures itself on games that were held out, and commits. So it resumes as self-play
does, and its versions can be rated, graded and proven. The one with the lowest held-out loss is
what it leaves: version 0 of self-play.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from selfplay import determinism, rng
from selfplay.imitation.dataset import ExpertData
from selfplay.learning.learner import Learner, LearnerState, check_finite
from selfplay.learning.mixture import Part
from selfplay.model import flops
from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.model.network import Model, Params
from selfplay.phase import Enter, Phase, unwatched
from selfplay.rng import Purpose
from selfplay.runs.digest import digest
from selfplay.runs.metrics import total_seconds
from selfplay.runs.run import Run, load_version
from selfplay.runs.snapshots import is_snapshot

FOLDER = "imitation"  # in the run's folder
FIRST = 1 << 24  # its iterations' keys are those of iterations from here on; self-play has fewer


@dataclass(frozen=True, eq=False)
class Imitation:
    """The compiled parts of imitation, without its state.

    Attributes:
        lessons: what is learnt.
        learner: what learns.
        steps: gradient steps of each part of an epoch.
        step_flops: FLOPs of one of them.
    """

    lessons: ExpertData
    learner: Learner
    steps: tuple[int, ...]
    step_flops: int

    @classmethod
    def build(
        cls, lessons: ExpertData, model: Model, shape: NetworkConfig, devices: int = 0
    ) -> Imitation:
        """Compile-ready parts; `devices` of the learner, 0: as many as suit."""
        config, game, size = lessons.config, lessons.game, lessons.train.size
        parts = max(
            1, min(round(size / config.positions_per_iteration), size // config.learner.batch_size)
        )
        places = np.array_split(np.arange(size), parts)
        steps = tuple(len(rows) // config.learner.batch_size for rows in places)
        total = config.epochs * sum(steps)
        learner = Learner(game, model, config.learner, total, lessons.seed, devices or None)
        step_flops = flops.training_step(game, shape, config.learner.batch_size)
        return cls(lessons, learner, steps, step_flops)

    @property
    def iterations(self) -> int:
        """Of all epochs."""
        return self.lessons.config.epochs * len(self.steps)

    def fit(self, state: LearnerState, iteration: int) -> tuple[LearnerState, dict[str, float]]:
        """One iteration's learning, counted from 1: the state after it, and metrics."""
        epoch, part = divmod(iteration - 1, len(self.steps))
        draw = rng.generator(self.lessons.seed, Purpose.EPOCH, epoch)
        order = draw.permutation(self.lessons.train.size)
        rows = np.array_split(order, len(self.steps))[part]
        source = Part(self.lessons.train, rows)
        return self.learner.fit(state, source, FIRST + iteration, self.steps[part])

    def ledger(self, iteration: int) -> Ledger:
        """What was spent up to an iteration."""
        epochs, parts = divmod(iteration, len(self.steps))
        steps = epochs * sum(self.steps) + sum(self.steps[:parts])
        return Ledger(imitation=steps * self.step_flops)


class Outcome(NamedTuple):
    """What imitation leaves to self-play."""

    params: Params
    ledger: Ledger
    seconds: float
    row: dict[str, Any]  # for the metrics of version 0: version, data, measures


def loss(row: Mapping[str, Any]) -> float:
    """What the best version is chosen by: policy and value loss on held-out positions."""
    measured = row["held_out"]
    return float(np.nansum([measured["policy_loss"], measured["value_loss"]]))


def best_of(rows: Sequence[Mapping[str, Any]]) -> int:
    """The iteration with the lowest held-out loss, of rows 1, 2, …; the first of equals."""
    return min(range(len(rows)), key=lambda i: loss(rows[i])) + 1


def imitate(
    imitation: Imitation,
    run: Run,
    report: Callable[[Mapping[str, Any]], bool | None],
    announce: Callable[[str], None],
    enter: Enter = unwatched,
    mixing: bool = False,
) -> Outcome | None:
    """Learn to the end, resuming where the run stands; None if `report` ended it by True.

    Args:
        imitation: what is learnt.
        run: ``RUN/imitation``, opened.
        report: gets every committed row.
        announce: gets sentences.
        enter: gets each step as it begins.
        mixing: go on also where the learner computes other bits than the run was begun with.

    Raises:
        ValueError: the archive is not the one that the run was begun with, or this machine's bits.
        CorruptedFile: a byte of it was altered.
        Diverged: the loss is not a number any more.
    """
    lessons = imitation.lessons
    config, measure = lessons.config, lessons.measure
    state = imitation.learner.initial()
    rows: list[Mapping[str, Any]] = [
        run.commits.read(i).metrics_row for i in range(run.next_iteration)
    ]
    if rows:
        lessons.check(rows[0]["data"], run.folder)
        state = run.restore(state).state
    if len(rows) <= imitation.iterations:
        enter(Phase("reading the experts' games"))
        lessons.train.archive.check()
        if lessons.doubt:
            announce(f"mind the komi: {lessons.doubt}")
        enter(Phase("compiling the learner of imitation"))
        fingerprint = imitation.learner.fingerprint(lessons.train.gather(np.zeros(1, np.int64)))
        if rows and not mixing:
            determinism.check_fingerprint(
                fingerprint, rows[0].get("learner_probe"), "the learner's", run.folder
            )
        measure(state.averaged, 1)
        if not rows:
            first = {"digest": {"state": digest(state)}, "data": lessons.digest}
            rows = [{**first, "learner_probe": fingerprint}]
            run.commit(0, state, rows[0], state.averaged, ledger=asdict(Ledger()))
    rows = rows[1:]
    while len(rows) < imitation.iterations and not _given_up(rows, config.patience):
        iteration = len(rows) + 1
        started = time.perf_counter()
        enter(Phase("learning from experts", iteration))
        state, metrics = imitation.fit(state, iteration)
        check_finite(metrics, iteration, run.folder)
        learned = time.perf_counter()
        enter(Phase("measuring on held-out games", iteration))
        measured = measure(state.averaged, config.eval_positions)
        ledger = imitation.ledger(iteration)
        row = {
            "version": iteration,
            "epoch": iteration / len(imitation.steps),
            "digest": {"state": digest(state)},
            "ledger": {**asdict(ledger), "ooms": ledger.ooms},
            "learner": metrics,
            "held_out": measured,
            "seconds": {
                "learn": learned - started,
                "measure": time.perf_counter() - learned,
                "total": learned - started + (total_seconds(rows[-1]) if rows else 0.0),
            },
        }
        rows.append(row)
        best = best_of(rows)
        keep = best == iteration or is_snapshot(iteration) or iteration == imitation.iterations
        params = state.averaged if keep else None
        run.commit(iteration, state, row, params, ledger=asdict(ledger), needed={best})
        if report({"iteration": iteration, "of": imitation.iterations, **row}):
            if len(rows) < imitation.iterations:
                return None
            break
    best = best_of(rows)
    size = lessons.held_out.size
    enter(Phase(f"measuring version {best} of imitation on {size:,} held-out positions"))
    params = load_version(run.folder, best).params
    row = {
        "version": best,
        "data": lessons.digest,
        "held_out": measure(params, lessons.held_out.size),
    }
    return Outcome(params, imitation.ledger(len(rows)), total_seconds(rows[-1]), row)


def _given_up(rows: Sequence[Mapping[str, Any]], patience: int) -> bool:
    """True = the last `patience` iterations have not lowered the held-out loss; 0: never."""
    return bool(rows) and 0 < patience <= len(rows) - best_of(rows)
