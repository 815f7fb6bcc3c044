"""One name for all that is the same but for a symmetry: of games, and of positions.

A game's key decides whether it is a duplicate, and on which side of the split it falls, so that
no mirror image of a training game is held out. A position's key tells whether a held-out position
stands in a training game, too.
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
from games.go import Go
from games.symmetry import symmetries
from selfplay.experts.game_record import ExpertGame


class Key(NamedTuple):
    """A game's name. `split` and `order` are independent and evenly spread over 64 bits."""

    digest: bytes  # 32 bytes, of start and moves in the canonical orientation
    opening: tuple[int, ...]  # its first moves in that orientation, at most OPENING

    @property
    def split(self) -> int:
        """Decides between training and held out."""
        return int.from_bytes(self.digest[:8], "big")

    @property
    def order(self) -> int:
        """Decides which games are in a sample."""
        return int.from_bytes(self.digest[8:16], "big")


OPENING = 4


def key(game: Game, played: ExpertGame) -> Key:
    """The key of a game: SHA-256 over the smallest of its images' bytes.

    An image is the first position, if it is not the game's own, and the moves. Passes at the end
    do not count: of two records of one game, one may have them.
    """
    moves = played.moves
    if isinstance(game, Go):
        placed = np.flatnonzero(moves != game.num_actions - 1)
        moves = moves[: placed[-1] + 1 if len(placed) else 0]
    cells, turned = _images(game)
    images = turned[:, moves]  # [S, T]
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
    """(int32 [S, H·W], where each image's cells come from; big-endian uint16 [S, A + 1], what
    each action becomes, where −1 (no move) stays the last)."""
    group = symmetries(game)
    none = np.full((len(group), 1), 2**16 - 1)
    turned = np.concatenate([np.argsort(group.actions, axis=1), none], axis=1)
    return group.cells, turned.astype(">u2")


def position(game: Game, board: Array, player: Array) -> Array:
    """uint32 [2], the key of a position: a board, int8 [H, W], and the player to move, int32 [].

    The least of its images' Zobrist hashes; 64 bits, so of 10 million positions two differ and
    share a key with probability 3e-6.
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
    """uint32 [3, 2, S, H·W]: for each stone, word and symmetry, the key of a cell's image.

    The third is for the player to move. Images are made by moving the keys, not the stones; that is
    the inverse image, and they are a group.
    """
    cells = symmetries(game).cells
    count = cells.shape[1]
    stream = hashlib.shake_256(b"positions of expert games").digest(3 * 2 * count * 4)
    words = np.frombuffer(stream, "<u4").astype(np.uint32).reshape(3, 2, count)
    return words[:, :, cells]
