"""Forecasts the cost of a study: FLOPs by the ledger's formula, time from a few timed recipes.

A recipe is a config without its seed. Among recipes that differ in numbers only, the cheapest and
the most expensive are timed. Between them, seconds per evaluation of the network are linear in its
FLOPs, because an evaluation costs a fixed overhead plus its arithmetic.
"""

from __future__ import annotations

import heapq
import math
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

import games
from games import plugins
from selfplay.acting.cost import evaluations_per_segment, mean_evaluations
from selfplay.learning.step_cost import step_flops
from selfplay.model import flops
from selfplay.model.flops import Ledger
from selfplay.ratings import elo, pairing
from selfplay.runs.codec import to_json
from selfplay.runs.files import read_json, write_json
from selfplay.runs.snapshots import is_snapshot
from selfplay.solved import suite
from selfplay.study import jobs
from selfplay.study.timing import PAIRS, TIMING_FILE, StartCost, Timing, TimingRequest
from selfplay.training.config import TrainConfig
from selfplay.training.trainer import Trainer

SPREAD = 1.34  # a time is shown as a range from seconds / SPREAD to seconds · SPREAD
ANCHOR_FRACTION = 1 / 3  # of pairings; standard errors are relative to the anchor
LADDER_TABLE_SECONDS = 3.0  # for a ladder's table and plot
RAY_START_SECONDS = 8.0  # until Ray and its actors have started
CORES_EXPONENT = 0.75  # n cores divide the time by n ** 0.75: part of the work is not parallel
MOST_KINDS = 8  # of which the extremes are timed; see `recipes_to_time`
MAX_PROCESSES = 4  # that time recipes at once, on cores that would otherwise idle
FIRST_GAMES, GAMES_PER_PLAYER = 5_000, 100  # until a ladder's largest standard error is 50 Elo


def ledger(config: TrainConfig) -> Ledger:
    """Estimates the FLOPs of a whole run, imitation included; rows of an iteration vary."""
    trainer = Trainer.build(config)
    spent = Ledger()
    if trainer.experts:
        imitation = trainer.imitation()
        spent = imitation.ledger(imitation.iterations)
    steps = config.learner.steps(config.selfplay.rows)
    for iteration in range(1, config.iterations + 1):
        spent = trainer.ledger(spent, iteration, steps)
    return spent


def recipe(config: TrainConfig) -> TrainConfig:
    """Returns the config without its seed."""
    return replace(config, seed=0)


def kind(config: TrainConfig) -> tuple[tuple[str, str | bool], ...]:
    """Returns the fields that are not numbers; recipes of one kind differ in amounts only."""
    return tuple(_text_fields(to_json(config)))


def _text_fields(section: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str | bool]]:
    for name, value in section.items():
        if isinstance(value, dict):
            yield from _text_fields(value, f"{prefix}{name}.")
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            yield prefix + name, " ".join(value)
        elif isinstance(value, (str, bool)):
            yield prefix + name, value


def recipes_to_time(recipes: Iterable[TrainConfig]) -> list[TrainConfig]:
    """Chooses the cheapest and the most expensive recipe of each kind.

    A study that screens many changes has a kind for each recipe. Timing them all would take longer
    than it is worth, so that of more than `MOST_KINDS` as many are chosen, evenly by their cost.
    """
    kinds: dict[Hashable, set[TrainConfig]] = {}
    for config in recipes:
        kinds.setdefault(kind(config), set()).add(config)
    if len(kinds) > MOST_KINDS:
        one_each = [min(members, key=repr) for members in kinds.values()]
        ordered = sorted(one_each, key=lambda config: (*_cost(config), repr(config)))
        at = np.linspace(0, len(ordered) - 1, MOST_KINDS).round().astype(int)
        return [ordered[i] for i in at]
    chosen: list[TrainConfig] = []
    for members in kinds.values():
        ordered = sorted(members, key=lambda config: (*_cost(config), repr(config)))
        chosen.append(ordered[0])
        if _cost(ordered[-1]) != _cost(ordered[0]):
            chosen.append(ordered[-1])
    return chosen


