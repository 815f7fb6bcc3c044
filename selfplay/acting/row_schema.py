"""The schema of rows: every field of a position, declared once.

A field is known at the ply (`record`, in the jitted program) or when its game has ended (`finish`,
on the host). From its declaration follow how it is recorded, packed, stored, filled in where a
source of rows lacks it, and transformed by the game's symmetries. The fields in `BASE` are in every
run. A loss term may declare more, which then enter that run's files and digests, and no other's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game, State
from selfplay.search.base import SearchResult

Rows = dict[str, np.ndarray]
"""Positions as arrays that share their leading dimension, by the names of their fields."""

Symmetry: TypeAlias = Literal["none", "cells", "actions", "action"]
"""How a symmetry acts on a field: not at all; as on [H, W] or [H, W, C]; as on a policy [..., A];
or as on the number of an action, −1 for none."""

TYPES = ("bool", "uint8", "int8", "int16", "int32", "float16", "float32")

RESERVED = ("player", "over", "outcome", "lane")
"""Names of columns that unfinished episodes have besides the fields, or that files have."""


class Played(NamedTuple):
    """What is known at one ply of every lane, in the jitted program."""

    state: State  # [B, …], before the move
    ply: Array  # int32[B], moves made before it
    result: SearchResult  # of the search at `state`
    action: Array  # int32[B], the move played
    after: State  # [B, …], after the move


class Episodes(NamedTuple):
    """Finished games, on the host: their positions in order of lane, then of play."""

    rows: Rows  # [N, …]: what was recorded, packed as in rows; also "player", "version", "lane"
    end: np.ndarray  # int64[N], the index of the last position of each position's game
    outcome: np.ndarray  # int8[N], the result of each position's game for player 0

    @property
    def last(self) -> np.ndarray:
        """bool[N], True at the last position of a game."""
        return self.end == np.arange(len(self.end))


@dataclass(frozen=True)
class RowField:
    """A field of rows. Exactly one of `record` and `finish` computes it.

    What `finish` needs of the plies, besides the fields in `BASE`, it declares as `reads`.

    Attributes:
        name: its name in rows and files; an identifier.
        about: what it is, in one line, with its perspective: "for the player to move".
        dtype: one of `TYPES`.
        shape: of one position, as a function of the game.
        symmetry: how a symmetry of the board acts on it.
        packed: stored as bits; only for bool.
        record: ``(game, played) → [B, *shape]``, pure, and made for ``jit``.
        finish: ``(game, episodes) → [N, *shape]``, in NumPy.
        reads: recorded fields that `finish` reads; rows do not have them.
        missing: its value in rows of sources that do not have it, such as expert games.
    """

    name: str
    about: str
    dtype: str
    shape: Callable[[Game], tuple[int, ...]] = lambda game: ()
    symmetry: Symmetry = "none"
    packed: bool = False
    record: Callable[[Game, Played], Array] | None = None
    finish: Callable[[Game, Episodes], np.ndarray] | None = None
    reads: tuple[RowField, ...] = ()
    missing: float = 0

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name in RESERVED:
            raise ValueError(
                f"a row field cannot be called {self.name!r}: use an identifier other than "
                f"{', '.join(RESERVED)}"
            )
        if self.dtype not in TYPES or (self.packed and self.dtype != "bool"):
            kinds = "bool, because it is packed" if self.packed else ", ".join(TYPES)
            raise ValueError(f"row field {self.name}: dtype {self.dtype!r} must be {kinds}")
        if (self.record is None) == (self.finish is None):
            raise ValueError(f"row field {self.name} needs either `record` or `finish`")
        if self.reads and (self.record or not all(field.record for field in self.reads)):
            raise ValueError(f"row field {self.name}: `finish` reads fields that plies record")

    def stored(self, game: Game) -> jax.ShapeDtypeStruct:
        """Returns shape and dtype of one position's array in rows."""
        shape = self.shape(game)
        if self.packed:
            return jax.ShapeDtypeStruct((-(-math.prod(shape) // 8),), np.dtype("uint8"))
        return jax.ShapeDtypeStruct(shape, np.dtype(self.dtype))

    def at_ply(self, game: Game, played: Played) -> Array:
        """Records the field at one ply of every lane, as rows store it."""
        assert self.record
        values = self.record(game, played)
        self._check(values.shape, (played.action.shape[0], *self.shape(game)))
        if self.packed:
            return jnp.packbits(values.reshape(values.shape[0], -1), axis=-1)
        return values.astype(self.dtype)

    def at_end(self, game: Game, episodes: Episodes) -> np.ndarray:
        """Computes the field of finished games, as rows store it."""
        assert self.finish
        values = np.asarray(self.finish(game, episodes))
        self._check(values.shape, (len(episodes.end), *self.shape(game)))
        if self.packed:
            flat = len(values), math.prod(self.shape(game))  # possibly no game ended
            return np.packbits(values.astype(bool).reshape(flat), axis=-1)
        return values.astype(self.dtype)

    def absent(self, game: Game, count: int) -> np.ndarray:
        """Returns the field of `count` rows whose source does not have it."""
        if self.packed:
            shape = (count, math.prod(self.shape(game)))
            return np.packbits(np.full(shape, bool(self.missing)), axis=-1)
        return np.full((count, *self.shape(game)), self.missing, self.dtype)

    def unpack(self, game: Game, stored: Array) -> Array:
        """Returns what a loss reads, [n, *shape]: bool, numbers of actions int32, else float32."""
        if self.packed:
            return unpack(stored, self.shape(game))
        if self.dtype == "bool":
            return stored
        return stored.astype(jnp.int32 if self.symmetry == "action" else jnp.float32)

    def _check(self, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        """Raises ValueError if the computed values do not have the declared shape."""
        if shape != expected:
            raise ValueError(
                f"row field {self.name} has shape {list(shape)} where {list(expected)} was "
                "expected: the number of positions, then its `shape`"
            )


def unpack(bits: Array, shape: tuple[int, ...]) -> Array:
    """Unpacks bits, uint8[N, …] → bool[N, *shape]."""
    size = math.prod(shape)
    return jnp.unpackbits(bits, axis=-1, count=size).reshape(-1, *shape).astype(bool)


def _actions(game: Game) -> tuple[int, ...]:
    return (game.num_actions,)


def _mover_outcome(game: Game, episodes: Episodes) -> np.ndarray:
    return np.where(episodes.rows["player"] == 0, episodes.outcome, -episodes.outcome)


PLANES = RowField(
    "planes",
    "the observation, for the player to move",
    "bool",
    lambda game: game.observation_shape,
    symmetry="cells",
    packed=True,
    record=lambda game, played: jax.vmap(game.observe)(played.state),
)
LEGAL = RowField(
    "legal",
    "True = legal",
    "bool",
    _actions,
    symmetry="actions",
    packed=True,
    record=lambda game, played: jax.vmap(game.legal_actions)(played.state),
)
POLICY = RowField(
    "policy",
    "the search's improved policy",
    "float16",
    _actions,
    symmetry="actions",
    record=lambda game, played: played.result.policy,
)
VALUE = RowField(
    "value",
    "the root's search value for the player to move",
    "float16",
    record=lambda game, played: played.result.value,
)
MOVER_OUTCOME = RowField(
    "mover_outcome", "the game's result for the player to move", "int8", finish=_mover_outcome
)
ACTION = RowField(
    "action",
    "the move played",
    "int16",
    symmetry="action",
    record=lambda game, played: played.action,
)
PLY = RowField(
    "ply", "moves made before this position", "int16", record=lambda game, played: played.ply
)
VERSION = RowField(
    "version",
    "the version that played this ply (an episode may span several)",
    "int32",
    finish=lambda game, episodes: episodes.rows["version"],
)
LAST = RowField(
    "last",
    "True at an episode's last position: their number is the number of games",
    "bool",
    finish=lambda game, episodes: episodes.last,
)

BASE = (PLANES, LEGAL, POLICY, VALUE, MOVER_OUTCOME, ACTION, PLY, VERSION, LAST)
"""The fields of the rows of every run."""


def recorded_fields(extra: Iterable[RowField] = ()) -> tuple[RowField, ...]:
    """Returns the fields that plies record: of `BASE`, of `extra`, and what the latter read."""
    fields = (*BASE, *extra)
    read = dict.fromkeys(part for field in fields for part in field.reads if part not in fields)
    return (*(field for field in fields if field.record), *read)


def row_bytes(game: Game, extra: Iterable[RowField] = ()) -> int:
    """Returns the bytes of one position's row, in memory and (uncompressed) on disk.

    `extra` are the fields that the run's loss terms add to `BASE`.
    """
    stored = [field.stored(game) for field in (*BASE, *extra)]
    return sum(math.prod(array.shape) * array.dtype.itemsize for array in stored)


def finished_fields(game: Game, extra: Iterable[RowField] = ()) -> Rows:
    """Returns zero rows with the fields that are known only when a game has ended."""
    return {field.name: field.absent(game, 0) for field in (*BASE, *extra) if field.finish}
