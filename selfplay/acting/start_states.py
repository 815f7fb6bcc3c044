"""Start states: where the games of self-play begin, besides the empty board.

- *Random openings*: some random legal moves.
- *An archive* of positions that earlier games visited, from which later games start again
  (Go-Exploit, Trudeau and Bowling 2023): drawn uniformly, or in proportion to their regret, the
  distance between the root value at the time and the result of the game (after Tsai et al. 2026,
  who predict it with a head).

Each stream has an archive of its own. It is part of the stream's carry, so it depends on nothing
but the stream's games. One position of each game enters it, all equally likely: a candidate is kept
while the game runs (reservoir sampling), and its regret is known when the game ends.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from games.game import Game, State
from selfplay.acting.config import SelfPlayConfig

Tree = TypeVar("Tree")

MIN_REGRET = 0.02  # of 2; positions without regret are drawn as well, if rarely


class Positions(NamedTuple):
    """Positions in which games begin or continue."""

    state: State  # [B, …]
    ply: Array  # int32[B], moves made before


class Archive(NamedTuple):
    """The newest K positions of a stream's archive, and the candidates of its running games."""

    state: State  # [K, …]
    ply: Array  # int32[K], moves made before
    regret: Array  # float32[K], from 0 to 2
    entered: Array  # int32[], positions that ever entered it
    candidate: State  # [B, …]
    candidate_ply: Array  # int32[B]
    value: Array  # float32[B], the candidate's root value for player 0
    seen: Array  # int32[B], positions of the running game so far


def random_opening(game: Game, config: SelfPlayConfig, key: Array) -> Positions:
    """Starts one game, from the empty board or after some random legal moves."""
    state = game.init()
    plies = config.random_opening_plies
    if plies == 0 or config.random_opening_fraction == 0:
        return Positions(state, jnp.int32(0))
    fraction_key, length_key, moves_key = jax.random.split(key, 3)
    length = jax.random.randint(length_key, (), 1, plies + 1)
    length = jnp.where(jax.random.uniform(fraction_key) < config.random_opening_fraction, length, 0)
    noise = jax.random.gumbel(moves_key, (plies, game.num_actions))

    def body(carry: Positions, t: Array) -> tuple[Positions, None]:
        state, ply = carry
        scores = jnp.where(game.legal_actions(state), noise[t], -jnp.inf)
        after = game.step(state, jnp.argmax(scores).astype(jnp.int32))
        running = (t < length) & ~game.is_terminal(after)
        new = jax.tree.map(lambda a, b: jnp.where(running, a, b), Positions(after, ply + 1), carry)
        return new, None

    positions, _ = jax.lax.scan(body, Positions(state, jnp.int32(0)), jnp.arange(plies))
    return positions


def empty_archive(config: SelfPlayConfig, positions: Positions) -> Archive | None:
    """Returns the archive before the first game has ended; None if the config has none."""
    if not config.archive_fraction:
        return None
    size, lanes = config.archive_size, config.batch_size
    blank = jax.tree.map(lambda x: jnp.zeros((size, *x.shape[1:]), x.dtype), positions.state)
    return Archive(
        state=blank,
        ply=jnp.zeros(size, jnp.int32),
        regret=jnp.zeros(size),
        entered=jnp.int32(0),
        candidate=positions.state,
        candidate_ply=positions.ply,
        value=jnp.zeros(lanes),
        seen=jnp.zeros(lanes, jnp.int32),
    )


def visit(archive: Archive, positions: Positions, value: Array, key: Array) -> Archive:
    """Offers a position of each running game as its candidate, with its root value for player 0."""
    seen = archive.seen + 1
    is_candidate = jax.random.uniform(key, seen.shape) * seen < 1
    return archive._replace(
        candidate=select(is_candidate, positions.state, archive.candidate),
        candidate_ply=jnp.where(is_candidate, positions.ply, archive.candidate_ply),
        value=jnp.where(is_candidate, value, archive.value),
        seen=seen,
    )


def enter(archive: Archive, over: Array, outcome: Array) -> Archive:
    """Adds the candidates of games that are over, bool[B], with these results for player 0."""
    size = len(archive.ply)
    order = archive.entered + jnp.cumsum(over) - 1
    slot = jnp.where(over, order % size, size)  # `size` is out of bounds, and dropped

    def put(kept: Array, new: Array) -> Array:
        return kept.at[slot].set(new, mode="drop")

    return archive._replace(
        state=jax.tree.map(put, archive.state, archive.candidate),
        ply=put(archive.ply, archive.candidate_ply),
        regret=put(archive.regret, abs(archive.value - outcome)),
        entered=archive.entered + over.sum(dtype=jnp.int32),
        seen=jnp.where(over, 0, archive.seen),
    )


def start_from(archive: Archive, config: SelfPlayConfig, fresh: Positions, key: Array) -> Positions:
    """Replaces a fraction of fresh starts by positions of the archive, once it has some."""
    coin_key, draw_key = jax.random.split(key)
    lanes, size = len(fresh.ply), len(archive.ply)
    filled = jnp.arange(size) < archive.entered
    weight = archive.regret + MIN_REGRET if config.archive_by_regret else jnp.ones(size)
    total = jnp.cumsum(jnp.where(filled, weight, 0.0))
    drawn = jnp.searchsorted(total, total[-1] * jax.random.uniform(draw_key, (lanes,)), "right")
    drawn = jnp.minimum(
        drawn, jnp.minimum(archive.entered, size) - 1
    )  # if rounding reached the end
    from_archive = jax.random.uniform(coin_key, (lanes,)) < config.archive_fraction
    from_archive &= archive.entered > 0
    archived = jax.tree.map(lambda x: x[drawn], Positions(archive.state, archive.ply))
    return select(from_archive, archived, fresh)


def select(mask: Array, new: Tree, old: Tree) -> Tree:
    """Chooses between the entries [B, …] of two trees by a mask, bool[B]."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(mask.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old)
