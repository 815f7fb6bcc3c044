"""The memory that a training takes on its devices, estimated before anything is compiled.

A device that plays holds the parameters and two segments: one that it plays, and one whose episodes
the host assembles. The device that learns holds the learner's state twice, because an iteration
updates a copy of it. The replay window stays on the host. Grading plays fewer games at a time, and
is not counted; nor is what libraries of kernels take, some tens of MB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax

import games
from selfplay.acting.stream_player import StreamPlayer
from selfplay.device_memory import Program, array_bytes
from selfplay.learning import loss_terms
from selfplay.learning.learner import Learner
from selfplay.model import network
from selfplay.training.config import TrainConfig
from selfplay.training.trainer import learned_model

SEGMENTS = 2  # of one device, at most
CHUNKS = 2  # of gradient steps: one is taken, and the rows of another wait


@dataclass(frozen=True)
class DeviceMemory:
    """Bytes on the first device, by what they are for.

    Attributes:
        parameters: of who plays; and the learner's state, with its copy.
        trees: search trees, and what else loops of self-play carry.
        playing: the other arrays of self-play: the network's, positions and records.
        learning: rows, gradients and the network's arrays of a gradient step.
    """

    parameters: int
    trees: int
    playing: int
    learning: int

    @property
    def most(self) -> int:
        """Bytes at the peak: play and learning take turns."""
        return self.parameters + max(self.trees + self.playing, self.learning)

    def __str__(self) -> str:
        parts = {
            "search trees": self.trees,
            "other arrays of self-play": self.playing,
            "gradients": self.learning,
            "parameters": self.parameters,
        }
        listed = ", ".join(f"{name} {in_words(size)}" for name, size in parts.items() if size)
        return f"{in_words(self.most)} ({listed})"


def in_words(size: float) -> str:
    """Writes a number of bytes: "1.9 GB", "350 MB", "0.4 MB"."""
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def estimate(config: TrainConfig, many: bool | None = None) -> DeviceMemory:
    """Estimates what a run takes on the first device of its driver.

    Actors have devices of their own: with them, self-play is not counted.

    Args:
        config: the run's config.
        many: of learning, as in `Learner`.

    Raises:
        ValueError: as `Trainer.build`.
    """
    named = programs(config, many)
    if steps := named.get("steps"):
        state, rows, *_ = steps.arguments
        learning = steps.memory().temporary + CHUNKS * array_bytes(rows)
    else:
        gradient, update = named["gradient"], named["update"]
        (_, rows, *_), (state, vectors) = gradient.arguments, update.arguments
        learning = max(gradient.memory().temporary, update.memory().temporary)
        learning += array_bytes((rows, vectors))
    parameters = 2 * array_bytes(state)
    if config.cluster.actors:
        return DeviceMemory(parameters, 0, 0, learning)
    segment = named["advance"].memory()
    held = SEGMENTS * (segment.arguments + segment.results)
    return DeviceMemory(parameters, segment.carried, segment.working + held, learning)


def programs(config: TrainConfig, many: bool | None = None) -> dict[str, Program]:
    """Returns the programs that a run's self-play and learning run, by name.

    Args:
        config: the run's config.
        many: of learning, as in `Learner`.

    Raises:
        ValueError: as `Trainer.build`.
    """
    config = config.resolved(jax.default_backend())
    game, spec = games.make(config.game), config.stream_spec()
    extra = loss_terms.row_fields(spec.losses, surprise=spec.surprise)
    player = StreamPlayer(game, network.make(game, spec.network), spec, extra)
    model, devices = learned_model(game, config), config.cluster.learner_devices or None
    learner = Learner(game, model, config.learner, 1, config.seed, devices, many=many)
    return player.programs() | learner.programs()


def check_device(config: TrainConfig, announce: Callable[[str], None]) -> None:
    """Announces what a run takes on an accelerator, and refuses one that does not fit.

    Raises:
        ValueError: see `check`.
    """
    device = jax.local_devices()[0]
    statistics = device.memory_stats() or {}
    if device.platform == "cpu" or "bytes_limit" not in statistics:
        return
    memory = estimate(config)
    announce(f"memory on {device.device_kind}, estimated: {memory}")
    check(config, memory, statistics["bytes_limit"], device.device_kind)


def check(config: TrainConfig, memory: DeviceMemory, available: int, device: str) -> None:
    """Checks that a run fits into its device.

    Args:
        config: the run's config.
        memory: its estimate.
        available: bytes that JAX may use on the device.
        device: its name.

    Raises:
        ValueError: it does not fit; the message names an option with which it would, if there is
            one.
    """
    if memory.most <= available:
        return
    smaller, needed = config, memory
    while needed.most > available:
        halved = _halved(smaller, needed)
        if halved is None:
            advice = "use a smaller network (--network.width)"
            break
        smaller, needed = halved, estimate(halved)
    else:
        advice = f"{_typed(smaller, config)} would fit"
    raise ValueError(
        f"self-play and learning would take {memory} of {device}, which has "
        f"{in_words(available)} for them; {advice}"
    )


def _halved(config: TrainConfig, memory: DeviceMemory) -> TrainConfig | None:
    """Halves the batch of what takes most: of self-play, or of a shard; None if it cannot be."""
    selfplay, learner = config.selfplay, config.learner
    if memory.trees + memory.playing > memory.learning:
        size = selfplay.batch_size // 2
        return replace(config, selfplay=replace(selfplay, batch_size=size)) if size else None
    shards = 2 * learner.shards
    if learner.batch_size % shards:
        return None
    return replace(config, learner=replace(learner, shards=shards))


def _typed(config: TrainConfig, before: TrainConfig) -> str:
    """Returns the options that `_halved` changed, as they are typed."""
    options = {
        "--selfplay.batch-size": (config.selfplay.batch_size, before.selfplay.batch_size),
        "--learner.shards": (config.learner.shards, before.learner.shards),
    }
    return " ".join(f"{name} {now}" for name, (now, then) in options.items() if now != then)
