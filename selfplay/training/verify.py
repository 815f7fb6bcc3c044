"""Prove a run: recompute iterations from the commit before them and compare every digest.

Each iteration starts from the run's own commit before it, so a difference is found in the
iteration that made it and does not spread.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.cluster import plan, pool
from selfplay.imitation.imitate import FOLDER
from selfplay.model.network import Params
from selfplay.runs.codec import from_json
from selfplay.runs.commits import Commits, Loaded
from selfplay.runs.digest import digest
from selfplay.runs.run import load_version, read_config
from selfplay.runs.tree import unflatten
from selfplay.training.config import TrainConfig
from selfplay.training.trainer import Trainer


def verifiable(folder: Path) -> list[int]:
    """Iterations whose predecessor's checkpoint is still there, ascending."""
    commits = Commits(folder, from_json(TrainConfig, read_config(folder)).replay)
    kept = [i for i in commits.iterations() if (folder / "checkpoints" / f"{i:08d}").exists()]
    there = set(commits.iterations())
    return [i + 1 for i in kept if i + 1 in there]


def newest(iterations: Sequence[int], count: int = 3) -> range:
    """Returns the newest consecutive iterations, at most `count`."""
    if not iterations:
        return range(0)
    last = first = iterations[-1]
    while first - 1 in iterations and last - first + 1 < count:
        first -= 1
    return range(first, last + 1)


def verify(
    folder: Path, first: int, last: int, report: Callable[[int, dict[str, str]], Any]
) -> str | None:
    """Recompute iterations `first` … `last` in-process; None, or the first difference.

    `report` gets each recomputed iteration and its digests.

    Raises:
        ValueError: an iteration cannot be recomputed; says which can.
    """
    config = from_json(TrainConfig, read_config(folder))
    possible = verifiable(folder)
    missing = [i for i in range(first, last + 1) if i not in possible]
    if missing or first > last:
        raise ValueError(
            f"iterations {first}:{last} of {folder} cannot be recomputed; checkpoints are kept for "
            f"{_spans(possible) or 'none'} (train with --store.keep-for-verify to keep all)"
        )
    commits = Commits(folder, config.replay)
    trainer = Trainer.build(config)
    if "data" in commits.read(0).metrics_row:
        return _verify_imitation(commits, trainer, range(first, last + 1), report)
    workers = pool.InProcess(config.stream_spec())
    first_row = commits.read(0).metrics_row
    params = _params_of_version_0(folder, first_row, config)
    if config.init_from and digest(params) != config.init_from:
        return "version 0: it has other parameters than the run began from"
    start, first_carries = trainer.start(params)
    fingerprint = first_row["probe"]
    if workers.fingerprint != fingerprint:
        return (
            f"the fingerprint: this machine's is {workers.fingerprint[:12]}, "
            f"the run's {fingerprint[:12]}"
        )
    for iteration in range(first, last + 1):
        loaded = commits.load(iteration - 1)
        trees = _trees(loaded)
        state = unflatten(start, trees["state"])
        carries = unflatten(first_carries, trees["carries"], check_shape=False)
        if iteration == 1 and digest(start) != digest(state):
            return "version 0: the initial parameters"
        work = plan.work(iteration, config.selfplay.streams, config.policy_lag)
        workers.submit(work, state["playing"], carries)
        results = workers.collect()
        rows = {n: np.concatenate([r[n] for _, r in results]) for n in results[0][1]}
        loaded.replay.add(iteration, rows)
        state, _, _ = trainer.fit(state, loaded.replay, work, len(rows["last"]))
        found = {
            "rows": digest(rows),
            "carries": digest([carry for carry, _ in results]),
            "state": digest(state),
        }
        report(iteration, found)
        if difference := _difference(commits, iteration, found):
            return difference
    return None


def _spans(iterations: Sequence[int]) -> str:
    """Returns ascending iterations as text: "1:3, 7, 9:12"."""
    spans: list[str] = []
    rest = list(iterations)
    while rest:
        part = newest(rest, len(rest))
        spans.append(f"{part[0]}:{part[-1]}" if len(part) > 1 else f"{part[0]}")
        del rest[-len(part) :]
    return ", ".join(reversed(spans))


def _params_of_version_0(
    folder: Path, first_row: dict[str, Any], config: TrainConfig
) -> Params | None:
    """What imitation or another run gave to version 0; None: it is drawn from the seed."""
    if imitated := first_row["imitation"]:
        return load_version(folder / FOLDER, imitated["version"]).params
    return load_version(folder, 0).params if config.init_from else None


def _verify_imitation(
    commits: Commits,
    trainer: Trainer,
    iterations: range,
    report: Callable[[int, dict[str, str]], Any],
) -> str | None:
    """The same for ``RUN/imitation``, which learns and does not play."""
    imitation = trainer.imitation()
    imitation.lessons.check(commits.read(0).metrics_row["data"], "the run")
    start = imitation.learner.initial()
    for iteration in iterations:
        state = unflatten(start, _trees(commits.load(iteration - 1))["state"])
        if iteration == 1 and digest(start) != digest(state):
            return "version 0: the initial parameters"
        state, _ = imitation.fit(state, iteration)
        found = {"state": digest(state)}
        report(iteration, found)
        if difference := _difference(commits, iteration, found):
            return difference
    return None


def _trees(loaded: Loaded) -> dict[str, dict[str, np.ndarray]]:
    """A checkpoint's arrays, those of the state apart from those of the carries."""
    trees: dict[str, dict[str, np.ndarray]] = {"state": {}, "carries": {}}
    for path, array in loaded.arrays.items():
        part, _, rest = path.partition("/")
        trees[part][rest] = array
    return trees


def _difference(commits: Commits, iteration: int, found: dict[str, str]) -> str | None:
    recorded = commits.read(iteration).metrics_row["digest"]
    for name, value in found.items():
        if value != recorded[name]:
            return (
                f"iteration {iteration}, {name}: recomputed {value[:16]}, "
                f"recorded {recorded[name][:16]}"
            )
    return None
