"""States of a ladder that was never played, for the tests of tables and plots."""

from __future__ import annotations

import numpy as np

from selfplay.ladder.database import Entry, RecordedGame
from selfplay.ladder.ladder import LadderState
from selfplay.ratings import elo

ENGINE = 'gtp:sh -c "gnugo `x` --level 0 | tee $LOG_$X"'
FLOPS = 10.0 ** np.arange(12, 16)


def chain_state(specs: list[str], played: int | None = None, training: float = 0.0) -> LadderState:
    """Chains the first `played` players, four games a pair, the earlier player ahead."""
    count = len(specs) if played is None else played
    entries = [
        Entry(i + 1, spec, "", 0.0, FLOPS[i % len(FLOPS)] if "@" in spec else training)
        for i, spec in enumerate(specs)
    ]
    recorded = [
        RecordedGame(1, i, i + 1, i + 2, k, (k,), (k,), (1, 1, -1, 0)[k], "")
        for i in range(count - 1)
        for k in range(4)
    ]
    games = elo.Games(
        np.array([g.first - 1 for g in recorded], int),
        np.array([g.second - 1 for g in recorded], int),
        np.array([g.outcome for g in recorded], int),
        np.arange(len(recorded)),
    )
    return LadderState(
        entries, elo.fit(games, len(specs), 0), games, recorded, list(range(len(specs)))
    )
