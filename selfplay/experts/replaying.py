"""Replay of expert games by our rules: the rows of legal games, and the faults of the others.

Games are replayed side by side in a fixed number of lanes, a fixed number of plies at a time, so
games of every length share one compiled program. Sort them by length: a batch takes as long as its
longest game.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games import go_board
from games.game import Game, State
from games.go import KOMI_STEPS, as_go
from selfplay.acting.episode import Rows
from selfplay.experts import canonical
from selfplay.experts.game_record import ExpertGame, Rejected, max_record_plies

PLIES = 16  # of one call

ILLEGAL_MOVE = Rejected("an illegal move")
SUPERKO = Rejected("repeats a whole board (superko)")
NO_LIBERTY = Rejected("a chain without a liberty")
FAULTS = (None, ILLEGAL_MOVE, SUPERKO, NO_LIBERTY)
"""The rule that a game breaks, by the code that the compiled program returns; None for no fault."""

FIELDS = {
    "planes": "uint8[N, P], observation, bit-packed",
    "legal": "uint8[N, ceil(A / 8)], True = legal, bit-packed",
    "targets": "uint8[N, ceil(A / 8)], True = one of the expert's moves, bit-packed",
    "value": "float16[N], the result for the player to move; NaN where it is not to be learned",
    "mover_outcome": "int8[N], the same; 0 where no result is known",
    "action": "int16[N], the move played; −1 where none is known",
    "ply": "int16[N], moves made before this position",
    "last": "bool[N], True at a game's last row",
    "position": "uint64[N], the same for all images of board and player to move",
}
"""The fields of an archive's rows."""

States: TypeAlias = State
"""One state for each lane: a pytree of arrays [B, …]."""


class Replayed(NamedTuple):
    """A batch of games, replayed.

    Attributes:
        faults: of each game, the rule that it breaks; None for a legal game.
        counts: number of rows of each game; 0 if it has a fault.
        rows: `FIELDS`, game after game.
    """

    faults: list[Rejected | None]
    counts: list[int]
    rows: Rows


class _DevicePlies(NamedTuple):
    """Positions before a move, as the compiled program returns them: [K, B, …] for K plies."""

    planes: Array  # bool [B, H, W, C]
    legal: Array  # bool [B, A]
    position: Array  # uint32 [B, 2]
    player: Array  # int8 [B]
    fault: Array  # int8 [B], an index of FAULTS


class _Plies(NamedTuple):
    """The same on the host, bit-packed."""

    planes: np.ndarray  # uint8 [T, B, P]
    legal: np.ndarray  # uint8 [T, B, ceil(A / 8)]
    position: np.ndarray  # uint32 [T, B, 2]
    player: np.ndarray  # int8 [T, B]
    fault: np.ndarray  # int8 [T, B]


class _Programs(NamedTuple):
    """The compiled functions of one game's rules."""

    init: Callable[[int], States]  # (lanes) → the game's first position in every lane
    set_up: Callable[[np.ndarray, np.ndarray], tuple[States, Array]]
    """(boards [B, H, W], players [B]) → states, and bool [B], True = the board cannot arise."""
    advance: Callable[[States, np.ndarray, np.ndarray], tuple[States, _DevicePlies]]
    """(states, moves int16 [K, B], komi float32 [B]) → states K plies later, and the plies."""


