"""Exam grades of the networks that a training saved, a preset's or the peer's; each graded once.

A *side* folder holds one training: ``run/`` (a preset's, a run folder) or ``models/`` and
``done.json`` (the peer's, see worker.py), and ``grades.jsonl``, a line for each saved network and
budget. Both sides answer the same questions behind the same search: `SearchConfig`'s defaults
without noise, which also suit the peer (with mctx's own constants its error rate was 1–4 points
higher). Moments are minutes of training, without compilation and evaluation.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import games
from benchmarks import peer
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.runs import metrics
from selfplay.runs.codec import from_json
from selfplay.runs.files import load_arrays, read_json, write_bytes
from selfplay.runs.run import load_version, read_config
from selfplay.runs.tree import nest
from selfplay.search.base import SearchFn
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search
from selfplay.solved import exam as exams
from selfplay.solved import suite

GAME = "connect_four"
BUDGETS = (64, 0)
FILE = "grades.jsonl"
Loaded = tuple[Any, NetworkConfig | None]  # parameters, and our network's config or the peer's None


class Side(NamedTuple):
    """One training of one of the two sides."""

    name: str  # "ours", "baseline" or "peer"
    seed: int
    folder: Path


@dataclass(frozen=True)
class Saved:
    """A network saved at some time of its training."""

    label: str
    seconds: float
    load: Callable[[], Loaded]


@dataclass(frozen=True)
class Row:
    """One line of ``grades.jsonl``."""

    label: str
    seconds: float
    sims: int
    kept: float  # fraction of moves that keep the result
    best: float
    resistance: float
    positions: int  # questions behind `kept`
    exam: str  # the start of the exam's digest

    @property
    def errors(self) -> float:
        """The fraction of moves that lose the result."""
        return 1 - self.kept

    @property
    def log_errors(self) -> float:
        """The logarithm of `errors`; no error counts as half of one."""
        return math.log(max(self.errors, 0.5 / self.positions))


def preset_at(folder: Path, moments: Iterable[float]) -> dict[float, Saved]:
    """Finds the last version committed by each moment that the run has reached."""
    run = folder / "run"
    reached, over = preset_progress(folder)
    if not reached:
        return {}
    times = committed_at(run)

    def saved(moment: float) -> Saved:
        version, seconds = [item for item in times if item[1] <= 60 * moment][-1]
        return Saved(f"version {version}", seconds, lambda: _load_preset(run, version))

    return {moment: saved(moment) for moment in moments if over or reached >= 60 * moment}


def preset_progress(folder: Path) -> tuple[float, bool]:
    """Returns the seconds trained so far, and True if the run is at its last iteration."""
    run = folder / "run"
    rows = metrics.read_rows(run) if (run / metrics.FILE).exists() else []
    if not rows:
        return 0.0, False
    return rows[-1].seconds.total, rows[-1].iteration >= read_config(run)["iterations"]


def committed_at(run: Path) -> list[tuple[int, float]]:
    """Lists ``(version, seconds)``, with the time of commits included.

    The run's clock stops during a commit, but with policy lag 1 its actors keep playing. So an
    iteration counts at least the time between its commit file and the previous one. The first
    iteration after a start or resume has no previous one and counts its recorded seconds.
    """
    starts = {session["next_iteration"] for session in read_json(run / "manifest.json")["sessions"]}
    times: list[tuple[int, float]] = []
    seconds, clock, written = 0.0, 0.0, None
    for row in metrics.read_rows(run):
        version, before = row.iteration, written
        file = run / "commits" / f"{version:08d}.json"
        written = file.stat().st_mtime if file.exists() else None
        lasted = row.seconds.total - clock
        if before and written and version not in {*starts, 1}:
            lasted = max(lasted, written - before)
        seconds, clock = seconds + lasted, row.seconds.total
        times.append((version, seconds))
    return times


def peer_at(folder: Path, moments: Iterable[float]) -> dict[float, Saved]:
    """Finds what the peer saved after the first iteration past each moment, once it is done."""
    if not peer_done(folder, 0):
        return {}
    saved_at = read_json(folder / "done.json")["eval_at"]
    files = sorted((folder / "models").glob("*.npz"))
    networks = {}
    for moment in moments:
        later = [file for file in files if int(file.stem) / 1000 >= 60 * moment]
        if later and any(math.isclose(60 * moment, seconds) for seconds in saved_at):
            file = later[0]
            networks[moment] = Saved(
                file.stem, int(file.stem) / 1000, lambda file=file: (nest(load_arrays(file)), None)
            )
    return networks


def peer_done(folder: Path, minutes: float) -> bool:
    """Tells whether a training of at least `minutes` has ended."""
    done = folder / "done.json"
    return done.exists() and read_json(done)["seconds"] >= 60 * minutes


def _load_preset(run: Path, version: int) -> Loaded:
    stored = load_version(run, version)
    return stored.params, from_json(NetworkConfig, stored.config["network"])


@cache
def _search_fn(network_config: NetworkConfig | None, sims: int) -> SearchFn:
    """Caches one function per network and budget, so that it is compiled once."""
    game = games.make(GAME)
    evaluate = network.make(game, network_config).apply if network_config else _evaluate_peer
    return make_search(game, evaluate, SearchConfig(algorithm="gumbel").for_evaluation(sims))


def _evaluate_peer(params: Any, observations: Any) -> Any:
    return peer.apply(peer.Model(**params), observations)


class Grader:
    """A grader of saved networks that keeps grades in the side's folder."""

    def __init__(self, say: Callable[[str], None], positions: int | None = None) -> None:
        """Loads the exam, with at most `positions` questions per set if given."""
        whole = suite.load(GAME)
        self.exam = whole.sample(positions) if positions else whole
        self._say = say

    def grade(self, side: Side, moments: Sequence[float]) -> dict[float, dict[int, Row]]:
        """Grades the moments that the training has reached: ``{moment: {sims: row}}``."""
        at = (peer_at if side.name == "peer" else preset_at)(side.folder, moments)
        file = side.folder / FILE
        rows = read(file)
        curve: dict[float, dict[int, Row]] = {}
        for moment, saved in at.items():
            for sims in BUDGETS:
                row = next((r for r in rows if self._is_of(r, saved, sims)), None)
                if row is None:
                    row = self._grade_one(saved, sims)
                    rows.append(row)
                    lines = "".join(json.dumps(vars(r)) + "\n" for r in rows)
                    write_bytes(file, lines.encode())
                    self._say(
                        f"  {side.name} {side.seed}, {moment:g} min ({saved.label}, "
                        f"{saved.seconds:.1f} s), {sims} sims: {row.errors:.2%} errors"
                    )
                curve.setdefault(moment, {})[sims] = row
        return curve

    def _is_of(self, row: Row, saved: Saved, sims: int) -> bool:
        key = (saved.label, sims, len(self.exam.result), self.exam.digest[:12])
        return (row.label, row.sims, row.positions, row.exam) == key

    def _grade_one(self, saved: Saved, sims: int) -> Row:
        params, network_config = saved.load()
        result = exams.evaluate(
            games.make(GAME), self.exam, _search_fn(network_config, sims), params
        )
        return Row(
            label=saved.label,
            seconds=saved.seconds,
            sims=sims,
            kept=result.result.kept.value,
            best=result.result.best.value,
            resistance=result.resistance.best.value,
            positions=len(self.exam.result),
            exam=self.exam.digest[:12],
        )


def read(file: Path) -> list[Row]:
    """Reads the rows of a grades file; no rows without a file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [Row(**json.loads(line)) for line in lines]
