"""The board of Go: chains, liberties, captures, repetition and area, without turns and ends.

A board of P = size² points is flat: point = row · size + column, row 0 on top. The attributes of a
chain are stored at every one of its stones, so a move is a handful of dense comparisons over the
board, without scatter operations:

- `chain`: the point of one of its stones plus one, positive for player 0, negative for player 1;
- `liberties`: how many empty points it touches;
- `chain_hash`: the XOR of its stones' Zobrist keys; a capture removes it from the board's hash.

A stone takes one liberty from each adjacent chain of the opponent. The liberties of its own chain,
and of chains that gain some from a capture, are recounted one chain after the other, in a
`while_loop` that runs once if nothing is captured.

Boards are compared by 64-bit Zobrist hashes (Zobrist 1970). On 9×9 a game of 162 plies compares
some 81 · 162² / 2 ≈ 1e6 pairs, so an unequal pair meets in one game of 2^64 / 1e6 ≈ 2e13; on 19×19
in one of 2e11.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache, reduce
from operator import or_
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


class Stones(NamedTuple):
    """The stones of a board with the attributes of their chains; all 0 on an empty point."""

    chain: Array  # int8 or int16 [P]
    liberties: Array  # uint8 [P]
    chain_hash: Array  # uint32 [2, P]
    hash: Array  # uint32 [2], all stones' keys; 0 for the empty board


def empty(size: int) -> Stones:
    """Returns the empty board."""
    points = size * size
    return Stones(
        jnp.zeros(points, jnp.int8 if points < 128 else jnp.int16),
        jnp.zeros(points, jnp.uint8),
        jnp.zeros((2, points), jnp.uint32),
        jnp.zeros(2, jnp.uint32),
    )


def set_up(board: Array, size: int) -> Stones:
    """Sets up the stones of a board, int8 [P]: +1 player 0's, −1 player 1's, 0 empty.

    Every chain must have a liberty.
    """
    points = size * size
    blank = empty(size)

    def spread(state: tuple[Array, Array]) -> tuple[Array, Array]:
        label, _ = state
        near = zip(_around(board, size), _around(label, size), strict=True)
        same = [jnp.where(color == board, other, 0) for color, other in near]
        after = jnp.where(board != 0, reduce(jnp.maximum, same, label), 0)
        return after, jnp.any(after != label)

    label = jnp.where(board != 0, jnp.arange(1, points + 1), 0)
    label, _ = jax.lax.while_loop(lambda state: state[1], spread, (label, jnp.bool_(True)))
    same = (label[:, None] == label[None, :]) & (label != 0)[:, None]  # bool [P, P]
    touches = jax.vmap(lambda plane: _any_neighbor(plane, size))(jnp.eye(points, dtype=bool))
    touched = (same.astype(jnp.float32) @ touches.astype(jnp.float32) > 0) & (board == 0)[None]
    keys = jnp.asarray(_zobrist(size))
    keys = jnp.where(board == 0, 0, jnp.where(board > 0, keys[0], keys[1]))  # uint32 [2, P]
    members = jnp.where(same[None], keys[:, None, :], 0)
    return Stones(
        (label * board).astype(blank.chain.dtype),
        touched.sum(axis=1).astype(jnp.uint8),
        jax.lax.reduce(members, np.uint32(0), jax.lax.bitwise_xor, (2,)),
        jax.lax.reduce(keys, np.uint32(0), jax.lax.bitwise_xor, (1,)),
    )


def place(stones: Stones, point: Array, player: Array, size: int) -> Stones:
    """Puts a stone of `player`, int32 [], on `point`, int32 [], and removes what it captures.

    The move must be one of `playable`.
    """
    chain, liberties, chain_hash, board_hash = stones
    color = _color(player, chain)
    near = jnp.asarray(_near(size))[point]  # int32 [4]; P is off the board
    ids = jnp.pad(chain, (0, 1))[near]
    hashes = jnp.pad(chain_hash, ((0, 0), (0, 1)))[:, near]  # uint32 [2, 4]
    mine, yours = ids * color > 0, ids * color < 0
    taken = yours & (jnp.pad(liberties, (0, 1))[near] == 1)
    captured, joined, touched = (
        _members(chain, jnp.where(chosen, ids, 0)) for chosen in (taken, mine, yours & ~taken)
    )
    joined |= jnp.arange(size * size) == point

    first = jnp.stack(_first_occurrence(ids))
    key = jnp.asarray(_zobrist(size))[player, :, point]  # uint32 [2]
    joined_hash = key ^ _xor(jnp.where((mine & first)[None], hashes, 0).T)
    board_hash = board_hash ^ key ^ _xor(jnp.where((taken & first)[None], hashes, 0).T)
    chain_hash = jnp.where(joined[None], joined_hash[:, None], chain_hash)

    new_id = (color * (point + 1)).astype(chain.dtype)
    chain = jnp.where(captured, 0, jnp.where(joined, new_id, chain))
    liberties = jnp.where(captured, 0, liberties - touched.astype(jnp.uint8))
    my_chain = chain * color
    gains = (my_chain > 0) & _any_neighbor(captured, size)
    return Stones(
        chain,
        _recount(my_chain, liberties, joined | gains, size),
        jnp.where(captured[None], 0, chain_hash),
        board_hash,
    )


def playable(stones: Stones, player: Array, size: int) -> Array:
    """Returns bool [P], True = empty, and a stone of `player`, int32 [], there is no suicide.

    Repetition of an earlier board is not tested here; see `repeats`.
    """
    mine = stones.chain * _color(player, stones.chain)
    in_atari = stones.liberties == 1
    helps = (mine == 0) | jnp.where(mine > 0, ~in_atari, in_atari)
    return (mine == 0) & _any_neighbor(helps, size)


def repeats(stones: Stones, player: Array, history: Array, ply: Array, size: int) -> Array:
    """Returns bool [P], True = a playable move of `player` there makes a board of `history`.

    `history`, uint32 [2, T], begins with `ply`, int [], hashes; the rest is 0, the hash of the
    empty board, which no move makes.
    """
    color = _color(player, stones.chain)
    ids, in_atari = _around(stones.chain, size), _around(stones.liberties == 1, size)
    taken = [
        (near * color < 0) & atari & first
        for near, atari, first in zip(ids, in_atari, _first_occurrence(ids), strict=True)
    ]
    keys = jnp.asarray(_zobrist(size))[player]
    after = []  # the hash's two words, uint32 [P]
    for word in range(2):
        hashes = _around(stones.chain_hash[word], size)
        lost = _xor([jnp.where(t, h, 0) for t, h in zip(taken, hashes, strict=True)])
        after.append(stones.hash[word] ^ keys[word] ^ lost)

    # Unrolled over up to 16 boards, so that a point's minimum stays in a register.
    rows = min(16, history.shape[1])

    def compare(state: tuple[Array, Array]) -> tuple[Array, Array]:
        start, least = state
        seen = jax.lax.dynamic_slice_in_dim(history, start, rows, axis=1)
        for row in range(rows):
            least = jnp.minimum(least, (after[0] ^ seen[0, row]) | (after[1] ^ seen[1, row]))
        return start + rows, least

    unlike = jnp.full(size * size, np.uint32(2**32 - 1))
    start = (jnp.int32(0), unlike)
    _, least = jax.lax.while_loop(lambda state: state[0] < ply, compare, start)
    return least == 0


def areas(chain: Array, needed: Array, size: int) -> Array:
    """Returns each player's area, bool [2, P]: stones, and empty points that reach only these.

    This is Tromp-Taylor scoring. If `needed`, bool [], is False, nobody has an area, which costs
    almost nothing.
    """
    free = chain == 0

    def spread(state: tuple[Array, Array]) -> tuple[Array, Array]:
        reach, _ = state
        after = reach | (jnp.stack([_any_neighbor(plane, size) for plane in reach]) & free[None])
        return after, jnp.any(after != reach)

    reach = jnp.stack([chain > 0, chain < 0]) & needed  # bool [2, P]
    reach, _ = jax.lax.while_loop(lambda state: state[1], spread, (reach, needed))
    return reach & ~reach[::-1]


def _recount(chain: Array, liberties: Array, todo: Array, size: int) -> Array:
    """Counts `liberties` again for every chain that has a stone in `todo`, bool [P].

    The ids `chain` are positive for the player whose stones are in `todo`.
    """

    def count(state: tuple[Array, Array]) -> tuple[Array, Array]:
        todo, liberties = state
        members = chain == jnp.max(jnp.where(todo, chain, 0))
        total = jnp.sum(_any_neighbor(members, size) & (chain == 0), dtype=jnp.uint8)
        return todo & ~members, jnp.where(members, total, liberties)

    return jax.lax.while_loop(lambda state: jnp.any(state[0]), count, (todo, liberties))[1]


def _color(player: Array, chain: Array) -> Array:
    """Returns +1 for player 0 and −1 for player 1, in the dtype of `chain`."""
    return (1 - 2 * player).astype(chain.dtype)


def _members(chain: Array, ids: Array) -> Array:
    """Returns bool [P], True = a stone of one of the chains `ids` [4]; an id of 0 is ignored."""
    return jnp.any((chain[None, :] == ids[:, None]) & (ids != 0)[:, None], axis=0)


def _first_occurrence(ids: Sequence[Array] | Array) -> list[Array]:
    """Returns for each of four ids […] bool […], True = no earlier id is the same."""
    seen = [[ids[j] == ids[i] for j in range(i)] for i in range(4)]
    return [~reduce(or_, same, jnp.zeros_like(ids[0], bool)) for same in seen]


def _xor(words: Sequence[Array] | Array) -> Array:
    """Returns the XOR of four words."""
    return words[0] ^ words[1] ^ words[2] ^ words[3]


def _any_neighbor(plane: Array, size: int) -> Array:
    """Returns bool [P], True = a neighbor of the point is in `plane`, bool [P]."""
    north, south, west, east = _around(plane, size)
    return north | south | west | east


def _around(plane: Array, size: int) -> tuple[Array, Array, Array, Array]:
    """Returns the values of `plane` [P] north, south, west and east of each point; 0 outside."""
    grid = jnp.pad(plane.reshape(size, size), 1)
    views = (grid[:-2, 1:-1], grid[2:, 1:-1], grid[1:-1, :-2], grid[1:-1, 2:])
    north, south, west, east = (view.reshape(-1) for view in views)
    return north, south, west, east


@cache
def _near(size: int) -> np.ndarray:
    """Returns the neighbors of each point, int32 [P, 4]; P stands in for a point off the board."""
    points = np.pad(np.arange(size * size).reshape(size, size), 1, constant_values=size * size)
    views = (points[:-2, 1:-1], points[2:, 1:-1], points[1:-1, :-2], points[1:-1, 2:])
    return np.stack([view.reshape(-1) for view in views], axis=-1).astype(np.int32)


@cache
def _zobrist(size: int) -> np.ndarray:
    """Returns each player's 64-bit keys as two words, uint32 [2, 2, P]; equal on all machines."""
    points = size * size
    text = b"".join(
        hashlib.blake2b(f"{size}:{player}:{point}".encode(), digest_size=8).digest()
        for player in range(2)
        for point in range(points)
    )
    keys = np.frombuffer(text, "<u4").reshape(2, points, 2)
    return np.ascontiguousarray(keys.transpose(0, 2, 1)).astype(np.uint32)
