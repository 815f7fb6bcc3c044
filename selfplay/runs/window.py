"""The replay window: the number of newest positions that training samples from, as in KataGo."""

from __future__ import annotations

import math
from dataclasses import dataclass

from selfplay.ranges import check_at_least


@dataclass(frozen=True)
class ReplayConfig:
    """Settings of the replay window (section `replay`).

    The window has W rows (positions) after N rows were produced:

    W(N) = (N^a - M^a) / (a · M^(a-1)) · b + M,   M = minimum, a = exponent, b = scale

    The formula and b = 0.4, M = 250 000 are those of KataGo's paper (Wu 2019, "Accelerating
    Self-Play Learning in Go", appendix C), which uses a = 0.75. The default a = 0.65 is what
    KataGo's shuffling script recommends since. At N = M the window holds all rows and grows by b
    rows for each new row; the power law then slows its growth. Below M it holds all rows.

    Attributes:
        minimum: M, in rows: with at most this many rows, training samples from all of them.
        exponent: a in (0, 1]: growth of the window beyond the minimum; 1 is proportional growth.
        scale: b in [0, 1): rows by which the window grows for each new row at the minimum.
        maximum: largest window, in rows; None: no limit.
    """

    minimum: int = 250_000
    exponent: float = 0.65
    scale: float = 0.4
    maximum: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for values that could move the window's old edge backwards."""
        check_at_least(self, "replay", 1, "minimum")
        if not 0 < self.exponent <= 1:
            raise ValueError(f"replay.exponent must be above 0 and at most 1, got {self.exponent}")
        if not 0 <= self.scale < 1:
            raise ValueError(f"replay.scale must be at least 0 and below 1, got {self.scale}")
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError(
                f"replay.maximum must be at least replay.minimum ({self.minimum}), "
                f"got {self.maximum}"
            )


def window_size(total_rows: int, config: ReplayConfig) -> int:
    """Computes the rows in the window after ``total_rows`` were produced, rounded down.

    One more row never moves the window's old edge back (the slope is at most ``scale`` < 1), so
    rows that have left the window are never needed again.
    """
    if total_rows <= config.minimum:
        return total_rows
    n, m, a = float(total_rows), float(config.minimum), config.exponent
    size = math.floor((n**a - m**a) / (a * m ** (a - 1)) * config.scale + m)
    size = size if config.maximum is None else min(size, config.maximum)
    return max(config.minimum, min(size, total_rows))


def bytes_needed(
    config: ReplayConfig, total_rows: int, row_bytes: int, keep_for_verify: bool = False
) -> int:
    """Estimates the bytes of replay on disk: the window's rows, or all with ``keep_for_verify``.

    Memory holds only the window. Whole shards are kept on disk, so add up to one iteration's rows
    for each retained commit.
    """
    rows = total_rows if keep_for_verify else window_size(total_rows, config)
    return rows * row_bytes
