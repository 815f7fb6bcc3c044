"""The training loop: imitate, then play, remember, learn, commit. It reads as the paper does.

The order holds for a reason: an iteration exists once it is committed, and everything that the
next one needs is in the commit (parameters, optimizer, carries, replay index, ledger), so a run
that is killed anywhere goes on from its last commit with the same bytes.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import games
from selfplay import determinism
from selfplay.acting.episode import Carry, Rows
from selfplay.cluster import connection, plan, pool
from selfplay.imitation.imitate import FOLDER as IMITATION
from selfplay.imitation.imitate import Outcome, imitate
from selfplay.ladder import database, evaluator
from selfplay.ladder.anchor import resolve_anchor
from selfplay.learning.learner import check_finite
from selfplay.model.flops import Ledger
from selfplay.phase import Enter, Phase, unwatched
from selfplay.runs.codec import mutable_fields
from selfplay.runs.digest import digest
from selfplay.runs.failpoints import failpoint
from selfplay.runs.metrics import total_seconds
from selfplay.runs.run import Run
from selfplay.runs.snapshots import is_snapshot
from selfplay.runs.window import ReplayConfig
from selfplay.training.config import TrainConfig
from selfplay.training.evaluation import Examination
from selfplay.training.origin import Origin, resolve
from selfplay.training.trainer import Trainer

MIXED = "actors may compute other bits than each other: this run promises none"  # in the manifest


def train(
    config: TrainConfig,
    folder: Path,
    report: Callable[[Mapping[str, Any]], bool | None] = lambda row: None,
    announce: Callable[[str], None] = lambda text: None,
    enter: Enter = unwatched,
) -> Run:
    """Train to the config's last iteration, resuming where the folder's last commit stands.

    `report` gets every committed metrics row and ends training by returning True; `announce`
    gets sentences; `enter` gets each step as it begins. Returns the closed run.

    Raises:
        ValueError: there is no such game; the folder belongs to another config, or is no run;
            the version that the config's `init_from` names does not fit; or the player that the
            run's ratings are relative to cannot play here.
        ConnectionError: the cluster's address does not answer.
        Diverged: the loss is not a number any more.
        PoolFailed: no actor is left, or the Ray cluster is gone.
    """
    config = _with_anchor(config, folder)  # refuses an unknown game before any work
    connection.reachable(config.cluster)
    for name, value in config.cluster.learner_environment().items():
        os.environ.setdefault(name, value)
    config, origin = resolve(config, folder, announce)
    trainer = Trainer.build(config)
    notes: dict[str, Any] = {"origin": origin.record} if origin else {}
    if config.elo.budgets:
        notes["elo_anchor"] = config.elo.anchor
    run = _open(config, folder, config.replay, notes)
    with run:
        if run.next_iteration > config.iterations:
            return run
        outcome = None
        if origin:
            announce(
                f"version 0 has the parameters of {origin}, "
                f"which cost 10^{origin.ledger.ooms:.2f} FLOPs"
            )
        if trainer.lessons and run.next_iteration == 0:
            with _open(config, run.folder / IMITATION) as first:
                outcome = imitate(
                    trainer.imitation(),
                    first,
                    report,
                    announce,
                    enter,
                    config.cluster.allow_mismatched_actors,
                )
            if not outcome:
                return run
        if run.next_iteration:
            announce(f"resuming after iteration {run.next_iteration - 1}")
        device = jax.devices()[0]
        if idle := config.cluster.idle_accelerator(device.platform, device.device_kind):
            announce(idle)
        where = " and starting the actors" if config.cluster.actors else ""
        enter(Phase(f"compiling self-play{where}"))
        streams = config.selfplay.streams
        workers = pool.make(
            config.stream_spec(), config.cluster, _fingerprint(run), announce, streams
        )
        examination = Examination(config, run.folder, trainer.lessons, announce, enter)
        try:
            _loop(config, run, trainer, outcome or origin, workers, examination, report, enter)
        finally:
            examination.close()
            workers.close()
            if workers.losses:
                actors = "1 actor was" if workers.losses == 1 else f"{workers.losses} actors were"
                same = "" if config.cluster.allow_mismatched_actors else ", to the same bytes"
                announce(f"{actors} replaced; their work was played again{same}")
    return run


def _with_anchor(config: TrainConfig, folder: Path) -> TrainConfig:
    """Replaces ``elo.anchor="auto"`` by the player that ratings are relative to, if any are made.

    Raises:
        ValueError: there is no such game, or see `resolve_anchor`.
    """
    game = games.make(config.game)
    if not config.elo.budgets:
        return config
    anchor = resolve_anchor(config.elo.anchor, game, folder / evaluator.FOLDER / database.FILE)
    return replace(config, elo=replace(config.elo, anchor=anchor))


def _open(
    config: TrainConfig,
    folder: Path,
    window: ReplayConfig | None = None,
    notes: Mapping[str, Any] | None = None,
) -> Run:
    return Run.create_or_open(
        folder,
        config,
        window=window,
        mutable=mutable_fields(TrainConfig),
        keep=config.store.keep,
        keep_all=config.store.keep_for_verify,
        flags=determinism.pinned()
        | ({"mixing": MIXED} if config.cluster.allow_mismatched_actors else {}),
        notes=notes,
    )


def _loop(
    config: TrainConfig,
    run: Run,
    trainer: Trainer,
    start: Outcome | Origin | None,
    workers: pool.Pool,
    examination: Examination,
    report: Callable[[Mapping[str, Any]], bool | None],
    enter: Enter,
) -> None:
    """Iterate from where the run stands; `report` and `enter` as for :func:`train`."""
    enter(Phase("compiling the learner"))
    state, carries, ledger, seconds = _stand(config, run, trainer, start, workers.fingerprint)
    if run.next_iteration > config.iterations:
        return  # imitation was all
    examination.warm_up(state["learner"].averaged)

    streams, lag, committing = config.selfplay.streams, config.policy_lag, 0.0
    workers.submit(plan.work(run.next_iteration, streams, lag), state["playing"], carries)
    for work in plan.iterations(run.next_iteration, config.iterations, streams, lag):
        started = time.perf_counter()
        enter(Phase("playing", work.iteration))
        failpoint("train.play", work.iteration)
        results = workers.collect()
        usage = workers.usage()  # before anything else is submitted
        carries = [carry for carry, _ in results]
        rows = {n: np.concatenate([r[n] for _, r in results]) for n in results[0][1]}
        run.replay.add(work.iteration, rows)
        played = time.perf_counter()

        following = plan.work(work.iteration + 1, streams, lag)
        more = work.iteration < config.iterations
        if more and lag:  # before learning, so that it overlaps
            workers.submit(following, state["learner"].averaged, carries)
        enter(Phase("learning", work.iteration))
        failpoint("train.learn", work.iteration)
        state, metrics, steps = trainer.fit(state, run.replay, work, len(rows["last"]))
        check_finite(metrics, work.iteration, run.folder)
        failpoint("train.learned", work.iteration)
        learned = time.perf_counter()
        if more and not lag:
            workers.submit(following, state["playing"], carries)

        ledger = trainer.ledger(ledger, steps)
        version = state["learner"].averaged
        found = examination.due(version, work.iteration, ledger, final=not more)
        examined = time.perf_counter()
        seconds += learned - started
        row = {
            "version": work.iteration,
            "played_by": work.version,
            "digest": {"state": digest(state), "rows": digest(rows), "carries": digest(carries)},
            "ledger": {
                **asdict(ledger),
                "ooms": ledger.ooms,
                "evaluation": found["elo"].get("flops", 0.0),  # not of the training, nor in `ooms`
            },
            "window": run.replay.size,
            "steps": steps,
            "learner": metrics,
            "selfplay": summary(rows),
            **found,
            "pool": usage,
            "seconds": {
                "play": played - started,
                "learn": learned - played,
                "exam": examined - learned,
                "commit": committing,  # of the iteration before
                "total": seconds,
            },
        }
        keep = is_snapshot(work.iteration) or bool(found["exam"]) or not more
        keep = keep or config.store.keep_for_verify
        enter(Phase("saving", work.iteration))
        run.commit(
            work.iteration,
            state,
            row,
            version if keep else None,
            carries=carries,
            ledger=asdict(ledger),
        )
        committing = time.perf_counter() - examined
        if report({"iteration": work.iteration, **row}):
            break


def _stand(
    config: TrainConfig,
    run: Run,
    trainer: Trainer,
    start: Outcome | Origin | None,
    fingerprint: str,
) -> tuple[dict[str, Any], list[Carry], Ledger, float]:
    """State, carries, ledger and seconds at the last commit; a new run commits version 0 first."""
    state, carries = trainer.start(start.params if start else None)
    learns = trainer.learner.fingerprint(carries[0].waiting | {"outcome": np.zeros(0, np.int8)})
    if run.next_iteration == 0:
        ledger = start.ledger if start else Ledger()
        imitated = isinstance(start, Outcome)
        row = {
            "digest": {"state": digest(state)},
            "ledger": asdict(ledger),
            "probe": fingerprint,
            "learner_probe": learns,
            "imitation": start.row if imitated else {},
            "origin": start.record if isinstance(start, Origin) else {},
            "seconds": {"total": start.seconds if imitated else 0.0},
        }
        run.commit(0, state, row, state["playing"], carries=carries, ledger=asdict(ledger))
    else:
        state, carries, *_ = run.restore(state, carries)
    first_row = run.commits.read(0).metrics_row
    if trainer.lessons:
        trainer.lessons.check(first_row["imitation"]["data"], run.folder)
    if not config.cluster.allow_mismatched_actors:
        determinism.check_fingerprint(fingerprint, first_row["probe"], "self-play's", run.folder)
        determinism.check_fingerprint(
            learns, first_row.get("learner_probe"), "the learner's", run.folder
        )
    last = run.commits.read(run.next_iteration - 1)
    ledger = Ledger(**last.ledger)
    return state, carries, ledger, total_seconds(last.metrics_row)


def _fingerprint(run: Run) -> str | None:
    """The run's, once it has begun."""
    return run.commits.read(0).metrics_row["probe"] if run.next_iteration else None


def summary(rows: Rows) -> dict[str, float]:
    """What the finished episodes say of the play: counts, lengths, results, entropy."""
    last = rows["last"]
    count = int(last.sum())
    first = np.where(rows["ply"] % 2 == 0, rows["outcome"], -rows["outcome"])[last]
    policy = rows["policy"].astype(np.float32)
    entropy = -(policy * np.log(np.maximum(policy, 1e-9))).sum(axis=-1)
    if not count:
        return {"games": 0, "positions": len(last)}
    return {
        "games": count,
        "positions": len(last),
        "plies": float((rows["ply"][last] + 1).mean()),
        "first_player_wins": float((first > 0).mean()),
        "draws": float((first == 0).mean()),
        "policy_entropy": float(entropy.mean()),
        "value_error": float(np.mean((rows["value"].astype(np.float32) - rows["outcome"]) ** 2)),
    }
