"""Experts that are not human: a perfect player who blunders at times, and solved positions."""

from __future__ import annotations

import contextlib
import gzip
import multiprocessing
import re
import zlib
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from games.connect_four import ConnectFour
from games.game import Game
from selfplay import rng
from selfplay.experts.building import Progress
from selfplay.experts.game_record import ExpertGame, Start
from selfplay.generated.config import Teacher
from selfplay.ladder import openings
from selfplay.players import solvers, specs
from selfplay.rng import Purpose
from selfplay.runs.files import describe
from selfplay.solved.suite import ILLEGAL

CHUNK = 16  # games side by side: few, so that the solver's table still holds their positions
RESULTS = {"win": 1, "loss": -1, "draw": 0}
CELLS = {"x": 1, "o": -1, "b": 0}
_LINE = re.compile("(?:[xob],){42}(win|loss|draw)")


def check(game: Game, teacher: Teacher) -> None:
    """Raises ValueError if there is no perfect player of this game, or it is not installed."""
    specs.parse(teacher.spec, game)


def chunks(teacher: Teacher) -> list[int]:
    """How many games each chunk of `play` has."""
    return [min(CHUNK, teacher.games - at) for at in range(0, teacher.games, CHUNK)]


def play(
    game: Game, teacher: Teacher, processes: int, progress: Progress, first: int = 0
) -> Iterator[list[ExpertGame]]:
    """The teacher's games in chunks, from chunk number `first` on.

    A game depends on the seed and its number, not on the processes.
    """
    starts: list[openings.Opening] = [()] * teacher.games
    if teacher.opening_plies:
        starts = openings.draw(game, teacher.opening_plies, teacher.seed, 0, 0, teacher.games)
    total = len(chunks(teacher))
    work = [(n * CHUNK, starts[n * CHUNK : (n + 1) * CHUNK]) for n in range(first, total)]
    with contextlib.ExitStack() as stack:
        spread: Any = map
        if processes > 1:
            pool = multiprocessing.get_context("spawn").Pool(processes)
            spread = stack.enter_context(pool).imap
        progress("playing", first, total)
        for number, played in enumerate(spread(partial(_chunk, game, teacher), work), first + 1):
            yield played
            progress("playing", number, total)


def _chunk(
    game: Game, teacher: Teacher, work: tuple[int, list[openings.Opening]]
) -> list[ExpertGame]:
    """The games that begin with these openings; the first one has this number."""
    first, starts = work
    act, scores_of, advance = _playing(game, teacher.spec)
    states = openings.positions(game, starts)
    numbers = jnp.arange(first, first + len(starts))
    moves = [list(opening) for opening in starts]
    scores: list[list[np.ndarray]] = [[] for _ in starts]
    over, outcomes = np.zeros(len(starts), bool), np.zeros(len(starts))
    for ply in range(teacher.opening_plies, game.max_plies):
        if over.all():
            break
        actions = np.asarray(act(states, _keys(teacher.seed, numbers, ply)))
        solved = scores_of(states) if teacher.targets == "solver" else None
        for lane in np.flatnonzero(~over):
            moves[lane].append(int(actions[lane]))
            if solved is not None:
                scores[lane].append(solved[lane])
        states, over, outcomes = jax.device_get(advance(states, actions))
    found = zip(moves, outcomes, scores, strict=True)
    return [_game(teacher, one, int(outcome), score) for one, outcome, score in found]


@cache
def _playing(game: Game, spec: str) -> Any:
    """(the teacher's moves, the scores of positions, ``(states, actions) → (states, over,
    outcomes)``)."""

    def advance(states: Any, actions: Any) -> Any:
        after = jax.vmap(game.step)(states, actions)
        return after, jax.vmap(game.is_terminal)(after), jax.vmap(game.outcome)(after)

    return specs.parse(spec, game).act, solvers.scores_of(game), jax.jit(advance)


@partial(jax.jit, static_argnums=0)
def _keys(seed: int, numbers: jax.Array, ply: int) -> jax.Array:
    return jax.vmap(lambda number: rng.key(seed, Purpose.TEACHER, number, ply))(numbers)


def _game(teacher: Teacher, moves: list[int], outcome: int, scores: list[np.ndarray]) -> ExpertGame:
    """One game; `scores`, int8 [A] each, of the moves after the opening, or none at all."""
    taught = np.arange(len(moves)) >= teacher.opening_plies
    lessons = None
    if scores:
        known = np.stack(scores)
        known = np.concatenate([np.repeat(known[:1], len(moves) - len(known), axis=0), known])
        best = known.max(axis=1, keepdims=True)
        lessons = (known == best) & (known != ILLEGAL), np.sign(best[:, 0]).astype(np.int8)
    return ExpertGame(np.array(moves, np.int16), outcome, taught=taught, lessons=lessons)


def check_solved(game: Game) -> None:
    """Raises ValueError unless the game is that of the UCI's positions."""
    if not isinstance(game, ConnectFour) or (game.rows, game.columns) != (6, 7):
        raise ValueError(f"solved positions are of connect_four (6×7), not of {game!r}")


def positions(game: Game, path: Path) -> Iterator[ExpertGame | str]:
    """Solved positions of Connect Four in the UCI layout: a game each, of which no move is known.

    A line holds the cells a1 to a6, b1 to g6 as x, o or b (blank), then win, loss or draw for x,
    who is to move. A text is the reason why a line is no position.

    Raises:
        ValueError: a file that cannot be read.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    except OSError as error:
        raise ValueError(f"positions cannot be read: {describe(error)}") from None
    is_over = jax.jit(jax.vmap(lambda board: game.is_terminal(game.from_board(board, 0))))
    lines = [_position(line) for line in text.split()]
    boards = [line[0] for line in lines if not isinstance(line, str)]
    over = iter(np.asarray(is_over(np.array(boards, np.int8).reshape(-1, 6, 7))))
    for line in lines:
        if isinstance(line, str):
            yield line
            continue
        board, result = line
        if next(over):
            yield "the game is over"
            continue
        yield ExpertGame(
            np.full(1, -1, np.int16),
            result,
            start=Start(board, 0, int(np.abs(board).sum())),
            lessons=(np.zeros((1, game.num_actions), bool), np.full(1, result, np.int8)),
        )


def _position(line: str) -> tuple[np.ndarray, int] | str:
    """(board [6, 7], the result for player 0), or the reason why there is none."""
    found = _LINE.fullmatch(line)
    if not found:
        return "not 42 cells x, o or b and then win, loss or draw"
    columns = np.array([CELLS[cell] for cell in line[:84:2]], np.int8).reshape(7, 6)
    board = np.ascontiguousarray(columns.T[::-1])
    if board.sum() != 0:
        return "x is not to move"
    if ((board[:-1] != 0) & (board[1:] == 0)).any():
        return "a stone above an empty cell"
    return board, RESULTS[found[1]]
