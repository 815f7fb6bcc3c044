"""The commit protocol: an iteration exists once its commit file exists.

Shard, checkpoint and snapshot of an iteration are written first; then one atomic rename creates
``commits/00000012.json``, which names them by digest. Commit files are small and all of them are
kept; full checkpoints are kept of the newest ``keep`` commits, or of all with ``keep_all``.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from selfplay.runs import metrics_row
from selfplay.runs.checkpoint import WHOLE, checkpoint_path, load
from selfplay.runs.codec import FORMAT_VERSION, READABLE_FORMATS, JsonObject
from selfplay.runs.files import (
    TEMPORARY,
    CorruptedFile,
    from_jsonable,
    read_hashed_json,
    write_hashed_json,
)
from selfplay.runs.identity import RunIdentity
from selfplay.runs.metrics_row import MetricsRow
from selfplay.runs.replay import Replay, ReplayIndex
from selfplay.runs.snapshots import is_snapshot, load_snapshot, snapshot_path
from selfplay.runs.window import ReplayConfig


@dataclass(frozen=True)
class Commit:
    """The content of a commit file: one iteration, its files named by digest.

    Attributes:
        iteration: the iteration, 0 for the start.
        digests: digest of each part of the checkpoint: "state", and "carries" if there are any.
        snapshot_digest: digest of the version's parameters; None if no snapshot was saved.
        replay: index of the replay after the iteration; None if it has no replay.
        ledger: FLOPs behind the version.
        metrics_row: the row of metrics, as in metrics.jsonl.
    """

    iteration: int
    digests: Mapping[str, str]
    snapshot_digest: str | None
    replay: ReplayIndex | None
    ledger: JsonObject
    metrics_row: JsonObject

    @property
    def row(self) -> MetricsRow:
        """The row of metrics with its sections as attributes."""
        return metrics_row.parse(self.metrics_row)

    def to_json(self) -> JsonObject:
        """Converts the commit to a file's content, with the paths of the files that it commits."""
        files = {"checkpoint": f"checkpoints/{self.iteration:08d}"}
        if self.snapshot_digest:
            files["snapshot"] = f"snapshots/{self.iteration:08d}.npz"
        if self.replay and self.replay.shards:
            files["shard"] = f"replay/{self.replay.shards[-1].iteration:08d}.npz"
        return {
            "format_version": FORMAT_VERSION,
            "iteration": self.iteration,
            "files": files,
            "digests": dict(self.digests),
            "snapshot_digest": self.snapshot_digest,
            "replay": self.replay.to_json() if self.replay else None,
            "ledger": self.ledger,
            "metrics_row": self.metrics_row,
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> Commit:
        """Undoes ``to_json``."""
        return cls(
            iteration=data["iteration"],
            digests=data["digests"] if "digests" in data else {WHOLE: data["state_digest"]},
            snapshot_digest=data["snapshot_digest"],
            replay=ReplayIndex.from_json(data["replay"]) if data["replay"] else None,
            ledger=from_jsonable(data["ledger"]),
            metrics_row=from_jsonable(data["metrics_row"]),
        )


class Loaded(NamedTuple):
    """A commit whose files were all read and are undamaged.

    Attributes:
        commit: the commit file's content.
        state: ``{path: array}`` of the learner's state.
        carries: ``{path: array}`` of the streams' carries.
        replay: the replay buffer after the iteration.
    """

    commit: Commit
    state: dict[str, np.ndarray]
    carries: dict[str, np.ndarray]
    replay: Replay


class Commits:
    """The commits of a run folder."""

    def __init__(
        self, folder: Path, window: ReplayConfig, keep: int = 2, keep_all: bool = False
    ) -> None:
        """Opens the commits of ``folder``; arguments as in `Run.create_or_open`."""
        if keep < 1:
            raise ValueError(f"keep is {keep}, expected at least 1 checkpoint")
        self._folder = Path(folder)
        self._window = window
        self._keep = keep
        self._keep_all = keep_all

    def path(self, iteration: int) -> Path:
        """Returns ``folder/commits/00000012.json``."""
        return self._folder / "commits" / f"{iteration:08d}.json"

    def iterations(self) -> list[int]:
        """Lists the committed iterations, ascending."""
        files = (self._folder / "commits").glob("*.json")
        return sorted(int(path.stem) for path in files if path.stem.isdigit())

    def read(self, iteration: int) -> Commit:
        """Reads a commit; raises CorruptedFile if it is damaged, ValueError for other formats."""
        data = read_hashed_json(self.path(iteration))
        if data.get("format_version") not in READABLE_FORMATS:
            raise ValueError(
                f"{self.path(iteration)} has format {data.get('format_version')}, "
                f"this program reads {' and '.join(map(str, READABLE_FORMATS))}"
            )
        return Commit.from_json(data)

    def identity(self) -> RunIdentity:
        """Reads from the first commit what the run is bound to; raises as `read` does."""
        return RunIdentity.of(self.read(0).metrics_row)

    def write(self, commit: Commit) -> None:
        """Writes the commit file by one atomic rename: the commit point."""
        write_hashed_json(self.path(commit.iteration), commit.to_json())

    def load(self, iteration: int) -> Loaded:
        """Reads a commit and every file it needs and compares digests; raises CorruptedFile."""
        commit = self.read(iteration)
        parts, digests = load(self._folder, iteration)
        if digests != commit.digests:
            why = f"its digests are not those of {self.path(iteration)}"
            raise CorruptedFile(checkpoint_path(self._folder, iteration), why)
        if commit.snapshot_digest:
            load_snapshot(self._folder, iteration, commit.snapshot_digest)
        index = commit.replay or ReplayIndex(0, ())
        replay = Replay.restore(self._folder, index, self._window)
        return Loaded(commit, parts.get("state", {}), parts.get("carries", {}), replay)

    def latest_good(self) -> Loaded | None:
        """Loads the newest commit whose files are undamaged; None if there are no commits.

        Walks backwards over the commits whose checkpoints were kept and warns about each damaged
        one, naming the file. Raises CorruptedFile if all of them are damaged.
        """
        last: CorruptedFile | None = None
        for iteration in reversed(self.iterations()):
            # An absent older checkpoint was pruned, and so were those before it.
            if last is not None and not checkpoint_path(self._folder, iteration).exists():
                break
            try:
                return self.load(iteration)
            except CorruptedFile as error:
                last = error
                warnings.warn(f"commit {iteration} is skipped: {error}", stacklevel=2)
        if last is not None:
            why = f"{last.why}; no commit of {self._folder} can be restored"
            raise CorruptedFile(last.path, why) from last
        return None

    def remove_after(self, iteration: int | None) -> None:
        """Deletes files of iterations after ``iteration`` (None = all), and temporary files.

        They are leftovers of a crash or of a damaged commit. Commits are deleted first. Raises
        ValueError, without deleting anything, if there are files that no crash can explain.
        """
        last = -1 if iteration is None else iteration
        newest = max(self.iterations(), default=-1)
        for name in ("checkpoints", "snapshots", "replay"):
            for path in sorted((self._folder / name).glob("*")):
                stem = path.name.split(".")[0]
                if stem.isdigit() and int(stem) > newest + 1:
                    latest = "none" if newest < 0 else newest
                    raise ValueError(
                        f"{path} exists, but the newest commit is {latest}: files of "
                        f"{self._folder / 'commits'} were lost; restore them, or move it away"
                    )
        for name in ("commits", "checkpoints", "snapshots", "replay"):
            folder = self._folder / name
            for path in sorted(folder.iterdir()) if folder.exists() else []:
                stem = path.name.split(".")[0]
                late = stem.isdigit() and int(stem) > last
                if late or path.name.startswith(TEMPORARY):
                    _delete(path)
        for path in self._folder.glob(f"{TEMPORARY}*"):
            _delete(path)

    def retained(self) -> list[int]:
        """Lists the iterations whose full checkpoints are kept, ascending."""
        every = self.iterations()
        return every if self._keep_all else every[-self._keep :]

    def prune(self, replay: Replay, needed: Collection[int] = ()) -> None:
        """Deletes checkpoints, shards and snapshots that no retained commit needs.

        Log-spaced snapshots are always kept, those of the versions in `needed` are kept this time,
        and with ``keep_all`` nothing is deleted.
        """
        if self._keep_all:
            return
        retained = self.retained()
        for path in sorted((self._folder / "checkpoints").glob("*")):
            if path.name.isdigit() and int(path.name) not in retained:
                _delete(path)
        for version in self.iterations():
            path = snapshot_path(self._folder, version)
            if version not in retained and version not in needed and not is_snapshot(version):
                path.unlink(missing_ok=True)
        # The index of the last one is that of the replay itself.
        replay.prune(c.replay for c in self._readable(retained[:-1]) if c.replay)

    def _readable(self, iterations: Sequence[int]) -> list[Commit]:
        """Reads commits, and warns about damaged ones instead of raising."""
        commits = []
        for iteration in iterations:
            try:
                commits.append(self.read(iteration))
            except CorruptedFile as error:
                warnings.warn(f"commit {iteration} cannot be a fallback: {error}", stacklevel=2)
        return commits


def _delete(path: Path) -> None:
    """Deletes a file, or a folder with everything in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
