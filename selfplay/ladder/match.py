"""Matches: two players play every opening twice, with colors swapped.

A game depends only on its players, opening and key. Batches have one fixed shape and each row is
computed by itself, so the other games of a batch do not matter. An engine's games are played one by
one, and are reproducible only if the engine is.

An engine that fails during a game, or runs out of time, loses it. If such games were left out, an
engine that crashes in lost positions would be rated too high. If an engine fails before its first
move, the game is not rated.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game, State
from games.notation import action_to_text, text_to_action
from selfplay import rng
from selfplay.ladder import openings
from selfplay.ladder.openings import Opening
from selfplay.players.gtp_engine import Color, Engine, EngineFailure
from selfplay.players.specs import Act, Player
from selfplay.rng import Purpose

COLORS: tuple[Color, Color] = ("b", "w")  # of players 0 and 1, in GTP


class Ending(NamedTuple):
    """The moves of a game after its opening, and how it ended."""

    moves: tuple[int, ...]
    outcome: int | None  # for player 0: +1, 0 or -1; None: not rated
    reason: str  # "" if it ended by the rules


@dataclass(frozen=True)
class GameResult:
    """One game of a match between a first and a second player."""

    index: int  # of its opening in the pairing's list
    swapped: bool  # True = the second player was player 0
    opening: Opening
    moves: tuple[int, ...]  # after the opening
    outcome: int | None  # for player 0: +1, 0 or -1; None: not rated
    reason: str  # how it ended; "" if by the rules

    @property
    def score(self) -> float | None:
        """Points of the first player: 1, 1/2 or 0; None if the game is not rated."""
        if self.outcome is None:
            return None
        return (1 - self.outcome if self.swapped else 1 + self.outcome) / 2


def pairing_number(a: Player, b: Player) -> int:
    """Returns the number of two players, in any order, that selects their list of openings."""
    return zlib.crc32("\n".join(sorted((a.spec, b.spec))).encode())


def play(
    a: Player,
    b: Player,
    game: Game,
    starts: Sequence[Opening],
    seed: int,
    first_index: int = 0,
    timeout_s: float = 60.0,
) -> list[GameResult]:
    """Plays both games of every opening: first all that are not swapped, then the swapped ones.

    Batches have one row per opening: the same number of openings reuses compiled programs.

    Args:
        a: the first player; player 0 in the games that are not swapped.
        b: the second player.
        game: the rules.
        starts: openings, as from `openings.draw`; the index of number i is `first_index` + i.
        seed: with the players, the index and the colors it determines the key of a game.
        first_index: index of the first opening in the pairing's list.
        timeout_s: seconds that an engine may think about one move.
    """
    rows = [(i, swapped) for swapped in (False, True) for i in range(len(starts))]
    pairing = pairing_number(a, b)
    indices = np.array([[first_index + i, swapped] for i, swapped in rows], np.int32)
    game_keys = _keys(rng.key(seed, Purpose.MATCH, pairing), indices)
    if a.act is not None and b.act is not None:
        endings = _play_batched((a.act, b.act), game, starts, game_keys)
    else:
        with Seat(a, game, timeout_s) as seat_a, Seat(b, game, timeout_s) as seat_b:
            seats = (seat_a, seat_b)
            endings = [
                _play_sequential(seats[::-1] if swapped else seats, game, starts[i], game_keys[row])
                for row, (i, swapped) in enumerate(rows)
            ]
    return [
        GameResult(first_index + i, swapped, starts[i], *ending)
        for (i, swapped), ending in zip(rows, endings, strict=True)
    ]


@jax.jit
def _keys(key: Array, indices: Array) -> Array:
    """Returns the keys [N] of games with `indices` int32 [N, 2]: opening index and swapped."""

    def fold(index: Array) -> Array:
        return jax.random.fold_in(jax.random.fold_in(key, index[0]), index[1])

    return jax.vmap(fold)(indices)


class _Programs(NamedTuple):
    """The compiled programs of a game's matches."""

    step: Callable[[State, Array | np.ndarray], tuple[State, Array]]
    """``(states [B], actions [B]) → (states [B], terminal bool [B])``"""
    ply_keys: Callable[[Array, int], Array]
    """``(keys [B], ply) → keys [B]``"""


@lru_cache(maxsize=32)  # compiled programs take memory
def _programs(game: Game) -> _Programs:
    """Compiles the programs of a game's matches."""

    def step(states: State, actions: Array) -> tuple[State, Array]:
        after = jax.vmap(game.step)(states, actions)
        return after, jax.vmap(game.is_terminal)(after)

    return _Programs(jax.jit(step), jax.jit(jax.vmap(jax.random.fold_in, (0, None))))


