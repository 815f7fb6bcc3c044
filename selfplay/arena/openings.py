"""Openings: moves that are laid on the board before a match's two players begin.

Players without noise repeat themselves; what makes their games different is where they start. Each
opening is played twice, colours swapped: an *opening pair*, the unit of all statistics.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from games.notation import text_to_action
from selfplay import keys
from selfplay.arena.rollouts import uniform
from selfplay.keys import Purpose

CHUNK = 128  # candidates drawn at once
PATIENCE = 512  # candidates refused in a row, until positions may come again

Opening = tuple[int, ...]
"""Actions from the first position."""


def draw(game: Game, plies: int, seed: int, pairing: int, start: int, count: int) -> list[Opening]:
    """Openings `start` to `start + count` of a pairing's endless list.

    Random legal moves; no opening ends the game, and no position comes twice as long as new ones
    are found. A function of the arguments.

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
    return list(islice(_endless(game, plies, seed, pairing), start, start + count))


def read(path: Path, game: Game) -> list[Opening]:
    """Openings from a file: the moves of one a line, in the game's notation, `#` a comment.

    Raises:
        ValueError: a move that is none, is illegal or ends the game; names file and line.
    """
    openings = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
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


def _endless(game: Game, plies: int, seed: int, pairing: int) -> Iterator[Opening]:
    seen: set[bytes] = set()
    refused = chunk = 0
    while True:
        key = keys.key(seed, Purpose.MATCH, pairing, chunk)
        actions, boards, over = (np.asarray(x) for x in _candidates(game, plies)(key))
        for opening, board, ended in zip(actions, boards, over, strict=True):
            refused += 1
            if not ended and board.tobytes() not in seen:
                refused = 0
                seen.add(board.tobytes())
                yield tuple(opening.tolist())
        if refused > PATIENCE and not seen:
            raise ValueError(
                f"{plies} random moves are no opening of {game.name}: they end the game; "
                "choose fewer"
            )
        if refused > PATIENCE:  # all positions have been used: once more from the first
            seen.clear()
        chunk += 1


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
