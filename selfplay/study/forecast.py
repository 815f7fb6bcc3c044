"""What a study will cost: FLOPs by the ledger's formula, time from a few recipes that are timed.

A recipe is everything about a run but its seed. Of recipes that differ in numbers only, the
cheapest and the most expensive are timed. Between them seconds per evaluation of the network are
linear in its FLOPs, because an evaluation costs a fixed overhead and its arithmetic.
"""

from __future__ import annotations

import heapq
import math
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

import games
from selfplay.model import flops
from selfplay.model.flops import Ledger
from selfplay.ratings import elo, pairing
from selfplay.runs.codec import from_json, to_json
from selfplay.runs.files import read_json, write_json
from selfplay.runs.snapshots import is_snapshot
from selfplay.solved import suite
from selfplay.study import jobs
from selfplay.study.timing import ANSWER, PAIRS, Request, StartCost, Timing
from selfplay.training.config import TrainConfig
from selfplay.training.trainer import Trainer

SPREAD = 1.34  # a time is shown as a range from seconds / SPREAD to seconds · SPREAD
ANCHORED = 1 / 3  # share of pairings with the anchor, to whom all standard errors refer
AFTERWARDS = 3.0  # seconds for a ladder's table and plot
RAY = 8.0  # seconds until Ray and its actors have started
SHARED = 0.75  # work takes cores ** −0.75 of its time: part of it is not parallel
COPIES = 4  # processes that time at once on cores that would idle
FIRST_GAMES, GAMES_A_PLAYER = 5_000, 100  # until a ladder's largest standard error is 50 Elo


def ledger(config: TrainConfig) -> Ledger:
    """Estimates the whole run's FLOPs, imitation included; the rows of an iteration vary."""
    trainer = Trainer.build(config)
    spent = Ledger()
    if trainer.experts:
        imitation = trainer.imitation()
        spent = imitation.ledger(imitation.iterations)
    steps = config.learner.steps(config.selfplay.positions)
    for _ in range(config.iterations):
        spent = trainer.ledger(spent, steps)
    return spent


def recipe(config: TrainConfig) -> TrainConfig:
    """Returns the config without its seed."""
    return replace(config, seed=0)


def kind(config: TrainConfig) -> tuple[tuple[str, Any], ...]:
    """Returns what is not a number: recipes that share it differ by how much they compute."""
    return tuple(_words(to_json(config)))