def _evaluation_flops(config: TrainConfig) -> int:
    """Returns the FLOPs of one evaluation of the network."""
    return flops.evaluation(games.make(config.game), config.network)


def _cost(config: TrainConfig) -> tuple[int, float]:
    """Returns the FLOPs of an evaluation, and the mean of an iteration."""
    steps = config.learner.steps(config.selfplay.rows)
    segment = mean_evaluations(config.search, config.selfplay, config.iterations)
    evaluations = config.selfplay.streams * segment
    learning = steps * step_flops(games.make(config.game), config.network, config.learner)
    per_evaluation = _evaluation_flops(config)
    return per_evaluation, evaluations * per_evaluation + learning


def programs(config: TrainConfig, budgets: Sequence[int] = ()) -> dict[str, Hashable]:
    """Returns a key for what each phase compiles; phases with equal keys share programs."""
    base = config.game, config.network
    search, learner = replace(config.search, num_simulations=0), config.learner
    # The learning rate and its schedule only affect the optimizer's step, which compiles quickly.
    loss = (
        learner.batch_size,
        learner.shards,
        learner.value_weight,
        learner.root_value_weight,
        learner.symmetries,
        learner.losses,
    )
    return {
        "play": (
            *base,
            config.search,
            replace(config.selfplay, streams=1),
            learner.losses,
            learner.surprise_weight > 0,
        ),
        "learn": (*base, loss),
        "exam": (*base, search, config.exam),
        "match": (*base, search, tuple(budgets)),
        "rules": config.game,
    }


