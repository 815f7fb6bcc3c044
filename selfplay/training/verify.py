"""Verification of a run: recomputes iterations from the commit before and compares every digest.

Each iteration starts from the run's own commit before it, so a difference is reported for the
iteration that made it and does not spread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import games
from games import plugins
from selfplay.cluster import plan, pool
from selfplay.imitation.imitate import FOLDER
from selfplay.model.architecture import Params
from selfplay.runs import code_changes, manifest
from selfplay.runs.checkpoint import checkpoint_path
from selfplay.runs.codec import from_json, to_json
from selfplay.runs.commits import Commits
from selfplay.runs.digest import digest
from selfplay.runs.metrics_row import StartRow
from selfplay.runs.renamed import disk_names
from selfplay.runs.run import load_version, read_config
from selfplay.runs.tree import PyTree, unflatten
from selfplay.training.config import TrainConfig
from selfplay.training.trainer import Trainer, split_results

OnIteration = Callable[[int, Mapping[str, str]], object]
"""``on_iteration(iteration, digests)``: gets each recomputed iteration."""


@dataclass(frozen=True)
class Difference:
    """A digest that differs from the recorded one.

    Attributes:
        iteration: the iteration, 0 for the start.
        part: "state", "rows", "carries", or at the start "parameters", "fingerprint" or
            "fingerprint of the learner".
        recomputed: the digest that this process computed.
        recorded: the digest in the run.
    """

    iteration: int
    part: str
    recomputed: str
    recorded: str

    def __str__(self) -> str:
        """Returns "iteration 3, state: recomputed 0123456789abcdef, recorded …"."""
        return (
            f"iteration {self.iteration}, {self.part}: recomputed {self.recomputed[:16]}, "
            f"recorded {self.recorded[:16]}"
        )


def verifiable(folder: Path) -> list[int]:
    """Lists the iterations whose predecessor's checkpoint was kept, ascending."""
    committed = Commits(folder, _config(folder).replay).iterations()
    return [i for i in committed if i - 1 in committed and checkpoint_path(folder, i - 1).exists()]


def newest(iterations: Sequence[int], count: int = 3) -> range:
    """Returns the newest consecutive iterations, at most `count`."""
    if not iterations:
        return range(0)
    last = first = iterations[-1]
    while first - 1 in iterations and last - first + 1 < count:
        first -= 1
    return range(first, last + 1)


def verify(
    folder: Path,
    first: int,
    last: int,
    on_iteration: OnIteration = lambda *_: None,
    announce: Callable[[str], object] = lambda text: None,
) -> Difference | None:
    """Recomputes iterations `first` … `last` in this process.

    Args:
        folder: the run's folder.
        first: the first iteration, counted from 1.
        last: the last one.
        on_iteration: gets each recomputed iteration.
        announce: gets a sentence for each part of the code that has changed since a session of the
            run, before anything is recomputed.

    Returns:
        The first difference; None if all digests are equal.

    Raises:
        ValueError: an iteration cannot be recomputed; the message lists those that can. Or the run
            names an import path that this process does not trust.
    """
    config = _config(folder)
    possible = verifiable(folder)
    missing = [i for i in range(first, last + 1) if i not in possible]
    if missing or first > last:
        raise ValueError(
            f"iterations {first}:{last} of {folder} cannot be recomputed; checkpoints are kept for "
            f"{_spans(possible) or 'none'} (train with --store.keep-for-verify to keep all)"
        )
    commits, trainer = Commits(folder, config.replay), Trainer.build(config)
    iterations = range(first, last + 1)
    sessions = manifest.sessions(folder)
    code = code_changes.describe(to_json(config), trainer.game)
    for change in code_changes.changes(folder, code, sessions):
        announce(f"the code has changed since a session of this run: {change}")
    if commits.identity().plays:
        return _verify_selfplay(folder, commits, trainer, iterations, on_iteration)
    return _verify_imitation(folder, commits, trainer, iterations, on_iteration)


