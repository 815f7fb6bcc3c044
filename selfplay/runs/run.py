"""A run folder: everything that resuming a run and evaluating its versions needs.

    config.json  manifest.json  metrics.jsonl  lock
    commits/00000012.json       the commit point of iteration 12
    checkpoints/00000012/       state and carries (Orbax), of the newest commits
    replay/00000012.npz         the rows that iteration 12 added
    snapshots/00000012.npz      parameters of version 12
    tensorboard/  wandb/        files of trackers, which nothing here reads

Commit 0 is the start (version 0, no rows); the commit of iteration v contains version v.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jax

from games.spelling import did_you_mean
from selfplay.runs import checkpoint, code_changes, manifest
from selfplay.runs.codec import (
    FORMAT_VERSION,
    READABLE_FORMATS,
    Json,
    JsonObject,
    differing,
    to_json,
)
from selfplay.runs.commits import Commit, Commits, Loaded
from selfplay.runs.failpoints import failpoint
from selfplay.runs.files import (
    TEMPORARY,
    from_jsonable,
    read_json,
    reject_links,
    take_lock,
    to_jsonable,
    write_json,
)
from selfplay.runs.metrics import STEP, MetricsLog
from selfplay.runs.metrics_row import MetricsRow, parse
from selfplay.runs.renamed import with_today_names
from selfplay.runs.replay import Replay
from selfplay.runs.snapshots import load_snapshot, save_snapshot, snapshot_versions
from selfplay.runs.tree import PyTree, nest, unflatten
from selfplay.runs.window import ReplayConfig

CONFIG = "config.json"  # the file that makes a folder a run
MIN_FREE_BYTES = 64 * 1024  # a disk with less free space is full
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(OSError):
    """The run's disk is full. All commits are safe, and the run can be resumed."""


class OtherConfig(ValueError):
    """A run is opened with another config than the one it was started with.

    Attributes:
        fields: ``{dotted path: (value in the run, value now)}`` as JSON text, of the fields that
            differ and may not.
    """

    def __init__(self, folder: Path, fields: Mapping[str, tuple[str, str]]) -> None:
        texts = [f"{field} was {old}, is {now}" for field, (old, now) in fields.items()]
        super().__init__(
            f"{folder} was started with another config: {'; '.join(texts)}. Resume it with its own "
            "config, or name another folder for a new run"
        )
        self.fields = dict(fields)


class Restored(NamedTuple):
    """The content of the newest undamaged commit, without the replay, which is ``Run.replay``."""

    state: PyTree
    carries: PyTree
    ledger: JsonObject
    iteration: int


