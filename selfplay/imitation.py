"""Imitation: what the network learns from expert games before it plays itself.

It is a run of its own, in `RUN/imitation`: an iteration learns from a part of the experts' positions,
measures itself on games that were held out, and commits. So it resumes as self-play does, and its
versions can be rated and graded. The one with the lowest held-out loss is what is left of it: version 0
of self-play.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

import games
from selfplay import flops, held_out, keys, learner, network
from selfplay.episode import Rows
from selfplay.experts.archive import Experts, View
from selfplay.flops import Ledger
from selfplay.learner import LearnerConfig, LearnerState, Source
from selfplay.keys import Purpose
from selfplay.network import NetworkConfig, Params
from selfplay.store.digest import digest
from selfplay.store.metrics import total_seconds
from selfplay.store.run import Run, load_version

FIRST = 1 << 24  # keys of imitation's iterations are those of iterations from here on


@dataclass(frozen=True)
class ImitationConfig:
    """What is learned from experts, and how much of them stays.

    Attributes:
        data: an archive that ``launch/experts.py`` made; empty: self-play begins from nothing.
        epochs: passes over the archive's training games.
        part: positions of one iteration, about; after each comes a measurement and a commit.
        patience: iterations without a lower held-out loss that end it early; 0: never.
        measured: held-out positions of a measurement along the way; the end takes all.
        games: share of the training games that is used, for studies of how much data is worth.
        learner: how it learns; the run's own `learner` is self-play's.
        stays: share of every batch that experts' positions have in the first iteration of self-play …
        halves: … which halves in so many iterations.
    """

    data: str = ""
    epochs: int = 8
    part: int = 100_000
    patience: int = 0
    measured: int = 8192
    games: float = 1.0
    learner: LearnerConfig = field(
        default_factory=lambda: LearnerConfig(batch_size=256, shards=4, decay=0.6, ema=0.998)
    )
    stays: float = 0.0
    halves: float = 20.0

    def __post_init__(self) -> None:
        for name in ("epochs", "part", "measured"):
            if getattr(self, name) < 1:
                raise ValueError(f"imitation.{name} must be at least 1, got {getattr(self, name)}")
        if self.patience < 0:
            raise ValueError(f"imitation.patience must not be negative, got {self.patience}")
        if not 0 < self.games <= 1:
            raise ValueError(f"imitation.games must lie in (0, 1], got {self.games}")
        if not 0 <= self.stays < 1:
            raise ValueError(f"imitation.stays must lie in [0, 1), got {self.stays}")
        if not self.halves > 0:
            raise ValueError(f"imitation.halves must be above 0, got {self.halves}")


@dataclass(frozen=True)
class Part:
    """Some rows of a source."""

    source: Source
    rows: np.ndarray  # int64[size]

    @property
    def size(self) -> int:
        """How many rows."""
        return len(self.rows)

    def gather(self, indices: np.ndarray) -> Rows:
        """The rows at `indices`, int64[n]."""
        return self.source.gather(self.rows[indices])


@dataclass(frozen=True)
class Mixed:
    """The replay window, and behind it a sample of the experts' positions."""

    window: Source
    experts: Source

    @property
    def size(self) -> int:
        """How many rows, both together."""
        return self.window.size + self.experts.size

    def gather(self, indices: np.ndarray) -> Rows:
        """The rows at `indices`, int64[n]: of the fields that the learner reads."""
        own = indices < self.window.size
        ours = self.window.gather(indices[own])
        theirs = self.experts.gather(indices[~own] - self.window.size)
        back = np.argsort(np.argsort(~own, kind="stable"), kind="stable")
        return {
            name: np.concatenate([ours[name], theirs[name]])[back] for name in learner.BATCH_FIELDS
        }


def training_games(config: ImitationConfig, game: str) -> tuple[View, View]:
    """``(to learn from, held out)``.

    Raises:
        ValueError: no archive, one of another game, or one without positions.
        CorruptedFile: a damaged one.
    """
    experts = Experts(config.data)
    if not _same_shapes(experts.manifest["game"], game):
        raise ValueError(
            f"imitation.data={config.data} holds games of {experts.manifest['game']}, "
            f"this run plays {game}"
        )
    train, out = experts.train.share(config.games), experts.held_out
    if not train.size or not out.size:
        raise ValueError(
            f"imitation.data={config.data} has {train.size} positions to learn from and "
            f"{out.size} held out; both are needed"
        )
    return train, out


def _same_shapes(one: str, other: str) -> bool:
    a, b = games.make(one), games.make(other)
    shapes = [(g.name, g.observation_shape, g.num_actions) for g in (a, b)]
    return shapes[0] == shapes[1]


def with_experts(
    window: Source, train: View, config: ImitationConfig, seed: int, iteration: int
) -> Source:
    """What an iteration of self-play learns from: the window, and as many experts as stay."""
    share = config.stays * 0.5 ** ((iteration - 1) / config.halves)
    wanted = min(train.size, round(window.size * share / (1 - share)))
    if not wanted:
        return window
    order = _shuffled(seed, train.size, Purpose.EXPERTS, iteration)
    return Mixed(window, Part(train, np.sort(order[:wanted])))


