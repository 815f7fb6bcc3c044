"""A run folder: everything a run needs to go on after a crash, and an evaluator to read it.

    config.json  manifest.json  metrics.jsonl  tensorboard/  lock
    commits/00000012.json       the commit point of iteration 12
    checkpoints/00000012/       state and carries (Orbax), of the newest commits
    replay/00000012.npz         the rows that iteration 12 added
    snapshots/00000012.npz      params of version 12

Commit 0 holds the start (version 0, no rows); the commit of iteration v holds version v.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from games.spelling import did_you_mean
from selfplay.runs import checkpoint, manifest
from selfplay.runs.codec import FORMAT_VERSION, READABLE_FORMATS, differing, to_json
from selfplay.runs.commits import Commit, Commits, Loaded
from selfplay.runs.failpoints import failpoint
from selfplay.runs.files import TEMPORARY, check_own, plain, read_json, take_lock, write_json
from selfplay.runs.metrics import STEP, MetricsLog
from selfplay.runs.renamed import with_today_names
from selfplay.runs.replay import Replay
from selfplay.runs.snapshots import load_snapshot, save_snapshot, snapshot_versions
from selfplay.runs.tree import nest, unflatten
from selfplay.runs.window import ReplayConfig

CONFIG = "config.json"  # the file that makes a folder a run
LITTLE = 64 * 1024  # bytes: a disk with less room is full
FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(OSError):
    """The run's disk is full. What was committed is safe, and the run can be resumed."""


class OtherConfig(ValueError):
    """A run was started with another config than the one it is opened with.

    Attributes:
        fields: ``{dotted name: (value in the run, value now)}`` as JSON text, of those that may not
            change.
    """

    def __init__(self, folder: Path, fields: Mapping[str, tuple[str, str]]) -> None:
        texts = [f"{field} was {old}, is {now}" for field, (old, now) in fields.items()]
        super().__init__(
            f"{folder} was started with another config: {'; '.join(texts)}. Resume it with its own "
            "config, or name another folder for a new run"
        )
        self.fields = dict(fields)


class Restored(NamedTuple):
    """What the last good commit held; the replay is in ``Run.replay``."""

    state: Any
    carries: Any
    ledger: dict[str, Any]
    iteration: int


