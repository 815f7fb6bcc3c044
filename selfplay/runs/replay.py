"""The replay buffer: one shard per iteration on disk, the window of newest rows in memory.

Rows are a dictionary of arrays with a common leading dimension, for example planes uint8[N, P] and
policy float16[N, A]. The window is one ring buffer per field, so that a batch is one indexing
operation, and old rows leave memory as soon as the window has passed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from selfplay.runs.codec import JsonObject
from selfplay.runs.files import CorruptedFile, load_arrays, save_arrays
from selfplay.runs.renamed import code_names, disk_names
from selfplay.runs.window import ReplayConfig, window_size

Rows = Mapping[str, np.ndarray]  # name -> [rows, ...]


class Shard(NamedTuple):
    """The rows of one iteration on disk; ``digest`` is None until the shard has been saved."""

    iteration: int
    rows: int
    digest: str | None


class WindowPart(NamedTuple):
    """Rows ``[start, stop)`` of the shard of ``iteration``."""

    iteration: int
    start: int
    stop: int


class ReplayIndex(NamedTuple):
    """The number of rows ever added, and the shards with rows in the window, oldest first."""

    total_rows: int
    shards: tuple[Shard, ...]

    def to_json(self) -> JsonObject:
        """Converts the index to what a commit file contains."""
        return {"total_rows": self.total_rows, "shards": [list(shard) for shard in self.shards]}

    @classmethod
    def from_json(cls, data: JsonObject) -> ReplayIndex:
        """Undoes ``to_json``."""
        return cls(int(data["total_rows"]), tuple(Shard(*item) for item in data["shards"]))


def shard_path(folder: Path, iteration: int) -> Path:
    """Returns ``folder/replay/00000012.npz``."""
    return folder / "replay" / f"{iteration:08d}.npz"


class Replay:
    """The window over all rows added so far; index 0 is its oldest row.

    ``add`` changes only memory; ``save`` writes the shard of an added iteration to disk.
    """

    def __init__(self, folder: Path, config: ReplayConfig) -> None:
        """Starts an empty replay of the run in ``folder``."""
        self._folder = Path(folder)
        self._config = config
        self._shards: list[Shard] = []  # those with rows in the window, and the newest
        self._unsaved: dict[int, dict[str, np.ndarray]] = {}
        self._ring: dict[str, np.ndarray] = {}  # name -> [capacity, ...]
        self._capacity = 0
        self._start = 0  # ring position of the window's oldest row
        self._size = 0
        self._total = 0

    @property
    def size(self) -> int:
        """The number of rows in the window."""
        return self._size

    @property
    def total(self) -> int:
        """The number of rows ever added, including those that have left the window."""
        return self._total

    @property
    def last_iteration(self) -> int | None:
        """The newest iteration that was added; None before the first."""
        return self._shards[-1].iteration if self._shards else None

    @property
    def index(self) -> ReplayIndex:
        """The index from which ``restore`` rebuilds this window."""
        return ReplayIndex(self._total, tuple(self._shards))

    def add(self, iteration: int, rows: Rows) -> None:
        """Appends the rows of one iteration, possibly none, and moves the window.

        Raises ValueError for an iteration that is not newer than the last one, for fields of
        unequal length, and for names, dtypes or shapes that differ from those of earlier rows.
        """
        if self.last_iteration is not None and iteration <= self.last_iteration:
            raise ValueError(
                f"iteration {iteration} cannot be added to the replay after {self.last_iteration}"
            )
        arrays = {name: np.asarray(array) for name, array in rows.items()}
        count = self._check(iteration, arrays)
        self._unsaved[iteration] = arrays
        self._append(Shard(iteration, count, None), arrays, self._total + count)

    def _check(self, iteration: int, arrays: dict[str, np.ndarray]) -> int:
        """Returns the number of rows; raises ValueError if they do not fit together."""
        lengths = {name: a.shape[0] if a.ndim else None for name, a in arrays.items()}
        if not arrays or None in lengths.values() or len(set(lengths.values())) != 1:
            raise ValueError(
                f"the rows of iteration {iteration} must share one leading dimension, "
                f"but have {lengths}"
            )
        if self._ring:
            new, old = (
                {name: f"{a.dtype}{list(a.shape[1:])}" for name, a in side.items()}
                for side in (arrays, self._ring)
            )
            for name in sorted(new.keys() | old.keys()):
                if new.get(name) != old.get(name):
                    raise ValueError(
                        f"the rows of iteration {iteration} have {name!r} as {new.get(name)}, "
                        f"earlier rows as {old.get(name)}"
                    )
        return next(iter(arrays.values())).shape[0]

    def _append(self, shard: Shard, arrays: dict[str, np.ndarray], total: int) -> None:
        """Puts the shard's rows behind the newest ones and drops rows that leave the window."""
        size = min(self._size + shard.rows, window_size(total, self._config))
        keep_old = max(0, size - shard.rows)
        self._start = (self._start + self._size - keep_old) % max(self._capacity, 1)
        self._size, self._total = keep_old, total
        self._reserve(arrays, size)
        new = size - keep_old  # rows of the shard, its newest, that fit the window
        at = (self._start + keep_old) % max(self._capacity, 1)
        head = min(new, self._capacity - at)
        for name, array in arrays.items():
            tail = array[shard.rows - new :]
            self._ring[name][at : at + head] = tail[:head]
            self._ring[name][: new - head] = tail[head:]
        self._size = size
        self._shards.append(shard)
        first = self.window()[0].iteration if size else shard.iteration
        self._shards = [s for s in self._shards if s.iteration >= first]

    def _reserve(self, arrays: dict[str, np.ndarray], size: int) -> None:
        """Makes room for ``size`` rows; capacity grows by half, so that copying stays rare."""
        if size <= self._capacity and self._ring:
            return
        capacity = max(size, self._capacity + self._capacity // 2)
        order = (self._start + np.arange(self._size)) % max(self._capacity, 1)
        for name, array in arrays.items():
            ring = np.empty((capacity, *array.shape[1:]), array.dtype)
            if self._size:
                ring[: self._size] = self._ring[name][order]
            self._ring[name] = ring
        self._capacity, self._start = capacity, 0

    def window(self) -> list[WindowPart]:
        """Lists the parts of the window, oldest shard first; only the first may be partial."""
        parts: list[WindowPart] = []
        remaining = self._size
        for shard in reversed(self._shards):
            count = min(remaining, shard.rows)
            if count:
                parts.append(WindowPart(shard.iteration, shard.rows - count, shard.rows))
            remaining -= count
        return parts[::-1]

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Copies rows at int64[B] positions in the window (0 = oldest) to ``{name: [B, ...]}``.

        Raises IndexError for a position outside ``[0, size)``.
        """
        indices = np.asarray(indices, dtype=np.int64)
        if indices.size and (indices.min() < 0 or indices.max() >= self._size):
            raise IndexError(
                f"indices {indices.min()}..{indices.max()} are outside a window of {self._size}"
            )
        at = (self._start + indices) % max(self._capacity, 1)
        return {name: ring[at] for name, ring in self._ring.items()}

    def column(self, name: str) -> np.ndarray:
        """Copies one field of all rows of the window, [size, …], the oldest first."""
        at = (self._start + np.arange(self._size)) % max(self._capacity, 1)
        return self._ring[name][at]

    def save(self, iteration: int, digest: str | None = None) -> Shard:
        """Writes the shard of an added iteration and returns it with its digest.

        `digest` is that of ``disk_names(rows)``, if the caller has computed it.

        Raises ValueError if there are no unsaved rows of this iteration.
        """
        saved_before = [s for s in self._shards if s.iteration == iteration and s.digest]
        if saved_before:  # a commit that failed halfway is repeated
            return saved_before[0]
        if iteration not in self._unsaved:
            raise ValueError(f"the replay has no unsaved rows of iteration {iteration}")
        rows = self._unsaved[iteration]
        digest = save_arrays(shard_path(self._folder, iteration), disk_names(rows), digest)
        del self._unsaved[iteration]
        saved = Shard(iteration, next(iter(rows.values())).shape[0], digest)
        self._shards = [saved if s.iteration == iteration else s for s in self._shards]
        return saved

    @classmethod
    def restore(cls, folder: Path, index: ReplayIndex, config: ReplayConfig) -> Replay:
        """Rebuilds the replay as it was when ``index`` was taken; loads only the window's shards.

        Raises CorruptedFile for a damaged shard, ValueError if ``config`` asks for a larger window
        than the one whose shards were kept.
        """
        replay = cls(folder, config)
        available = sum(shard.rows for shard in index.shards)
        wanted = window_size(index.total_rows, config)
        if wanted > available:
            raise ValueError(
                f"the window is {wanted} rows, but the shards of {folder} have {available}: a "
                "run's window cannot be enlarged afterwards"
            )
        replay._total = index.total_rows - available
        for shard in index.shards:
            path = shard_path(replay._folder, shard.iteration)
            arrays = code_names(load_arrays(path, shard.digest))
            if replay._check(shard.iteration, arrays) != shard.rows:
                raise CorruptedFile(path, f"it does not have the {shard.rows} committed rows")
            replay._reserve(arrays, wanted)
            # The window's old edge never moves back, so no row that is needed is dropped here.
            replay._append(shard, arrays, replay._total + shard.rows)
        return replay

    def prune(self, retained: Iterable[ReplayIndex] = ()) -> None:
        """Deletes shard files that neither this window nor an index of ``retained`` needs."""
        indexes = [self.index, *retained]
        needed = {shard_path(self._folder, s.iteration) for i in indexes for s in i.shards}
        for path in sorted((self._folder / "replay").glob("*.npz")):
            if path not in needed:
                path.unlink()
