"""The commit protocol: an iteration exists once its commit file does, and not before.

Shard, checkpoint and snapshot of iteration i are written first; then one atomic rename creates
``commits/00000012.json``, which names them by digest. Commit files are small and all kept; full
checkpoints only of the newest ``keep`` commits (all with ``keep_all``).
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from selfplay.runs.checkpoint import checkpoint_path, load
from selfplay.runs.codec import FORMAT_VERSION, READABLE_FORMATS
from selfplay.runs.files import (
    TEMPORARY,
    CorruptedFile,
    read_hashed_json,
    revive,
    write_hashed_json,
)
from selfplay.runs.replay import Replay, ReplayIndex, shard_path
from selfplay.runs.snapshots import is_snapshot, load_snapshot, snapshot_path
from selfplay.runs.window import ReplayConfig


@dataclass(frozen=True)
class Commit:
    """One iteration, by digest. ``snapshot_digest`` and ``replay`` are None where there is none."""

    iteration: int
    state_digest: str  # of {"state": ..., "carries": ...}
    snapshot_digest: str | None
    replay: ReplayIndex | None
    ledger: dict[str, Any]
    metrics_row: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The commit file's content, with the names of the files that it commits."""
        files = {"checkpoint": f"checkpoints/{self.iteration:08d}"}
        if self.snapshot_digest:
            files["snapshot"] = f"snapshots/{self.iteration:08d}.npz"
        if self.replay and self.replay.shards:
            files["shard"] = f"replay/{self.replay.shards[-1].iteration:08d}.npz"
        return {
            "format_version": FORMAT_VERSION,
            "iteration": self.iteration,
            "files": files,
            "state_digest": self.state_digest,
            "snapshot_digest": self.snapshot_digest,
            "replay": self.replay.to_json() if self.replay else None,
            "ledger": self.ledger,
            "metrics_row": self.metrics_row,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Commit:
        """Undoes ``to_json``."""
        return cls(
            iteration=data["iteration"],
            state_digest=data["state_digest"],
            snapshot_digest=data["snapshot_digest"],
            replay=ReplayIndex.from_json(data["replay"]) if data["replay"] else None,
            ledger=revive(data["ledger"]),
            metrics_row=revive(data["metrics_row"]),
        )


class Loaded(NamedTuple):
    """A commit whose files were all read and found good."""

    commit: Commit
    arrays: dict[str, np.ndarray]  # path -> array of {"state": ..., "carries": ...}
    replay: Replay


class Commits:
    """The commits of a run folder."""

    def __init__(
        self, folder: Path, window: ReplayConfig, keep: int = 2, keep_all: bool = False
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}, expected at least 1 checkpoint")
        self._folder = Path(folder)
        self._window = window
        self._keep = keep
        self._keep_all = keep_all

    def path(self, iteration: int) -> Path:
        """``folder/commits/00000012.json``."""
        return self._folder / "commits" / f"{iteration:08d}.json"

    def iterations(self) -> list[int]:
        """Committed iterations, ascending."""
        files = (self._folder / "commits").glob("*.json")
        return sorted(int(path.stem) for path in files if path.stem.isdigit())

    def read(self, iteration: int) -> Commit:
        """Raises CorruptedFile for a damaged commit file, ValueError for another format."""
        data = read_hashed_json(self.path(iteration))
        if data.get("format_version") not in READABLE_FORMATS:
            raise ValueError(
                f"{self.path(iteration)} has format {data.get('format_version')}, "
                f"this program reads {' and '.join(map(str, READABLE_FORMATS))}"
            )
        return Commit.from_json(data)

    def write(self, commit: Commit) -> None:
        """The commit point: one atomic rename."""
        write_hashed_json(self.path(commit.iteration), commit.to_json())

    def load(self, iteration: int) -> Loaded:
        """Reads a commit and every file it needs, comparing digests; raises CorruptedFile."""
        commit = self.read(iteration)
        arrays, _, found = load(self._folder, iteration)
        if found != commit.state_digest:
            why = f"its digest is {found[:12]}…, expected {commit.state_digest[:12]}…"
            raise CorruptedFile(checkpoint_path(self._folder, iteration), why)
        if commit.snapshot_digest:
            load_snapshot(self._folder, iteration, commit.snapshot_digest)
        index = commit.replay or ReplayIndex(0, ())
        return Loaded(commit, arrays, Replay.restore(self._folder, index, self._window))

    def latest_good(self) -> Loaded | None:
        """The newest commit whose files are all good, or None when nothing was ever committed.

        Walks backwards over the commits whose checkpoints were kept, with a warning that names the
        damaged file of each it passes. Raises CorruptedFile when none of them is good.
        """
        last: CorruptedFile | None = None
        for iteration in reversed(self.iterations()):
            # an older checkpoint is absent because it was pruned: nothing further back is kept
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
        """Deletes what belongs to iterations after ``iteration`` (None = all), commits first,
        and temporary files: leftovers of a crash, or of a commit found to be damaged.

        Raises ValueError, deleting nothing, when there are files that no crash can explain.
        """
        last = -1 if iteration is None else iteration
        newest = max(self.iterations(), default=-1)
        for name in ("checkpoints", "snapshots", "replay"):
            for path in sorted((self._folder / name).glob("*")):
                stem = path.name.split(".")[0]
                if stem.isdigit() and int(stem) > newest + 1:
                    at = "none" if newest < 0 else newest
                    raise ValueError(
                        f"{path} is there, but the newest commit is {at}: files of "
                        f"{self._folder / 'commits'} were lost; put them back, or move it away"
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
        """Iterations whose full checkpoints are kept."""
        every = self.iterations()
        return every if self._keep_all else every[-self._keep :]

    def prune(self, replay: Replay, needed: Collection[int] = ()) -> None:
        """Deletes checkpoints, shards and snapshots that no retained commit needs.

        Log-spaced snapshots stay for good, `needed` ones stay now, and with ``keep_all`` everything
        does.
        """
        if self._keep_all:
            return
        kept = self.retained()
        for path in sorted((self._folder / "checkpoints").glob("*")):
            if path.name.isdigit() and int(path.name) not in kept:
                _delete(path)
        for version in self.iterations():
            path = snapshot_path(self._folder, version)
            if version not in kept and version not in needed and not is_snapshot(version):
                path.unlink(missing_ok=True)
        older = [c.replay for c in self._older(kept) if c.replay]
        replay.prune(keep_for_verify=False, retained=older)

    def _older(self, kept: list[int]) -> list[Commit]:
        commits = []
        for iteration in kept[:-1]:  # the last one's index is the replay's own
            try:
                commits.append(self.read(iteration))
            except CorruptedFile as error:
                warnings.warn(f"commit {iteration} cannot be a fallback: {error}", stacklevel=2)
        return commits


def committed_shard(folder: Path, commit: Commit) -> Path | None:
    """The replay shard that ``commit``'s own iteration wrote, or None."""
    if commit.replay is None or not commit.replay.shards:
        return None
    shard = commit.replay.shards[-1]
    return shard_path(folder, shard.iteration) if shard.iteration == commit.iteration else None


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
