"""Pools: they play an iteration's streams and return the results in stream order.

`InProcess` plays in this process and never imports Ray; `RayPool` plays on Ray actors.
"""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from selfplay.acting.config import StreamSpec
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.plan import Result, Work
from selfplay.cluster.ray_pool import RayPool

if TYPE_CHECKING:
    from selfplay.acting.episode import Carry
    from selfplay.acting.stream_player import Segment
    from selfplay.model.architecture import Params

    Begun: TypeAlias = tuple[Carry, Segment]
    """A segment under way, and the carry that it began from."""


class Pool(Protocol):
    """Interface of pools, which play one iteration at a time."""

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the run's actors."""
        ...

    @property
    def losses(self) -> int:
        """Number of actors that died and were replaced so far."""
        ...

    def submit(self, work: Work, params: Params, carries: Sequence[Carry]) -> None:
        """Starts an iteration's play from one carry per stream."""
        ...

    def collect(self) -> list[Result]:
        """Waits for the submitted iteration and returns the results in stream order."""
        ...

    def usage(self) -> dict[str, float]:
        """Returns how busy the actors were in the iteration collected last; not part of digests."""
        ...

    def close(self) -> None:
        """Stops all work and every process that was started for it."""
        ...


class InProcess:
    """Pool that plays in this process.

    Streams take turns on the devices. One segment more than there are devices is under way, so
    that no device waits while the host assembles the episodes of another segment. Accelerators
    begin as soon as work is submitted, and play while the host learns, grades and saves.
    """

    def __init__(
        self, spec: StreamSpec, devices: int | None = None, *, ahead: bool | None = None
    ) -> None:
        """Compiles the player and computes its fingerprint.

        Args:
            spec: what the streams play.
            devices: number of local devices that play; None: all accelerators, or one CPU device.
            ahead: begin when work is submitted, not when it is collected; None: on accelerators.
        """
        import jax

        from selfplay.acting.stream_player import StreamPlayer
        from selfplay.learning.loss_terms import row_fields

        on_cpu = jax.default_backend() == "cpu"
        if devices is None and on_cpu:
            devices = 1
        self._devices = jax.local_devices()[:devices]
        self._ahead = not on_cpu if ahead is None else ahead
        self._player = StreamPlayer.from_spec(spec, row_fields(spec.losses, surprise=spec.surprise))
        self.fingerprint, self.losses = self._player.fingerprint(), 0
        self._submitted: tuple[Work, Iterator[Begun]] | None = None
        self._under_way: deque[Begun] = deque()

    def submit(self, work: Work, params: Params, carries: Sequence[Carry]) -> None:
        """Takes the work, with a copy of `params`, which the learner may overwrite."""
        import jax

        self._submitted = work, self._begin(work, jax.device_get(params), list(carries))
        self._under_way.clear()
        if self._ahead:
            self._fill()

    def collect(self) -> list[Result]:
        """Plays the submitted iteration, or the rest of it.

        Raises:
            RuntimeError: nothing was submitted.
        """
        if self._submitted is None:
            raise RuntimeError("submit() an iteration before collect()")
        work, results = self._submitted[0], list[Result]()
        self._fill()
        while self._under_way:
            results.append(self._player.finish(*self._under_way.popleft(), work.version))
            self._fill()
        self._submitted = None
        return results

    def _begin(self, work: Work, params: Params, carries: list[Carry]) -> Iterator[Begun]:
        """Begins the segments of all streams, each when it is asked for."""
        import jax

        placed = [jax.device_put(params, device) for device in self._devices]
        for stream, carry in enumerate(carries):
            weights = placed[stream % len(placed)]
            yield carry, self._player.begin(weights, carry, work.iteration, stream)

    def _fill(self) -> None:
        """Begins segments until as many are under way as should be."""
        assert self._submitted
        room = len(self._devices) + 1 - len(self._under_way)
        self._under_way += itertools.islice(self._submitted[1], room)

    def usage(self) -> dict[str, float]:
        """Returns {}, because there are no actors."""
        return {}

    def close(self) -> None:
        """Does nothing: there is no process to stop."""


def make(
    spec: StreamSpec,
    config: ClusterConfig,
    fingerprint: str | None = None,
    announce: Callable[[str], None] = lambda text: None,
    streams: int = sys.maxsize,
) -> Pool:
    """Builds the pool that `config` asks for.

    Args:
        spec: what the streams play.
        config: where to play.
        fingerprint: the run's fingerprint if it has begun; actors with another one are rejected.
        announce: gets sentences about actors that are rejected or lost.
        streams: streams of an iteration, the largest number of actors that have work.
    """
    if config.actors == 0:
        return InProcess(spec)
    return RayPool(spec, config, fingerprint, announce, streams)
