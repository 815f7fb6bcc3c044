"""Expert games, replayed by our rules: their rows, and the games that break the rules.

Games go side by side in a fixed number of lanes, a fixed number of plies at a time, so games of
every length take one compiled program. They should come sorted by length: a batch lasts as long
as its longest game.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games import go_board
from games.game import Game
from games.go import KOMI_STEPS, Go
from selfplay.acting.episode import Rows
from selfplay.experts import canonical
from selfplay.experts.game_record import ExpertGame, most_plies

PLIES = 16  # of one call
FAULTS = ("", "an illegal move", "repeats a whole board (superko)", "a chain without a liberty")
"""Why a game is no game by our rules."""

FIELDS = {
    "planes": "uint8[N, P], observation, bit-packed",
    "legal": "uint8[N, ceil(A / 8)], True = legal, bit-packed",
    "targets": "uint8[N, ceil(A / 8)], True = one of the expert's moves, bit-packed",
    "value": "float16[N], the result for the player to move; NaN where it is not to be learnt",
    "mover_outcome": "int8[N], the same; 0 where no result is known",
    "action": "int16[N], the move played; −1 where none is known",
    "ply": "int16[N], moves made before this position",
    "last": "bool[N], True at a game's last row",
    "position": "uint64[N], the same for all images of board and player to move",
}


class Replayed(NamedTuple):
    """A batch of games."""

    faults: list[str]  # of each game, empty for one that keeps the rules
    counts: list[int]  # rows of each game
    rows: Rows  # FIELDS, game after game; nothing of games with a fault


class _Ply(NamedTuple):
    """One ply of every lane, before the move; ``[K, B, …]`` after a call."""

    planes: Any  # bool [B, H, W, C] on the device; on the host flat and bit-packed
    legal: Any  # bool [B, A]; on the host bit-packed
    position: Any  # uint32 [B, 2]
    player: Any  # int8 [B]
    fault: Any  # int8 [B], a place in FAULTS


def lanes_of(game: Game) -> int:
    """How many games to replay side by side: a call gives some 4 MB, which a CPU's cache holds.

    More of them wait longer for the longest: 64 instead of 288 replay 19×19 half as fast again.
    """
    bits = math.prod(game.observation_shape) + game.num_actions
    return max(32, min(256, (1 << 22) // (PLIES * bits) // 32 * 32))


def replay(game: Game, games: Sequence[ExpertGame], lanes: int = 0) -> Iterator[Replayed]:
    """The games in batches of `lanes` (0: as many as suit the game), in their order."""
    lanes, plies = lanes or lanes_of(game), PLIES
    if all(len(one.moves) == 1 for one in games):  # positions: as many in a call, side by side
        lanes, plies = lanes * PLIES, 1
    if isinstance(game, Go):  # the records' komi and lengths, whatever those of self-play are
        game = replace(game, komi=0.0, max_plies=most_plies(game.size))
    for at in range(0, len(games), lanes):
        batch = games[at : at + lanes]
        yield _rows(game, batch, *_play(game, batch, lanes, plies))


def _play(
    game: Game, batch: Sequence[ExpertGame], lanes: int, plies: int
) -> tuple[np.ndarray, _Ply]:
    """(bool [B], True = a first position that cannot stand; all plies [T, B, …])."""
    first, set_up, advance = _programs(game)
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
        states, unsound = set_up(boards, players)
    else:
        states, unsound = first(lanes), np.zeros(lanes, bool)
    packed, before = [], None
    for at in range(0, len(moves), plies):
        states, made = advance(states, moves[at : at + plies], komi)
        if before:  # packed while the device goes on
            packed.append(_packed(before))
        before = made
    packed.append(_packed(before))
    return np.asarray(unsound), _Ply(*map(np.concatenate, zip(*packed, strict=True)))


def _packed(made: Any) -> _Ply:
    """A call's plies on the host. (Packing or flattening by XLA takes longer than the rules.)"""
    made = _Ply(*map(np.asarray, made))
    planes = made.planes.reshape(*made.fault.shape, -1)
    return made._replace(
        planes=np.packbits(planes, axis=-1), legal=np.packbits(made.legal, axis=-1)
    )


