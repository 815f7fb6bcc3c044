"""One stream's work: ``play(params, carry, iteration, stream, version) → (carry, rows)``.

The pure function that self-play is (DESIGN.md §3). A player holds compiled code and nothing
else: the same call gives the same bytes in any process whose probe is the same.
"""

import jax

import games
from selfplay import rng
from selfplay.acting import episode, segment
from selfplay.acting.config import SelfPlayConfig
from selfplay.acting.episode import Carry, Rows
from selfplay.acting.segment import Lanes
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.model.network import Params
from selfplay.runs.digest import digest
from selfplay.search.config import SearchConfig


class StreamPlayer:
    """Compiled self-play of one configuration."""

    def __init__(
        self,
        game: str,
        network_config: NetworkConfig,
        search: SearchConfig,
        config: SelfPlayConfig,
        seed: int,
    ) -> None:
        """Build the programs; they compile at their first use."""
        self.seed = seed
        rules = games.make(game)
        self._initialise, evaluate = network.make(rules, network_config)
        start, advance = segment.make(rules, evaluate, search, config)
        self._start, self._advance = jax.jit(start), jax.jit(advance)

    def start(self, stream: int) -> Carry:
        """The carry of a stream that has not played yet."""
        lanes = jax.device_get(self._start(rng.key(self.seed, rng.Purpose.START, stream)))
        params = jax.eval_shape(self._initialise, jax.random.key(0))
        _, record = jax.eval_shape(self._advance, params, lanes, jax.random.key(0))
        return episode.empty(Lanes(*lanes), record)

    def play(
        self, params: Params, carry: Carry, iteration: int, stream: int, version: int
    ) -> tuple[Carry, Rows]:
        """Advance a stream by one segment: its new carry, and the episodes that ended."""
        key = rng.key(self.seed, rng.Purpose.PLAY, iteration, stream)
        lanes, record = jax.device_get(self._advance(params, carry.lanes, key))
        waiting, rows = episode.assemble(carry.waiting, record, version)
        return Carry(Lanes(*lanes), waiting), rows

    def probe(self) -> str:
        """A digest of one segment with pseudo-random parameters, from this very program.

        Two processes with the same probe run the same arithmetic; equal device names do not
        say so.
        """
        params = network.pseudo_random(self._initialise)
        return digest(self.play(params, self.start(0), 0, 0, 0))
