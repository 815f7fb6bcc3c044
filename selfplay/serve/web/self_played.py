"""Games of self-play, read from the newest rows of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selfplay.ladder.database import StoredGame
from selfplay.runs.files import load_arrays
from selfplay.runs.renamed import code_names, disk_names
from selfplay.runs.replay import shard_path

FIELDS = ("action", "ply", "last", "version", "mover_outcome")
MOST = 1_000  # games that are shown


def newest(folder: Path) -> tuple[int, list[StoredGame]]:
    """Reads the newest iteration's games that began at the first move, at most `MOST`.

    Games that began with random moves or in an archived position are left out: their rows do not
    tell how they came there. So are games of which only fully searched moves became rows.

    Raises:
        ValueError: the run has no rows on the disk.
        CorruptedFile: they are damaged.
    """
    shards = [path for path in (folder / "replay").glob("*.npz") if path.stem.isdigit()]
    if not shards:
        raise ValueError("it has no games on the disk")
    iteration = max(int(path.stem) for path in shards)
    names = disk_names(dict.fromkeys(FIELDS))
    rows = code_names(load_arrays(shard_path(folder, iteration), names=tuple(names)))
    ends = np.flatnonzero(rows["last"])
    starts = np.append(0, ends + 1)[:-1]
    whole = (rows["ply"][starts] == 0) & (rows["ply"][ends] == ends - starts)
    played_by = [
        f"version {a}" if a == b else f"versions {a} to {b}"
        for a, b in zip(rows["version"][starts[whole]], rows["version"][ends[whole]], strict=True)
    ]
    return iteration, [
        StoredGame(
            number=number,
            first=played_by[number],
            second=played_by[number],
            moves=tuple(rows["action"][start : end + 1].tolist()),
            outcome=int(rows["mover_outcome"][start]),
        )
        for number, (start, end) in enumerate(zip(starts[whole], ends[whole], strict=True))
    ][:MOST]