def lanes_of(game: Game) -> int:
    """Returns how many games to replay side by side: a call yields 4 MB, which fit a CPU's cache.

    More lanes waste more time on the longest game: 19×19 takes two thirds of the time with 64 lanes
    instead of 288.
    """
    bits = math.prod(game.observation_shape) + game.num_actions
    return max(32, min(256, (1 << 22) // (PLIES * bits) // 32 * 32))


def replay(game: Game, games: Sequence[ExpertGame], lanes: int = 0) -> Iterator[Replayed]:
    """Replays games in batches, in their order.

    Args:
        game: the rules; in Go, komi and the limit on plies are those of the records instead.
        games: the games.
        lanes: games in a batch; 0 chooses a number that suits the game.
    """
    lanes, plies = lanes or lanes_of(game), PLIES
    if all(len(played.moves) == 1 for played in games):  # positions: side by side in one call
        lanes, plies = lanes * PLIES, 1
    go = as_go(game)
    if go:
        game = replace(go, komi=0.0, max_plies=max_record_plies(go.size))
    for at in range(0, len(games), lanes):
        batch = games[at : at + lanes]
        yield _rows(game, batch, *_play(game, batch, lanes, plies))


def _play(
    game: Game, batch: Sequence[ExpertGame], lanes: int, plies: int
) -> tuple[np.ndarray, _Plies]:
    """Plays a batch; returns bool [B], True = an impossible first position, and all plies."""
    programs = _programs(game)
    longest = max(len(played.moves) for played in batch)
    moves = np.full((-(-longest // plies) * plies, lanes), -1, np.int16)
    komi = np.zeros(lanes, np.float32)
    height, width, _ = game.observation_shape
    boards = np.zeros((lanes, height, width), np.int8)
    players = np.zeros(lanes, np.int8)
    for lane, played in enumerate(batch):
        moves[: len(played.moves), lane] = played.moves
        komi[lane] = played.komi
        if played.start:
            boards[lane], players[lane] = played.start.board, played.start.player
    if any(played.start for played in batch):
        states, impossible = programs.set_up(boards, players)
    else:
        states, impossible = programs.init(lanes), np.zeros(lanes, bool)
    packed: list[_Plies] = []
    previous: _DevicePlies | None = None
    for at in range(0, len(moves), plies):
        states, output = programs.advance(states, moves[at : at + plies], komi)
        if previous:  # packed while the device computes the next plies
            packed.append(_pack(previous))
        previous = output
    assert previous
    packed.append(_pack(previous))
    return np.asarray(impossible), _Plies(*map(np.concatenate, zip(*packed, strict=True)))


def _pack(output: _DevicePlies) -> _Plies:
    """Copies plies to the host and packs their bits. (XLA would take longer than the rules do.)"""
    plies = _Plies(*map(np.asarray, output))
    planes = plies.planes.reshape(*plies.fault.shape, -1)
    return plies._replace(
        planes=np.packbits(planes, axis=-1), legal=np.packbits(plies.legal, axis=-1)
    )


def _rows(
    game: Game, batch: Sequence[ExpertGame], impossible: np.ndarray, plies: _Plies
) -> Replayed:
    """Gathers the rows of a batch, game after game."""
    first = np.argmax(plies.fault != 0, axis=0)[None]
    faults = np.take_along_axis(plies.fault, first, axis=0)[0]
    faults = np.where(impossible, FAULTS.index(NO_LIBERTY), faults)[: len(batch)]
    moves = np.full((len(batch), len(plies.fault)), -1, np.int16)
    is_row = np.zeros(moves.shape, bool)
    for at, played in enumerate(batch):
        length = len(played.moves)
        moves[at, :length] = played.moves
        is_row[at, :length] = True if played.is_target is None else played.is_target
    is_row &= faults[:, None] == 0
    lane, ply = np.nonzero(is_row)
    counts = is_row.sum(axis=1)
    begin = np.cumsum(counts) - counts  # each game's first row

    outcomes = np.array([played.outcome or 0 for played in batch], np.int8)
    mover_outcome = outcomes[lane] * (1 - 2 * plies.player[ply, lane])
    action = moves[lane, ply]
    targets = action[:, None] == np.arange(game.num_actions, dtype=np.int16)
    for at, played in enumerate(batch):
        if played.targets:
            rows_of_game = slice(begin[at], begin[at] + counts[at])
            targets[rows_of_game] = played.targets.moves[ply[rows_of_game]]
            mover_outcome[rows_of_game] = played.targets.outcomes[ply[rows_of_game]]
    has_no_value = np.array([bool(played.no_value_reason) for played in batch])
    plies_before = np.array([played.start.ply if played.start else 0 for played in batch])
    words = plies.position[ply, lane].astype(np.uint64)
    rows = {
        "planes": plies.planes[ply, lane],
        "legal": plies.legal[ply, lane],
        "targets": np.packbits(targets, axis=1),
        "value": np.where(has_no_value[lane], np.float16(np.nan), mover_outcome.astype(np.float16)),
        "mover_outcome": mover_outcome.astype(np.int8),
        "action": action,
        "ply": (ply + plies_before[lane]).astype(np.int16),
        "last": np.diff(lane, append=-1) != 0,
        "position": words[:, 0] << np.uint64(32) | words[:, 1],
    }
    return Replayed([FAULTS[fault] for fault in faults], counts.tolist(), rows)


@cache
def _programs(game: Game) -> _Programs:
    """Compiles the rules.

    Only Go needs more than `Game` has: each record has its own komi, a repetition differs
    from other illegal moves, and stones that were set up may have no liberty.
    """
    go = as_go(game)

    def set_up(boards: Array, players: Array) -> tuple[States, Array]:
        # One after the other: setting up one large board takes a megabyte.
        states = jax.lax.map(lambda x: game.from_board(*x), (boards, players.astype(jnp.int32)))
        if go is None:
            return states, jnp.zeros(len(boards), bool)
        dead = (states.stones.chain != 0) & (states.stones.liberties == 0)
        return states, dead.any(axis=1)

    def one_ply(state: State, move: Array, komi: Array) -> tuple[State, _DevicePlies]:
        action = jnp.maximum(move, 0).astype(jnp.int32)
        legal, player = game.legal_actions(state), game.player(state)
        observation, illegal = game.observe(state), jnp.int8(1)
        if go is not None:
            steps = np.full(observation.shape, np.nan, np.float32)
            steps[:, :, -len(KOMI_STEPS) :] = KOMI_STEPS
            observation = jnp.where(np.isnan(steps), observation, komi > steps)
            playable = jnp.append(go_board.playable(state.stones, player, go.size), False)
            repeats = playable[action] & ~game.is_terminal(state)
            illegal = jnp.where(repeats, jnp.int8(2), illegal)
        moves = (move >= 0) & legal[action]
        # After the last move, or an illegal one, the lane plays any legal move; nobody reads it.
        after = game.step(state, jnp.where(moves, action, jnp.argmax(legal)))
        return after, _DevicePlies(
            observation,
            legal,
            canonical.position(game, game.board(state), player),
            player.astype(jnp.int8),
            jnp.where(moves | (move < 0), jnp.int8(0), illegal),
        )

    def advance(states: States, moves: Array, komi: Array) -> tuple[States, _DevicePlies]:
        def ply(states: States, moves: Array) -> tuple[States, _DevicePlies]:
            return jax.vmap(one_ply)(states, moves, komi)

        return jax.lax.scan(ply, states, moves)

    def init(lanes: int) -> States:
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (lanes, *x.shape)), game.init())

    return _Programs(jax.jit(init, static_argnums=0), jax.jit(set_up), jax.jit(advance))
