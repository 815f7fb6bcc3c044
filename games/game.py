"""`Game`, the base class of all games, and the conventions about signs, masks and terminal states.

A game is a small frozen dataclass that inherits `Game` and holds the rules and nothing that
changes; a state is a pytree of small arrays that holds one position and nothing else. Every method
is a pure function of its arguments, written for one state and made for `jax.vmap` and `jax.jit`;
none touches a device before it is called.

Conventions, the same for every game:

- Player 0 moves first. A state's `player` is the one to move, also after the last move. Players
  alternate; where the rules force a pass, it is an action.
- `outcome` is the result for player 0, whoever moves: +1 a win, -1 a loss, 0 a draw or no end yet.
  The outcome for the player to move is `outcome * (1 - 2 * player)`.
- `legal_actions` is a mask, True = legal. A terminal state has no legal action, and `step` returns
  it unchanged. An illegal action is the caller's error: the resulting state is meaningless, and
  nothing warns.
- A board is an int8 array in which row 0 is the top row as printed: +1 player 0's piece,
  -1 player 1's, 0 empty.

A game defines the abstract members of `Game`. The others have defaults: capabilities that only some
games have, such as a komi. Code outside this package asks for the capability, not for the type of
the game. `selfplay.testing.game_contract.check_game` tests that a game keeps all of this.

The status byte at the end of this file stores who moves and how the game ended.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import Array

State: TypeAlias = Any
"""One position: a pytree of small arrays. Only its own game reads the fields."""

ArrayLike: TypeAlias = Array | np.ndarray | int
"""An array argument of a method: a device, host or Python value."""

Cell: TypeAlias = tuple[int, int]
"""A place on the board: (row, column), row 0 on top."""


@dataclass(frozen=True, eq=False)
class Symmetries:
    """The S symmetries of a game as permutations, on the host; symmetry 0 is the identity.

    `games.symmetry` says how they act, and helps to make them.
    """

    cells: np.ndarray  # int32 [S, H * W], where each transformed cell comes from
    actions: np.ndarray  # int32 [S, A], where each transformed action's probability comes from

    def __len__(self) -> int:
        """Returns the number of symmetries S."""
        return len(self.cells)


def _same_action(state: State, action: int) -> int:
    return action


@dataclass(frozen=True)
class Notation:
    """The text notation of a game: names of its actions, and labels of its board.

    `games.notation` prints and reads it, and helps to make it.
    """

    actions: tuple[str, ...]  # A names, compared without regard to case
    columns: tuple[str, ...]  # W labels above the board
    rows: tuple[str, ...]  # H labels left of the board, or () for none
    find_cell: Callable[[State, int], Cell | None]
    """Returns the cell of the last action, given the state after it; None for a pass or swap."""
    edges: Callable[[State], str] | None = None
    """Hex: returns the line that names each player's edges; the board is drawn as a rhombus."""
    to_mover_view: Callable[[State, int], int] = _same_action
    """Maps an action of the player to move to its index in `actions`, and back (an involution).

    Hex: the view of the player who joins left and right is transposed.
    """