def _config(folder: Path) -> TrainConfig:
    """Reads a run's config, whose game, network and search this process must trust."""
    with plugins.stored_in(folder):
        config = from_json(TrainConfig, read_config(folder))
        games.make(config.game)
    return config


def _verify_selfplay(
    folder: Path,
    commits: Commits,
    trainer: Trainer,
    iterations: range,
    on_iteration: OnIteration,
) -> Difference | None:
    config = trainer.config
    params = _params_of_version_0(folder, commits, config)
    if config.init_from and (actual := digest(params)) != config.init_from:
        return Difference(0, "parameters", actual, config.init_from)
    workers, identity = pool.InProcess(trainer.spec), commits.identity()
    if workers.fingerprint != identity.fingerprint:
        return Difference(0, "fingerprint", workers.fingerprint, identity.fingerprint or "none")
    start, first_carries = trainer.start(params)
    learner = trainer.learner.fingerprint(trainer.example_rows(first_carries))
    if identity.learner_fingerprint not in (learner, None):
        return Difference(0, "fingerprint of the learner", learner, identity.learner_fingerprint)
    for iteration in iterations:
        loaded = commits.load(iteration - 1)
        state = unflatten(start, loaded.state)
        carries = unflatten(first_carries, loaded.carries, check_shape=False)
        if iteration == 1 and (difference := _compare_start(start, state)):
            return difference
        work = plan.work(iteration, config.selfplay.streams, config.policy_lag)
        workers.submit(work, state.acting_params, carries)
        carries, rows = split_results(workers.collect())
        loaded.replay.add(iteration, rows)
        learned = trainer.fit(state, loaded.replay, work, len(rows["last"]))
        digests = {
            "rows": digest(disk_names(rows)),
            "carries": digest(carries),
            "state": digest(learned.state),
        }
        on_iteration(iteration, digests)
        if difference := _compare(iteration, digests, commits):
            return difference
    return None


def _verify_imitation(
    folder: Path,
    commits: Commits,
    trainer: Trainer,
    iterations: range,
    on_iteration: OnIteration,
) -> Difference | None:
    """Recomputes iterations of ``RUN/imitation``, which learns and does not play."""
    imitation = trainer.imitation()
    imitation.data.check_digest(commits.identity().dataset, folder)
    start = imitation.learner.init()
    for iteration in iterations:
        state = unflatten(start, commits.load(iteration - 1).state)
        if iteration == 1 and (difference := _compare_start(start, state)):
            return difference
        state, _ = imitation.fit(state, iteration)
        digests = {"state": digest(state)}
        on_iteration(iteration, digests)
        if difference := _compare(iteration, digests, commits):
            return difference
    return None


def _params_of_version_0(folder: Path, commits: Commits, config: TrainConfig) -> Params | None:
    """Loads what imitation or another run gave version 0; None if it is drawn from the seed."""
    row = commits.read(0).row
    if isinstance(row, StartRow) and row.imitation:
        return load_version(folder / FOLDER, row.imitation["version"]).params
    return load_version(folder, 0).params if config.init_from else None


def _compare_start(start: PyTree, state: PyTree) -> Difference | None:
    """Compares the recomputed state of version 0 with that of its checkpoint."""
    recomputed, recorded = digest(start), digest(state)
    return Difference(0, "state", recomputed, recorded) if recomputed != recorded else None


def _compare(iteration: int, digests: Mapping[str, str], commits: Commits) -> Difference | None:
    """Compares the digests of an iteration with the recorded ones; returns the first difference."""
    recorded = commits.read(iteration).row.digests
    for part, value in digests.items():
        if value != recorded[part]:
            return Difference(iteration, part, value, recorded[part])
    return None


def _spans(iterations: Sequence[int]) -> str:
    """Formats ascending iterations as text: "1:3, 7, 9:12"."""
    spans: list[str] = []
    rest = list(iterations)
    while rest:
        part = newest(rest, len(rest))
        spans.append(f"{part[0]}:{part[-1]}" if len(part) > 1 else f"{part[0]}")
        del rest[-len(part) :]
    return ", ".join(reversed(spans))
