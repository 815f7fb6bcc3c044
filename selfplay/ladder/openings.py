"""Openings: moves that are laid on the board before a match's two players begin.

Players without noise repeat themselves; what makes their games different is where they start. Each
opening is played twice, colours swapped: an *opening pair*, the unit of all statistics.
"""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from games.notation import text_to_action
from selfplay import rng
from selfplay.players.rollouts import uniform
from selfplay.rng import Purpose
from selfplay.runs.files import describe

CHUNK = 128  # candidates drawn at once
PATIENCE = 512  # candidates refused in a row, until all positions are held to be known

Opening = tuple[int, ...]
"""Actions from the first position."""


def draw(game: Game, plies: int, seed: int, pairing: int, start: int, count: int) -> list[Opening]:
    """Openings `start` to `start + count` of a pairing's endless list.

    Random legal moves; no opening ends the game, and no position comes twice until all have come:
    then they come again, in the same order. A function of the arguments.

    Args:
        game: the rules.
        plies: random moves of each.
        seed: of the ladder or match.
        pairing: a number for the two players: every pairing has a list of its own.
        start: how many were used before.
        count: how many.

    Raises:
        ValueError: random play of so many moves ends the game too often.
    """
    known = _known(game, plies, seed, pairing)
    return [known[index] for index in range(start, start + count)]


def read(path: Path, game: Game) -> list[Opening]:
    """Read openings from a file: the moves of one a line, in the game's notation, `#` a comment.

    The text is UTF-8, or UTF-16 with a byte order mark; a comment may hold any other bytes.

    Raises:
        ValueError: no such file, or a move that is none, is illegal or ends the game; names file
            and line.
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
                raise ValueError(f"{path}, line {number}: {text!r} is illegal there")
            state = game.step(state, action)
            opening.append(action)
        if game.is_terminal(state):
            raise ValueError(f"{path}, line {number}: the game is over after these moves")
        if line.partition("#")[0].strip():
            openings.append(tuple(opening))
    if not openings:
        raise ValueError(f"{path} holds no opening")
    return openings


def positions(game: Game, openings: list[Opening]) -> Any:
    """The states [B] after the openings."""
    longest = max(map(len, openings))
    actions = np.array([[*o, *[0] * (longest - len(o))] for o in openings], np.int32)
    lengths = np.array(list(map(len, openings)), np.int32)
    return _replay(game)(actions.reshape(len(openings), longest), lengths)


class _Openings:
    """A pairing's openings, drawn when they are asked for and kept; repeated when all are used."""

    def __init__(self, game: Game, plies: int, seed: int, pairing: int) -> None:
        self._game, self._plies = game, plies
        self._entropy = seed, Purpose.OPENING, pairing
        self._seen: set[bytes] = set()
        self._drawn: list[Opening] = []
        self._chunks = self._refused = 0  # candidates refused in a row

    def __getitem__(self, index: int) -> Opening:
        while index >= len(self._drawn) and self._refused <= PATIENCE:
            self._draw()
        if not self._drawn:
            raise ValueError(
                f"{self._plies} random moves are no opening of {self._game.name}: they end the "
                "game; choose fewer"
            )
        return self._drawn[index % len(self._drawn)]

    def _draw(self) -> None:
        candidates = _candidates(self._game, self._plies)(rng.key(*self._entropy, self._chunks))
        self._chunks += 1
        for actions, board, over in zip(*map(np.asarray, candidates), strict=True):
            self._refused += 1
            if not over and board.tobytes() not in self._seen:
                self._refused = 0
                self._seen.add(board.tobytes())
                self._drawn.append(tuple(actions.tolist()))


_known = lru_cache(maxsize=1024)(_Openings)


@cache
def _candidates(game: Game, plies: int) -> Any:
    """Jitted ``key → (actions [CHUNK, plies], boards [CHUNK, H, W], over bool [CHUNK])``."""

    def one(key: Array) -> tuple[Array, Array, Array]:
        def ply(state: Any, key: Array) -> tuple[Any, Array]:
            action = uniform(key, game.legal_actions(state))
            return game.step(state, action), action

        state, actions = jax.lax.scan(ply, game.init(), jax.random.split(key, plies))
        return actions, game.board(state), game.is_terminal(state)

    return jax.jit(lambda key: jax.vmap(one)(jax.random.split(key, CHUNK)))


@cache
def _replay(game: Game) -> Any:
    """Jitted ``(actions [B, T], lengths [B]) → states [B]``."""

    def one(actions: Array, length: Array) -> Any:
        def ply(state: Any, now: tuple[Array, Array]) -> tuple[Any, None]:
            action, t = now
            after = game.step(state, action)
            return jax.tree.map(lambda a, b: jnp.where(t < length, a, b), after, state), None

        times = jnp.arange(actions.shape[0])
        return jax.lax.scan(ply, game.init(), (actions, times))[0]

    return jax.jit(jax.vmap(one))
