"""Symmetry-invariant keys of games and of positions.

The key of a game decides whether the game is a duplicate and on which side of the split it falls,
so that no mirror image of a training game is held out. The key of a position shows whether a
held-out position also occurs in a training game.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from games.game import Game
from selfplay.experts.game_record import ExpertGame

OPENING = 4  # moves of a game that a key stores


class Key(NamedTuple):
    """The key of a game, equal for all its symmetric images.

    Attributes:
        digest: 32 bytes, SHA-256 of start and moves in the canonical orientation.
        opening: the first moves in that orientation, at most `OPENING`.
    """

    digest: bytes
    opening: tuple[int, ...]

    @property
    def split_hash(self) -> int:
        """A uniform 64-bit hash that decides between training and held out."""
        return int.from_bytes(self.digest[:8], "big")

    @property
    def sample_hash(self) -> int:
        """A uniform 64-bit hash, independent of `split_hash`, that decides who is in a sample."""
        return int.from_bytes(self.digest[8:16], "big")


def key(game: Game, played: ExpertGame) -> Key:
    """Returns the key of a game: SHA-256 over the smallest of its images' bytes.

    An image is the first position, unless it is the game's own, and the moves. Passes at the end
    are ignored, because of two records of one game only one may have them.
    """
    moves = played.moves
    if game.pass_action is not None:
        placed = np.flatnonzero(moves != game.pass_action)
        moves = moves[: placed[-1] + 1 if len(placed) else 0]
    cells, actions = _images(game)
    images = actions[:, moves]  # [S, T]
    start = played.start
    if start is None:
        head, boards = b"", [b""] * len(images)
    else:
        head = b"%d" % start.player
        boards = [board.tobytes() for board in start.board.reshape(-1)[cells]]
    texts = [board + image.tobytes() for board, image in zip(boards, images, strict=True)]
    best = min(range(len(texts)), key=texts.__getitem__)
    name = f"{game.name} {game.observation_shape[:2]} ".encode()
    digest = hashlib.sha256(name + head + b":" + texts[best]).digest()
    opening = (int(move) for move in images[best, :OPENING])
    return Key(digest, tuple(move for move in opening if move < game.num_actions))


@cache
def _images(game: Game) -> tuple[np.ndarray, np.ndarray]:
    """Returns the game's symmetries as tables.

    Returns:
        int32 [S, H·W], the cell from which each cell of an image comes, and big-endian uint16
        [S, A + 1], the image of each action; −1, "no move", stays the last.
    """
    group = game.symmetries()
    no_move = np.full((len(group), 1), 2**16 - 1)
    actions = np.concatenate([np.argsort(group.actions, axis=1), no_move], axis=1)
    return group.cells, actions.astype(">u2")


def position(game: Game, board: Array, player: Array) -> Array:
    """Returns the key of a position, uint32 [2]: the smallest of its images' Zobrist hashes.

    With 64 bits, two of 10 million different positions share a key with probability 3e-6.

    Args:
        game: the game.
        board: int8 [H, W], as `game.board` gives it.
        player: int32 [], the player to move.
    """
    keys = jnp.asarray(_zobrist(game))  # [3, 2, S, H·W]
    flat = board.reshape(1, 1, -1)
    parts = jnp.where(flat > 0, keys[0], jnp.where(flat < 0, keys[1], 0))
    high, low = jax.lax.reduce(parts, np.uint32(0), jax.lax.bitwise_xor, (2,))  # [S] each
    least = high.min()
    lowest = jnp.where(high == least, low, np.uint32(2**32 - 1)).min()
    return jnp.stack([least, lowest]) ^ jnp.where(player == 1, keys[2, :, 0, 0], np.uint32(0))


@cache
def _zobrist(game: Game) -> np.ndarray:
    """Returns the Zobrist keys, uint32 [3, 2, S, H·W]: by kind, word, symmetry and cell.

    Kinds 0 and 1 are the players' pieces, kind 2 is the player to move. An image is made by moving
    the keys instead of the pieces. That gives the inverse image, but symmetries form a group.
    """
    cells = game.symmetries().cells
    count = cells.shape[1]
    stream = hashlib.shake_256(b"positions of expert games").digest(3 * 2 * count * 4)
    words = np.frombuffer(stream, "<u4").astype(np.uint32).reshape(3, 2, count)
    return words[:, :, cells]
