"""Openings: moves that are played before the two players of a match begin.

Deterministic players would repeat one game; different openings make their games differ. Each
opening is played twice with colors swapped: an *opening pair*, the unit of all statistics.
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game, State
from games.notation import text_to_action
from selfplay import rng
from selfplay.players.rollouts import uniform
from selfplay.rng import Purpose
from selfplay.runs.files import describe

CANDIDATES = 128  # drawn at once
MAX_REJECTED = 512  # candidates rejected in a row, after which the list counts as complete

Opening = tuple[int, ...]
"""Actions from the first position on."""


def draw(game: Game, plies: int, seed: int, pairing: int, start: int, count: int) -> list[Opening]:
    """Returns openings `start` to `start + count` of a pairing's endless list.

    An opening is `plies` random legal moves that do not end the game. Its final position differs
    from those before it, until all positions have occurred; then the list repeats in the same
    order. A pure function of the arguments; threads may call it at once.

    Args:
        game: the rules.
        plies: random moves of each opening.
        seed: of the ladder or match.
        pairing: a number for the two players, who have a list of their own.
        start: index of the first opening.
        count: number of openings.

    Raises:
        ValueError: `plies` random moves end the game, every time.
    """
    return _openings_of(game, plies, seed, pairing).take(start, count)


def read(path: Path, game: Game) -> list[Opening]:
    """Reads openings from a file.

    A line holds the moves of one opening in the game's notation; `#` begins a comment. The text is
    UTF-8, or UTF-16 with a byte order mark; comments may hold invalid bytes.

    Raises:
        ValueError: no such file, no opening in it, or a move that does not exist, is illegal or
            ends the game; names file and line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"the openings cannot be read: {describe(error)}") from None
    encoding = "utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    lines = data.decode(encoding, errors="replace").splitlines()
    openings = []
    for number, line in enumerate(lines, start=1):
        state, opening = game.init(), []
        for text in line.partition("#")[0].split():
            try:
                action = text_to_action(game, text, state)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            if not game.legal_actions(state)[action]:
                raise ValueError(f"{path}, line {number}: {text!r} is illegal in this position")
            state = game.step(state, action)
            opening.append(action)
        if game.is_terminal(state):
            raise ValueError(f"{path}, line {number}: the game is over after these moves")
        if line.partition("#")[0].strip():
            openings.append(tuple(opening))
    if not openings:
        raise ValueError(f"{path} contains no opening")
    return openings


def positions(game: Game, openings: list[Opening]) -> State:
    """Plays B openings and returns the final states [B]."""
    longest = max(map(len, openings))
    actions = np.array([[*o, *[0] * (longest - len(o))] for o in openings], np.int32)
    lengths = np.array(list(map(len, openings)), np.int32)
    return _apply_moves(game)(actions.reshape(len(openings), longest), lengths)


class _OpeningList:
    """The endless list of one pairing's openings, drawn on demand; safe to share by threads."""

    def __init__(self, game: Game, plies: int, seed: int, pairing: int) -> None:
        self._game, self._plies = game, plies
        self._entropy = seed, Purpose.OPENING, pairing
        self._lock = Lock()
        self._boards: set[bytes] = set()
        self._openings: list[Opening] = []
        self._batches = self._rejected = 0  # candidates rejected in a row

    def take(self, start: int, count: int) -> list[Opening]:
        """Returns openings `start` to `start + count`, and draws those that are missing."""
        with self._lock:
            while start + count > len(self._openings) and self._rejected <= MAX_REJECTED:
                self._draw()
            if count and not self._openings:
                raise ValueError(
                    f"{self._plies} random moves are too many for an opening of {self._game.name}: "
                    "they end the game; choose fewer"
                )
            length = len(self._openings)
            return [self._openings[index % length] for index in range(start, start + count)]

    def _draw(self) -> None:
        candidates = _draw_candidates(self._game, self._plies)(
            rng.key(*self._entropy, self._batches)
        )
        self._batches += 1
        for actions, board, over in zip(*map(np.asarray, candidates), strict=True):
            self._rejected += 1
            if not over and board.tobytes() not in self._boards:
                self._rejected = 0
                self._boards.add(board.tobytes())
                self._openings.append(tuple(actions.tolist()))


_openings_of = lru_cache(maxsize=1024)(_OpeningList)


@cache
def _draw_candidates(game: Game, plies: int) -> Callable[[Array], tuple[Array, Array, Array]]:
    """Compiles ``key → (actions [N, plies], boards [N, H, W], over bool [N])``, N = CANDIDATES."""

    def draw_one(key: Array) -> tuple[Array, Array, Array]:
        def ply(state: State, key: Array) -> tuple[State, Array]:
            action = uniform(key, game.legal_actions(state))
            return game.step(state, action), action

        state, actions = jax.lax.scan(ply, game.init(), jax.random.split(key, plies))
        return actions, game.board(state), game.is_terminal(state)

    return jax.jit(lambda key: jax.vmap(draw_one)(jax.random.split(key, CANDIDATES)))


@cache
def _apply_moves(game: Game) -> Callable[[np.ndarray, np.ndarray], State]:
    """Compiles ``(actions [B, T], lengths [B]) → states [B]``."""

    def apply(actions: Array, length: Array) -> State:
        def ply(state: State, move: tuple[Array, Array]) -> tuple[State, None]:
            action, t = move
            after = game.step(state, action)
            return jax.tree.map(lambda a, b: jnp.where(t < length, a, b), after, state), None

        times = jnp.arange(actions.shape[0])
        return jax.lax.scan(ply, game.init(), (actions, times))[0]

    return jax.jit(jax.vmap(apply))
