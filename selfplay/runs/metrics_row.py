"""Rows of metrics: what each iteration did, measured and cost.

This module alone knows the keys that rows have in metrics.jsonl and in commits. There are three
kinds of rows: `StartRow` of iteration 0, `ImitationRow` and `SelfPlayRow`. A section that was not
measured is empty; old runs lack some sections, which are then empty as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from selfplay.runs.codec import Json, JsonObject
from selfplay.runs.identity import RunIdentity

Numbers = Mapping[str, float]
"""Named numbers of one section."""

Section = Mapping[str, Json]
"""A section with named parts, such as the scores of an exam by search budget."""

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
    """Builds a row from what metrics.jsonl contains."""
    seconds = data.get("seconds", _EMPTY)
    common = {
        "iteration": int(data["iteration"]),
        "digests": data.get("digest", _EMPTY),
        "ledger": data.get("ledger", _EMPTY),
        "seconds": Seconds(**{n: float(x) for n, x in seconds.items() if n in _SECONDS}),
    }
    if common["iteration"] == 0:
        return StartRow(
            **common, identity=RunIdentity.of(data), imitation=data.get("imitation", _EMPTY)
        )
    if "epoch" in data:  # the one key by which the two kinds of iterations differ
        return ImitationRow(
            **common,
            epoch=float(data["epoch"]),
            learner=data.get("learner", _EMPTY),
            held_out=data.get("held_out", _EMPTY),
        )
    counts = {name: int(data.get(name, 0)) for name in ("played_by", "window", "steps")}
    sections = ("learner", "selfplay", "exam", "elo", "held_out", "pool")
    return SelfPlayRow(**common, **counts, **{name: data.get(name, _EMPTY) for name in sections})


_SECONDS = tuple(Seconds.__dataclass_fields__)
