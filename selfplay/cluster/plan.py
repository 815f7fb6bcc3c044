"""The plan: which streams an iteration plays, with which version. It decides *what* is computed.

Version 0 is the start, and iteration *i* (counted from 1) makes version *i*. With lag 0 it is
played by version *i − 1* and learning waits for it. With lag 1 it is played by version *i − 2*
(the first two by version 0) while the learner still makes version *i − 1*: staleness is in the
plan, not in the timing, so it is as reproducible as lag 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Result = tuple[Any, Any]
"""``(carry, rows)`` of one stream's segment."""


@dataclass(frozen=True)
class Work:
    """One iteration's self-play: streams 0 … `streams` − 1 each play one segment with `version`."""

    iteration: int
    version: int
    streams: int


def work(iteration: int, streams: int, lag: int) -> Work:
    """The work of one iteration."""
    return Work(iteration, max(0, iteration - 1 - lag), streams)


def iterations(first: int, last: int, streams: int, lag: int) -> Iterator[Work]:
    """The work of iterations `first` … `last`, both included."""
    for iteration in range(first, last + 1):
        yield work(iteration, streams, lag)
