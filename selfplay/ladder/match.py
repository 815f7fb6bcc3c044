"""Matches: two players, openings, and every opening twice with colours swapped.

A game is a function of its players, opening and key alone. Batches have one fixed shape, in which
each row is computed by itself, so it does not matter what else is played beside a game. An engine's
games are played one by one, and repeat as far as the engine does.

An engine that fails in a game has lost it, as one that runs out of time has: left out, such games
would rate an engine the higher the more often it fails when it loses. Before the first move there
is no game, and nothing is rated.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from games.go import Go
from games.notation import action_to_text, text_to_action
from selfplay import rng
from selfplay.ladder import openings
from selfplay.ladder.openings import Opening
from selfplay.players.gtp_engine import Colour, Engine, EngineFailure
from selfplay.players.specs import Player
from selfplay.rng import Purpose

COLOURS: tuple[Colour, Colour] = ("b", "w")


@dataclass(frozen=True)
class Played:
    """One game."""

    index: int  # of its opening in the pairing's list
    swapped: bool  # True = the match's second player was player 0
    opening: Opening
    moves: tuple[int, ...]  # after the opening
    outcome: int | None  # for player 0; None: not to be rated
    reason: str  # how it ended, if not by the rules

    @property
    def score(self) -> float | None:
        """The first player's points: 1, 1/2 or 0."""
        if self.outcome is None:
            return None
        return (1 - self.outcome if self.swapped else 1 + self.outcome) / 2


def pairing_number(a: Player, b: Player) -> int:
    """A number for two players, whatever their order, that names their list of openings."""
    return zlib.crc32("\n".join(sorted((a.spec, b.spec))).encode())


def play(
    a: Player,
    b: Player,
    game: Game,
    starts: Sequence[Opening],
    seed: int,
    first_index: int = 0,
    timeout_s: float = 60.0,
) -> list[Played]:
    """Both games of every opening; opening i of `starts` has the index `first_index` + i.

    Batches have as many rows as there are openings: ask for the same number every time.

    Args:
        a: the first player; player 0 in the game that is not swapped.
        b: the second player.
        game: the rules.
        starts: openings, as from `openings.draw`.
        seed: with the pairing, the index and the colour it makes the key of a game.
        first_index: of the first opening.
        timeout_s: seconds an engine may think about one move.
    """
    rows = [(i, swapped) for swapped in (False, True) for i in range(len(starts))]
    pairing = pairing_number(a, b)
    indices = np.array([[first_index + i, swapped] for i, swapped in rows], np.int32)
    game_keys = _keys(rng.key(seed, Purpose.MATCH, pairing), indices)
    if a.command is None and b.command is None:
        ends = _batched(a, b, game, starts, game_keys)
    else:
        with _Seat(a, game, timeout_s) as seat_a, _Seat(b, game, timeout_s) as seat_b:
            seats = (seat_a, seat_b)
            ends = [
                _single(seats[::-1] if swapped else seats, game, starts[i], game_keys[row])
                for row, (i, swapped) in enumerate(rows)
            ]
    return [
        Played(first_index + i, swapped, starts[i], *end)
        for (i, swapped), end in zip(rows, ends, strict=True)
    ]


End = tuple[tuple[int, ...], int | None, str]
"""The moves after the opening, the outcome for player 0, the reason."""


@jax.jit
def _keys(key: Array, indices: Array) -> Array:
    def one(index: Array) -> Array:
        return jax.random.fold_in(jax.random.fold_in(key, index[0]), index[1])

    return jax.vmap(one)(indices)


@cache
def _programs(game: Game) -> tuple[Any, Any]:
    """Jitted ``(states, actions) → (states, over)``, and ``(keys, t) → keys`` of a ply."""

    def step(states: Any, actions: Array) -> tuple[Any, Array]:
        after = jax.vmap(game.step)(states, actions)
        return after, jax.vmap(game.is_terminal)(after)

    return jax.jit(step), jax.jit(jax.vmap(jax.random.fold_in, (0, None)))


