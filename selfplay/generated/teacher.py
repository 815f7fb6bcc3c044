"""Games of a teacher: a perfect player that blunders at times, against itself."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from games.game import Game, State
from selfplay import rng
from selfplay.experts.building import Progress
from selfplay.experts.game_record import ExpertGame, Targets
from selfplay.generated.config import Teacher
from selfplay.ladder import openings
from selfplay.players import solvers, specs
from selfplay.rng import Purpose
from selfplay.solved.suite import ILLEGAL_SCORE

CHUNK = 16  # games side by side: few, so that the solver's table still holds their positions


class Work(NamedTuple):
    """A chunk of games to play: the number of the first one, and the openings of all."""

    first: int
    starts: list[openings.Opening]


ChunkMap: TypeAlias = Callable[[Callable[[Work], list[ExpertGame]], list[Work]], Iterable]
"""Like `map`, possibly in other processes."""


def check(game: Game, teacher: Teacher) -> None:
    """Raises ValueError if this game has no perfect player, or it is not installed."""
    specs.parse(teacher.spec, game)


def chunks(teacher: Teacher) -> list[int]:
    """Lists the number of games in each chunk of `play`."""
    return [min(CHUNK, teacher.games - at) for at in range(0, teacher.games, CHUNK)]


def play(
    game: Game, teacher: Teacher, processes: int, progress: Progress, first: int = 0
) -> Iterator[list[ExpertGame]]:
    """Yields the teacher's games in chunks, from chunk number `first` on.

    A game depends only on the seed and its number, not on the processes.
    """
    starts: list[openings.Opening] = [()] * teacher.games
    if teacher.opening_plies:
        starts = openings.draw(game, teacher.opening_plies, teacher.seed, 0, 0, teacher.games)
    total = len(chunks(teacher))
    work = [Work(n * CHUNK, starts[n * CHUNK : (n + 1) * CHUNK]) for n in range(first, total)]
    with contextlib.ExitStack() as stack:
        spread: ChunkMap = map
        if processes > 1:
            pool = multiprocessing.get_context("spawn").Pool(processes)
            spread = stack.enter_context(pool).imap
        progress("playing", first, total)
        for number, chunk in enumerate(spread(partial(_chunk, game, teacher), work), first + 1):
            yield chunk
            progress("playing", number, total)


def _chunk(game: Game, teacher: Teacher, work: Work) -> list[ExpertGame]:
    """Plays a chunk of games side by side."""
    first, starts = work
    player = _compile(game, teacher.spec)
    states = openings.positions(game, starts)
    numbers = jnp.arange(first, first + len(starts))
    moves = [list(opening) for opening in starts]
    scores: list[list[np.ndarray]] = [[] for _ in starts]
    over, outcomes = np.zeros(len(starts), bool), np.zeros(len(starts))
    for ply in range(teacher.opening_plies, game.max_plies):
        if over.all():
            break
        actions = np.asarray(player.act(states, _keys(teacher.seed, numbers, ply)))
        position_scores = player.solve(states) if teacher.targets == "solver" else None
        for lane in np.flatnonzero(~over):
            moves[lane].append(int(actions[lane]))
            if position_scores is not None:
                scores[lane].append(position_scores[lane])
        states, over, outcomes = jax.device_get(player.advance(states, actions))
    played = zip(moves, outcomes, scores, strict=True)
    return [_game(teacher, actions, int(outcome), row) for actions, outcome, row in played]


class _Compiled(NamedTuple):
    """The compiled functions that play a chunk, batched over states [B]."""

    act: specs.Act  # the teacher's moves
    solve: solvers.Solver  # the scores of all moves
    advance: Callable[[State, np.ndarray], tuple[State, jax.Array, jax.Array]]
    """(states, actions) → the states after, bool [B] True = over, and float32 [B] outcomes."""


@cache
def _compile(game: Game, spec: str) -> _Compiled:
    """Compiles a teacher and its game."""

    def advance(states: State, actions: jax.Array) -> tuple[State, jax.Array, jax.Array]:
        after = jax.vmap(game.step)(states, actions)
        return after, jax.vmap(game.is_terminal)(after), jax.vmap(game.outcome)(after)

    act = specs.parse(spec, game).act
    assert act is not None  # only engines have none
    return _Compiled(act, solvers.solver_for(game), jax.jit(advance))


@partial(jax.jit, static_argnums=0)
def _keys(seed: int, numbers: jax.Array, ply: int) -> jax.Array:
    """Derives the keys [B] of a ply in the games with these numbers [B]."""
    return jax.vmap(lambda number: rng.key(seed, Purpose.TEACHER, number, ply))(numbers)


def _game(teacher: Teacher, moves: list[int], outcome: int, scores: list[np.ndarray]) -> ExpertGame:
    """Converts one game; `scores` holds int8 [A] for each move after the opening, or is empty."""
    is_target = np.arange(len(moves)) >= teacher.opening_plies
    targets = None
    if scores:
        table = np.stack(scores)
        # The opening's moves are not learned; their scores only fill the table.
        table = np.concatenate([np.repeat(table[:1], len(moves) - len(table), axis=0), table])
        best = table.max(axis=1, keepdims=True)
        is_best = (table == best) & (table != ILLEGAL_SCORE)
        targets = Targets(is_best, np.sign(best[:, 0]).astype(np.int8))
    return ExpertGame(np.array(moves, np.int16), outcome, is_target=is_target, targets=targets)
