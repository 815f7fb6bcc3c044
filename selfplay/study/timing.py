"""Times one piece of each kind of work of a run and its ladder, in a separate process.

The process runs the same programs as a run, on one core, so its times include contention, and
its compiled programs are in the cache when the runs start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

import games
from selfplay import rng
from selfplay.imitation.config import ImitationConfig
from selfplay.ladder import match, openings
from selfplay.ladder.config import EloConfig
from selfplay.learning.row_sources import RandomRows
from selfplay.players import specs
from selfplay.players.version import Version
from selfplay.runs.codec import from_json, to_json
from selfplay.runs.digest import digest
from selfplay.runs.files import read_json, write_json
from selfplay.runs.renamed import disk_names
from selfplay.runs.run import Run
from selfplay.solved.suite import Exam
from selfplay.training.config import TrainConfig
from selfplay.training.grader import ExamGrader
from selfplay.training.trainer import Trainer

STEPS = 4  # gradient steps that are timed
PAIRS = 16  # opening pairs of a pairing, as in LadderConfig
ANCHOR_PAIRS = 2  # opening pairs that the anchor plays: a solver may take seconds for each
REPEAT_SECONDS, MAX_REPETITIONS = 0.5, 9  # work is repeated until the first limit that it reaches
TIMING_FILE = "timing.json"
MIN_CACHED_SECONDS = 0.5  # programs that compile faster are not cached: selfplay/determinism.py


@dataclass(frozen=True)
class TimingRequest:
    """A run to time, and the players of its ladder.

    Attributes:
        config: of the run.
        budgets: simulations a move of the players; empty if no ladder follows.
        anchor: spec of the player at 0 Elo; empty if it is not to be timed.
        opening_plies: random moves of every opening.
    """

    config: TrainConfig
    budgets: tuple[int, ...] = ()
    anchor: str = ""
    opening_plies: int = 4


@dataclass(frozen=True)
class StartCost:
    """Cost of work that compiles programs.

    Attributes:
        seconds: with all programs in the cache.
        compiling: further seconds without them.
    """

    seconds: float = 0.0
    compiling: float = 0.0


@dataclass(frozen=True)
class Timing:
    """Measured seconds on one core.

    Attributes:
        starts: cost of the first call of each phase, which compiles its programs: "play", "learn",
            "exam", "match" (of one network, at all budgets) and "rules" (of any ladder).
        segment: of one stream's self-play in one iteration.
        step: of one gradient step.
        commit: of one iteration's commit.
        exam: of an exam during training; 0 if the game has none.
        last_exam: of the last version's exam.
        pairings: of one pairing of two players of a budget, by budget as text.
        anchored: added to a pairing by the anchor; 0 for random moves, or if it was not timed.
        compiled: True = the programs were not in the cache.
    """

    starts: dict[str, StartCost]
    segment: float
    step: float
    commit: float
    exam: float
    last_exam: float
    pairings: dict[str, float]
    anchored: float
    compiled: bool

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Timing:
        """Makes it from the JSON of `dataclasses.asdict`."""
        starts = {name: StartCost(**cost) for name, cost in document["starts"].items()}
        return cls(**{**document, "starts": starts})


class CompileClock:
    """Separates seconds of compiling that the cache saves from all other seconds.

    Attributes:
        missed: seconds of compiling programs that were not in the cache, and are there now.
        saved: seconds of compiling that the cache has saved.
    """

    def __init__(self) -> None:
        """Starts listening to JAX's durations, for the life of the process."""
        self.missed = self.saved = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._record)

    def _record(self, event: str, duration_secs: float, **_: object) -> None:
        if event.endswith("/compile_time_saved_sec"):
            self.saved += max(duration_secs, 0.0)
        elif event.endswith("/backend_compile_duration") and duration_secs >= MIN_CACHED_SECONDS:
            self.missed += duration_secs

    def phase(self, work: Callable[[], object]) -> StartCost:
        """Does the work once and returns its cost."""
        before = self.missed, self.saved
        seconds = _seconds(work)
        missed, saved = self.missed - before[0], self.saved - before[1]
        return StartCost(max(seconds - missed, 0.0), missed + saved)


