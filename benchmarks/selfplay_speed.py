"""Self-play speed: moves per second against the peer, and the share of the limit.

    python -m benchmarks.selfplay_speed                  # minutes, on an idle machine

**Against the peer.** Ours: Ray actors, one per core, each playing streams on one thread, as in a
training run. Timed is an iteration's play from `submit` to `collect`, including the transfer of
parameters, carries and episodes. The peer: pgx's Connect Four searched by mctx, one jitted program
in one process with XLA's own threads, as in pgx's example; timed is that program alone. Both have
32 channels and 3 residual blocks, 32 simulations of mctx's Gumbel search, untrained weights, and
the same games per batch: each of our streams is as wide as the peer's whole batch. The sides take
turns, ours first, and each is idle while the other plays. The figure is the median of the pairs'
ratios.

**Share of the limit.** One process on one thread: the time of a segment's network evaluations alone
(as many batches of the same size, on observations of real play, in a jitted loop), divided by the
time of the whole segment, measured in turns. The rest to 100 % is what self-play adds to the
network: rules, trees, keys, records, episodes.
"""

import argparse
import os
import time
import warnings

from selfplay import determinism

determinism.pin(1)

import jax
from rich.console import Console
from rich.table import Table

from benchmarks.limit import Segments, weights
from benchmarks.speed_table import columns, cores, machine, row
from benchmarks.worker import Peer
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.stream_player import StreamPlayer
from selfplay.cluster import pool
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.plan import Work
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig

GAME = "connect_four"
SEED = 0
NETWORK = NetworkConfig(width=32, depth=3)
SEARCH = SearchConfig(num_simulations=32)
RATIO_TARGET, SHARE_TARGET = 1.8, 0.85


class Ours:
    """Actors that play an iteration on request; a context manager."""

    def __init__(self, config: SelfPlayConfig, actors: int) -> None:
        """Starts the actors and lets them play once, so that everything is compiled."""
        spec = StreamSpec(GAME, NETWORK, SEARCH, config, SEED)
        player = StreamPlayer.from_spec(spec)
        self._config = config
        self._params = jax.device_get(weights(GAME, NETWORK, jax.random.key(SEED)))
        self._carries = [player.start(stream) for stream in range(config.streams)]
        with warnings.catch_warnings():  # Ray forks to execute a program, which is safe
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
            self._pool = pool.make(spec, ClusterConfig(actors=actors))
        self._iteration = 0
        self.play()

    def play(self) -> float:
        """Plays one iteration; returns moves per second."""
        self._iteration += 1
        start = time.perf_counter()
        work = Work(self._iteration, 0, self._config.streams)
        self._pool.submit(work, self._params, self._carries)
        results = self._pool.collect()
        seconds = time.perf_counter() - start
        self._carries = [carry for carry, _ in results]
        return self._config.positions / seconds

    def __enter__(self) -> "Ours":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.close()


def main() -> None:
    """Measures both figures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side [5]")
    parser.add_argument("--lanes", type=int, default=256, help="games per batch [256]")
    parser.add_argument("--plies", type=int, default=16, help="moves per game and measurement [16]")
    parser.add_argument("--actors", type=int, default=cores(), help="of ours [one per core]")
    options = parser.parse_args()
    if min(options.pairs, options.lanes, options.plies, options.actors) < 1:
        parser.error("--pairs, --lanes, --plies and --actors must be at least 1")
    config = SelfPlayConfig(
        streams=options.actors, batch_size=options.lanes, segment_length=options.plies
    )
    peer_config = {"lanes": options.lanes, "steps": options.plies, "training_batch": options.lanes}

    console = Console(soft_wrap=True, highlight=False)
    console.print(machine())
    if os.getloadavg()[0] > 0.5:
        load = f"{os.getloadavg()[0]:.1f}"
        console.print(f"[yellow]load average {load}: other programs distort the figures")
    ours, theirs, ratios, shares = [], [], [], []
    console.print("compiling the peer, then our actors …")
    with Peer(peer_config) as peer, Ours(config, options.actors) as actors:
        for pair in range(options.pairs):
            ours.append(actors.play())
            answer = peer.play(pair)
            theirs.append(answer["moves"] / answer["seconds"])
            ratios.append(ours[-1] / theirs[-1])
            console.print(
                f"pair {pair + 1}/{options.pairs}: {ours[-1]:,.0f} and {theirs[-1]:,.0f} moves/s, "
                f"ratio {ratios[-1]:.2f}"
            )
        parameters = peer.facts["parameters"]
    console.print("compiling a single process …")
    limit = Segments(GAME, NETWORK, SEARCH, config, SEED)
    for pair in range(options.pairs):
        alone, whole = limit.evaluations(), limit.segment()
        shares.append(alone / whole)
        console.print(
            f"pair {pair + 1}/{options.pairs}: network alone {alone:.2f} s, segment {whole:.2f} s, "
            f"share {shares[-1]:.1%}"
        )

    our_parameters = network.num_parameters(weights(GAME, NETWORK, jax.random.key(SEED)))
    table = Table(
        title=f"Self-play, {options.lanes} games per batch, {SEARCH.num_simulations} simulations",
        caption=f"ours: {options.actors} actors, one stream each, {our_parameters:,} parameters; "
        f"the peer: one process, {parameters:,} parameters; {options.plies} plies per game",
    )
    columns(table, options.pairs)
    row(table, "ours, moves/s", ours, ",.0f")
    row(table, "the peer, moves/s", theirs, ",.0f")
    row(table, "ratio within pairs", ratios, ".2f", RATIO_TARGET)
    row(table, "share of the limit", shares, ".1%", SHARE_TARGET)
    console.print(table)


if __name__ == "__main__":
    main()