class Outcome(NamedTuple):
    """What imitation leaves to self-play."""

    params: Params
    version: int  # of the imitation
    ledger: Ledger
    seconds: float
    held_out: dict[str, Any]  # measures on all held-out positions


def loss(row: Mapping[str, Any]) -> float:
    """What the best version is chosen by: policy and value loss on held-out positions."""
    measured = row["held_out"]
    value = measured["value_loss"]
    return measured["policy_loss"] + (0.0 if np.isnan(value) else value)


def imitate(
    config: ImitationConfig,
    game: str,
    shape: NetworkConfig,
    seed: int,
    run: Run,
    report: Callable[[Mapping[str, Any]], bool | None],
    announce: Callable[[str], None],
    devices: int | None = None,
) -> Outcome | None:
    """Learn to the end, resuming where the run stands; None if `report` ended it with True.

    Args:
        config: what is learned.
        game: as the registry reads it.
        shape: of the network.
        seed: of everything random.
        run: `RUN/imitation`, opened.
        report: gets every committed row.
        announce: gets sentences about slow steps.
        devices: of the learner.

    Raises:
        ValueError: the data are none, or not those that the run was begun with.
    """
    train, out = training_games(config, game)
    rules = games.make(game)
    initialise, evaluate = network.make(rules, shape)
    parts = max(1, round(train.size / config.part))
    total = config.epochs * parts
    steps = [len(p) // config.learner.batch_size for p in np.array_split(range(train.size), parts)]
    if not all(steps):
        raise ValueError(
            f"imitation.data={config.data} has {train.size} positions to learn from, fewer than "
            f"one batch of {config.learner.batch_size}"
        )
    learns = learner.Learner(
        rules, initialise, evaluate, config.learner, config.epochs * sum(steps), seed, devices
    )
    state = learns.initial()
    if run.next_iteration:
        state = run.restore(state).state
    else:
        row = {"digest": {"state": digest(state)}, "data": train.archive.digest}
        run.commit(0, state, row, ledger=asdict(Ledger()))
    known = run.commits.read(0).metrics_row["data"]
    if known != train.archive.digest:
        raise ValueError(
            f"{config.data} has changed since this run began with it (digest "
            f"{train.archive.digest[:12]}, was {known[:12]}); begin another run"
        )
    announce("compiling imitation")
    order = _shuffled(seed, out.size, Purpose.HELD_OUT)
    measure = held_out.Measure(rules, evaluate, train, out, order)
    step_flops = flops.training_step(rules, shape, config.learner.batch_size)
    rows = [run.commits.read(i).metrics_row for i in range(1, run.next_iteration)]
    while len(rows) < total and not _given_up(rows, config.patience):
        iteration = len(rows) + 1
        epoch, part = divmod(iteration - 1, parts)
        started = time.perf_counter()
        passage = _shuffled(seed, train.size, Purpose.EPOCH, epoch)
        source = Part(train, np.array_split(passage, parts)[part])
        state, metrics = learns.fit(state, source, FIRST + iteration, steps[part])
        learned = time.perf_counter() - started
        spent = (epoch * sum(steps) + sum(steps[: part + 1])) * step_flops
        row = {
            "version": iteration,
            "epoch": epoch + (part + 1) / parts,
            "epochs": config.epochs,
            "digest": {"state": digest(state)},
            "ledger": {**asdict(Ledger(imitation=spent)), "ooms": Ledger(imitation=spent).ooms},
            "learner": metrics,
            "held_out": measure(state.averaged, config.measured),
            "seconds": {
                "learn": learned,
                "measure": time.perf_counter() - started - learned,
                "total": learned + (total_seconds(rows[-1]) if rows else 0.0),
            },
        }
        best = min(loss(r) for r in [*rows, row])
        run.commit(
            iteration,
            state,
            row,
            state.averaged if loss(row) == best else None,
            ledger=asdict(Ledger(imitation=spent)),
        )
        rows.append(row)
        if report({"iteration": iteration, **row}) and len(rows) < total:
            return None
    best = min(range(len(rows)), key=lambda i: loss(rows[i])) + 1
    stored = load_version(run.folder, best)
    announce(f"measuring version {best} of imitation on all {out.size:,} held-out positions")
    return Outcome(
        params=stored.params,
        version=best,
        ledger=Ledger(imitation=Ledger(**run.commits.read(len(rows)).ledger).imitation),
        seconds=total_seconds(rows[-1]),
        held_out=measure(stored.params, out.size),
    )


def _given_up(rows: list[Mapping[str, Any]], patience: int) -> bool:
    """True = the last `patience` iterations have not lowered the held-out loss."""
    if not patience or len(rows) <= patience:
        return False
    losses = [loss(row) for row in rows]
    return min(losses[-patience:]) >= min(losses[:-patience])


def _shuffled(seed: int, size: int, purpose: Purpose, *indices: int) -> np.ndarray:
    """int64[size], a permutation that belongs to `purpose` and `indices`."""
    entropy = keys.seed_of(seed, purpose, *indices)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy))).permutation(size)
