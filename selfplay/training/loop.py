"""The training loop: imitate, then play, learn, evaluate and commit in every iteration.

An iteration exists once it is committed, and the commit contains everything that the next one
needs: parameters, optimizer, carries, replay index, ledger. So a run that is killed at any point
resumes from its last commit with the same bytes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import jax

import games
from selfplay import determinism
from selfplay.acting.episode import Carry, Rows
from selfplay.cluster import connection, plan, pool
from selfplay.imitation.imitate import FOLDER as IMITATION
from selfplay.imitation.imitate import ImitationResult, imitate
from selfplay.ladder import database, evaluator
from selfplay.ladder.anchor import resolve_anchor
from selfplay.ladder.config import AUTO
from selfplay.learning.learner import check_finite
from selfplay.model.architecture import Params
from selfplay.model.flops import Ledger
from selfplay.phase import Enter, Phase, unwatched
from selfplay.runs import code_changes
from selfplay.runs.codec import Json, mutable_fields, to_json
from selfplay.runs.commits import Commits
from selfplay.runs.digest import digest
from selfplay.runs.failpoints import failpoint
from selfplay.runs.files import reject_links
from selfplay.runs.identity import RunIdentity
from selfplay.runs.metrics_row import MetricsRow, Seconds, SelfPlayRow, StartRow
from selfplay.runs.renamed import disk_names
from selfplay.runs.run import Run
from selfplay.runs.snapshots import is_snapshot
from selfplay.style.powers_of_ten import power
from selfplay.tracking import tracker_specs
from selfplay.tracking.defaults import DEFAULT_TRACKERS
from selfplay.tracking.feed import tracked
from selfplay.tracking.tracker import Tracker
from selfplay.tracking.tracker_specs import NamedTracker
from selfplay.training import memory
from selfplay.training.config import TrainConfig
from selfplay.training.evaluation import Evaluation, VersionEvaluator
from selfplay.training.grader import ExamGrader
from selfplay.training.origin import Origin, resolve
from selfplay.training.play_summary import summarize
from selfplay.training.trainer import Learned, Trainer, TrainState, split_results

# In the manifest of a run whose actors need not compute the same bits.
NOT_REPRODUCIBLE = "actors may differ numerically; this run is not bit-reproducible"

OnIteration = Callable[[MetricsRow], bool | None]
"""``on_iteration(row)``: gets every committed row; ends training by returning True."""


class Callbacks(NamedTuple):
    """Functions of the caller of `train`.

    Attributes:
        on_iteration: gets every committed row; ends training by returning True.
        announce: gets messages for the user.
        enter: gets each phase as it begins.
    """

    on_iteration: OnIteration
    announce: Callable[[str], None]
    enter: Enter


class LoopState(NamedTuple):
    """State of the loop: what one iteration leaves to the next, besides the replay.

    Attributes:
        train: of the learner, and what plays next.
        carries: states of the streams.
        ledger: FLOPs behind the newest version.
        seconds: wall-clock seconds of training so far.
    """

    train: TrainState
    carries: list[Carry]
    ledger: Ledger
    seconds: float


def train(
    config: TrainConfig,
    folder: Path,
    on_iteration: OnIteration = lambda row: None,
    announce: Callable[[str], None] = lambda text: None,
    enter: Enter = unwatched,
    track: Sequence[str | Tracker] = DEFAULT_TRACKERS,
    *,
    accept_code_change: bool = False,
) -> Run:
    """Trains to the config's last iteration, resuming from the folder's last commit.

    Args:
        config: the run's config.
        folder: the run's folder.
        on_iteration: gets every committed row; ends training by returning True.
        announce: gets messages for the user.
        enter: gets each phase as it begins.
        track: trackers, which get every committed row: specs, see `tracking.tracker_specs`, or
            functions of (row, run). One that fails is announced and switched off.
        accept_code_change: resume the run also if the rules of its game or a module of the user
            have changed since its last session; the manifest records it.

    Returns:
        The run, closed.

    Raises:
        ValueError: there is no such tracker or game; the game's exam is damaged; the folder belongs
            to another config, or is not a run; the version that the config's `init_from` names does
            not fit; or the player that the run's ratings are relative to cannot play here.
        CodeChanged: the code has changed, and `accept_code_change` is False.
        ConnectionError: the cluster's address does not answer.
        Diverged: the loss is not finite.
        PoolFailed: no actor is left, or the Ray cluster is gone.
    """
    trackers = tracker_specs.resolve(track)
    config = _with_anchor(config, folder)  # first of all, this refuses an unknown game
    connection.check_reachable(config.cluster)
    for name, value in config.cluster.learner_environment().items():
        os.environ.setdefault(name, value)
    config, origin = resolve(config, folder, announce)
    trainer, grader = Trainer.build(config), ExamGrader.build(config)
    memory.check_device(config, announce)
    callbacks = Callbacks(on_iteration, announce, enter)
    opening = _Opening(trackers, announce, accept_code_change)
    with _open(trainer, folder, opening, _notes(trainer, origin)) as run:
        if run.next_iteration > config.iterations:
            return run
        start = origin
        if origin:
            cost = power(origin.ledger.ooms)
            announce(f"version 0 has the parameters of {origin}, which cost {cost} FLOPs")
        if trainer.experts and run.next_iteration == 0:
            start = _imitate(trainer, run, opening, callbacks)
            if start is None:
                return run
        if run.next_iteration:
            announce(f"resuming after iteration {run.next_iteration - 1}")
        _play_and_learn(trainer, run, start, grader, callbacks)
    return run


def _with_anchor(config: TrainConfig, folder: Path) -> TrainConfig:
    """Replaces ``elo.anchor="auto"`` by the player at 0 Elo if the run still makes ratings.

    Raises:
        ValueError: there is no such game, or see `resolve_anchor`.
    """
    game = games.make(config.game)
    if not config.elo.budgets:
        return config
    if os.path.lexists(folder):
        reject_links(folder)  # before a ladder that may be somebody else's is opened
    if _is_complete(config, folder):
        return config
    anchor = resolve_anchor(config.elo.anchor, game, folder / evaluator.FOLDER / database.FILE)
    return replace(config, elo=replace(config.elo, anchor=anchor))


def _is_complete(config: TrainConfig, folder: Path) -> bool:
    """Tells whether the folder's last undamaged commit is the config's last iteration."""
    commits = Commits(folder, config.replay)
    if max(commits.iterations(), default=0) < config.iterations:
        return False  # without reading a checkpoint
    newest = commits.latest_good()
    return newest is not None and newest.commit.iteration >= config.iterations


def _notes(trainer: Trainer, origin: Origin | None) -> dict[str, Json]:
    """Returns entries for the manifest."""
    notes: dict[str, Json] = {"network_dtype": trainer.spec.network.dtype}
    if origin:
        notes["origin"] = origin.record
    elo = trainer.config.elo
    is_resolved = elo.budgets and elo.anchor != AUTO
    return notes | ({"elo_anchor": elo.anchor} if is_resolved else {})


class _Opening(NamedTuple):
    """Settings with which the run's folders are opened; arguments as in `train`."""

    trackers: Sequence[NamedTracker]
    announce: Callable[[str], None]
    accept_code_change: bool


