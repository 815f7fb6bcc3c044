"""Imitation: learning from expert games before self-play.

It is a run of its own in ``RUN/imitation``: an iteration learns from a part of the experts'
positions, evaluates the network on games that were held out, and commits. So it can be resumed,
verified, rated and graded like self-play. The version with the lowest held-out loss becomes version
0 of self-play.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from selfplay import rng
from selfplay.imitation.dataset import ExpertData
from selfplay.learning.learner import Learner, LearnerState, check_finite
from selfplay.learning.row_sources import Subset
from selfplay.learning.step_cost import step_flops
from selfplay.model.architecture import Model, Params
from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.phase import Enter, Phase, unwatched
from selfplay.rng import Purpose
from selfplay.runs.digest import digest
from selfplay.runs.identity import RunIdentity
from selfplay.runs.metrics_row import ImitationRow, MetricsRow, Seconds, Section, StartRow
from selfplay.runs.run import Run, load_version
from selfplay.runs.snapshots import is_snapshot

FOLDER = "imitation"  # in the run's folder
IMITATION_KEY_OFFSET = 1 << 24  # added to iterations in keys; self-play has fewer iterations


@dataclass(frozen=True, eq=False)
class Imitation:
    """The compiled parts of imitation, without its state.

    Attributes:
        data: the experts' games.
        learner: the learner, with a schedule over all epochs.
        steps: gradient steps of each iteration of an epoch.
        step_flops: FLOPs of a gradient step.
    """

    data: ExpertData
    learner: Learner
    steps: tuple[int, ...]
    step_flops: int

    @classmethod
    def build(
        cls, data: ExpertData, model: Model, network_config: NetworkConfig, devices: int = 0
    ) -> Imitation:
        """Builds the parts; the learner uses `devices` local devices, 0: as many as fit."""
        config, game, size = data.config, data.game, data.train.size
        batch_size = config.learner.batch_size
        parts = max(1, min(round(size / config.positions_per_iteration), size // batch_size))
        split = np.array_split(np.arange(size), parts)
        steps = tuple(len(rows) // batch_size for rows in split)
        total = config.epochs * sum(steps)
        learner = Learner(game, model, config.learner, total, data.seed, devices or None)
        return cls(data, learner, steps, step_flops(game, network_config, config.learner))

    @property
    def iterations(self) -> int:
        """The number of iterations of all epochs."""
        return self.data.config.epochs * len(self.steps)

    def fit(self, state: LearnerState, iteration: int) -> tuple[LearnerState, dict[str, float]]:
        """Learns for one iteration, counted from 1; returns the new state and metrics."""
        epoch, part = divmod(iteration - 1, len(self.steps))
        draw = rng.generator(self.data.seed, Purpose.EPOCH, epoch)
        order = draw.permutation(self.data.train.size)
        rows = np.array_split(order, len(self.steps))[part]
        source = Subset(self.data.rows, rows)
        return self.learner.fit(state, source, IMITATION_KEY_OFFSET + iteration, self.steps[part])

    def ledger(self, iteration: int) -> Ledger:
        """Computes the FLOPs spent up to an iteration."""
        epochs, parts = divmod(iteration, len(self.steps))
        steps = epochs * sum(self.steps) + sum(self.steps[:parts])
        return Ledger(imitation=steps * self.step_flops)


class ImitationResult(NamedTuple):
    """The result of imitation, from which self-play starts.

    Attributes:
        params: parameters of the best version.
        ledger: FLOPs of all iterations.
        seconds: wall-clock seconds of all iterations.
        record: of the best version: "version", "data" (digest of the archive) and "held_out" (its
            measures on all held-out games).
    """

    params: Params
    ledger: Ledger
    seconds: float
    record: Section


def held_out_loss(row: ImitationRow) -> float:
    """Computes the policy loss plus the value loss on held-out positions; NaN counts as 0."""
    return float(np.nansum([row.held_out["policy_loss"], row.held_out["value_loss"]]))


def best_iteration(rows: Sequence[ImitationRow]) -> int:
    """Returns the first iteration with the lowest held-out loss, of the rows of 1, 2, …"""
    return min(range(len(rows)), key=lambda i: held_out_loss(rows[i])) + 1


def imitate(
    imitation: Imitation,
    run: Run,
    on_iteration: Callable[[MetricsRow], bool | None],
    announce: Callable[[str], None],
    enter: Enter = unwatched,
    allow_mismatch: bool = False,
) -> ImitationResult | None:
    """Learns to the end, resuming from the run's last commit.

    Args:
        imitation: the compiled parts.
        run: ``RUN/imitation``, open.
        on_iteration: gets every committed row; ends imitation by returning True.
        announce: gets messages for the user.
        enter: gets each phase as it begins.
        allow_mismatch: resume also if the learner's arithmetic differs from that of the run.

    Returns:
        The best version; None if `on_iteration` ended imitation before its last iteration.

    Raises:
        ValueError: the run was begun with another archive, or by other arithmetic.
        CorruptedFile: the archive was altered.
        Diverged: the loss is not finite.
    """
    committed = [run.commits.read(iteration).row for iteration in range(1, run.next_iteration)]
    rows = [row for row in committed if isinstance(row, ImitationRow)]
    state = _restore_or_initialize(imitation, run, announce, enter, allow_mismatch)
    while len(rows) < imitation.iterations and not _has_stalled(imitation, rows):
        state = _iterate(imitation, run, state, rows, enter)
        if on_iteration(rows[-1]) and len(rows) < imitation.iterations:
            return None
    return _result(imitation, run, rows, enter)


def _restore_or_initialize(
    imitation: Imitation,
    run: Run,
    announce: Callable[[str], None],
    enter: Enter,
    allow_mismatch: bool,
) -> LearnerState:
    """Returns the state at the last commit; a new run commits version 0 first.

    Unless imitation is complete, checks the archive and the learner's arithmetic, and compiles.
    """
    data, state = imitation.data, imitation.learner.init()
    is_new = run.next_iteration == 0
    if not is_new:
        data.check_digest(run.commits.identity().dataset, run.folder)
        state = run.restore(state).state
    if run.next_iteration > imitation.iterations:
        return state
    enter(Phase("reading the experts' games"))
    data.train.archive.check()
    if warning := data.komi_warning:
        announce(f"warning: {warning}")
    enter(Phase("compiling the learner of imitation"))
    example = data.rows.gather(np.zeros(1, np.int64))
    identity = RunIdentity(None, imitation.learner.fingerprint(example), data.digest)
    if not is_new and not allow_mismatch:
        run.commits.identity().check_arithmetic(identity, run.folder)
    data.evaluate(state.ema_params, 1)  # compiles
    if is_new:
        row = StartRow(iteration=0, digests={"state": digest(state)}, identity=identity)
        run.commit(
            0,
            state,
            row.to_json(),
            state.ema_params,
            ledger=asdict(Ledger()),
            digests=row.digests,
        )
    return state


def _iterate(
    imitation: Imitation, run: Run, state: LearnerState, rows: list[ImitationRow], enter: Enter
) -> LearnerState:
    """Performs and commits one iteration; appends its row and returns the new state."""
    iteration, config = len(rows) + 1, imitation.data.config
    started = time.perf_counter()
    enter(Phase("learning from experts", iteration))
    state, metrics = imitation.fit(state, iteration)
    check_finite(metrics, iteration, run.folder)
    learned = time.perf_counter()
    enter(Phase("measuring on held-out games", iteration))
    held_out = imitation.data.evaluate(state.ema_params, config.eval_positions)
    ledger = imitation.ledger(iteration)
    seconds_before = rows[-1].seconds.total if rows else 0.0
    row = ImitationRow(
        iteration=iteration,
        epoch=iteration / len(imitation.steps),
        digests={"state": digest(state)},
        ledger={**asdict(ledger), "ooms": ledger.ooms},
        learner=metrics,
        held_out=held_out,
        seconds=Seconds(
            learn=learned - started,
            measure=time.perf_counter() - learned,
            total=learned - started + seconds_before,
        ),
    )
    rows.append(row)
    best = best_iteration(rows)
    keep = best == iteration or is_snapshot(iteration) or iteration == imitation.iterations
    params = state.ema_params if keep else None
    run.commit(
        iteration,
        state,
        row.to_json(),
        params,
        ledger=asdict(ledger),
        needed={best},
        digests=row.digests,
    )
    return state


def _has_stalled(imitation: Imitation, rows: Sequence[ImitationRow]) -> bool:
    """Returns True if the last `patience` iterations did not lower the loss; patience 0: never."""
    patience = imitation.data.config.patience
    return bool(rows) and 0 < patience <= len(rows) - best_iteration(rows)


def _result(
    imitation: Imitation, run: Run, rows: Sequence[ImitationRow], enter: Enter
) -> ImitationResult:
    """Loads the best version and evaluates it on all held-out positions."""
    data, best = imitation.data, best_iteration(rows)
    size = data.held_out.size
    enter(Phase(f"measuring version {best} of imitation on {size:,} held-out positions"))
    params = load_version(run.folder, best).params
    held_out = data.evaluate(params, size)
    record = {"version": best, "data": data.digest, "held_out": held_out}
    return ImitationResult(params, imitation.ledger(len(rows)), rows[-1].seconds.total, record)
