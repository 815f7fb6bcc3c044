"""The plan: which streams an iteration plays, and with which version.

Version 0 is the start, and iteration *i* (counted from 1) makes version *i*. With policy lag 0 an
iteration is played by version *i − 1*, and learning waits for it. With policy lag 1 it is played by
version *i − 2* (the first two iterations by version 0) while the learner still makes version
*i − 1*. The lag is fixed by the plan, not by timing, so both are equally reproducible.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # it imports JAX, which planning does not need
    from selfplay.acting.episode import Carry, Rows

Result: TypeAlias = "tuple[Carry, Rows]"
"""The result of one stream's segment: its new state, and the rows that it made.

A plain tuple, because digests depend on the paths in it.
"""


@dataclass(frozen=True)
class Work:
    """One iteration's self-play: streams 0 … `streams` − 1 each play one segment with `version`."""

    iteration: int
    version: int
    streams: int


def work(iteration: int, streams: int, policy_lag: int) -> Work:
    """Returns the work of one iteration."""
    return Work(iteration, max(0, iteration - 1 - policy_lag), streams)


def iterations(first: int, last: int, streams: int, policy_lag: int) -> Iterator[Work]:
    """Yields the work of iterations `first` … `last`, both included."""
    for iteration in range(first, last + 1):
        yield work(iteration, streams, policy_lag)