@contextmanager
def _open(
    trainer: Trainer, folder: Path, opening: _Opening, notes: Mapping[str, Json] | None = None
) -> Iterator[Run]:
    """Opens a run whose commits are tracked; closes trackers and run at the end."""
    config, flags = trainer.config, determinism.pinned()
    if config.cluster.allow_mismatched_actors:
        flags["mixing"] = NOT_REPRODUCIBLE
    run = Run.create_or_open(
        folder,
        config,
        window=config.replay,
        mutable=mutable_fields(TrainConfig),
        keep=config.store.keep,
        keep_all=config.store.keep_for_verify,
        flags=flags,
        notes=notes,
        code=code_changes.describe(to_json(config), trainer.game),
        accept_code_change=opening.accept_code_change,
    )
    with run, tracked(run, opening.trackers, opening.announce):
        yield run


def _imitate(
    trainer: Trainer, run: Run, opening: _Opening, callbacks: Callbacks
) -> ImitationResult | None:
    """Runs imitation in ``RUN/imitation``; returns None if the caller ended it."""
    config = trainer.config
    with _open(trainer, run.folder / IMITATION, opening) as imitation_run:
        return imitate(
            trainer.imitation(),
            imitation_run,
            *callbacks,
            allow_mismatch=config.cluster.allow_mismatched_actors,
        )


