"""What a tracker is: a function that gets every committed row of metrics.

    def my_tracker(row: MetricsRow, run: TrackedRun) -> None:
        print(run.name, row.iteration, scalars(row)["ledger/ooms"])

A tracker with a state is a class whose objects are called in the same way. If they have a method
``close``, it is called after the last row.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from selfplay.runs.codec import Json, JsonObject
from selfplay.runs.files import from_jsonable, to_jsonable
from selfplay.runs.identity import RunIdentity
from selfplay.runs.metrics_row import MetricsRow
from selfplay.runs.run import Run, read_config


@dataclass(frozen=True)
class TrackedRun:
    """A run, as trackers know it.

    The identity alone is not enough for a tracker: runs of one recipe share it.

    Attributes:
        folder: the run's folder, or that of its imitation, RUN/imitation; absolute.
        config: the config that the run was started with, as JSON values.
        identity: arithmetic, expert games and origin that the run is bound to.
    """

    folder: Path
    config: JsonObject
    identity: RunIdentity

    @classmethod
    def of(cls, run: Run) -> TrackedRun:
        """Reads the description of a run that has committed its start."""
        return cls(run.folder, read_config(run.folder), run.commits.identity())

    @property
    def name(self) -> str:
        """The folder's name: "connect_four", and "connect_four/imitation" for its imitation."""
        folder = self.folder
        return folder.name if self.identity.plays else f"{folder.parent.name}/{folder.name}"

    @property
    def id(self) -> str:
        """A name of 16 hexadecimal digits that stays the same when the run is resumed.

        It is a digest of folder, config and identity, which cannot be read from it. A run that is
        moved gets another one.
        """
        parts = [str(self.folder), self.config, asdict(self.identity)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


Tracker = Callable[[MetricsRow, TrackedRun], None]
"""``tracker(row, run)``: gets every committed row of a run once, in order, on one thread."""


def scalars(row: MetricsRow) -> dict[str, float]:
    """Returns all finite numbers of a row by path: {"learner/policy_loss": 1.25, "steps": 30.0}."""
    return dict(_scalars(from_jsonable(to_jsonable(row.to_json()))))


def _scalars(section: Mapping[str, Json], prefix: str = "") -> Iterable[tuple[str, float]]:
    """Yields ``("a/b", 1.0)`` for ``{"a": {"b": 1}}``; skips all but finite numbers."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{prefix}{key}/")
        elif isinstance(value, (bool, int, float)) and math.isfinite(value):
            yield f"{prefix}{key}", float(value)