def _rows(game: Game, batch: Sequence[ExpertGame], unsound: np.ndarray, made: _Ply) -> Replayed:
    """What was replayed, game after game."""
    first = np.argmax(made.fault != 0, axis=0)[None]
    faults = np.take_along_axis(made.fault, first, axis=0)[0]
    faults = np.where(unsound, len(FAULTS) - 1, faults)[: len(batch)]
    moves = np.full((len(batch), len(made.fault)), -1, np.int16)
    wanted = np.zeros(moves.shape, bool)
    for at, played in enumerate(batch):
        length = len(played.moves)
        moves[at, :length] = played.moves
        wanted[at, :length] = True if played.taught is None else played.taught
    wanted &= faults[:, None] == 0
    lane, ply = np.nonzero(wanted)
    counts = wanted.sum(axis=1)
    begin = np.cumsum(counts) - counts  # each game's first row

    results = np.array([played.outcome or 0 for played in batch], np.int8)
    outcome = results[lane] * (1 - 2 * made.player[ply, lane])
    action = moves[lane, ply]
    targets = action[:, None] == np.arange(game.num_actions, dtype=np.int16)
    for at, played in enumerate(batch):
        if played.lessons:
            own = slice(begin[at], begin[at] + counts[at])
            targets[own], outcome[own] = (lesson[ply[own]] for lesson in played.lessons)
    untaught = np.array([bool(played.untaught) for played in batch])
    before = np.array([played.start.ply if played.start else 0 for played in batch])
    words = made.position[ply, lane].astype(np.uint64)
    rows = {
        "planes": made.planes[ply, lane],
        "legal": made.legal[ply, lane],
        "targets": np.packbits(targets, axis=1),
        "value": np.where(untaught[lane], np.float16(np.nan), outcome.astype(np.float16)),
        "mover_outcome": outcome.astype(np.int8),
        "action": action,
        "ply": (ply + before[lane]).astype(np.int16),
        "last": np.diff(lane, append=-1) != 0,
        "position": words[:, 0] << np.uint64(32) | words[:, 1],
    }
    return Replayed([FAULTS[fault] for fault in faults], counts.tolist(), rows)


@cache
def _programs(game: Game) -> Any:
    """(first(lanes), set_up(boards, players), advance(states, moves, komi)), all jitted."""

    def set_up(boards: Array, players: Array) -> tuple[Any, Array]:
        # One after the other: the set-up of one large board takes a megabyte.
        states = jax.lax.map(lambda x: game.from_board(*x), (boards, players.astype(jnp.int32)))
        if not isinstance(game, Go):
            return states, jnp.zeros(len(boards), bool)
        dead = (states.stones.chain != 0) & (states.stones.liberties == 0)
        return states, dead.any(axis=1)

    def one(state: Any, move: Array, komi: Array) -> tuple[Any, _Ply]:
        action = jnp.maximum(move, 0).astype(jnp.int32)
        legal, player = game.legal_actions(state), game.player(state)
        observation, illegal = game.observe(state), jnp.int8(1)
        if isinstance(game, Go):
            steps = np.full(observation.shape, np.nan, np.float32)
            steps[:, :, -len(KOMI_STEPS) :] = KOMI_STEPS
            observation = jnp.where(np.isnan(steps), observation, komi > steps)
            playable = jnp.append(go_board.playable(state.stones, player, game.size), False)
            repeats = playable[action] & ~game.is_terminal(state)
            illegal = jnp.where(repeats, jnp.int8(2), illegal)
        moves = (move >= 0) & legal[action]
        # Where the moves have ended, or one is illegal, the lane goes on with any legal move.
        after = game.step(state, jnp.where(moves, action, jnp.argmax(legal)))
        return after, _Ply(
            observation,
            legal,
            canonical.position(game, game.board(state), player),
            player.astype(jnp.int8),
            jnp.where(moves | (move < 0), jnp.int8(0), illegal),
        )

    def advance(states: Any, moves: Array, komi: Array) -> tuple[Any, _Ply]:
        def ply(states: Any, moves: Array) -> tuple[Any, _Ply]:
            return jax.vmap(one)(states, moves, komi)

        return jax.lax.scan(ply, states, moves)

    def first(lanes: int) -> Any:
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (lanes, *x.shape)), game.init())

    return jax.jit(first, static_argnums=0), jax.jit(set_up), jax.jit(advance)
