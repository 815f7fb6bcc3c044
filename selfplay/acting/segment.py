"""The jitted part of self-play: all games of a stream advance by T plies.

A lane is one place of a stream's batch, where games follow each other. Lanes never wait for each
other: where a game ends, the next one starts within the same ply, so no ply is wasted on finished
games and no game is cut off. An episode that is not over at the end of a segment continues in the
next one; its records stay in the carry, see ``episode.py``.

A ply records what the learner needs and no more: the fields of `row_schema` that are known at the
ply, and the result.

With playout-cap randomization (Wu 2019, section 3.1) some plies of a segment, the same for all
lanes, are searched with a smaller budget and without noise; they record no policy.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from games.game import Game, State
from selfplay.acting import start_states
from selfplay.acting.config import SelfPlayConfig
from selfplay.acting.row_schema import Played, RowField, recorded_fields
from selfplay.acting.start_states import Archive, Positions
from selfplay.acting.surprise import RELATIVE_SURPRISE
from selfplay.model.architecture import Evaluate, Params
from selfplay.search.base import SearchFn, SearchResult
from selfplay.search.config import SearchConfig
from selfplay.search.make import make_search


class Lanes(NamedTuple):
    """The running games of a stream between segments."""

    state: State  # [B, …]
    ply: Array  # int32[B], moves made in the running game, those of its opening included
    archive: Archive | None = None  # of start states, if games begin from one


class PlyRecord(NamedTuple):
    """The record of one ply of every lane; ``[T, B, …]`` after a segment."""

    fields: dict[str, Array]  # the row fields that are known at the ply, as rows store them
    player: Array  # int8[B], to move
    over: Array  # bool[B], this move ended the game
    outcome: Array  # int8[B], for player 0; 0 unless over


class SegmentFns(NamedTuple):
    """Self-play of one stream as two pure functions, to be jitted."""

    start: Callable[[Array], Lanes]  # key → the first positions
    advance: Callable[[Params, Lanes, Array], tuple[Lanes, PlyRecord]]  # records are [T, B, …]


def make(
    game: Game,
    evaluate: Evaluate,
    search: SearchConfig,
    config: SelfPlayConfig,
    extra: tuple[RowField, ...] = (),
) -> SegmentFns:
    """Builds the functions that start a stream's games and advance them by a segment.

    Plies record the row fields in `BASE` and in `extra`.
    """
    recorded = recorded_fields(extra)
    needs_prior = RELATIVE_SURPRISE in extra
    searched = _make_searched(game, evaluate, search.for_self_play(), config, needs_prior)

    def fresh_games(key: Array) -> Positions:
        return jax.vmap(lambda k: start_states.random_opening(game, config, k))(
            jax.random.split(key, config.batch_size)
        )

    def start(key: Array) -> Lanes:
        positions = fresh_games(key)
        return Lanes(*positions, start_states.empty_archive(config, positions))

    def one_ply(params: Params, lanes: Lanes, key: Array, full: Array) -> tuple[Lanes, PlyRecord]:
        search_key, move_key, restart_key = jax.random.split(key, 3)
        state, ply, archive = lanes
        result = searched(params, state, search_key, full)
        action = choose(result, ply, move_key, config)
        if config.full_plies < config.segment_length:
            result = result._replace(policy=jnp.where(full, result.policy, 0.0))
        after = jax.vmap(game.step)(state, action)
        over = jax.vmap(game.is_terminal)(after)
        outcome = jnp.where(over, jax.vmap(game.outcome)(after), 0.0)
        player = jax.vmap(game.player)(state)
        played = Played(state, ply, result, action, after)
        record = PlyRecord(
            fields={field.name: field.at_ply(game, played) for field in recorded},
            player=player.astype(jnp.int8),
            over=over,
            outcome=outcome.astype(jnp.int8),
        )
        positions = fresh_games(restart_key)
        if archive:
            archive_key = jax.random.fold_in(
                restart_key, config.batch_size
            )  # lanes have 0 to B - 1
            visit_key, draw_key = jax.random.split(archive_key)
            value = jnp.where(player == 0, result.value, -result.value)
            archive = start_states.visit(archive, Positions(state, ply), value, visit_key)
            archive = start_states.enter(archive, over, outcome)
            positions = start_states.start_from(archive, config, positions, draw_key)
        return Lanes(
            *start_states.select(over, positions, Positions(after, ply + 1)), archive
        ), record

    def advance(params: Params, lanes: Lanes, key: Array) -> tuple[Lanes, PlyRecord]:
        def body(lanes: Lanes, ply: tuple[Array, Array]) -> tuple[Lanes, PlyRecord]:
            t, full = ply
            return one_ply(params, lanes, jax.random.fold_in(key, t), full)

        plies = jnp.arange(config.segment_length)
        return jax.lax.scan(body, lanes, (plies, full_searches(config, key)))

    return SegmentFns(start, advance)


def full_searches(config: SelfPlayConfig, key: Array) -> Array:
    """Draws which plies of a segment are searched with the whole budget, bool[T]."""
    length = config.segment_length
    if config.full_plies == length:
        return jnp.ones(length, bool)
    drawn = jax.random.permutation(jax.random.fold_in(key, length), length)  # plies have 0 to T - 1
    return drawn < config.full_plies


def _make_searched(
    game: Game,
    evaluate: Evaluate,
    search: SearchConfig,
    config: SelfPlayConfig,
    needs_prior: bool,
) -> Callable[[Params, State, Array, Array], SearchResult]:
    """Builds the search of a ply, whose last argument, bool[], says whether it is a full one."""

    def make(search: SearchConfig) -> SearchFn:
        searched = make_search(game, evaluate, search)

        def with_prior_if_needed(params: Params, states: State, key: Array) -> SearchResult:
            result = searched(params, states, key)
            if not needs_prior:
                return result._replace(prior=None)
            if result.prior is None:
                raise ValueError(
                    "learner.surprise-weight compares the search with the network's policy, which "
                    f"search {search.algorithm} does not return: set SearchResult.prior there"
                )
            return result

        return with_prior_if_needed

    full = make(search)
    if config.full_plies == config.segment_length:
        return lambda params, state, key, _: full(params, state, key)
    fast = make(search.for_evaluation(config.fast_simulations))
    return lambda params, state, key, is_full: jax.lax.cond(is_full, full, fast, params, state, key)


def choose(result: SearchResult, ply: Array, key: Array, config: SelfPlayConfig) -> Array:
    """Chooses the moves to play, int32[B]: drawn early in a game, the search's own later."""
    logits = jnp.log(jnp.maximum(result.policy, 1e-30)) / max(config.temperature, 1e-3)
    drawn = jax.random.categorical(key, jnp.where(result.policy > 0, logits, -jnp.inf))
    return jnp.where(ply < config.temperature_plies, drawn, result.action).astype(jnp.int32)