def _play_batched(
    acts: tuple[Act, Act], game: Game, starts: Sequence[Opening], game_keys: Array
) -> list[Ending]:
    """Plays 2 P games at once: P openings, and the same openings with colors swapped.

    At every ply the first player is to move in one game of a pair, and the second player in the
    other. So there are two batches of P games: in one the first player moves on even plies, in the
    other on odd ones, and no evaluation is wasted.
    """
    step, ply_keys = _programs(game)
    states = openings.positions(game, list(starts))
    count = len(starts)
    black_moves = np.asarray(jax.vmap(game.player)(states)) == 0
    order = np.arange(count)
    # The games in which the first player moves after the opening, and those of the second player.
    rows = [order + np.where(black_moves, 0, count), order + np.where(black_moves, count, 0)]
    halves, row_keys = [states, states], [game_keys[r] for r in rows]
    moves: list[list[np.ndarray]] = [[], []]
    overs = [np.asarray(jax.vmap(game.is_terminal)(states))] * 2
    lengths = np.zeros((2, count), np.int32)
    for ply in range(game.max_plies):
        if all(over.all() for over in overs):
            break
        for half, act in enumerate(acts if ply % 2 == 0 else acts[::-1]):
            keys = ply_keys(row_keys[half], ply)
            actions = jnp.asarray(act(halves[half], keys), jnp.int32)
            halves[half], over = step(halves[half], actions)
            moves[half].append(np.asarray(actions))
            lengths[half] += ~overs[half]
            overs[half] = np.asarray(over)
    endings: dict[int, Ending] = {}
    for half in range(2):
        outcomes = np.asarray(jax.vmap(game.outcome)(halves[half])).astype(int)
        played = np.stack(moves[half], axis=1) if moves[half] else np.zeros((count, 0), int)
        for index, row in enumerate(rows[half]):
            line = tuple(played[index, : lengths[half][index]].tolist())
            endings[int(row)] = Ending(line, int(outcomes[index]), "")
    return [endings[row] for row in range(2 * count)]


class Seat:
    """A player in games that are played one by one; a context manager that owns its engine."""

    def __init__(self, player: Player, game: Game, timeout_s: float) -> None:
        self._player, self._game = player, game
        self._engine = Engine(player.command, timeout_s) if player.command else None

    def begin_game(self) -> None:
        """Prepares for a new game; an engine that has failed is started again.

        Raises:
            EngineFailure: the engine failed.
        """
        if self._engine:
            self._engine.new_game(self._game)

    def observe_move(self, player: int, action: int) -> None:
        """Sends the engine, if there is one, a move that it did not choose itself.

        Raises:
            EngineFailure: the engine failed.
        """
        if self._engine:
            self._engine.play(COLORS[player], action_to_text(self._game, action))

    def choose_move(self, state: State, player: int, key: Array) -> int | None:
        """Returns the move of this seat, which plays as `player`; None: it resigns.

        Raises:
            EngineFailure: the engine failed, or chose an illegal move.
        """
        if self._engine is None:
            assert self._player.act is not None
            batch = jax.tree.map(lambda leaf: leaf[None], state)
            return int(self._player.act(batch, key[None])[0])
        vertex = self._engine.genmove(COLORS[player])
        if vertex == "resign":
            return None
        action = text_to_action(self._game, vertex)
        if not self._game.legal_actions(state)[action]:
            raise EngineFailure(f"played the illegal move {vertex}")
        return action

    def __enter__(self) -> Seat:
        return self

    def __exit__(self, *error: object) -> None:
        if self._engine:
            self._engine.close()


def _play_sequential(seats: Sequence[Seat], game: Game, opening: Opening, key: Array) -> Ending:
    """Plays one game; `seats` are those of players 0 and 1. An engine that fails has lost."""
    step, ply_keys = _programs(game)
    moves: list[int] = []
    state = jax.tree.map(lambda leaf: leaf[0], openings.positions(game, [opening]))
    active, begun = 0, False  # the player whose engine may fail now
    try:
        for active in (0, 1):
            seats[active].begin_game()
            for ply, action in enumerate(opening):
                seats[active].observe_move(ply % 2, action)
        begun = True
        while not game.is_terminal(state):
            mover = active = int(game.player(state))
            action = seats[mover].choose_move(state, mover, ply_keys(key[None], len(moves))[0])
            if action is None:
                return Ending(tuple(moves), _loss(mover), "resigned")
            batch = jax.tree.map(lambda leaf: leaf[None], state)
            after, _ = step(batch, np.array([action], np.int32))
            state = jax.tree.map(lambda leaf: leaf[0], after)
            moves.append(action)
            active = 1 - mover
            seats[active].observe_move(mover, action)
    except EngineFailure as failure:
        if not begun:
            return Ending((), None, f"player {active} could not begin: {failure}")
        return Ending(tuple(moves), _loss(active), f"player {active} forfeited: {failure}")
    return Ending(tuple(moves), int(game.outcome(state)), "")


def _loss(player: int) -> int:
    """Returns the outcome, for player 0, of a game that `player` has lost."""
    return 2 * player - 1