def _play_and_learn(
    trainer: Trainer,
    run: Run,
    start: ImitationResult | Origin | None,
    grader: ExamGrader | None,
    callbacks: Callbacks,
) -> None:
    """Starts the actors and iterates to the last iteration; stops the actors in any case."""
    config, (_, announce, enter) = trainer.config, callbacks
    device = jax.devices()[0]
    if idle := config.cluster.idle_accelerator(device.platform, device.device_kind):
        announce(idle)
    actors = " and starting the actors" if config.cluster.actors else ""
    enter(Phase(f"compiling self-play{actors}"))
    fingerprint = run.commits.identity().fingerprint if run.next_iteration else None
    streams = config.selfplay.streams
    workers = pool.make(trainer.spec, config.cluster, fingerprint, announce, streams)
    try:
        with closing(
            VersionEvaluator(config, run.folder, grader, trainer.experts, announce, enter)
        ) as versions:
            enter(Phase("compiling the learner"))
            state = _restore_or_initialize(trainer, run, start, workers.fingerprint)
            if run.next_iteration <= config.iterations:  # otherwise the run only imitates
                Iterations(trainer, run, workers, versions, enter, state).run_all(
                    callbacks.on_iteration
                )
    finally:
        workers.close()
        if workers.losses:
            lost = "1 actor was" if workers.losses == 1 else f"{workers.losses} actors were"
            same = "" if config.cluster.allow_mismatched_actors else ", to the same bytes"
            announce(f"{lost} replaced; their work was played again{same}")


def _restore_or_initialize(
    trainer: Trainer, run: Run, start: ImitationResult | Origin | None, fingerprint: str
) -> LoopState:
    """Returns the loop's state at the last commit; a new run commits version 0 first.

    Args:
        trainer: the run's compiled parts.
        run: the run, open.
        start: what gives a new run its first parameters; None: they are drawn from the seed.
        fingerprint: of the arithmetic of self-play.

    Raises:
        ValueError: the run was begun by other arithmetic, or with other expert games.
    """
    state, carries = trainer.start(start.params if start else None)
    identity = RunIdentity(
        fingerprint,
        trainer.learner.fingerprint(trainer.example_rows(carries)),
        trainer.experts.digest if trainer.experts else "",
        start.record if isinstance(start, Origin) else {},
    )
    if run.next_iteration == 0:
        ledger = start.ledger if start else Ledger()
        imitated = isinstance(start, ImitationResult)
        row = StartRow(
            iteration=0,
            digests={"state": digest(state)},
            ledger=asdict(ledger),
            seconds=Seconds(total=start.seconds if imitated else 0.0),
            identity=identity,
            imitation=start.record if imitated else {},
        )
        params = state.acting_params
        _commit(run, row, state, params, carries, ledger)
    else:
        state, carries, *_ = run.restore(state, carries)
    recorded = run.commits.identity()
    if trainer.experts:
        trainer.experts.check_digest(recorded.dataset, run.folder)
    if not trainer.config.cluster.allow_mismatched_actors:
        recorded.check_arithmetic(identity, run.folder)
    last = run.commits.read(run.next_iteration - 1)
    return LoopState(state, carries, Ledger(**last.ledger), last.row.seconds.total)


