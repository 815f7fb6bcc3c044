"""The identity of a run: what its first commit binds it to.

Only a run with the same identity may be continued or verified, because otherwise the bits would
differ without anybody noticing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from selfplay import determinism
from selfplay.runs.codec import Json, JsonObject


@dataclass(frozen=True)
class RunIdentity:
    """Identity of a run: the arithmetic, expert games and origin that it is bound to.

    Attributes:
        fingerprint: of the arithmetic of self-play; None in a run of imitation, which plays no
            games.
        learner_fingerprint: of the learner's arithmetic; None in runs that are older than it.
        dataset: digest of the archive of experts' games; "" if none is used.
        origin: run, version, digest and ledger of the version of another run that it began from;
            empty if it did not.
    """

    fingerprint: str | None
    learner_fingerprint: str | None
    dataset: str = ""
    origin: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def of(cls, row: JsonObject) -> RunIdentity:
        """Reads the identity from the metrics row of iteration 0, as metrics.jsonl contains it."""
        imitation = row.get("imitation") or {}
        return cls(
            fingerprint=row.get("probe"),
            learner_fingerprint=row.get("learner_probe"),
            dataset=row.get("data") or imitation.get("data") or "",
            origin=row.get("origin") or {},
        )

    @property
    def plays(self) -> bool:
        """True = a run of self-play; False = one of imitation, which only learns."""
        return self.fingerprint is not None

    def check_arithmetic(self, ours: RunIdentity, folder: Path) -> None:
        """Raises ValueError if the run in `folder` was begun by other arithmetic than ours.

        Args:
            ours: the identity that a run begun by this process would have.
            folder: of the run, for the error.
        """
        if ours.fingerprint is not None:
            determinism.check_fingerprint(ours.fingerprint, self.fingerprint, "self-play's", folder)
        if ours.learner_fingerprint is not None:
            determinism.check_fingerprint(
                ours.learner_fingerprint, self.learner_fingerprint, "the learner's", folder
            )
