"""What a run will cost: FLOPs by the ledger's formula, time by playing and learning a little."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from selfplay.batches import Noise
from selfplay.config import TrainConfig
from selfplay.flops import Ledger
from selfplay.lessons import ImitationConfig
from selfplay.trainer import Trainer

STEPS = 4  # gradient steps that are timed


def ledger(config: TrainConfig) -> Ledger:
    """Of the whole run, imitation included; about, since the rows of an iteration vary."""
    trainer = Trainer.build(config)
    spent = Ledger()
    if trainer.lessons:
        imitation = trainer.imitation()
        spent = imitation.ledger(imitation.iterations)
    steps = config.learner.steps(config.selfplay.positions)
    for _ in range(config.iterations):
        spent = trainer.ledger(spent, steps)
    return spent


def seconds(config: TrainConfig) -> float:
    """Of the run's self-play and learning on one core of this machine.

    Compilation, imitation and exams are left out.

    Runs that differ in their seed or length only are timed once. What is compiled for it is kept
    for the runs, where JAX keeps a compilation cache.
    """
    return config.iterations * _iteration(replace(config, seed=0, iterations=1))


@cache
def _iteration(config: TrainConfig) -> float:
    """Seconds of one iteration."""
    alone = replace(config.cluster, learner_devices=1)  # as in a job that has one core
    config = replace(config, imitation=ImitationConfig(), cluster=alone)
    trainer = Trainer.build(config)
    state, carries = trainer.start()
    params = state["playing"]
    carry, _ = trainer.player.play(params, carries[0], 1, 0, 0)
    segment = _timed(lambda: trainer.player.play(params, carry, 2, 0, 1))
    rows = carry.waiting | {"outcome": np.zeros(0, np.int8)}
    learner, noise = state["learner"], Noise(rows, config.learner.batch_size)
    trainer.learner.fit(learner, noise, 0, 1)
    some = _timed(lambda: trainer.learner.fit(learner, noise, 0, STEPS))
    steps = config.learner.steps(config.selfplay.positions)
    return config.selfplay.streams * segment + steps * some / STEPS


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