@dataclass
class Stopwatch:
    """Wall-clock seconds of consecutive steps.

    Attributes:
        seconds: seconds of each step, by name, when it was last done.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    _lap_started: float = 0.0

    def start(self) -> None:
        """Starts the first step."""
        self._lap_started = time.perf_counter()

    def lap(self, name: str) -> None:
        """Ends the step called `name` and starts the next one."""
        now = time.perf_counter()
        self.seconds[name], self._lap_started = now - self._lap_started, now


class Iterations:
    """The iterations of self-play: play, learn, evaluate, commit."""

    def __init__(
        self,
        trainer: Trainer,
        run: Run,
        workers: pool.Pool,
        versions: VersionEvaluator,
        enter: Enter,
        state: LoopState,
    ) -> None:
        """Prepares to continue from `state`; compiles the evaluation."""
        self._trainer, self._config, self._run = trainer, trainer.config, run
        self._workers, self._versions, self._enter = workers, versions, enter
        self._state = state
        self._watch = Stopwatch()
        versions.warm_up(state.train.learner.ema_params)

    def run_all(self, on_iteration: OnIteration) -> None:
        """Iterates to the config's last iteration, or until `on_iteration` returns True."""
        first, last = self._run.next_iteration, self._config.iterations
        streams, lag = self._config.selfplay.streams, self._config.policy_lag
        self._submit(first)
        for work in plan.iterations(first, last, streams, lag):
            self._watch.start()
            rows = self.play(work)
            learned = self.learn(work, rows)
            evaluation = self.evaluate(work)
            row = self.commit(work, rows, learned, evaluation)
            if on_iteration(row):
                break

    def play(self, work: plan.Work) -> Rows:
        """Waits for the iteration's self-play and adds its rows to the replay."""
        self._enter(Phase("playing", work.iteration))
        failpoint("train.play", work.iteration)
        results = self._workers.collect()
        self._usage = self._workers.usage()  # before anything else is submitted
        carries, rows = split_results(results)
        self._state = self._state._replace(carries=carries)
        self._run.replay.add(work.iteration, rows)
        self._watch.lap("play")
        return rows

    def learn(self, work: plan.Work, rows: Rows) -> Learned:
        """Learns from the replay; the next iteration's self-play starts as early as it can."""
        lag = self._config.policy_lag
        if lag:  # the actors play while the learner learns
            params = self._state.train.learner.ema_params
            self._submit(work.iteration + 1, params)
        self._enter(Phase("learning", work.iteration))
        failpoint("train.learn", work.iteration)
        state, ledger = self._state.train, self._state.ledger
        learned = self._trainer.fit(state, self._run.replay, work, len(rows["last"]))
        check_finite(learned.metrics, work.iteration, self._run.folder)
        failpoint("train.learned", work.iteration)
        self._watch.lap("learn")
        spent = self._watch.seconds["play"] + self._watch.seconds["learn"]
        self._state = self._state._replace(
            train=learned.state,
            ledger=self._trainer.ledger(ledger, work.iteration, learned.steps),
            seconds=self._state.seconds + spent,
        )
        if not lag:
            self._submit(work.iteration + 1)
        return learned

    def evaluate(self, work: plan.Work) -> Evaluation:
        """Evaluates the new version, as far as it is due."""
        params, ledger = self._state.train.learner.ema_params, self._state.ledger
        evaluation = self._versions.evaluate_if_due(
            params, work.iteration, ledger, final=self._is_final(work)
        )
        self._watch.lap("exam")
        return evaluation

    def commit(
        self, work: plan.Work, rows: Rows, learned: Learned, evaluation: Evaluation
    ) -> SelfPlayRow:
        """Saves the iteration; returns its row of metrics."""
        state, carries, ledger, _ = self._state
        row = self._row(work, rows, learned, evaluation)
        keep = is_snapshot(work.iteration) or bool(evaluation.exam) or self._is_final(work)
        keep = keep or self._config.store.keep_for_verify
        params = state.learner.ema_params if keep else None
        self._enter(Phase("saving", work.iteration))
        _commit(self._run, row, state, params, carries, ledger)
        self._watch.lap("commit")
        return row

    def _row(
        self, work: plan.Work, rows: Rows, learned: Learned, evaluation: Evaluation
    ) -> SelfPlayRow:
        state, carries, ledger, total = self._state
        rating_flops = evaluation.elo.get("flops", 0.0)  # not of the training, nor in "ooms"
        return SelfPlayRow(
            iteration=work.iteration,
            played_by=work.version,
            digests={
                "state": digest(state),
                "rows": digest(disk_names(rows)),
                "carries": digest(carries),
            },
            ledger={**asdict(ledger), "ooms": ledger.ooms, "evaluation": rating_flops},
            window=self._run.replay.size,
            steps=learned.steps,
            learner=learned.metrics,
            selfplay=summarize(rows),
            exam=evaluation.exam,
            elo=evaluation.elo,
            held_out=evaluation.held_out,
            pool=self._usage,
            seconds=Seconds(total=total, **self._watch.seconds),
        )

    def _submit(self, iteration: int, params: Params | None = None) -> None:
        """Starts the self-play of an iteration, unless the run ends before it.

        It is played with `params`; None: with the state's acting parameters.
        """
        if iteration > self._config.iterations:
            return
        work = plan.work(iteration, self._config.selfplay.streams, self._config.policy_lag)
        state, carries, *_ = self._state
        self._workers.submit(work, state.acting_params if params is None else params, carries)

    def _is_final(self, work: plan.Work) -> bool:
        return work.iteration == self._config.iterations


def _commit(
    run: Run,
    row: MetricsRow,
    state: TrainState,
    params: Params | None,
    carries: list[Carry],
    ledger: Ledger,
) -> None:
    """Saves an iteration with its row, whose digests are not computed again."""
    run.commit(
        row.iteration,
        state,
        row.to_json(),
        params,
        carries=carries,
        ledger=asdict(ledger),
        digests=row.digests,
    )