class Run:
    """A run folder, opened for writing by this process alone. Use it as a context manager.

    ``replay`` is the window as of the last good commit.
    """

    def __init__(
        self, folder: Path, lock: int, commits: Commits, loaded: Loaded | None, replay: Replay
    ) -> None:
        """Use ``create_or_open``."""
        self.folder = folder
        self.commits = commits
        self.metrics = MetricsLog(folder)
        self.replay = replay
        self._lock = lock
        self._loaded = loaded
        self._last = loaded.commit.iteration if loaded else None

    @classmethod
    def create_or_open(
        cls,
        folder: Path | str,
        config: Any,
        *,
        window: ReplayConfig | None = None,
        mutable: Collection[str] = (),
        keep: int = 2,
        keep_all: bool = False,
        flags: Mapping[str, Any] | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> Run:
        """Opens a run, or starts one in a folder that is empty or not there.

        ``config`` is a dataclass; fields under a dotted prefix in ``mutable`` may differ from the
        run's. ``keep_all`` keeps every checkpoint, shard and snapshot for ``verify``. Leftovers of
        an interrupted commit are removed, missing metrics rows are put back, and the start is
        recorded in the manifest with ``flags``, and with ``notes`` as entries beside them.

        Raises ValueError for a folder with something else in it or another format, and for a run
        that another process writes; OtherConfig; CorruptedFile when no commit can be restored;
        DiskFull.
        """
        path = Path(os.path.realpath(folder))  # unlike resolve(), it bears links in a circle
        window = window or ReplayConfig()
        commits = Commits(path, window, keep, keep_all)
        wanted = to_json(config)
        _check_is_run(path)
        check_own(path)
        with _room(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = take_lock(path)
            try:
                changed: list[str] = []
                if (path / CONFIG).exists():
                    changed = _check_config(path, wanted, mutable)
                else:
                    document = {"format_version": FORMAT_VERSION, "config": wanted}
                    write_json(path / CONFIG, document)
                loaded = commits.latest_good()
                replay = loaded.replay if loaded else Replay(path, window)
                run = cls(path, lock, commits, loaded, replay)
                commits.remove_after(run._last)
                run._mend_metrics()
                session = manifest.collect(flags or {})
                session |= {"next_iteration": run.next_iteration, "config_changes": changed}
                session |= notes or {}
                manifest.record(path, session)
            except BaseException:
                os.close(lock)
                raise
        return run

    @property
    def next_iteration(self) -> int:
        """The iteration to commit next: 0 (the start) in a new run."""
        return 0 if self._last is None else self._last + 1

    def restore(self, like: Any, like_carries: Any = None) -> Restored:
        """State and carries of the last commit, in the structure, types and devices of ``like``.

        Shapes of carries are not compared. Without ``like_carries``, carries come as nested
        dictionaries of host arrays (None when there are none). Raises ValueError when nothing was
        committed or the trees do not fit, RuntimeError after the next commit.
        """
        if self._last is None:
            raise ValueError(f"{self.folder} holds no commit to restore")
        if self._loaded is None:
            raise RuntimeError("restore reads the commit found on opening: call it before commit")
        commit, arrays, _ = self._loaded
        parts: dict[str, dict[str, Any]] = {"state": {}, "carries": {}}
        for path, array in arrays.items():
            part, _, rest = path.partition("/")
            parts[part][rest] = array
        state = unflatten(like, parts["state"])
        if like_carries is None:
            carries = nest(parts["carries"]) or None
        else:
            carries = unflatten(like_carries, parts["carries"], check_shape=False)
        return Restored(state, carries, commit.ledger, commit.iteration)

    def commit(
        self,
        iteration: int,
        state: Any,
        metrics_row: Mapping[str, Any],
        snapshot_params: Any = None,
        *,
        carries: Any = None,
        ledger: Mapping[str, Any] | None = None,
        needed: Collection[int] = (),
    ) -> Commit:
        """Makes an iteration permanent; on disk when this returns.

        The rows that ``replay.add`` took for it are saved with it. ``snapshot_params`` becomes
        version ``iteration``, for ``load_version``; of older versions, log-spaced ones stay, and
        those that are `needed`. Raises ValueError for any iteration but ``next_iteration``, and
        DiskFull, with nothing of the iteration left behind.
        """
        if iteration != self.next_iteration:
            raise ValueError(
                f"iteration {iteration} cannot be committed, {self.next_iteration} is next"
            )
        row = {STEP: iteration, **plain(metrics_row)}
        if row[STEP] != iteration:
            raise ValueError(f"the metrics row of iteration {iteration} says {row[STEP]}")
        self._loaded = None
        try:
            # Asked first: Orbax, short of room, ends with the stacks of all its writers.
            if shutil.disk_usage(self.folder).free < 2 * _size((state, carries)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self._commit(iteration, state, row, snapshot_params, carries, ledger, needed)
        except Exception as error:
            if not _is_full(self.folder, error):
                raise
            self.commits.remove_after(self._last)  # makes room for those who still have to write
            raise DiskFull(f"the disk of {self.folder} is full") from error

    def _commit(
        self,
        iteration: int,
        state: Any,
        row: dict[str, Any],
        snapshot_params: Any,
        carries: Any,
        ledger: Mapping[str, Any] | None,
        needed: Collection[int],
    ) -> Commit:
        failpoint("commit.shard", iteration)
        if self.replay.last_iteration == iteration:
            self.replay.save(iteration)
        failpoint("commit.checkpoint", iteration)
        tree = {"state": state, "carries": carries}
        state_digest = checkpoint.save(self.folder, iteration, tree)
        failpoint("commit.snapshot", iteration)
        snapshot = None
        if snapshot_params is not None:
            snapshot = save_snapshot(self.folder, iteration, snapshot_params)
        commit = Commit(
            iteration, state_digest, snapshot, self.replay.index, plain(ledger or {}), row
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
        """Drops rows that were never committed, and puts back rows lost after a commit point."""
        self.metrics.truncate(self.next_iteration)
        missing = sorted(set(self.commits.iterations()) - self.metrics.iterations())
        self.metrics.fill(self.commits.read(iteration).metrics_row for iteration in missing)

    def close(self) -> None:
        """Closes the metrics and lets other processes write the run."""
        with contextlib.suppress(OSError):  # on a full disk: curves can be made again, see fill
            self.metrics.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _size(tree: Any) -> int:
    """Bytes of a tree's arrays."""
    return sum(getattr(leaf, "nbytes", 8) for leaf in jax.tree.leaves(tree))


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[None]:
    """What is raised inside for want of room is DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFull(f"the disk of {folder} is full") from error


def _is_full(folder: Path, error: Exception) -> bool:
    """Whether an error comes from a full disk; libraries have types of their own for it."""
    full = isinstance(error, OSError) and error.errno in FULL
    return full or shutil.disk_usage(folder).free < LITTLE


def _check_is_run(path: Path) -> None:
    """Raises ValueError for a file, and for a folder that holds something but no run."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file, expected a run folder")
    if not path.exists() or (path / CONFIG).exists():
        return
    # what a start that was killed before it wrote config.json leaves behind
    others = [p.name for p in path.iterdir() if p.name != "lock" and TEMPORARY not in p.name]
    if others:
        raise ValueError(
            f"{path} is no run folder: it has no config.json, but holds {sorted(others)[0]!r}; "
            "name an empty or a new folder"
        )


def check_distinct(runs: Iterable[str | Path]) -> None:
    """Raises ValueError if two of these paths are the same folder."""
    known = set[Path]()
    for run in runs:
        folder = Path(run).resolve()
        if folder in known:
            raise ValueError(f"{run} is named twice; name two different runs to compare them")
        known.add(folder)


def read_config(folder: Path | str) -> dict[str, Any]:
    """The run's config as JSON values; raises ValueError where there is no run of this format."""
    path = Path(folder) / CONFIG
    if not path.exists():
        if path.parent.exists():
            raise ValueError(f"{folder} is no run folder: it has no {CONFIG}")
        above = path.parent.parent
        runs = (other.parent.name for other in above.glob(f"*/{CONFIG}"))
        meant = did_you_mean(path.parent.name, runs, lambda name: str(above / name))
        raise ValueError(f"{folder} is no run folder: it does not exist{meant}")
    check_own(path.parent)
    data = read_json(path)
    version = data.get("format_version") if isinstance(data, dict) else None
    if version not in READABLE_FORMATS:
        raise ValueError(
            f"{folder} has run format {version}, this program reads "
            f"{' and '.join(map(str, READABLE_FORMATS))}: open it with the program that wrote it"
        )
    return with_today_names(data["config"])


def _check_config(path: Path, new: Mapping[str, Any], mutable: Collection[str]) -> list[str]:
    """Differences that ``mutable`` allows; raises OtherConfig naming those it does not."""
    fields = differing(read_config(path), new)
    free = {f for f in fields if any(f == m or f.startswith(f"{m}.") for m in mutable)}
    if fixed := {field: values for field, values in fields.items() if field not in free}:
        raise OtherConfig(path, fixed)
    return [f"{field} was {old}, is {now}" for field, (old, now) in sorted(fields.items())]


class StoredVersion(NamedTuple):
    """A version as its run keeps it."""

    params: dict[str, Any]  # nested dictionaries of host arrays
    config: dict[str, Any]  # as in `read_config`
    ledger: dict[str, Any]  # the FLOPs that made it
    number: int


def load_version(folder: Path | str, version: int | str) -> StoredVersion:
    """A version, or the newest for ``"last"``; takes no lock.

    Raises ValueError for a version that was not kept, naming those that were; CorruptedFile.
    """
    path = Path(folder)
    config = read_config(path)
    commits = Commits(path, ReplayConfig())
    kept = sorted(set(snapshot_versions(path)) & set(commits.iterations()))
    number = kept[-1] if version == "last" and kept else version
    if not isinstance(number, int) or number not in kept:
        listed = ", ".join(map(str, kept)) or "none"
        raise ValueError(f"{path} has no version {version!r}; versions available: {listed}")
    commit = commits.read(number)
    params = load_snapshot(path, number, commit.snapshot_digest)
    return StoredVersion(params, config, commit.ledger, number)
