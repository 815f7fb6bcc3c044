"""Times a little of everything that a run and its ladder do, in a process of its own.

It runs what the run's own process will run, on one core, so that contention counts, and what it
compiles is in the cache of the runs that follow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
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
from selfplay.learning.sources import RandomRows
from selfplay.players import specs
from selfplay.players.version import Version
from selfplay.runs.codec import from_json, to_json
from selfplay.runs.digest import digest
from selfplay.runs.files import read_json, write_json
from selfplay.runs.run import Run
from selfplay.solved.suite import Exam
from selfplay.training.config import TrainConfig
from selfplay.training.grader import Grader
from selfplay.training.trainer import Trainer

STEPS = 4  # gradient steps that are timed
PAIRS = 16  # opening pairs of a pairing, as in LadderConfig
ANCHORED = 2  # opening pairs that the anchor plays: a solver may take seconds for each
LONG, REPETITIONS = 0.5, 9  # seconds after which nothing is repeated, and times at most
ANSWER = "timing.json"
KEPT = 0.5  # seconds that a program must take to compile to be cached, see selfplay/determinism.py


@dataclass(frozen=True)
class Request:
    """What is timed: a run, and players of its network.

    Attributes:
        config: of the run, as JSON.
        budgets: simulations a move of the players; none: no ladder follows.
        anchor: the player whose rating is 0, timed where it is named.
        opening_plies: random moves of every opening.
    """

    config: dict[str, Any]
    budgets: tuple[int, ...] = ()
    anchor: str = ""
    opening_plies: int = 4


@dataclass(frozen=True)
class StartCost:
    """Something that compiles: seconds with its programs in the cache, and more without them."""

    seconds: float = 0.0
    compiling: float = 0.0


@dataclass(frozen=True)
class Timing:
    """Seconds on one core.

    Attributes:
        starts: what compiles before the first iteration, the first exam, or the first game: "play",
            "learn", "exam", "match" (of one network, at all budgets) and "rules" (of any ladder).
        segment: one stream's self-play.
        step: one gradient step.
        commit: one iteration's.
        exam: one along the way; 0 where the game has none.
        last_exam: the one of the last version.
        pairings: one pairing of two players of a budget, by budget as text.
        anchored: what the anchor adds to a pairing; 0 for random moves, and where not timed.
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
    def of(cls, data: dict[str, Any]) -> Timing:
        """Reads it from JSON."""
        starts = {name: StartCost(**phase) for name, phase in data["starts"].items()}
        return cls(**{**data, "starts": starts})


class CompileClock:
    """Counts the seconds of compiling that the cache saves, now or the next time."""

    def __init__(self) -> None:
        self.missed = self.saved = 0.0
        jax.monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **_: Any) -> None:
        if event.endswith("/compile_time_saved_sec"):
            self.saved += max(duration_secs, 0.0)
        elif event.endswith("/backend_compile_duration") and duration_secs >= KEPT:
            self.missed += duration_secs

    def phase(self, work: Callable[[], Any]) -> StartCost:
        """Does the work once, and returns what it cost."""
        before = self.missed, self.saved
        seconds = _timed(work)
        missed, saved = self.missed - before[0], self.saved - before[1]
        return StartCost(max(seconds - missed, 0.0), missed + saved)


