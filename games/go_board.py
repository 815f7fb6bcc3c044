"""Go on a bare board: chains, liberties, captures, repetition and area. No turns, no end.

A board of P = size² points is flat: point = row · size + column, row 0 on top. What there is to
know of a chain is stored at every one of its stones, so a move is a handful of dense comparisons
over the board, and nothing is scattered:

- `chain`: the point of one of its stones plus one, positive for player 0, negative for player 1;
- `liberties`: how many empty points it touches;
- `chain_hash`: the XOR of its stones' Zobrist keys, which a capture takes out of the board's hash.

A stone costs each chain of the opponent beside it one liberty. The chain that it joins, and those
that win liberties back from a capture, are counted anew, one after the other: a `while_loop` that
runs once if nothing is captured.

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
    """A board with what is known of its chains; everything is 0 on an empty point."""

    chain: Array  # int8 or int16 [P]
    liberties: Array  # uint8 [P]
    chain_hash: Array  # uint32 [2, P]
    hash: Array  # uint32 [2], all stones' keys; 0 for the empty board


def empty(size: int) -> Stones:
    """The empty board."""
    points = size * size
    return Stones(
        jnp.zeros(points, jnp.int8 if points < 128 else jnp.int16),
        jnp.zeros(points, jnp.uint8),
        jnp.zeros((2, points), jnp.uint32),
        jnp.zeros(2, jnp.uint32),
    )


def set_up(board: Array, size: int) -> Stones:
    """The stones of a board, int8 [P]: +1 player 0's, −1 player 1's, 0 empty.

    Every chain must have a liberty.
    """
    points = size * size
    blank = empty(size)

    def spread(state: tuple[Array, Array]) -> tuple[Array, Array]:
        label, _ = state
        near = zip(_around(board, size), _around(label, size), strict=True)
        same = [jnp.where(colour == board, other, 0) for colour, other in near]
        after = jnp.where(board != 0, reduce(jnp.maximum, same, label), 0)
        return after, jnp.any(after != label)

    label = jnp.where(board != 0, jnp.arange(1, points + 1), 0)
    label, _ = jax.lax.while_loop(lambda state: state[1], spread, (label, jnp.bool_(True)))
    same = (label[:, None] == label[None, :]) & (label != 0)[:, None]  # bool [P, P]
    touches = jax.vmap(lambda plane: _beside(plane, size))(jnp.eye(points, dtype=bool))
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
    """The board after a stone of `player`, int32 [], on `point`, int32 [], with its captures.

    The move must be one of `playable`.
    """
    chain, liberties, chain_hash, board_hash = stones
    colour = _colour(player, chain)
    near = jnp.asarray(_near(size))[point]  # int32 [4]; P is off the board
    ids = jnp.pad(chain, (0, 1))[near]
    hashes = jnp.pad(chain_hash, ((0, 0), (0, 1)))[:, near]  # uint32 [2, 4]
    mine, yours = ids * colour > 0, ids * colour < 0
    taken = yours & (jnp.pad(liberties, (0, 1))[near] == 1)
    captured, joined, touched = (
        _members(chain, jnp.where(chosen, ids, 0)) for chosen in (taken, mine, yours & ~taken)
    )
    joined |= jnp.arange(size * size) == point

    first = jnp.stack(_first(ids))
    key = jnp.asarray(_zobrist(size))[player, :, point]  # uint32 [2]
    joined_hash = key ^ _xor(jnp.where((mine & first)[None], hashes, 0).T)
    board_hash = board_hash ^ key ^ _xor(jnp.where((taken & first)[None], hashes, 0).T)
    chain_hash = jnp.where(joined[None], joined_hash[:, None], chain_hash)

    own_id = (colour * (point + 1)).astype(chain.dtype)
    chain = jnp.where(captured, 0, jnp.where(joined, own_id, chain))
    liberties = jnp.where(captured, 0, liberties - touched.astype(jnp.uint8))
    own = chain * colour
    gains = (own > 0) & _beside(captured, size)
    return Stones(
        chain,
        _recount(own, liberties, joined | gains, size),
        jnp.where(captured[None], 0, chain_hash),
        board_hash,
    )


def playable(stones: Stones, player: Array, size: int) -> Array:
    """bool [P], True = empty, and a stone of `player`, int32 [], there lives or captures.

    Whether the board has been seen before is not asked here.
    """
    mine = stones.chain * _colour(player, stones.chain)
    in_atari = stones.liberties == 1
    helps = (mine == 0) | jnp.where(mine > 0, ~in_atari, in_atari)
    return (mine == 0) & _beside(helps, size)


def repeats(stones: Stones, player: Array, history: Array, ply: Array, size: int) -> Array:
    """bool [P], True = a playable move of `player` there makes a board of `history`.

    `history`, uint32 [2, T], holds `ply`, int [], hashes; the rest is 0, the empty board, which no
    move makes.
    """
    colour = _colour(player, stones.chain)
    ids, in_atari = _around(stones.chain, size), _around(stones.liberties == 1, size)
    taken = [
        (near * colour < 0) & atari & first
        for near, atari, first in zip(ids, in_atari, _first(ids), strict=True)
    ]
    keys = jnp.asarray(_zobrist(size))[player]
    after = []  # the hash's two words, uint32 [P]
    for word in range(2):
        hashes = _around(stones.chain_hash[word], size)
        lost = _xor([jnp.where(t, h, 0) for t, h in zip(taken, hashes, strict=True)])
        after.append(stones.hash[word] ^ keys[word] ^ lost)

    # Written out a dozen boards at a time, so that a point's minimum stays in a register.
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


def area(chain: Array, asked: Array, size: int) -> Array:
    """int32 [2], each player's stones and the empty points that reach only his (Tromp-Taylor).

    Zero, and next to nothing to compute, where `asked`, bool [], is False.
    """
    free = chain == 0

    def spread(state: tuple[Array, Array]) -> tuple[Array, Array]:
        reach, _ = state
        after = reach | (jnp.stack([_beside(plane, size) for plane in reach]) & free[None])
        return after, jnp.any(after != reach)

    reach = jnp.stack([chain > 0, chain < 0]) & asked  # bool [2, P]
    reach, _ = jax.lax.while_loop(lambda state: state[1], spread, (reach, asked))
    return jnp.sum(reach & ~reach[::-1], axis=1, dtype=jnp.int32)


def _recount(own: Array, liberties: Array, todo: Array, size: int) -> Array:
    """`liberties` with every chain that has a stone in `todo`, bool [P], counted anew.

    `own` is the chains' ids, positive for the player whose stones are in `todo`.
    """

    def count(state: tuple[Array, Array]) -> tuple[Array, Array]:
        todo, liberties = state
        members = own == jnp.max(jnp.where(todo, own, 0))
        found = jnp.sum(_beside(members, size) & (own == 0), dtype=jnp.uint8)
        return todo & ~members, jnp.where(members, found, liberties)

    return jax.lax.while_loop(lambda state: jnp.any(state[0]), count, (todo, liberties))[1]


def _colour(player: Array, chain: Array) -> Array:
    """+1 for player 0 and −1 for player 1, in the dtype of `chain`."""
    return (1 - 2 * player).astype(chain.dtype)


def _members(chain: Array, ids: Array) -> Array:
    """bool [P], True = a stone of one of the chains `ids` [4]; 0 is none."""
    return jnp.any((chain[None, :] == ids[:, None]) & (ids != 0)[:, None], axis=0)


def _first(ids: Sequence[Array] | Array) -> list[Array]:
    """Four of bool […], True = no id […] before it is the same."""
    seen = [[ids[j] == ids[i] for j in range(i)] for i in range(4)]
    return [~reduce(or_, same, jnp.zeros_like(ids[0], bool)) for same in seen]


def _xor(words: Sequence[Array] | Array) -> Array:
    """The XOR of four."""
    return words[0] ^ words[1] ^ words[2] ^ words[3]


def _beside(plane: Array, size: int) -> Array:
    """bool [P], True = a neighbour is in `plane`, bool [P]."""
    above, below, left, right = _around(plane, size)
    return above | below | left | right


def _around(plane: Array, size: int) -> tuple[Array, Array, Array, Array]:
    """What `plane` [P] holds above, below, left and right of each point, four [P]; 0 outside."""
    grid = jnp.pad(plane.reshape(size, size), 1)
    views = (grid[:-2, 1:-1], grid[2:, 1:-1], grid[1:-1, :-2], grid[1:-1, 2:])
    above, below, left, right = (view.reshape(-1) for view in views)
    return above, below, left, right


@cache
def _near(size: int) -> np.ndarray:
    """int32 [P, 4], the neighbours of each point; P where there is none."""
    points = np.pad(np.arange(size * size).reshape(size, size), 1, constant_values=size * size)
    views = (points[:-2, 1:-1], points[2:, 1:-1], points[1:-1, :-2], points[1:-1, 2:])
    return np.stack([view.reshape(-1) for view in views], axis=-1).astype(np.int32)


@cache
def _zobrist(size: int) -> np.ndarray:
    """uint32 [2, 2, P]: each player's 64-bit keys, as two words; the same on every machine."""
    points = size * size
    text = b"".join(
        hashlib.blake2b(f"{size}:{player}:{point}".encode(), digest_size=8).digest()
        for player in range(2)
        for point in range(points)
    )
    keys = np.frombuffer(text, "<u4").reshape(2, points, 2)
    return np.ascontiguousarray(keys.transpose(0, 2, 1)).astype(np.uint32)
