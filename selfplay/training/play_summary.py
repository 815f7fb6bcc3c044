"""What a row of metrics says of an iteration's self-play."""

from __future__ import annotations

import numpy as np

from selfplay.acting.episode import Rows


def summarize(rows: Rows) -> dict[str, float]:
    """Summarizes an iteration's self-play by its finished games.

    Returns:
        "games" and "positions" (rows); if a game has finished, also "plies" (mean length, up to the
        last row), the fractions "first_player_wins" and "draws", "policy_entropy" (mean, nats) of
        the search's policies, and "value_error" (mean squared) of the search's values.
    """
    last = rows["last"]
    count = int(last.sum())
    if not count:
        return {"games": 0, "positions": len(last)}
    mover_outcome = rows["mover_outcome"]
    outcome = np.where(rows["ply"] % 2 == 0, mover_outcome, -mover_outcome)[last]
    policy = rows["policy"].astype(np.float32)
    entropy = -(policy * np.log(np.maximum(policy, 1e-9))).sum(axis=-1)
    return {
        "games": count,
        "positions": len(last),
        "plies": float((rows["ply"][last] + 1).mean()),
        "first_player_wins": float((outcome > 0).mean()),
        "draws": float((outcome == 0).mean()),
        "policy_entropy": float(entropy.mean()),
        "value_error": float(np.mean((rows["value"].astype(np.float32) - mover_outcome) ** 2)),
    }