def measure(request: Request, folder: Path) -> Timing:
    """Times a run of one iteration into `folder`, piece by piece, and then its players."""
    config = from_json(TrainConfig, request.config)
    # Imitation and the run's own ladder are counted from other numbers.
    alone = replace(config.cluster, actors=0, learner_devices=1)
    config = replace(config, imitation=ImitationConfig(), elo=EloConfig(), cluster=alone)
    compiling, trainer = CompileClock(), Trainer.build(config)
    grader = Grader.build(config.game, config.network, config.search, config.exam)
    starts: dict[str, StartCost] = {}
    run = Run.create_or_open(folder, config, window=config.replay)
    with run:
        starts["play"] = compiling.phase(trainer.player.fingerprint)
        state, carries = trainer.start()
        learner, params = state["learner"], jax.device_get(state["playing"])
        noise = carries[0].pending | {"mover_outcome": np.zeros(0, np.int8)}

        def learn() -> None:
            trainer.learner.fingerprint(noise)
            row = {"digest": {"state": digest(state)}}
            run.commit(0, state, row, params, carries=carries, ledger={})

        starts["learn"] = compiling.phase(learn)
        if grader:
            starts["exam"] = compiling.phase(lambda: grader.grade(params, whole=False))
        compiled = compiling.saved < compiling.missed
        carry, rows = trainer.player.play(params, carries[0], 1, 0, 0)
        segment = _typical(lambda: trainer.player.play(params, carry, 2, 0, 1))
        source = RandomRows(noise, config.learner.batch_size)
        steps = _typical(lambda: trainer.learner.fit(learner, source, 0, STEPS))

        def commit() -> None:
            run.replay.add(1, rows)
            row = {"digest": {"state": digest(state), "rows": digest(rows)}}
            run.commit(1, state, row, params, carries=[carry] * len(carries), ledger={})

        committed = _timed(commit)
        exam = _typical(lambda: grader.grade(params, whole=False)) if grader else 0.0
    share = _questions(grader.exam) / _questions(grader.part) if grader else 0.0
    pairings, anchored = dict[str, float](), 0.0
    if request.budgets:
        starts["rules"] = compiling.phase(lambda: _against_random("random", request))
        version = Version("timed@0", params, to_json(config))
        starts["match"] = compiling.phase(lambda: _meet(version, request, 0, _timed))
        pairings = _meet(version, request, 1, _typical)
        if request.anchor not in ("", "random"):
            more = _against_random(request.anchor, request) - _against_random("random", request)
            anchored = max(0.0, more)
    return Timing(
        starts=starts,
        segment=segment,
        step=steps / STEPS,
        commit=committed,
        exam=exam,
        last_exam=exam * share,
        pairings=pairings,
        anchored=anchored,
        compiled=compiled,
    )


def _questions(exam: Exam) -> int:
    return len(exam.result) + len(exam.resistance)


def _meet(
    version: Version, request: Request, number: int, clock: Callable[[Callable[[], Any]], float]
) -> dict[str, float]:
    """Returns the seconds of a pairing at each budget; `number` chooses the openings."""
    game, found = version.game, {}
    for budget in request.budgets:
        one = specs.of_version(version, budget)
        starts = openings.draw(game, request.opening_plies, 0, 0, number * PAIRS, PAIRS)
        found[str(budget)] = clock(lambda a=one, s=starts: match.play(a, a, game, s, 0))
    return found


def _against_random(spec: str, request: Request) -> float:
    """Returns the seconds of a player's pairing with random moves, from a few of its games."""
    game = games.make(request.config["game"])
    one, other = specs.parse(spec, game), specs.parse("random", game)
    took = 0.0
    for number in range(2):  # the first one compiles, and fills the solver's tables
        plies, first = request.opening_plies, number * ANCHORED
        starts = openings.draw(game, plies, 0, rng.Purpose.MATCH, first, ANCHORED)
        took = _timed(lambda s=starts, n=number: match.play(one, other, game, s, n))
    return took * PAIRS / ANCHORED


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _typical(work: Callable[[], Any]) -> float:
    """Returns the median of a few repetitions: something short is easily disturbed."""
    took: list[float] = []
    while sum(took) < LONG and len(took) < REPETITIONS:
        took.append(_timed(work))
    return float(np.median(took))


def answer(request: Path, folder: Path) -> None:
    """Measures what the file `request` asks for, and writes the answer into `folder`."""
    asked = read_json(request)
    began = time.perf_counter()
    timing = measure(Request(**asked), folder / "run")
    inside = time.perf_counter() - began
    write_json(folder / ANSWER, {"timing": asdict(timing), "inside": inside})
