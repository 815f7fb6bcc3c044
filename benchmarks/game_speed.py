"""Speed of the rules: time per step with legal actions against pgx, and bytes per state.

    python -m benchmarks.game_speed                # a few minutes, on an idle machine
    python -m benchmarks.game_speed go_9x9 hex     # some of them

Both sides step 1 024 games at once in one jitted loop, in this process, on one thread. The games
are at all stages, from the first move to as many moves as the board has cells. Moves are random and
legal, chosen in the same cheap way from noise that is drawn beforehand. There are two figures:
*rules* is a step and its legal actions (pgx's step without the observation that it always makes),
and *with observation* adds the network's input. The sides take turns, ours first; the figure is the
median of the pairs' ratios. The bytes of a state are what every node of a search tree holds.

Then self-play on 9×9 Go: the same network, search and lanes, with pgx's rules and with ours.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from selfplay import determinism

determinism.pin(1)

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from rich.console import Console
from rich.table import Table

import games
from benchmarks.limit import Segments
from benchmarks.speed_table import columns, machine, row
from games.game import Game, State
from selfplay.acting.config import SelfPlayConfig
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig

BATCH = 1024
SAMPLES = 64  # games played to spread the batch over all stages; each is then repeated
SEED = 0


@dataclass(frozen=True)
class Race:
    """A game of ours to race against pgx's, and how much faster ours should be."""

    ours: str
    steps: int  # in one measurement
    target: float


RACES = {
    "connect_four": Race("connect_four", 64, 1.5),
    "hex": Race("hex?size=11&swap=true", 64, 1.5),
    "go_9x9": Race("go?size=9", 48, 5),
    "go_19x19": Race("go?size=19", 12, 5),
}
NETWORK = NetworkConfig(width=64, depth=4)
SEARCH = SearchConfig(num_simulations=32)
SELFPLAY = SelfPlayConfig(streams=1, batch_size=128, segment_length=4)


def choose(legal: Array, noise: Array) -> Array:
    """Chooses a legal action, int32 [], from noise uint16 [A]; the last one if none is legal."""
    last = legal.shape[0] - 1  # a maximum of both is cheaper than an argmax
    ranked = noise.astype(jnp.int32) * legal.shape[0] + jnp.arange(last + 1)
    return jnp.max(jnp.where(legal, ranked, -1)) % (last + 1)


def stages(game: Game, key: Array) -> State:
    """Plays BATCH states; state i has (i mod SAMPLES) / SAMPLES as many moves as cells."""
    height, width, _ = game.observation_shape
    longest = height * width
    stop = jnp.arange(SAMPLES) * longest // SAMPLES

    def ply(states: State, now: tuple[Array, Array]) -> tuple[State, None]:
        t, key = now
        legal = jax.vmap(game.legal_actions)(states)
        noise = jax.random.bits(key, legal.shape, jnp.uint16)
        after = jax.vmap(game.step)(states, jax.vmap(choose)(legal, noise))
        playing = (t < stop) & legal.any(axis=-1)

        def pick(new: Array, old: Array) -> Array:
            return jnp.where(playing.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(pick, after, states), None

    first = jax.tree.map(lambda x: jnp.broadcast_to(x, (SAMPLES, *jnp.shape(x))), game.init())
    times = (jnp.arange(longest), jax.random.split(key, longest))
    states, _ = jax.jit(lambda s: jax.lax.scan(ply, s, times))(first)
    return jax.tree.map(lambda x: jnp.tile(x, (BATCH // SAMPLES, *[1] * (x.ndim - 1))), states)


def racer(game: Game, steps: int, observe: bool, key: Array) -> Callable[[], float]:
    """Makes a function that plays `steps` moves in every game and returns microseconds per step."""
    states = stages(game, key)
    noise = jax.random.bits(key, (steps, BATCH, game.num_actions), jnp.uint16)

    def ply(carry: tuple[State, Array], noise: Array) -> tuple[tuple[State, Array], None]:
        states, seen = carry
        actions = jax.vmap(choose)(jax.vmap(game.legal_actions)(states), noise)
        after = jax.vmap(game.step)(states, actions)
        if observe:  # use every plane, or XLA would not compute it
            seen += jax.vmap(game.observe)(after).sum(axis=(1, 2, 3), dtype=jnp.int32)
        return (after, seen), None

    @jax.jit
    def play(states: State, noise: Array) -> Any:
        return jax.lax.scan(ply, (states, jnp.zeros(BATCH, jnp.int32)), noise)[0]

    jax.block_until_ready(play(states, noise))

    def measure() -> float:
        start = time.perf_counter()
        jax.block_until_ready(play(states, noise))
        return (time.perf_counter() - start) / (steps * BATCH) * 1e6

    return measure


def state_bytes(game: Game) -> int:
    """Counts the bytes of one state."""
    leaves = jax.tree.leaves(jax.eval_shape(game.init))
    return sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in leaves)


def race(name: str, pairs: int, table: Table, console: Console) -> None:
    """Measures both figures of one game and adds them to the table."""
    contest = RACES[name]
    ours, theirs = games.make(contest.ours), games.make(f"pgx:{name}")
    for observe in (False, True):
        what = f"{name}, {'with observation' if observe else 'rules'}"
        console.print(f"{what}: compiling …")
        mine, peer = (
            racer(g, contest.steps, observe, jax.random.key(SEED)) for g in (ours, theirs)
        )
        times = [(mine(), peer()) for _ in range(pairs)]
        ratios = [b / a for a, b in times]
        console.print(
            f"ours {median(a for a, _ in times):.2f} µs, pgx {median(b for _, b in times):.2f} µs"
        )
        row(table, what, ratios, ".2f", contest.target)
    table.add_row(f"{name}, bytes", f"{state_bytes(ours):,} and {state_bytes(theirs):,}")


def selfplay(pairs: int, table: Table, console: Console) -> None:
    """Measures self-play on 9×9 with pgx's rules and with ours, and the share of the limit."""
    console.print("self-play on 9×9: compiling …")
    ours, theirs = (
        Segments(name, NETWORK, SEARCH, SELFPLAY, SEED) for name in ("go?size=9", "pgx:go_9x9")
    )
    times = [(ours.segment(), theirs.segment(), ours.evaluations()) for _ in range(pairs)]
    row(table, "go_9x9, self-play", [b / a for a, b, _ in times], ".2f", 0)
    row(table, "go_9x9, share of the limit", [c / a for a, _, c in times], ".1%", 0.85)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("races", nargs="*", metavar="GAME", help=f"of {', '.join(RACES)} [all]")
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side [5]")
    options = parser.parse_args()
    if unknown := set(options.races) - set(RACES):
        parser.error(f"unknown game {sorted(unknown)[0]!r}; choose from {', '.join(RACES)}")
    if options.pairs < 1:
        parser.error(f"--pairs must be at least 1, got {options.pairs}")

    console = Console(soft_wrap=True, highlight=False)
    console.print(machine())
    table = Table(title=f"Ours against pgx: time ratios, {BATCH:,} games at once, one thread")
    columns(table, options.pairs)
    for name in options.races or RACES:
        race(name, options.pairs, table, console)
    if not options.races or "go_9x9" in options.races:
        selfplay(options.pairs, table, console)
    console.print(table)


if __name__ == "__main__":
    main()