@dataclass
class Estimator:
    """Estimator of the seconds that runs and ladders take on this machine, from timed recipes.

    Attributes:
        timed: the recipes of `recipes_to_time` with their timings; a recipe may occur repeatedly.
        process: seconds until a process has started and imported everything.
        compiled: keys of programs that will be in JAX's cache; estimates add theirs.
    """

    timed: Sequence[tuple[TrainConfig, Timing]]
    process: float
    compiled: set[Hashable] = field(default_factory=set)

    @property
    def cached(self) -> bool:
        """True = all timed programs were in the cache, so all programs are assumed to be."""
        return not any(timing.compiled for _, timing in self.timed)

    def iteration(self, config: TrainConfig) -> float:
        """Estimates the seconds of self-play and learning in one iteration, as in the metrics."""
        work = config.selfplay
        segment = mean_evaluations(config.search, work, config.iterations) * self._interpolate(
            config,
            lambda c, t: t.segment,
            lambda c: evaluations_per_segment(c.search, c.selfplay),
        )
        steps = config.learner.steps(work.positions)
        return work.streams * segment + steps * self._step(config)

    def _step(self, config: TrainConfig) -> float:
        batch = config.learner.batch_size
        return batch * self._interpolate(config, lambda c, t: t.step / c.learner.batch_size)

    def run(
        self,
        config: TrainConfig,
        done: int = -1,
        iteration: float | None = None,
        cores: int = 1,
        ray: bool = False,
    ) -> StartCost:
        """Estimates the rest of a run, from the start of its process.

        Args:
            config: of the run; its programs count as compiled from now on.
            done: its last committed iteration; −1 if none is committed.
            iteration: seconds of an iteration, if runs of this recipe have measured them.
            cores: of the run's process.
            ray: True = the run starts Ray, whose actors play.
        """
        if done >= config.iterations:
            return StartCost()
        starts = [self._start(config, "play"), self._start(config, "learn")]
        seconds = self.process + (RAY_START_SECONDS if ray else 0.0)
        if config.imitation.dataset and done < 0:
            per_step = step_flops(games.make(config.game), config.network, config.learner)
            steps = ledger(config).imitation / per_step
            seconds += steps * self._step(config) + self.phase(config, "learn").seconds
        if has_exam(config):
            starts.append(self._start(config, "exam"))
            every, last = config.exam.every, config.iterations - 1
            exams = last // every - max(done, 0) // every if every else 0
            seconds += exams * self._interpolate(config, lambda c, t: t.exam)
            seconds += self._interpolate(config, lambda c, t: t.last_exam)
        speedup = cores**CORES_EXPONENT
        each = self.iteration(config) / speedup if iteration is None else iteration
        each += self._interpolate(config, lambda c, t: t.commit)
        seconds += (config.iterations - max(done, 0)) * each
        return StartCost(
            seconds + sum(start.seconds for start in starts),
            sum(start.compiling for start in starts),
        )

    def phase(self, config: TrainConfig, name: str) -> StartCost:
        """Estimates the first call of a phase, as the mean over the timed recipes of its kind."""
        costs = [t.starts[name] for _, t in self._same_kind(config) if name in t.starts]
        if not costs:
            return StartCost()
        seconds, compiling = np.mean([(c.seconds, c.compiling) for c in costs], axis=0).tolist()
        return StartCost(seconds, compiling)

    def _start(self, config: TrainConfig, name: str, budgets: Sequence[int] = ()) -> StartCost:
        """Estimates the first call of a phase; programs of earlier calls need no compiling."""
        key = name, programs(config, budgets)[name]
        cost = self.phase(config, name)
        cold = key not in self.compiled and not self.cached
        self.compiled.add(key)
        return cost if cold else replace(cost, compiling=0.0)

    def _same_kind(self, config: TrainConfig) -> list[tuple[TrainConfig, Timing]]:
        """Returns the timed recipes of this kind; if there are none, the most similar ones."""
        same, like = kind(config), (config.game, config.network.kind)
        return (
            [(c, t) for c, t in self.timed if kind(c) == same]
            or [(c, t) for c, t in self.timed if (c.game, c.network.kind) == like]
            or [(c, t) for c, t in self.timed if c.game == config.game]
            or list(self.timed)
        )

    def _interpolate(
        self,
        config: TrainConfig,
        seconds: Callable[[TrainConfig, Timing], float],
        evaluations: Callable[[TrainConfig], int] = lambda config: 1,
    ) -> float:
        """Interpolates seconds per evaluation between timed networks, linearly in their FLOPs."""
        points: dict[int, list[float]] = {}
        for timed, timing in self._same_kind(config):
            per_evaluation = seconds(timed, timing) / evaluations(timed)
            points.setdefault(_evaluation_flops(timed), []).append(per_evaluation)
        xs = sorted(points)
        return float(np.interp(_evaluation_flops(config), xs, [np.mean(points[x]) for x in xs]))

    def ladder(self, configs: Sequence[TrainConfig], size: LadderSize, cores: int) -> StartCost:
        """Estimates a ladder of these runs, with one config per run, on `cores` cores."""
        speedup = cores**CORES_EXPONENT
        by_program = {programs(c, size.budgets)["match"]: c for c in configs}
        starts = [self._start(configs[0], "rules", size.budgets)]
        starts += [self._start(c, "match", size.budgets) for c in by_program.values()]
        pairings = [
            self._interpolate(c, lambda _, t, b=budget: t.pairings[str(b)])
            for c in configs
            for budget in size.budgets
        ]
        mean = float(np.mean(pairings))
        anchored = max((t.anchored for _, t in self._same_kind(configs[0])), default=0.0)
        pairing_seconds = (1 - ANCHOR_FRACTION) * mean + ANCHOR_FRACTION * (mean / 2 + anchored)
        playing = size.games / (2 * PAIRS) * pairing_seconds
        playing += sum(start.seconds for start in starts)
        rounds = math.ceil(size.games / size.per_round)
        fitting = rounds * round_seconds(size.players, size.games)
        return StartCost(
            self.process + playing / speedup + fitting + LADDER_TABLE_SECONDS,
            sum(start.compiling for start in starts) / speedup,
        )


def has_exam(config: TrainConfig) -> bool:
    """Tells whether versions of this run are graded on solved positions."""
    return bool(config.exam.budgets) and config.game in suite.FILES


def count_rated_versions(config: TrainConfig, most: int) -> int:
    """Counts the versions of a run that will be rated, at most `most`."""
    every = config.exam.every if has_exam(config) else 0
    stored = [
        version
        for version in range(0 if config.imitation.dataset else 1, config.iterations + 1)
        if is_snapshot(version)
        or config.store.keep_for_verify
        or version == config.iterations
        or (every and version % every == 0)
    ]
    return min(most, len(stored))