class Run:
    """A run folder that only this process may write to. Use it as a context manager.

    Attributes:
        folder: the folder.
        commits: its commits.
        metrics: the writer of its metrics.
        replay: the replay buffer, at first as of the newest undamaged commit.
        on_commit: gets the row of every commit that this process makes, when it is on disk.
    """

    def __init__(
        self, folder: Path, lock: int, commits: Commits, loaded: Loaded | None, replay: Replay
    ) -> None:
        """Takes over an open folder; use ``create_or_open`` instead."""
        self.folder = folder
        self.commits = commits
        self.metrics = MetricsLog(folder)
        self.replay = replay
        self.on_commit: Callable[[MetricsRow], None] | None = None
        self._lock = lock
        self._loaded = loaded
        self._last = loaded.commit.iteration if loaded else None

    @classmethod
    def create_or_open(
        cls,
        folder: Path | str,
        config: object,
        *,
        window: ReplayConfig | None = None,
        mutable: Collection[str] = (),
        keep: int = 2,
        keep_all: bool = False,
        flags: Mapping[str, Json] | None = None,
        notes: Mapping[str, Json] | None = None,
        code: Mapping[str, Json] | None = None,
        accept_code_change: bool = False,
    ) -> Run:
        """Opens a run, or starts one in a folder that is empty or does not exist.

        Removes leftovers of an interrupted commit, mends metrics, adds a session to the manifest.

        Args:
            folder: the run folder.
            config: a dataclass (see `codec`).
            window: settings of the replay window.
            mutable: dotted paths of fields and sections that may differ from the run's config.
            keep: number of the newest commits whose checkpoints are kept.
            keep_all: keep every checkpoint, shard and snapshot, for verification.
            flags: pinned settings, for the manifest.
            notes: more entries for the manifest.
            code: the code behind the run, see `code_changes.describe`; None: not compared.
            accept_code_change: open the run also if this code has changed; the manifest records it.

        Raises:
            ValueError: the folder contains something else or another format, or is in use.
            OtherConfig: a field that may not change differs from the run's config.
            CodeChanged: the code differs from that of the run's last session.
            CorruptedFile: no commit can be restored.
            DiskFull: nothing can be written.
        """
        path = Path(os.path.realpath(folder))  # resolve() would raise for links in a circle
        commits = Commits(path, window := window or ReplayConfig(), keep, keep_all)
        _check_is_run(path)
        reject_links(path)
        with _raise_disk_full(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = take_lock(path)
            try:
                session: JsonObject = {**(code or {}), **(notes or {})}
                session["config_changes"] = _check_or_write_config(path, to_json(config), mutable)
                if accepted := code_changes.check(path, code or {}, accept_code_change):
                    session["accepted_code_change"] = accepted
                loaded = commits.latest_good()
                replay = loaded.replay if loaded else Replay(path, window)
                run = cls(path, lock, commits, loaded, replay)
                commits.remove_after(run._last)
                run._mend_metrics()
                session["next_iteration"] = run.next_iteration
                manifest.record(path, manifest.collect(flags or {}) | session)
            except BaseException:
                os.close(lock)
                raise
        return run

    @property
    def next_iteration(self) -> int:
        """The iteration to commit next: 0 (the start) in a new run."""
        return 0 if self._last is None else self._last + 1

    def restore(self, like: PyTree, like_carries: PyTree = None) -> Restored:
        """Restores state and carries of the last commit.

        Args:
            like: a state with the structure, types and devices to restore to.
            like_carries: the same for carries, whose shapes may differ. Without it, carries are
                returned as nested dictionaries of host arrays, or None if nothing was saved.

        Raises:
            ValueError: nothing was committed, or the trees do not fit.
            RuntimeError: the run was opened and has committed since.
        """
        if self._last is None:
            raise ValueError(f"{self.folder} has no commit to restore")
        if self._loaded is None:
            raise RuntimeError("restore reads the commit loaded on opening: call it before commit")
        loaded = self._loaded
        state = unflatten(like, loaded.state)
        if like_carries is None:
            carries = nest(loaded.carries) or None
        else:
            carries = unflatten(like_carries, loaded.carries, check_shape=False)
        return Restored(state, carries, loaded.commit.ledger, loaded.commit.iteration)

    def commit(
        self,
        iteration: int,
        state: PyTree,
        metrics_row: Mapping[str, Json],
        snapshot_params: PyTree = None,
        *,
        carries: PyTree = None,
        ledger: Mapping[str, Json] | None = None,
        needed: Collection[int] = (),
        digests: Mapping[str, str] = MappingProxyType({}),
    ) -> Commit:
        """Makes an iteration permanent; it is on disk when this returns.

        Args:
            iteration: must be ``next_iteration``. The rows that ``replay.add`` took for it are
                saved with it.
            state: the learner's state.
            metrics_row: the row of metrics, as in metrics.jsonl.
            snapshot_params: parameters of version ``iteration``, for ``load_version``; None saves
                no snapshot.
            carries: states of the streams.
            ledger: FLOPs behind the version.
            needed: older versions whose snapshots are kept this time, besides log-spaced ones.
            digests: digests of "state", "carries" and "rows" that the caller has computed; those
                that are missing are computed here.

        Raises:
            ValueError: it is another iteration's turn, or another iteration's row.
            DiskFull: no part of the iteration remains on the disk.
        """
        if iteration != self.next_iteration:
            raise ValueError(
                f"iteration {iteration} cannot be committed, {self.next_iteration} is next"
            )
        row = {STEP: iteration, **to_jsonable(metrics_row)}
        if row[STEP] != iteration:
            raise ValueError(f"the metrics row of iteration {iteration} says {row[STEP]}")
        self._loaded = None
        try:
            # Check first: on a full disk Orbax prints the stack traces of all its writers.
            if shutil.disk_usage(self.folder).free < 2 * _num_bytes((state, carries)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            parts = {"state": state, "carries": carries}
            commit = self._commit(iteration, parts, row, snapshot_params, ledger, needed, digests)
        except Exception as error:
            if not _is_disk_full(self.folder, error):
                raise
            self.commits.remove_after(self._last)  # also makes room for other writers
            raise DiskFull(f"the disk of {self.folder} is full") from error
        if self.on_commit:
            self.on_commit(parse(from_jsonable(row)))
        return commit

    def _commit(
        self,
        iteration: int,
        parts: Mapping[str, PyTree],
        row: JsonObject,
        snapshot_params: PyTree,
        ledger: Mapping[str, Json] | None,
        needed: Collection[int],
        digests: Mapping[str, str],
    ) -> Commit:
        """Writes shard, checkpoint, snapshot and commit file, in this order; then prunes."""
        failpoint("commit.shard", iteration)
        if self.replay.last_iteration == iteration:
            self.replay.save(iteration, digests.get("rows"))
        failpoint("commit.checkpoint", iteration)
        saved = checkpoint.save(self.folder, iteration, parts, digests)
        failpoint("commit.snapshot", iteration)
        snapshot = None
        if snapshot_params is not None:
            snapshot = save_snapshot(self.folder, iteration, snapshot_params)
        commit = Commit(
            iteration, saved, snapshot, self.replay.index, to_jsonable(ledger or {}), row
        )
        failpoint("commit.point", iteration)
        self.commits.write(commit)
        self._last = iteration
        failpoint("commit.metrics", iteration)
        self.metrics.append(row)
        failpoint("commit.prune", iteration)
        self.commits.prune(self.replay, needed)
        return commit

    def _mend_metrics(self) -> None:
        """Drops rows that were never committed and restores rows lost after a commit point."""
        self.metrics.truncate(self.next_iteration)
        missing = sorted(set(self.commits.iterations()) - self.metrics.iterations())
        self.metrics.fill(self.commits.read(iteration).metrics_row for iteration in missing)

    def close(self) -> None:
        """Releases the lock."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _num_bytes(tree: PyTree) -> int:
    """Counts the bytes of a tree's arrays."""
    return sum(getattr(leaf, "nbytes", 8) for leaf in jax.tree.leaves(tree))


@contextlib.contextmanager
def _raise_disk_full(folder: Path) -> Iterator[None]:
    """Raises DiskFull for errors inside the block that mean a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL_ERRNOS:
            raise
        raise DiskFull(f"the disk of {folder} is full") from error


def _is_disk_full(folder: Path, error: Exception) -> bool:
    """Returns True if an error comes from a full disk; libraries raise types of their own."""
    is_full = isinstance(error, OSError) and error.errno in DISK_FULL_ERRNOS
    return is_full or shutil.disk_usage(folder).free < MIN_FREE_BYTES


def _check_is_run(path: Path) -> None:
    """Raises ValueError for a file, and for a folder that contains something other than a run."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file, expected a run folder")
    if not path.exists() or (path / CONFIG).exists():
        return
    # A start that was killed before it wrote config.json leaves only these behind.
    others = [p.name for p in path.iterdir() if p.name != "lock" and TEMPORARY not in p.name]
    if others:
        raise ValueError(
            f"{path} is not a run folder: it contains {sorted(others)[0]!r} but no config.json; "
            "choose an empty or a new folder"
        )


def check_distinct(runs: Iterable[str | Path]) -> None:
    """Raises ValueError if two of these paths are the same folder."""
    folders = set[Path]()
    for run in runs:
        folder = Path(run).resolve()
        if folder in folders:
            raise ValueError(f"{run} is named twice; name two different runs to compare them")
        folders.add(folder)


def read_config(folder: Path | str) -> JsonObject:
    """Reads a run's config as JSON values, with today's names of the fields.

    Raises ValueError if the folder is not a run, or one of an unknown format.
    """
    path = Path(folder) / CONFIG
    if not path.exists():
        if path.parent.exists():
            raise ValueError(f"{folder} is not a run folder: it has no {CONFIG}")
        parent = path.parent.parent
        runs = (other.parent.name for other in parent.glob(f"*/{CONFIG}"))
        suggestion = did_you_mean(path.parent.name, runs, lambda name: str(parent / name))
        raise ValueError(f"{folder} is not a run folder: it does not exist{suggestion}")
    reject_links(path.parent)
    data = read_json(path)
    version = data.get("format_version") if isinstance(data, dict) else None
    if version not in READABLE_FORMATS:
        raise ValueError(
            f"{folder} has run format {version}, this program reads "
            f"{' and '.join(map(str, READABLE_FORMATS))}: open it with the program that wrote it"
        )
    return with_today_names(data["config"])


def _check_or_write_config(path: Path, new: JsonObject, mutable: Collection[str]) -> list[str]:
    """Describes differences that ``mutable`` allows; raises OtherConfig if there are others.

    The config of a new run is written.
    """
    if not (path / CONFIG).exists():
        write_json(path / CONFIG, {"format_version": FORMAT_VERSION, "config": new})
        return []
    fields = differing(read_config(path), new)
    free = {f for f in fields if any(f == m or f.startswith(f"{m}.") for m in mutable)}
    if fixed := {field: values for field, values in fields.items() if field not in free}:
        raise OtherConfig(path, fixed)
    return [f"{field} was {old}, is {now}" for field, (old, now) in sorted(fields.items())]


class StoredVersion(NamedTuple):
    """A version in its run's folder.

    Attributes:
        params: nested dictionaries of host arrays.
        config: the run's config, as from `read_config`.
        ledger: FLOPs behind the version.
        number: the version.
    """

    params: dict[str, PyTree]
    config: JsonObject
    ledger: JsonObject
    number: int


def load_version(folder: Path | str, version: int | str) -> StoredVersion:
    """Loads a version, or the newest for ``"last"``, without locking the run.

    Raises ValueError for a version that was not kept, listing those that were; CorruptedFile.
    """
    path = Path(folder)
    config = read_config(path)
    commits = Commits(path, ReplayConfig())
    available = sorted(set(snapshot_versions(path)) & set(commits.iterations()))
    number = available[-1] if version == "last" and available else version
    if not isinstance(number, int) or number not in available:
        listed = ", ".join(map(str, available)) or "none"
        raise ValueError(f"{path} has no version {version!r}; versions available: {listed}")
    commit = commits.read(number)
    params = load_snapshot(path, number, commit.snapshot_digest)
    return StoredVersion(params, config, commit.ledger, number)
