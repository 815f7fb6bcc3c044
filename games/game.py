"""The `Game` protocol, and the conventions about signs, masks and terminal states.

A game is a small frozen dataclass that holds the rules and nothing that changes; a state is
a pytree of small arrays that holds one position and nothing else. Every method is a pure
function of its arguments, written for one state and made for `jax.vmap` and `jax.jit`; none
touches a device before it is called.

Conventions, the same for every game:

- Player 0 moves first. A state's `player` is the one to move, also after the last move.
- `outcome` is the result for player 0, whoever moves: +1 a win, -1 a loss, 0 a draw or no end yet.
  The outcome for the player to move is `outcome * (1 - 2 * player)`.
- `legal_actions` is a mask, True = legal. A terminal state has no legal action, and `step` returns
  it unchanged. An illegal action is the caller's error: the resulting state is meaningless, and
  nothing warns.
- A board is an int8 array in which row 0 is the top row as printed: +1 player 0's piece,
  -1 player 1's, 0 empty.

Capabilities that only some games have, such as a komi, are properties with a default in `BaseGame`.
Code outside this package asks for the capability, not for the type of the game.

The status byte at the end of this file stores who moves and how the game ended.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jax import Array

State: TypeAlias = Any
"""One position: a pytree of small arrays. Only its own game reads the fields."""

ArrayLike: TypeAlias = Array | np.ndarray | int
"""An array argument of a method: a device, host or Python value."""


class BaseGame:
    """Defaults of the capabilities that only some games have; a game inherits them."""

    @property
    def komi(self) -> float | None:
        """Points that player 1 has in advance; None if the game is not decided by points."""
        return None

    @property
    def pass_action(self) -> int | None:
        """The action that passes; None if the game has no such action."""
        return None

    @property
    def player_names(self) -> tuple[str, str]:
        """Names of players 0 and 1 in tables and figures."""
        return ("first", "second")


@runtime_checkable
class Game(Protocol):
    """The rules of a two-player, zero-sum game of perfect information.

    Games are hashable and compare by value, so they can be static arguments of `jax.jit`.
    """

    @property
    def name(self) -> str:
        """The name in the registry, such as "connect_four", without options."""
        ...

    @property
    def num_actions(self) -> int:
        """A, the number of actions; an action is an int in [0, A)."""
        ...

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Shape (H, W, C) of an observation: rows and columns of the board, and planes."""
        ...

    @property
    def max_plies(self) -> int:
        """The most moves that any game can have."""
        ...

    @property
    def komi(self) -> float | None:
        """See `BaseGame.komi`."""
        ...

    @property
    def pass_action(self) -> int | None:
        """See `BaseGame.pass_action`."""
        ...

    @property
    def player_names(self) -> tuple[str, str]:
        """See `BaseGame.player_names`."""
        ...

    def init(self) -> State:
        """Returns the starting position."""
        ...

    def step(self, state: State, action: ArrayLike) -> State:
        """Plays a legal action, int [], of the player to move and returns the new position.

        A terminal state is returned unchanged, whatever the action.
        """
        ...

    def legal_actions(self, state: State) -> Array:
        """Returns the mask of legal actions, bool [A], True = legal; all False when terminal."""
        ...

    def observe(self, state: State) -> Array:
        """Returns the position as the player to move sees it, bool [H, W, C]."""
        ...

    def is_terminal(self, state: State) -> Array:
        """Returns bool [], True = the game is over."""
        ...

    def outcome(self, state: State) -> Array:
        """Returns the result for player 0, float32 []: +1, 0 or -1; 0 while the game runs."""
        ...

    def player(self, state: State) -> Array:
        """Returns the player to move, int32 []: 0 or 1, also in a terminal state."""
        ...

    def board(self, state: State) -> Array:
        """Returns the pieces, int8 [H, W]: +1 player 0's, -1 player 1's, 0 empty; row 0 on top."""
        ...

    def from_board(self, board: ArrayLike, player: ArrayLike) -> State:
        """Returns the state with these pieces, int8 [H, W] as in `board`, and `player` to move.

        For a game without history this is exactly the state that `board` and `player` came from.
        """
        ...


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
