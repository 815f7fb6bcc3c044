"""What a game is: the `Game` protocol, and its sign and terminal conventions.

A game is a small frozen dataclass that holds the rules and nothing that changes; a state is
a pytree of small arrays that holds one position and nothing else. Every method is a pure
function of its arguments, written for one game and made for `jax.vmap` and `jax.jit`; none
touches a device before it is called.

Conventions, the same for every game:

- Player 0 moves first. A state's `player` is the one to move, also after the last move.
- `outcome` speaks for player 0, whoever moves: +1 he won, -1 he lost, 0 a draw or no end yet.
  The value for the player to move is `outcome * (1 - 2 * player)`.
- A terminal state has no legal action, and `step` gives it back as it is. An illegal action
  is the caller's error: its result is some state, and nothing warns.
- A board is an int8 array in which row 0 is the top row as printed: +1 player 0's piece,
  -1 player 1's, 0 empty.

The status byte at the end of this file is how the games here store who moves and how it ended.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax import Array

State: TypeAlias = Any
"""One position: a pytree of small arrays. Only its own game looks inside."""

ArrayLike: TypeAlias = Array | np.ndarray | int
"""What a method takes where it expects an array: a device, host or Python value."""


@runtime_checkable
class Game(Protocol):
    """The rules of a two-player, zero-sum game of perfect information.

    Games are hashable and compare by value, so they can be static arguments of `jax.jit`.
    """

    @property
    def name(self) -> str:
        """The registry's name for the rules, such as "connect_four"; options are not in it."""
        ...

    @property
    def num_actions(self) -> int:
        """A, the number of actions; an action is an int in [0, A)."""
        ...

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """(H, W, C): the board's rows and columns, and the planes over it."""
        ...

    @property
    def max_plies(self) -> int:
        """No game lasts longer than this many moves."""
        ...

    def init(self) -> State:
        """The starting position."""
        ...

    def step(self, state: State, action: ArrayLike) -> State:
        """The position after a legal action, int [], of the player to move.

        A terminal state comes back unchanged, whatever the action.
        """
        ...

    def legal_actions(self, state: State) -> Array:
        """bool [A], True = legal; all False in a terminal state."""
        ...

    def observe(self, state: State) -> Array:
        """bool [H, W, C], as the player to move sees the position."""
        ...

    def is_terminal(self, state: State) -> Array:
        """bool [], True = the game is over."""
        ...

    def outcome(self, state: State) -> Array:
        """float32 [], the result for player 0: +1, 0 or -1; 0 while the game runs."""
        ...

    def player(self, state: State) -> Array:
        """int32 [], the player to move, 0 or 1; a terminal state names whose turn it would be."""
        ...

    def board(self, state: State) -> Array:
        """int8 [H, W], the pieces: +1 player 0's, -1 player 1's, 0 empty; row 0 on top."""
        ...

    def from_board(self, board: ArrayLike, player: ArrayLike) -> State:
        """The state with these pieces, int8 [H, W] as `board` gives them, and `player` to move.

        A game without history gets back exactly the state that `board` and `player` came from.
        """
        ...


# The status byte: bit 0 the player to move, bit 1 game over, bits 2 and 3 player 0 / 1 won.


def pack_status(player: Array, won_0: Array, won_1: Array, full: Array) -> Array:
    """uint8 [], from who is to move (0 or 1) and three bool []: who won, and no move is left.

    The game is over if any of the three is True; with neither player's win it is a draw.
    """
    over = won_0 | won_1 | full
    status = jnp.uint8(0)
    for position, bit in enumerate((player, over, won_0, won_1)):
        status = status | (bit.astype(jnp.uint8) << position)
    return status


def status_player(status: Array) -> Array:
    """int32 [], the player to move."""
    return (status & 1).astype(jnp.int32)


def status_is_terminal(status: Array) -> Array:
    """bool [], True = the game is over."""
    return (status & 2) != 0


def status_outcome(status: Array) -> Array:
    """float32 [], the result for player 0: +1, 0 or -1; 0 while the game runs."""
    won_0 = ((status >> 2) & 1).astype(jnp.float32)
    won_1 = ((status >> 3) & 1).astype(jnp.float32)
    return won_0 - won_1
