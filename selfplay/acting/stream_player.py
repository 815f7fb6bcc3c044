"""Self-play as a pure function: `StreamPlayer.play` advances one stream by one segment.

A player holds compiled code and nothing else: the same call gives the same bytes in every process
with the same fingerprint.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import jax
from jax import Array

import games
from games.game import Game
from selfplay import rng
from selfplay.acting import episode, segment
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.episode import Carry
from selfplay.acting.row_schema import RowField, Rows
from selfplay.acting.segment import Lanes, PlyRecord, SegmentFns
from selfplay.device_memory import Program
from selfplay.model import network
from selfplay.model.architecture import Model, Params
from selfplay.runs.digest import digest
from selfplay.runs.renamed import disk_names
from selfplay.search.config import SearchConfig


class Segment(NamedTuple):
    """A segment on its device, which may still be under way."""

    lanes: Lanes
    record: PlyRecord


class StreamPlayer:
    """Compiled self-play of one configuration."""

    def __init__(
        self, game: Game, model: Model, spec: StreamSpec, extra: tuple[RowField, ...] = ()
    ) -> None:
        """Builds the programs, which compile at their first use.

        Args:
            game: the game that `spec` names.
            model: the network that `spec` describes.
            spec: what to play.
            extra: the row fields of `spec`, see `loss_terms.row_fields`.
        """
        self.seed, self._game, self._extra = spec.seed, game, extra
        self._init, self._spec = model.init, spec
        self._programs = {
            search: _programs(game, model, search, spec.selfplay, extra)
            for search in spec.selfplay.searches(spec.search)
        }

    @classmethod
    def from_spec(cls, spec: StreamSpec, extra: tuple[RowField, ...] = ()) -> StreamPlayer:
        """Builds a player in a process that has nothing but the spec, and its row fields."""
        game = games.make(spec.game)
        return cls(game, network.make(game, spec.network), spec, extra)

    def start(self, stream: int) -> Carry:
        """Returns the carry of a stream that has not played yet."""
        start, advance = self._programs[self._spec.search]
        lanes = jax.device_get(start(rng.key(self.seed, rng.Purpose.START, stream)))
        params = network.shapes(self._init)
        _, record = jax.eval_shape(advance, params, lanes, jax.random.key(0))
        return episode.empty_carry(Lanes(*lanes), record, self._extra)

    def play(
        self, params: Params, carry: Carry, iteration: int, stream: int, version: int
    ) -> tuple[Carry, Rows]:
        """Advances a stream by one segment.

        Args:
            params: the network's parameters.
            carry: the stream's state after the iteration before.
            iteration: counts from 1.
            stream: the stream's number, from 0.
            version: the version that `params` are; rows record it.

        Returns:
            The stream's new carry, and the rows of the episodes that ended.
        """
        return self.finish(carry, self.begin(params, carry, iteration, stream), version)

    def begin(self, params: Params, carry: Carry, iteration: int, stream: int) -> Segment:
        """Starts what `play` does, on the device of `params`, and does not wait for it."""
        search = self._spec.selfplay.search_at(self._spec.search, iteration)
        key = rng.key(self.seed, rng.Purpose.PLAY, iteration, stream)
        return Segment(*self._programs[search].advance(params, carry.lanes, key))

    def finish(self, carry: Carry, segment: Segment, version: int) -> tuple[Carry, Rows]:
        """Waits for a segment that was begun from `carry`, and assembles its episodes."""
        lanes, record = jax.device_get(segment)
        pending, rows = episode.finish_episodes(
            self._game, carry.pending, record, version, self._extra
        )
        if not self._spec.selfplay.fast_rows:
            rows = episode.with_policy(rows)
        return Carry(Lanes(*lanes), pending), rows

    def programs(self) -> dict[str, Program]:
        """Returns the programs "start" and, at the whole budget, "advance"."""
        start, advance = self._programs[self._spec.search]
        key = jax.eval_shape(jax.random.key, 0)
        lanes = jax.eval_shape(start, key)
        return {
            "start": Program(start, (key,)),
            "advance": Program(advance, (network.shapes(self._init), lanes, key)),
        }

    def fingerprint(self) -> str:
        """Returns a digest of one segment with pseudo-random parameters, at the whole budget.

        Two processes with the same fingerprint compute the same bits, which equal device names do
        not guarantee.
        """
        params, carry = network.pseudo_random(self._init), self.start(0)
        key = rng.key(self.seed, rng.Purpose.PLAY, 0, 0)
        segment = Segment(*self._programs[self._spec.search].advance(params, carry.lanes, key))
        carry, rows = self.finish(carry, segment, 0)
        return digest((carry, disk_names(rows)))


@lru_cache(maxsize=16)
def _programs(
    game: Game,
    model: Model,
    search: SearchConfig,
    config: SelfPlayConfig,
    extra: tuple[RowField, ...],
) -> SegmentFns:
    """Returns the functions of `segment.make`, jitted; players of one configuration share them."""
    functions = segment.make(game, model.apply, search, config, extra)

    def advance(params: Params, lanes: Lanes, key: Array) -> tuple[Lanes, PlyRecord]:
        return functions.advance(model.for_play(params), lanes, key)

    return SegmentFns(jax.jit(functions.start), jax.jit(advance))