@dataclass(frozen=True)
class LadderSize:
    """Size of a ladder.

    Attributes:
        players: number of players.
        budgets: simulations a move, of every version.
        games: number of games that will be played.
        per_round: games in one round.
    """

    players: int
    budgets: tuple[int, ...]
    games: int
    per_round: int

    @classmethod
    def of(
        cls, players: int, budgets: tuple[int, ...], until_stderr: float, most: int
    ) -> LadderSize:
        """Estimates the games until the largest standard error is below `until_stderr`, in Elo.

        The estimate is rough, because the distances between the players are still unknown, unless
        the limit `most` ends the ladder.
        """
        pairings = min(max(8, players // 8), players * (players - 1) // 2)
        per_round = 2 * PAIRS * pairings
        needed = (FIRST_GAMES + GAMES_PER_PLAYER * players) * (50 / until_stderr) ** 2
        games = math.ceil(min(needed, most) / per_round) * per_round
        return cls(players, budgets, games, per_round)


def round_seconds(players: int, games: int) -> float:
    """Times rating and the choice of pairings in one round, on random games."""
    rng, pairs = np.random.default_rng(0), max(games // 4, 1)  # the mean round has half the games
    first = rng.integers(0, players, pairs)
    second = (first + rng.integers(1, players, pairs)) % players
    seats = np.r_[first, second], np.r_[second, first]
    random_games = elo.Games(*seats, rng.choice([-1, 1], 2 * pairs), np.tile(np.arange(pairs), 2))
    began = time.perf_counter()
    ratings = elo.fit(random_games, players, 0)
    pairing.choose(ratings, random_games, max(8, players // 8), PAIRS, 1.0)
    return time.perf_counter() - began


class TimingFailed(RuntimeError):
    """Error of a process that times a recipe; the message is the last line that it printed."""


def time_recipes(requests: Sequence[TimingRequest], slots: int, script: Path) -> Estimator:
    """Times recipes, each in a process with one core; idle cores time recipes again.

    No core idles because none will in the study, and parallel processes slow each other down.

    Args:
        requests: one for each recipe.
        slots: processes at a time, each on its share of the cores.
        script: launch/timing.py.

    Raises:
        TimingFailed: a process failed.
    """
    copies = list(islice(cycle(requests), max(len(requests), min(slots, MAX_PROCESSES))))
    with tempfile.TemporaryDirectory(prefix="oomzero-plan-") as temporary:
        folders = [Path(temporary, str(i)) for i in range(len(copies))]
        queue = []
        for folder, request in zip(folders, copies, strict=True):
            folder.mkdir()
            write_json(folder / "request.json", to_json(request))
            command = (sys.executable, str(script), str(folder / "request.json"), str(folder))
            queue.append(jobs.Job(folder.name, command, folder / "log", plugins.environment()))
        seconds = {}
        for result in jobs.run(queue, min(slots, len(copies)), 0):
            if result.status:
                failure = f"timing ended with status {result.status}"
                raise TimingFailed(result.last_line or failure)
            seconds[result.name] = result.seconds
        documents = [read_json(folder / TIMING_FILE) for folder in folders]
    compiled = set[Hashable]()
    timed = []
    for request, document in zip(copies, documents, strict=True):
        timed.append((request.config, Timing.from_json(document["timing"])))
        compiled |= set(programs(request.config, request.budgets).items())
    outside = [
        seconds[folder.name] - document["inside"]
        for folder, document in zip(folders, documents, strict=True)
    ]
    return Estimator(timed, float(np.mean(outside)), compiled)


def makespan(seconds: Iterable[float], slots: int, busy: Sequence[float] = ()) -> float:
    """Computes when the last job ends if each starts, in order, in the first free slot.

    Args:
        seconds: of each job.
        slots: how many run at a time.
        busy: seconds until slots with a running job are free.
    """
    free = [*busy, *[0.0] * slots][: max(slots, len(busy))]
    heapq.heapify(free)
    for duration in seconds:
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)