class Game(ABC):
    """The rules of a two-player, zero-sum game of perfect information.

    Games are hashable and compare by value, so they can be static arguments of `jax.jit`. A field
    of the dataclass may take the place of a property here; it needs a default.
    """

    version: ClassVar[int] = 1
    """The version of the rules. Raise it with every change of a state, a legal move, an outcome or
    an observation: runs record it, because their results hold only for these rules."""

    @property
    @abstractmethod
    def num_actions(self) -> int:
        """A, the number of actions; an action is an int in [0, A)."""

    @property
    @abstractmethod
    def observation_shape(self) -> tuple[int, int, int]:
        """Shape (H, W, C) of an observation: rows and columns of the board, and planes."""

    @property
    @abstractmethod
    def max_plies(self) -> int:
        """The most moves that any game can have."""

    @abstractmethod
    def init(self) -> State:
        """Returns the starting position."""

    @abstractmethod
    def step(self, state: State, action: ArrayLike) -> State:
        """Plays a legal action, int [], of the player to move and returns the new position.

        A terminal state is returned unchanged, whatever the action.
        """

    @abstractmethod
    def legal_actions(self, state: State) -> Array:
        """Returns the mask of legal actions, bool [A], True = legal; all False when terminal."""

    @abstractmethod
    def observe(self, state: State) -> Array:
        """Returns the position as the player to move sees it, bool [H, W, C].

        Planes 0 and 1 are the mover's and the opponent's pieces, unless the game defines `board`.
        """

    @abstractmethod
    def is_terminal(self, state: State) -> Array:
        """Returns bool [], True = the game is over."""

    @abstractmethod
    def outcome(self, state: State) -> Array:
        """Returns the result for player 0, float32 []: +1, 0 or -1; 0 while the game runs."""

    @abstractmethod
    def player(self, state: State) -> Array:
        """Returns the player to move, int32 []: 0 or 1, also in a terminal state."""

    @property
    def name(self) -> str:
        """The name without options: the class's, as in "connect_four" for ConnectFour."""
        words = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
        return re.sub(words, "_", type(self).__name__).lower()

    @property
    def player_names(self) -> tuple[str, str]:
        """Names of players 0 and 1 in tables and figures."""
        return ("first", "second")

    @property
    def pass_action(self) -> int | None:
        """The action that passes; None if the game has no such action."""
        return None

    @property
    def komi(self) -> float | None:
        """Points that player 1 has in advance; None if the game is not decided by points."""
        return None

    def score(self, state: State) -> Array | None:
        """Returns player 0's points minus player 1's and komi, float32 [], as the board stands.

        None if the game is not decided by points. The sign at the end is the outcome.
        """
        return None

    def board(self, state: State) -> Array:
        """Returns the pieces, int8 [H, W]: +1 player 0's, -1 player 1's, 0 empty; row 0 on top.

        By default planes 0 and 1 of the observation, the mover's pieces and the opponent's. If
        `observe` turns the board for a player, the game defines `board` as well.
        """
        planes = self.observe(state)[..., :2].astype(jnp.int8)
        difference = planes[..., 0] - planes[..., 1]
        return jnp.where(self.player(state) == 0, difference, -difference)

    def owners(self, state: State) -> Array:
        """Returns who holds each cell, int8 [H, W]: +1 player 0, -1 player 1, 0 nobody.

        By default the pieces. In Go also the empty points that only one player's stones reach.
        """
        return self.board(state)

    def view(self, state: State, grid: Array) -> Array:
        """Arranges one value per cell of the board, [H, W], as `observe` shows the cells.

        By default unchanged. A game whose `observe` turns the board for a player defines it.
        """
        return grid

    def from_board(self, board: ArrayLike, player: ArrayLike) -> State:
        """Returns the state with these pieces, int8 [H, W] as in `board`, and `player` to move.

        Without history (`has_history`) it is exactly the state that both came from.

        Raises:
            ValueError: `board` has the wrong shape, or no game of this kind can start from a board.
        """
        raise ValueError(f"{self.name} cannot start from a board; play the moves")

    @property
    def can_start_from_board(self) -> bool:
        """True = the game defines `from_board`."""
        return type(self).from_board is not Game.from_board

    @property
    def has_history(self) -> bool:
        """True = a state holds more than the board and the player to move, such as a ko.

        Then `from_board` begins a new history.
        """
        return False

    @property
    def is_positional(self) -> bool:
        """True = the game is a positional game, in the sense of combinatorial game theory.

        The players take turns in claiming any empty cell, beginning with an empty board. The first
        whose own stones contain a winning set of cells wins; the game is a draw if the board is
        full. Positional games of few cells are solved exhaustively, which needs `from_board`.
        """
        return False

    def symmetries(self) -> Symmetries:
        """Returns permutations of board and policy that the rules do not notice, on the host.

        By default the identity only.
        """
        height, width, _ = self.observation_shape
        return Symmetries(
            np.arange(height * width, dtype=np.int32)[None],
            np.arange(self.num_actions, dtype=np.int32)[None],
        )

    def notation(self) -> Notation:
        """Returns the names of actions and the labels of the board.

        By default numbers from 1. No last move is marked, because an action need not be a cell.
        """
        height, width, _ = self.observation_shape
        actions, columns, rows = (
            tuple(str(number) for number in range(1, count + 1))
            for count in (self.num_actions, width, height)
        )
        return Notation(actions, columns, rows, lambda state, action: None)


# The status byte: bit 0 the player to move, bit 1 game over, bits 2 and 3 player 0 / 1 won.


def pack_status(player: Array, won_0: Array, won_1: Array, full: Array) -> Array:
    """Packs a status byte, uint8 [].

    The game is over if any of the three flags is True; it is a draw if neither player won.

    Args:
        player: int [], the player to move, 0 or 1.
        won_0: bool [], True = player 0 won.
        won_1: bool [], True = player 1 won.
        full: bool [], True = no move is left.
    """
    over = won_0 | won_1 | full
    status = jnp.uint8(0)
    for position, bit in enumerate((player, over, won_0, won_1)):
        status = status | (bit.astype(jnp.uint8) << position)
    return status


def status_player(status: Array) -> Array:
    """Returns the player to move, int32 []."""
    return (status & 1).astype(jnp.int32)


def status_is_terminal(status: Array) -> Array:
    """Returns bool [], True = the game is over."""
    return (status & 2) != 0


def status_outcome(status: Array) -> Array:
    """Returns the result for player 0, float32 []: +1, 0 or -1; 0 while the game runs."""
    won_0 = ((status >> 2) & 1).astype(jnp.float32)
    won_1 = ((status >> 3) & 1).astype(jnp.float32)
    return won_0 - won_1