def _words(data: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _words(value, f"{prefix}{name}.")
        elif isinstance(value, (str, bool)):
            yield prefix + name, value


def chosen(recipes: Iterable[TrainConfig]) -> list[TrainConfig]:
    """Chooses the recipes to time: of each kind the cheapest and the most expensive."""
    kinds: dict[Hashable, set[TrainConfig]] = {}
    for one in recipes:
        kinds.setdefault(kind(one), set()).add(one)
    found: list[TrainConfig] = []
    for members in kinds.values():
        ordered = sorted(members, key=lambda config: (*_cost(config), repr(config)))
        found.append(ordered[0])
        if _cost(ordered[-1]) != _cost(ordered[0]):
            found.append(ordered[-1])
    return found


def _evaluation(config: TrainConfig) -> int:
    return flops.evaluation(games.make(config.game), config.network)


def _cost(config: TrainConfig) -> tuple[int, int]:
    """Returns the FLOPs of an evaluation and of an iteration."""
    steps = config.learner.steps(config.selfplay.positions)
    evaluations = config.selfplay.positions * (config.search.num_simulations + 1)
    rows = flops.BACKWARD_FACTOR * steps * config.learner.batch_size
    one = _evaluation(config)
    return one, (evaluations + rows) * one


def programs(config: TrainConfig, budgets: Sequence[int] = ()) -> dict[str, Hashable]:
    """Returns a key for what each phase compiles; phases with the same key share programs."""
    base = config.game, config.network
    search, how = replace(config.search, num_simulations=0), config.learner
    # The learning rate and its schedule are in the optimizer's step alone, which is soon compiled.
    loss = how.batch_size, how.shards, how.value_weight, how.root_value_weight, how.symmetries
    return {
        "play": (*base, config.search, replace(config.selfplay, streams=1)),
        "learn": (*base, loss),
        "exam": (*base, search, config.exam),
        "match": (*base, search, tuple(budgets)),
        "rules": config.game,
    }


@dataclass
class Estimator:
    """Seconds of runs and ladders on this machine, from timed recipes.

    Attributes:
        timed: the recipes of `chosen`, with what was measured of them, once or several times.
        process: seconds until a process has started and imported everything.
        compiled: programs that will be in JAX's cache; a cold estimate adds to them.
    """

    timed: Sequence[tuple[TrainConfig, Timing]]
    process: float
    compiled: set[Hashable] = field(default_factory=set)

    @property
    def cached(self) -> bool:
        """True = the cache held all that was timed, so it is taken to hold everything."""
        return not any(timing.compiled for _, timing in self.timed)

    def iteration(self, config: TrainConfig) -> float:
        """Returns the seconds of self-play and learning in an iteration, as the metrics count."""
        work, search = config.selfplay, config.search
        evaluations = work.batch_size * work.segment_length * (search.num_simulations + 1)
        segment = evaluations * self._line(
            config,
            lambda c, t: t.segment / (c.selfplay.batch_size * c.selfplay.segment_length),
            lambda c: c.search.num_simulations + 1,
        )
        steps = config.learner.steps(work.positions)
        return work.streams * segment + steps * self._step(config)

    def _step(self, config: TrainConfig) -> float:
        batch = config.learner.batch_size
        return batch * self._line(config, lambda c, t: t.step / c.learner.batch_size)

    def run(
        self,
        config: TrainConfig,
        done: int = -1,
        iteration: float | None = None,
        cores: int = 1,
        ray: bool = False,
    ) -> StartCost:
        """Estimates what is left of a run, from the start of its process.

        Args:
            config: of the run; its programs count as compiled from now on.
            done: its last committed iteration; −1 before there is any.
            iteration: seconds of one, where runs of this recipe have shown them.
            cores: of the run's process.
            ray: True = the run starts Ray, whose actors play.
        """
        if done >= config.iterations:
            return StartCost()
        begin = [self._starting(config, "play"), self._starting(config, "learn")]
        seconds = self.process + (RAY if ray else 0.0)
        if config.imitation.dataset and done < 0:
            rules, batch = games.make(config.game), config.learner.batch_size
            steps = ledger(config).imitation / flops.training_step(rules, config.network, batch)
            seconds += steps * self._step(config) + self.phase(config, "learn").seconds
        if has_exam(config):
            begin.append(self._starting(config, "exam"))
            every, last = config.exam.every, config.iterations - 1
            middle = last // every - max(done, 0) // every if every else 0
            seconds += middle * self._line(config, lambda c, t: t.exam)
            seconds += self._line(config, lambda c, t: t.last_exam)
        one = self.iteration(config) / cores**SHARED if iteration is None else iteration
        one += self._line(config, lambda c, t: t.commit)
        seconds += (config.iterations - max(done, 0)) * one
        return StartCost(
            seconds + sum(phase.seconds for phase in begin),
            sum(phase.compiling for phase in begin),
        )

    def phase(self, config: TrainConfig, name: str) -> StartCost:
        """Returns what a phase takes for this recipe: the mean of what was timed of its kind."""
        phases = [t.starts[name] for _, t in self._alike(config) if name in t.starts]
        if not phases:
            return StartCost()
        seconds, compiling = np.mean([(p.seconds, p.compiling) for p in phases], axis=0).tolist()
        return StartCost(seconds, compiling)

    def _starting(self, config: TrainConfig, name: str, budgets: Sequence[int] = ()) -> StartCost:
        """Returns what a phase takes, compiling only what no phase before it has compiled."""
        key = name, programs(config, budgets)[name]
        phase = self.phase(config, name)
        cold = key not in self.compiled and not self.cached
        self.compiled.add(key)
        return phase if cold else replace(phase, compiling=0.0)

    def _alike(self, config: TrainConfig) -> list[tuple[TrainConfig, Timing]]:
        same = kind(config)
        return [(c, t) for c, t in self.timed if kind(c) == same]

    def _line(
        self,
        config: TrainConfig,
        seconds: Callable[[TrainConfig, Timing], float],
        evaluations: Callable[[TrainConfig], int] = lambda config: 1,
    ) -> float:
        """Returns the seconds per evaluation, on the line through the networks that were timed."""
        points: dict[int, list[float]] = {}
        for one, timing in self._alike(config):
            points.setdefault(_evaluation(one), []).append(seconds(one, timing) / evaluations(one))
        at = sorted(points)
        return float(np.interp(_evaluation(config), at, [np.mean(points[x]) for x in at]))

    def ladder(self, configs: Sequence[TrainConfig], size: LadderSize, cores: int) -> StartCost:
        """Estimates a ladder of these runs, a config for each, that is played on `cores` cores."""
        at_once = cores**SHARED
        shapes = {programs(c, size.budgets)["match"]: c for c in configs}
        begin = [self._starting(configs[0], "rules", size.budgets)]
        begin += [self._starting(c, "match", size.budgets) for c in shapes.values()]
        pairings = [
            self._line(c, lambda _, t, b=budget: t.pairings[str(b)])
            for c in configs
            for budget in size.budgets
        ]
        mean = float(np.mean(pairings))
        anchored = max((t.anchored for _, t in self._alike(configs[0])), default=0.0)
        one = (1 - ANCHORED) * mean + ANCHORED * (mean / 2 + anchored)
        playing = size.games / (2 * PAIRS) * one + sum(phase.seconds for phase in begin)
        rounds = math.ceil(size.games / size.per_round)
        fitting = rounds * round_seconds(size.players, size.games)
        return StartCost(
            self.process + playing / at_once + fitting + AFTERWARDS,
            sum(phase.compiling for phase in begin) / at_once,
        )


def has_exam(config: TrainConfig) -> bool:
    """Tells whether versions of this run sit an exam."""
    return bool(config.exam.budgets) and config.game in suite.FILES


def versions(config: TrainConfig, most: int) -> int:
    """Counts the versions of a run that will be rated, at most `most`."""
    every = config.exam.every if has_exam(config) else 0
    kept = [
        version
        for version in range(0 if config.imitation.dataset else 1, config.iterations + 1)
        if is_snapshot(version)
        or config.store.keep_for_verify
        or version == config.iterations
        or (every and version % every == 0)
    ]
    return min(most, len(kept))


@dataclass(frozen=True)
class LadderSize:
    """How much a ladder plays.

    Attributes:
        players: all of them.
        budgets: simulations a move, of every version.
        games: that will be played.
        per_round: of them, in one round.
    """

    players: int
    budgets: tuple[int, ...]
    games: int
    per_round: int

    @classmethod
    def of(
        cls, players: int, budgets: tuple[int, ...], until_stderr: float, most: int
    ) -> LadderSize:
        """Estimates the games until a largest standard error is reached, `most` at the most.

        Before a game is played nobody knows how far apart the players are, so this is rough where
        `most` does not end the ladder.
        """
        pairings = min(max(8, players // 8), players * (players - 1) // 2)
        per_round = 2 * PAIRS * pairings
        needed = (FIRST_GAMES + GAMES_A_PLAYER * players) * (50 / until_stderr) ** 2
        games = math.ceil(min(needed, most) / per_round) * per_round
        return cls(players, budgets, games, per_round)


def round_seconds(players: int, games: int) -> float:
    """Times the ratings and the choice of pairings of one round, on made-up games."""
    rng, pairs = np.random.default_rng(0), max(games // 4, 1)  # of a ladder half as long
    first = rng.integers(0, players, pairs)
    second = (first + rng.integers(1, players, pairs)) % players
    seats = np.r_[first, second], np.r_[second, first]
    made_up = elo.Games(*seats, rng.choice([-1, 1], 2 * pairs), np.tile(np.arange(pairs), 2))
    began = time.perf_counter()
    ratings = elo.fit(made_up, players, 0)
    pairing.choose(ratings, made_up, max(8, players // 8), PAIRS, 1.0)
    return time.perf_counter() - began


class TimingFailed(RuntimeError):
    """A recipe could not be timed; the message says why."""


def measured(requests: Sequence[Request], slots: int, script: Path) -> Estimator:
    """Times these recipes, each in a process with one core; idle cores repeat one of them.

    `script` is launch/timing.py. Cores that idle now would be busy in the study, and processes that
    run at once slow each other.

    Raises:
        TimingFailed: a process failed; with the last line that it printed.
    """
    copies = list(islice(cycle(requests), max(len(requests), min(slots, COPIES))))
    with tempfile.TemporaryDirectory(prefix="oomzero-plan-") as temporary:
        folders = [Path(temporary, str(i)) for i in range(len(copies))]
        waiting = []
        for folder, request in zip(folders, copies, strict=True):
            folder.mkdir()
            write_json(folder / "request.json", asdict(request))
            command = (sys.executable, str(script), str(folder / "request.json"), str(folder))
            waiting.append(jobs.Job(folder.name, command, folder / "log"))
        took = {}
        for ended in jobs.run(waiting, min(slots, len(copies)), 0):
            if ended.status:
                raise TimingFailed(ended.words or f"timing ended with status {ended.status}")
            took[ended.name] = ended.seconds
        answers = [read_json(folder / ANSWER) for folder in folders]
    compiled = set[Hashable]()
    timed = []
    for request, answer in zip(copies, answers, strict=True):
        config = from_json(TrainConfig, request.config)
        timed.append((config, Timing.of(answer["timing"])))
        compiled |= set(programs(config, request.budgets).items())
    outside = [took[folder.name] - a["inside"] for folder, a in zip(folders, answers, strict=True)]
    return Estimator(timed, float(np.mean(outside)), compiled)


def makespan(seconds: Iterable[float], slots: int, busy: Sequence[float] = ()) -> float:
    """Returns when the last job ends: each starts, in order, in the slot that is free first.

    `busy`: seconds for which a slot still has another job.
    """
    free = [*busy, *[0.0] * slots][: max(slots, len(busy))]
    heapq.heapify(free)
    for one in seconds:
        heapq.heappush(free, heapq.heappop(free) + one)
    return max(free)