def _batched(
    a: Player, b: Player, game: Game, starts: Sequence[Opening], game_keys: Array
) -> list[End]:
    """All games at once, [2 P] rows: the openings, then the openings with colours swapped.

    One game of a pair always has `a` to move and the other one `b`. So there are two batches of P:
    in one `a` moves on even plies, in the other on odd ones, and no evaluation is wasted.
    """
    assert a.act is not None and b.act is not None
    step, fold = _programs(game)
    states = openings.positions(game, list(starts))
    count = len(starts)
    black_moves = np.asarray(jax.vmap(game.player)(states)) == 0
    straight = np.arange(count)
    # The rows in which `a` moves first, and their partners in which `b` does.
    rows = [straight + np.where(black_moves, 0, count), straight + np.where(black_moves, count, 0)]
    halves, row_keys = [states, states], [game_keys[r] for r in rows]
    moves: list[list[np.ndarray]] = [[], []]
    overs = [np.asarray(jax.vmap(game.is_terminal)(states))] * 2
    lengths = np.zeros((2, count), np.int32)
    for ply in range(game.max_plies):
        if all(over.all() for over in overs):
            break
        movers = (a, b) if ply % 2 == 0 else (b, a)
        for half, mover in enumerate(movers):
            assert mover.act is not None
            actions = jnp.asarray(mover.act(halves[half], fold(row_keys[half], ply)), jnp.int32)
            halves[half], over = step(halves[half], actions)
            moves[half].append(np.asarray(actions))
            lengths[half] += ~overs[half]
            overs[half] = np.asarray(over)
    ends: dict[int, End] = {}
    for half in range(2):
        outcomes = np.asarray(jax.vmap(game.outcome)(halves[half])).astype(int)
        played = np.stack(moves[half], axis=1) if moves[half] else np.zeros((count, 0), int)
        for at, row in enumerate(rows[half]):
            line = tuple(played[at, : lengths[half][at]].tolist())
            ends[int(row)] = (line, int(outcomes[at]), "")
    return [ends[row] for row in range(2 * count)]


class _Seat:
    """A player at the board of single games: its moves one by one; a context manager."""

    def __init__(self, player: Player, game: Game, timeout_s: float) -> None:
        self._player, self._game = player, game
        self._engine = Engine(player.command, timeout_s) if player.command else None

    def begin(self) -> None:
        """A new game; an engine that has failed is started again."""
        if self._engine:
            assert isinstance(self._game, Go)
            self._engine.new_game(self._game)

    def told(self, colour: int, action: int) -> None:
        """Another move than its own, by player `colour`."""
        if self._engine:
            self._engine.play(COLOURS[colour], action_to_text(self._game, action))

    def move(self, state: Any, colour: int, key: Array) -> int | None:
        """Its move; None: it resigns."""
        if self._engine is None:
            assert self._player.act is not None
            one = jax.tree.map(lambda leaf: leaf[None], state)
            return int(self._player.act(one, key[None])[0])
        vertex = self._engine.genmove(COLOURS[colour])
        if vertex == "resign":
            return None
        action = text_to_action(self._game, vertex)
        if not self._game.legal_actions(state)[action]:
            raise EngineFailure(f"played the illegal move {vertex}")
        return action

    def __enter__(self) -> _Seat:
        return self

    def __exit__(self, *error: object) -> None:
        if self._engine:
            self._engine.close()


def _single(seats: Sequence[_Seat], game: Game, opening: Opening, key: Array) -> End:
    """One game between player 0 and player 1; an engine that fails has lost."""
    step, fold = _programs(game)
    moves: list[int] = []
    state = jax.tree.map(lambda leaf: leaf[0], openings.positions(game, [opening]))
    asked, begun = 0, False  # the player whose engine may fail
    try:
        for asked in (0, 1):
            seats[asked].begin()
            for ply, action in enumerate(opening):
                seats[asked].told(ply % 2, action)
        begun = True
        while not game.is_terminal(state):
            mover = asked = int(game.player(state))
            action = seats[mover].move(state, mover, fold(key[None], len(moves))[0])
            if action is None:
                return tuple(moves), _loss(mover), "resigned"
            one = jax.tree.map(lambda leaf: leaf[None], state)
            after, _ = step(one, np.array([action], np.int32))
            state = jax.tree.map(lambda leaf: leaf[0], after)
            moves.append(action)
            asked = 1 - mover
            seats[asked].told(mover, action)
    except EngineFailure as failure:
        if not begun:
            return (), None, f"player {asked} could not begin: {failure}"
        return tuple(moves), _loss(asked), f"player {asked} forfeited: {failure}"
    return tuple(moves), int(game.outcome(state)), ""


def _loss(player: int) -> int:
    """The outcome, for player 0, of a game that `player` has lost."""
    return 2 * player - 1
