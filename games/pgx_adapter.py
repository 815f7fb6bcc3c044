"""pgx's board games as a `Game`: `games.make("pgx:othello")`.

Supports the games for two players who alternate, with perfect information and without chance. It
maps what pgx does differently:

- pgx draws the player who begins at random; here player 0 always begins.
- After its end a game of pgx allows every action, and forgets its rewards after one more; here a
  terminal state allows no action and stays unchanged. A game has ended if pgx calls it terminated
  or truncated; a truncated game without rewards is a draw. A forced pass is an action like any
  other.
- Observations are bool: a plane with a number (moves made, moves without progress) becomes three
  planes: above a quarter, a half, three quarters of its range.

pgx is an extra (`extras.install("pgx")` returns the command that installs it). It is imported when
a game is first played, because its import occupies a device.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games import extras
from games.game import ArrayLike, Game, Notation, State
from games.notation import cell_notation, hex_edges
from games.spelling import did_you_mean

STEPS = (0.25, 0.5, 0.75)
"""Thresholds that turn a numeric plane, in [0, 1], into bool planes."""

View = Callable[[Array], Array]
"""A rearrangement of the board [H, W]."""


def _upright(board: Array) -> Array:
    return board


def _flipped(board: Array) -> Array:
    return board[::-1]


def _turned(board: Array) -> Array:
    return board[::-1, ::-1]


@dataclass(frozen=True)
class _Facts:
    """The facts about one pgx game that are needed before pgx is imported."""

    actions: int
    shape: tuple[int, int, int]  # of pgx's observation
    max_plies: int
    pieces: int = 1  # kinds of piece: planes of the mover's, then as many of the opponent's
    view: View = _upright  # player 1's view of the board
    counts: tuple[int, ...] = ()  # planes with numbers in [0, 1]
    cells: bool = False  # actions are cells; one more action, if any, is called `extra`
    extra: str = "pass"


GAMES: Mapping[str, _Facts] = MappingProxyType(
    {
        "animal_shogi": _Facts(132, (4, 3, 194), 256, 5, _turned, (193,)),
        "chess": _Facts(4672, (8, 8, 119), 512, 6, _flipped, (113, 118)),
        "connect_four": _Facts(7, (6, 7, 2), 42),
        "gardner_chess": _Facts(1225, (5, 5, 115), 256, 6, _flipped, (113, 114)),
        "go_19x19": _Facts(362, (19, 19, 17), 722, cells=True),
        "go_9x9": _Facts(82, (9, 9, 17), 162, cells=True),
        "hex": _Facts(122, (11, 11, 4), 122, cells=True, extra="swap"),
        # Passes are forced; two in a row end the game.
        "othello": _Facts(65, (8, 8, 2), 122, cells=True),
        "shogi": _Facts(2187, (9, 9, 119), 512, 14, _turned),
        "tic_tac_toe": _Facts(9, (3, 3, 2), 9, cells=True),
    }
)
"""The supported games of pgx; the others have one or many players, hidden cards or dice."""


@dataclass(frozen=True)
class PgxGame(Game):
    """A game of pgx, with pgx's actions and planes of the observation.

    Attributes:
        env: pgx's name of the game, one of `GAMES`.

    Raises:
        ValueError: an unsupported game, or pgx is not installed.
    """

    env: str

    def __post_init__(self) -> None:
        if self.env not in GAMES:
            hint = did_you_mean(self.env, GAMES, "pgx:{}".format)
            raise ValueError(
                f"pgx has no game {self.env!r} for two players who alternate, see everything and "
                f"throw no dice{hint}; choose from {', '.join(GAMES)}"
            )
        if find_spec("pgx") is None:
            raise ValueError(
                f'game "pgx:{self.env}" needs pgx, which is not installed; install it: '
                f"{extras.install('pgx')}"
            )

    @property
    def name(self) -> str:
        """The name in the registry, such as "pgx:othello"."""
        return f"pgx:{self.env}"

    @property
    def num_actions(self) -> int:
        """The number of pgx's actions."""
        return self.facts.actions

    @property
    def observation_shape(self) -> tuple[int, int, int]:
        """Shape of pgx's observation; a numeric plane becomes three."""
        height, width, planes = self.facts.shape
        return (height, width, planes + (len(STEPS) - 1) * len(self.facts.counts))

    @property
    def max_plies(self) -> int:
        """The most moves that pgx, or the board, allows."""
        return self.facts.max_plies

    @property
    def facts(self) -> _Facts:
        """The facts about the game that need no import of pgx."""
        return GAMES[self.env]

    def init(self) -> State:
        """Returns pgx's first state without its observation, player 0 to move."""
        with jax.ensure_compile_time_eval(), _pgx(self.env) as env:
            for seed in range(64):
                state = env.init(jax.random.key(seed))
                if int(state.current_player) == 0:
                    return _bare(state)
        raise RuntimeError(f"{self.name}: player 0 never begins")

    def step(self, state: State, action: ArrayLike) -> State:
        """Plays a legal action, int []; a terminal state is returned unchanged."""
        with _pgx(self.env) as env:
            after = _bare(env.step(state, jnp.asarray(action, jnp.int32)))
        over = self.is_terminal(state)
        return jax.tree.map(lambda a, b: jnp.where(over, a, b), state, after)

    def legal_actions(self, state: State) -> Array:
        """Returns the mask of legal actions, bool [A], True = legal; all False when terminal."""
        return state.legal_action_mask & ~self.is_terminal(state)

    def observe(self, state: State) -> Array:
        """Returns pgx's planes in their order, bool [H, W, C]; numeric ones are cut at `STEPS`."""
        with _pgx(self.env) as env:
            planes = env.observe(state)
        if planes.dtype == jnp.bool_:
            return planes
        counts = self.facts.counts
        return jnp.concatenate(
            [
                jnp.stack([planes[..., i] > step for step in STEPS], axis=-1)
                if i in counts
                else planes[..., i : i + 1] != 0
                for i in range(planes.shape[-1])
            ],
            axis=-1,
        )

    def is_terminal(self, state: State) -> Array:
        """Returns bool [], True = pgx calls the game terminated or truncated."""
        return jnp.logical_or(state.terminated, state.truncated)

    def outcome(self, state: State) -> Array:
        """Returns player 0's reward, float32 []; 0 while the game runs."""
        return jnp.where(self.is_terminal(state), state.rewards[0], 0.0)

    def player(self, state: State) -> Array:
        """Returns the player to move, int32 []."""
        return state.current_player

    def board(self, state: State) -> Array:
        """Returns int8 [H, W]: +1 player 0's pieces of any kind, −1 player 1's; player 0's view."""
        kinds, player = self.facts.pieces, self.player(state)
        with _pgx(self.env) as env:
            planes = env.observe(state)
        mine = jnp.any(planes[..., :kinds] != 0, axis=-1).astype(jnp.int8)
        yours = jnp.any(planes[..., kinds : 2 * kinds] != 0, axis=-1).astype(jnp.int8)
        return jnp.where(player == 0, mine - yours, self.facts.view(yours - mine))

    def view(self, state: State, grid: Array) -> Array:
        """Turns a grid [H, W] to player 1's view if that player is to move."""
        return jnp.where(self.player(state) == 0, grid, self.facts.view(grid))

    @property
    def has_history(self) -> bool:
        """True: pgx's states hold more than the pieces."""
        return True

    def notation(self) -> Notation:
        """Names cells, and "pass" or "swap", if pgx's actions are cells; else numbers."""
        height, width, _ = self.observation_shape
        if not self.facts.cells:
            return super().notation()
        others = (self.facts.extra,) * (self.num_actions - height * width)
        names = cell_notation(height, width, others)
        if self.env == "hex":  # its swap moves the stone, and the players keep their edges
            return replace(names, edges=lambda state: hex_edges(red="X"))
        return names


@contextmanager
def _pgx(env: str) -> Iterator[Any]:
    """Opens pgx's environment; pgx needs implicit rank promotion, which we forbid elsewhere."""
    with jax.numpy_rank_promotion("allow"):
        yield _environment(env)


@cache
def _environment(env: str) -> Any:
    with jax.ensure_compile_time_eval():
        return importlib.import_module("pgx").make(env)


def _bare(state: Any) -> State:
    """Removes the observation from a state; `observe` computes it again when it is needed."""
    state = state.replace(observation=np.zeros((0,), np.bool_))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), state)
