"""How many of the newest positions training samples from: KataGo's growing window."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class WindowConfig:
    """The replay window W as a function of all N rows ever produced; units are rows (positions).

    W(N) = (N^a - M^a) / (a · M^(a-1)) · b + M,   M = minimum, a = exponent, b = scale

    from KataGo's paper (Wu 2019, "Accelerating Self-Play Learning in Go", appendix C) with its
    a = 0.65, b = 0.4, M = 250 000 (100 000 in its synchronous loop). At N = M the window holds
    everything and grows by b rows for each new row; the power law then slows it. Below M it is
    everything.

    Attributes:
        minimum: M, in rows: with at most this many rows, training samples from all of them.
        exponent: a in (0, 1]: how the window grows beyond the minimum; 1 is in proportion.
        scale: b in [0, 1): rows by which the window grows for each new row at the minimum.
        maximum: largest window, in rows; None: no limit.
    """

    minimum: int = 250_000
    exponent: float = 0.65
    scale: float = 0.4
    maximum: int | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for values with which the window's old edge could move backwards."""
        if self.minimum < 1:
            raise ValueError(f"window.minimum is {self.minimum}, expected at least 1 row")
        if not 0 < self.exponent <= 1:
            raise ValueError(f"window.exponent is {self.exponent}, expected 0 < exponent <= 1")
        if not 0 <= self.scale < 1:
            raise ValueError(f"window.scale is {self.scale}, expected 0 <= scale < 1")
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError(
                f"window.maximum is {self.maximum}, expected at least the minimum {self.minimum}"
            )


def window_size(total_rows: int, config: WindowConfig) -> int:
    """Rows in the window after ``total_rows`` were produced; rounds down, never over the total.

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
    config: WindowConfig, total_rows: int, row_bytes: int, keep_for_verify: bool = False
) -> int:
    """Bytes of replay on disk after ``total_rows``: the window's, or all when kept for verify.

    Memory holds the window alone. Whole shards are kept, so add up to one iteration's rows for
    each retained commit.
    """
    rows = total_rows if keep_for_verify else window_size(total_rows, config)
    return rows * row_bytes