def measure(request: TimingRequest, folder: Path) -> Timing:
    """Times the pieces of a run of one iteration, whose folder is `folder`, and its players."""
    config = request.config
    # The forecast computes imitation, smaller budgets and the run's own ladder from the seconds of
    # other pieces.
    alone = replace(config.cluster, actors=0, learner_devices=1)
    config = replace(config, imitation=ImitationConfig(), elo=EloConfig(), cluster=alone)
    config = replace(config, selfplay=replace(config.selfplay, first_simulations=0))
    compiling, trainer = CompileClock(), Trainer.build(config)
    grader = ExamGrader.build(config)
    starts: dict[str, StartCost] = {}
    run = Run.create_or_open(folder, config, window=config.replay)
    with run:
        starts["play"] = compiling.phase(trainer.player.fingerprint)
        state, carries = trainer.start()
        learner, params = state.learner, jax.device_get(state.acting_params)
        noise = trainer.example_rows(carries)

        def learn() -> None:
            trainer.learner.fingerprint(noise)
            row = {"digest": {"state": digest(state)}}
            run.commit(0, state, row, params, carries=carries, ledger={})

        starts["learn"] = compiling.phase(learn)
        if grader:
            starts["exam"] = compiling.phase(lambda: grader.grade(params, whole=False))
        compiled = compiling.saved < compiling.missed
        carry, rows = trainer.player.play(params, carries[0], 1, 0, 0)
        segment = _median_seconds(lambda: trainer.player.play(params, carry, 2, 0, 1))
        source = RandomRows(noise, config.learner.batch_size)
        steps = _median_seconds(lambda: trainer.learner.fit(learner, source, 0, STEPS))

        def commit() -> None:
            run.replay.add(1, rows)
            row = {"digest": {"state": digest(state), "rows": digest(disk_names(rows))}}
            run.commit(1, state, row, params, carries=[carry] * len(carries), ledger={})

        committed = _seconds(commit)
        exam = _median_seconds(lambda: grader.grade(params, whole=False)) if grader else 0.0
    exam_ratio = _positions(grader.exam) / _positions(grader.sample) if grader else 0.0
    pairings, anchored = dict[str, float](), 0.0
    if request.budgets:
        starts["rules"] = compiling.phase(lambda: _seconds_against_random("random", request))
        version = Version("timed@0", params, to_json(config))
        starts["match"] = compiling.phase(lambda: _pairing_seconds(version, request, 0, _seconds))
        pairings = _pairing_seconds(version, request, 1, _median_seconds)
        if request.anchor not in ("", "random"):
            added = _seconds_against_random(request.anchor, request)
            added -= _seconds_against_random("random", request)
            anchored = max(0.0, added)
    return Timing(
        starts=starts,
        segment=segment,
        step=steps / STEPS,
        commit=committed,
        exam=exam,
        last_exam=exam * exam_ratio,
        pairings=pairings,
        anchored=anchored,
        compiled=compiled,
    )


def _positions(exam: Exam) -> int:
    """Counts the positions that an exam asks for."""
    return len(exam.result) + len(exam.resistance)


def _pairing_seconds(
    version: Version,
    request: TimingRequest,
    number: int,
    clock: Callable[[Callable[[], object]], float],
) -> dict[str, float]:
    """Times a pairing of a version with itself at each budget; `number` chooses the openings."""
    game, seconds = version.game, dict[str, float]()
    for budget in request.budgets:
        player = specs.of_version(version, budget)
        starts = openings.draw(game, request.opening_plies, 0, 0, number * PAIRS, PAIRS)
        seconds[str(budget)] = clock(lambda a=player, s=starts: match.play(a, a, game, s, 0))
    return seconds


def _seconds_against_random(spec: str, request: TimingRequest) -> float:
    """Estimates the seconds of a player's pairing with random moves, from a few of its games."""
    game = games.make(request.config.game)
    player, opponent = specs.parse(spec, game), specs.parse("random", game)
    seconds = 0.0
    for number in range(2):  # the first round compiles, and fills the solver's tables
        plies, first = request.opening_plies, number * ANCHOR_PAIRS
        starts = openings.draw(game, plies, 0, rng.Purpose.MATCH, first, ANCHOR_PAIRS)
        seconds = _seconds(lambda s=starts, n=number: match.play(player, opponent, game, s, n))
    return seconds * PAIRS / ANCHOR_PAIRS


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _median_seconds(work: Callable[[], object]) -> float:
    """Times short work several times, because a single time is easily disturbed."""
    times: list[float] = []
    while sum(times) < REPEAT_SECONDS and len(times) < MAX_REPETITIONS:
        times.append(_seconds(work))
    return float(np.median(times))


def time_request(path: Path, folder: Path) -> None:
    """Times what a request file asks for and writes the result into `folder`.

    The result also has the seconds that timing took inside this process.
    """
    request = from_json(TimingRequest, read_json(path))
    began = time.perf_counter()
    timing = measure(request, folder / "run")
    inside = time.perf_counter() - began
    write_json(folder / TIMING_FILE, {"timing": asdict(timing), "inside": inside})
