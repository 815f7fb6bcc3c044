"""Rows of metrics: what each iteration did, measured and cost.

This module alone knows the keys that rows have in metrics.jsonl and in commits. There are three
kinds of rows: `StartRow` of iteration 0, `ImitationRow` and `SelfPlayRow`. A section that was not
measured is empty; old runs lack some sections, which are then empty as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from selfplay.runs.codec import Json, JsonObject
from selfplay.runs.identity import RunIdentity

Numbers = Mapping[str, float]
"""Named numbers of one section."""

Section = Mapping[str, Json]
"""A section with named parts, such as the scores of an exam by search budget."""

N = TypeVar("N", int, float)

_EMPTY: Mapping[str, Json] = {}


@dataclass(frozen=True)
class Seconds:
    """Wall-clock seconds of an iteration.

    Attributes:
        total: of training up to this iteration, over all starts of the run.
        learn: learning.
        play: waiting for self-play; 0 in imitation.
        measure: evaluation on held-out games, in imitation.
        exam: evaluation of the version, in self-play: exam, ratings, held-out games.
        commit: saving the iteration before this one, in self-play.
    """

    total: float = 0.0
    learn: float = 0.0
    play: float = 0.0
    measure: float = 0.0
    exam: float = 0.0
    commit: float = 0.0


@dataclass(frozen=True, kw_only=True)
class MetricsRow:
    """A row of metrics: the part that rows of all kinds have.

    Attributes:
        iteration: the iteration, which is also the version that it made.
        digests: digest by part: "state", and in self-play "rows" and "carries".
        ledger: FLOPs behind the version by purpose (see `model.flops.Ledger`), their sum as "ooms"
            (log10), and "evaluation", the FLOPs of rating versions, which are in no sum.
        seconds: wall-clock times.
    """

    iteration: int
    digests: Mapping[str, str] = field(default_factory=dict)
    ledger: Numbers = field(default_factory=dict)
    seconds: Seconds = Seconds()

    def to_json(self) -> JsonObject:
        """Converts the row to what metrics.jsonl contains."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class StartRow(MetricsRow):
    """The row of version 0.

    Attributes:
        identity: what the run is bound to from here on.
        imitation: how version 0 was imitated, in the row of self-play: "version" of the imitation,
            "data" (digest of the archive) and "held_out" (its measures); empty without imitation.
    """

    identity: RunIdentity
    imitation: Section = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Converts the row to what metrics.jsonl contains."""
        identity = self.identity
        if not identity.plays:
            return {
                "digest": dict(self.digests),
                "data": identity.dataset,
                "learner_probe": identity.learner_fingerprint,
            }
        return {
            "digest": dict(self.digests),
            "ledger": dict(self.ledger),
            "probe": identity.fingerprint,
            "learner_probe": identity.learner_fingerprint,
            "imitation": dict(self.imitation),
            "origin": dict(identity.origin),
            "seconds": {"total": self.seconds.total},
        }


@dataclass(frozen=True, kw_only=True)
class ImitationRow(MetricsRow):
    """The row of an iteration of imitation.

    Attributes:
        epoch: passes over the experts' games so far, with a fraction.
        learner: mean losses and other numbers of the learner.
        held_out: measures on held-out games (see `imitation.held_out`).
    """

    epoch: float
    learner: Numbers
    held_out: Section

    def to_json(self) -> JsonObject:
        """Converts the row to what metrics.jsonl contains."""
        seconds = self.seconds
        return {
            "version": self.iteration,
            "epoch": self.epoch,
            "digest": dict(self.digests),
            "ledger": dict(self.ledger),
            "learner": dict(self.learner),
            "held_out": dict(self.held_out),
            "seconds": {
                "learn": seconds.learn,
                "measure": seconds.measure,
                "total": seconds.total,
            },
        }


@dataclass(frozen=True, kw_only=True)
class SelfPlayRow(MetricsRow):
    """The row of an iteration of self-play.

    Attributes:
        played_by: the version that played.
        window: rows in the replay window.
        steps: gradient steps.
        learner: mean losses and other numbers of the learner; empty without a step.
        selfplay: counts, lengths and results of the finished games.
        exam: scores on solved positions by budget, "sims64"; empty if the exam was not taken.
        elo: the newest ratings (see `ladder.evaluator`); empty without ratings.
        held_out: measures on experts' held-out games; empty if not measured.
        pool: use of the actors; empty without actors.
    """

    played_by: int
    window: int
    steps: int
    learner: Numbers
    selfplay: Numbers
    exam: Section = field(default_factory=dict)
    elo: Section = field(default_factory=dict)
    held_out: Section = field(default_factory=dict)
    pool: Numbers = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Converts the row to what metrics.jsonl contains."""
        seconds = asdict(self.seconds)
        return {
            "version": self.iteration,
            "played_by": self.played_by,
            "digest": dict(self.digests),
            "ledger": dict(self.ledger),
            "window": self.window,
            "steps": self.steps,
            "learner": dict(self.learner),
            "selfplay": dict(self.selfplay),
            "exam": dict(self.exam),
            "elo": dict(self.elo),
            "held_out": dict(self.held_out),
            "pool": dict(self.pool),
            "seconds": {n: seconds[n] for n in ("play", "learn", "exam", "commit", "total")},
        }


def parse(data: JsonObject) -> MetricsRow:
    """Builds a row from what metrics.jsonl contains.

    Raises:
        ValueError: a section is not an object, or a number is something else.
    """
    seconds = _section(data, "seconds")
    common = {
        "iteration": _number(int, data, "iteration"),
        "digests": _section(data, "digest"),
        "ledger": _section(data, "ledger"),
        "seconds": Seconds(**{n: _number(float, seconds, n) for n in seconds if n in _SECONDS}),
    }
    if common["iteration"] == 0:
        imitation = _section(data, "imitation")
        _section(data, "origin")  # which the identity reads
        return StartRow(**common, identity=RunIdentity.of(data), imitation=imitation)
    if "epoch" in data:  # the one key by which the two kinds of iterations differ
        return ImitationRow(
            **common,
            epoch=_number(float, data, "epoch"),
            learner=_section(data, "learner"),
            held_out=_section(data, "held_out"),
        )
    return SelfPlayRow(
        **common,
        played_by=_number(int, data, "played_by"),
        window=_number(int, data, "window"),
        steps=_number(int, data, "steps"),
        learner=_section(data, "learner"),
        selfplay=_section(data, "selfplay"),
        exam=_section(data, "exam"),
        elo=_section(data, "elo"),
        held_out=_section(data, "held_out"),
        pool=_section(data, "pool"),
    )


def _section(data: JsonObject, name: str) -> Section:
    """Returns a section of a row, empty if it is absent or null.

    Raises:
        ValueError: it is not an object.
    """
    section = data.get(name)
    if section is None:
        return _EMPTY
    if not isinstance(section, Mapping):
        raise ValueError(f"{name!r} must be an object, got {section!r}")
    return section


def _number(kind: type[N], data: Section, name: str) -> N:
    """Returns a number of a row or of its section, 0 if it is absent.

    Raises:
        ValueError: it is not a number of this kind.
    """
    value = data.get(name, 0)
    if not isinstance(value, (int, float)) or (kind is int and not math.isfinite(value)):
        raise ValueError(f"{name!r} must be a number, got {value!r}")
    return kind(value)


_SECONDS = tuple(Seconds.__dataclass_fields__)
