"""Go by Tromp-Taylor rules without suicide, with positional superko, on 2×2 to 19×19.

- A move that leaves its own chain without a liberty, after captures, is illegal.
- A move that repeats an earlier board, whoever is to move, is illegal. A pass is always legal.
- The game ends after two passes in a row, or after `max_plies` moves. It is scored as it stands: a
  player has one point for every stone, and for every empty point that reaches only stones of that
  player; White has `komi` more.

The rules of a bare board (chains, captures, repetition, area) are in `go_board.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games import go_board
from games.game import (
    ArrayLike,
    Cell,
    Game,
    Notation,
    State,
    Symmetries,
    pack_status,
    status_is_terminal,
    status_outcome,
    status_player,
)
from games.go_board import Stones
from games.notation import numbers
from games.symmetry import SQUARE, cell_symmetries

MIN_SIZE, MAX_SIZE = 2, 19
SMALL_KOMI = {2: 0.5, 3: 8.5, 4: 1.5, 5: 24.5, 6: 3.5, 7: 8.5}
"""Half a point less than perfect play wins by (2×2 to 5×5 and 6×6, 7×7 as professionals hold)."""
KOMI_STEPS = (0.25, 4.0, 6.0, 6.75, 7.25)
"""Thresholds of the komi planes: plane k is on if komi is above step k."""


class GoState(NamedTuple):
    """One position of Go with its history: 2 132 bytes on 9×9."""

    stones: Stones
    history: Array  # uint32 [2, max_plies], the hash before each move; 0 from `ply` on
    legal: Array  # uint8 [ceil(P / 8)], the points that may be played on, bit-packed
    last: Array  # int16 [2], the last action and the one before; −1 for none
    ply: Array  # int16 [], moves made
    status: Array  # uint8 [], the status byte of games/game.py


@dataclass(frozen=True)
class Go(Game):
    """The rules of Go; action = row · size + column, row 0 on top; the last action passes.

    Attributes:
        size: lines of the board, 2 to 19.
        komi: points that White (player 1) has in advance; a whole number makes draws possible.
            Left out: 7.5 from 8×8 up, on smaller boards `SMALL_KOMI`. A compiled program may
            pass a traced array, float32 [], instead; its value is not checked.
        max_plies: moves after which the game ends; 0: 2 · size².

    Raises:
        ValueError: a size, komi or length out of range.
    """

    size: int = 9
    komi: float = math.nan  # pyright: ignore[reportIncompatibleMethodOverride]
    max_plies: int = 0  # pyright: ignore[reportIncompatibleMethodOverride]

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise ValueError(f"go: size={self.size} is out of range; choose {MIN_SIZE}..{MAX_SIZE}")
        points = self.size * self.size
        if not isinstance(self.komi, Array):  # a traced argument has no value to check
            self._check_komi()
        if self.max_plies == 0:
            object.__setattr__(self, "max_plies", 2 * points)
        if not 2 <= self.max_plies <= np.iinfo(np.int16).max:
            raise ValueError(f"go: max_plies={self.max_plies} is out of range; choose 2..32767")

    def _check_komi(self) -> None:
        points = self.size * self.size
        if math.isnan(self.komi):
            object.__setattr__(self, "komi", SMALL_KOMI.get(self.size, 7.5))
        if abs(self.komi) > points or 2 * self.komi != round(2 * self.komi):
            raise ValueError(
                f"go: komi={self.komi} must be a whole or half number within ±{points}"
            )

    @property
    def num_actions(self) -> int:
        """One action per point, and the pass."""
        return self.size * self.size + 1

    @property
    def pass_action(self) -> int:
        """The last action."""
        return self.size * self.size

    @property
    def player_names(self) -> tuple[str, str]:
        """Names of players 0 and 1: Black and White."""
        return ("Black", "White")

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Shape of an observation: (size, size, 19)."""
        return (self.size, self.size, 14 + len(KOMI_STEPS))

    def init(self) -> GoState:
        """Returns the empty board, Black (player 0) to move."""
        return self._start(go_board.empty(self.size), jnp.int32(0))

    def step(self, state: GoState, action: ArrayLike) -> GoState:
        """Plays on a point or passes, int []; a terminal state is returned unchanged."""
        points = self.size * self.size
        action = jnp.asarray(action, jnp.int32)
        player, running = status_player(state.status), ~status_is_terminal(state.status)
        passes = action == points
        placed = go_board.place(state.stones, jnp.minimum(action, points - 1), player, self.size)
        stays = passes | ~running
        stones = jax.tree.map(lambda a, b: jnp.where(stays, a, b), state.stones, placed)
        now = (jnp.arange(self.max_plies) == state.ply) & running
        history = jnp.where(now[None], state.stones.hash[:, None], state.history)

        over = (passes & (state.last[0] == points)) | (state.ply + 1 >= self.max_plies)
        margin = self._margin(stones, over & running)
        legal = self._legal(stones, history, state.ply + 1, 1 - player)
        after = (
            jnp.where(over, jnp.uint8(0), legal),
            jnp.stack([action.astype(jnp.int16), state.last[0]]),
            state.ply + jnp.int16(1),
            pack_status(1 - player, over & (margin > 0), over & (margin < 0), over),
        )
        before = (state.legal, state.last, state.ply, state.status)
        after = jax.tree.map(lambda a, b: jnp.where(running, a, b), after, before)
        return GoState(stones, history, *after)

    def legal_actions(self, state: GoState) -> Array:
        """Returns a mask, bool [size² + 1], True = legal; a pass is legal while the game runs."""
        return jnp.append(self._legal_points(state), ~status_is_terminal(state.status))

    def observe(self, state: GoState) -> Array:
        """Returns the planes, bool [size, size, 19], as the player to move sees them.

        - 0, 1: my stones, your stones;
        - 2, 3, 4: mine in chains of 1, 2, 3 or more liberties; 5, 6, 7: yours;
        - 8, 9: the point of the last move, and of the one before;
        - 10: everywhere, if the last move was a pass: another pass ends the game;
        - 11, 12: empty points forbidden by superko, and as suicide;
        - 13: everywhere, if I am Black (superko, komi and who moves last tell the players apart);
        - 14 to 18: everywhere, if komi is above each of `KOMI_STEPS`.
        """
        size, points = self.size, self.size * self.size
        player = status_player(state.status)
        chain, liberties = state.stones.chain, state.stones.liberties
        mine = jnp.where(player == 0, chain, -chain)
        few = (liberties == 1, liberties == 2, liberties >= 3)
        playable = go_board.playable(state.stones, player, size)
        running = ~status_is_terminal(state.status)

        def point(action: Array) -> Array:
            return jnp.arange(points) == action

        def everywhere(true: ArrayLike | bool) -> Array:
            return jnp.broadcast_to(jnp.asarray(true), (points,))

        planes = [
            mine > 0,
            mine < 0,
            *((mine > 0) & plane for plane in few),
            *((mine < 0) & plane for plane in few),
            point(state.last[0]),
            point(state.last[1]),
            everywhere(state.last[0] == points),
            playable & ~self._legal_points(state) & running,
            (chain == 0) & ~playable & running,
            everywhere(player == 0),
            *(everywhere(self.komi > step) for step in KOMI_STEPS),
        ]
        # One word per point, then its bits: dense writes, while interleaving planes is strided.
        words = reduce(or_, (plane.astype(jnp.uint32) << i for i, plane in enumerate(planes)))
        bits = (words[:, None] >> jnp.arange(len(planes), dtype=jnp.uint32)[None]) & 1  # [P, C]
        return bits.astype(bool).reshape(self.observation_shape)

    def is_terminal(self, state: GoState) -> Array:
        """Returns bool [], True = two passes in a row, or `max_plies` moves."""
        return status_is_terminal(state.status)

    def outcome(self, state: GoState) -> Array:
        """Returns the result for player 0 (Black), float32 []: +1, 0 or −1; 0 while it runs."""
        return status_outcome(state.status)

    def player(self, state: GoState) -> Array:
        """Returns the player to move, int32 []."""
        return status_player(state.status)

    def board(self, state: GoState) -> Array:
        """Returns int8 [size, size]: +1 Black's stones, −1 White's, 0 empty; row 0 on top."""
        return jnp.sign(state.stones.chain).astype(jnp.int8).reshape(self.size, self.size)

    def owners(self, state: GoState) -> Array:
        """Returns each player's area, int8 [size, size]: +1 Black's points, −1 White's."""
        black, white = go_board.areas(state.stones.chain, jnp.bool_(True), self.size)
        return (black.astype(jnp.int8) - white.astype(jnp.int8)).reshape(self.size, self.size)

    def from_board(self, board: ArrayLike, player: ArrayLike) -> GoState:
        """Starts a new game from these stones, int8 [size, size], with `player` to move.

        Its history holds no earlier board, so only this board may not be repeated.

        Raises:
            ValueError: `board` has the wrong shape, or is a NumPy array with a chain that has no
                liberty (the values of device arrays are not checked).
        """
        if jnp.shape(board) != (self.size, self.size):
            raise ValueError(
                f"go: board has shape {jnp.shape(board)}, not {(self.size, self.size)}"
            )
        stones = go_board.set_up(jnp.asarray(board, jnp.int8).reshape(-1), self.size)
        if isinstance(board, np.ndarray):
            dead = np.flatnonzero((np.asarray(stones.liberties) == 0) & (board.reshape(-1) != 0))
            if len(dead):
                row, column = divmod(int(dead[0]), self.size)
                raise ValueError(
                    f"go: the stone in row {row + 1} of column {column + 1} has no liberty"
                )
        return self._start(stones, jnp.asarray(player, jnp.int32))

    def resume(self, state: GoState, player: ArrayLike) -> GoState:
        """Returns the same board with `player` to move, out of turn or after two passes.

        Earlier boards stay forbidden. The last moves are forgotten, so an earlier pass does not
        count towards the end of the game. A state after `max_plies` moves stays terminal.
        """
        player = jnp.asarray(player, jnp.int32)
        no, over = jnp.bool_(False), state.ply >= self.max_plies
        resumed = state._replace(
            legal=self._legal(state.stones, state.history, state.ply, player),
            last=jnp.full(2, -1, jnp.int16),
            status=pack_status(player, no, no, no),
        )
        return jax.tree.map(lambda a, b: jnp.where(over, a, b), state, resumed)

    def score(self, state: GoState) -> Array:
        """Returns Black's area minus White's area and komi, float32 [], as the board stands."""
        return self._margin(state.stones, jnp.bool_(True))

    @property
    def has_history(self) -> bool:
        """True: earlier boards may not be repeated, and two passes end the game."""
        return True

    def symmetries(self) -> Symmetries:
        """Returns 8 symmetries: the rotations and reflections of the board. A pass stays a pass."""
        return cell_symmetries(self.size, self.size, SQUARE, others=1)

    def notation(self) -> Notation:
        """Names points as GTP does, "A1" at the bottom left and no column I; then "pass"."""
        columns = tuple("ABCDEFGHJKLMNOPQRST"[: self.size])
        rows = numbers(self.size)[::-1]
        actions = (*(column + row for row in rows for column in columns), "pass")

        def find_cell(state: State, action: int) -> Cell | None:
            return divmod(action, self.size) if action < self.size**2 else None

        return Notation(actions, columns, rows, find_cell)

    def _start(self, stones: Stones, player: Array) -> GoState:
        """Returns the first state of a game that begins with these stones."""
        history = jnp.zeros((2, self.max_plies), jnp.uint32)
        no = jnp.bool_(False)
        return GoState(
            stones,
            history,
            self._legal(stones, history, jnp.int32(0), player),
            jnp.full(2, -1, jnp.int16),
            jnp.int16(0),
            pack_status(player, no, no, no),
        )

    def _legal(self, stones: Stones, history: Array, ply: Array, player: Array) -> Array:
        """Returns the points where `player` may put a stone, bit-packed uint8 [ceil(P / 8)]."""
        seen = go_board.repeats(stones, player, history, ply, self.size)
        return jnp.packbits(go_board.playable(stones, player, self.size) & ~seen)

    def _legal_points(self, state: GoState) -> Array:
        return jnp.unpackbits(state.legal, count=self.size * self.size).astype(bool)

    def _margin(self, stones: Stones, needed: Array) -> Array:
        """Returns Black's points minus White's, float32 []; meaningless if `needed` is False."""
        areas = go_board.areas(stones.chain, needed, self.size)
        black, white = jnp.sum(areas, axis=1, dtype=jnp.int32)
        return (black - white).astype(jnp.float32) - self.komi


def as_go(game: Game) -> Go | None:
    """Returns the game as Go, for what only Go has (GTP, SGF); None for any other game."""
    return game if isinstance(game, Go) else None
