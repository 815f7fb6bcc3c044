"""Parts of networks over a board: residual branches, with their FLOPs, and global pooling.

A branch maps the trunk [B, H, W, width] to what is added to it. Its last layer starts at zero, so
an untrained network calls every position even; see docs/decisions/0008. None has a parameter whose
shape depends on the size of the board.
"""

from __future__ import annotations

from typing import Final

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike

INNER: Final = 2  # residual pairs of convolutions inside a nested bottleneck
HEAD: Final = 16  # channels of an attention head
EXPANSION: Final = 2  # hidden units of the dense layers behind attention, over the width
LONGEST: Final = 40.0  # cells; the longest wave of the position encoding
POOLS: Final = 3  # numbers for each channel that is pooled over the board
ZERO: Final = nn.initializers.zeros_init()


class NestedBottleneck(nn.Module):
    """Two residual pairs of 3×3 convolutions at half the width, between two 1×1 convolutions.

    KataGo's "nested bottleneck residual nets" (Wu 2022), without its normalization.
    """

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Computes the branch."""
        width = x.shape[-1]
        narrow = max(1, width // 2)
        y = self._conv(narrow, 1, "down")(nn.relu(x))
        for i in range(INNER):
            z = self._conv(narrow, 3, f"inner{i}_layer0")(nn.relu(y))
            y = y + self._conv(narrow, 3, f"inner{i}_layer1", zero=True)(nn.relu(z))
        return self._conv(width, 1, "up", zero=True)(nn.relu(y))

    def _conv(self, features: int, kernel: int, name: str, zero: bool = False) -> nn.Conv:
        init, size = ZERO if zero else nn.initializers.he_normal(), (kernel, kernel)
        return nn.Conv(features, size, dtype=self.dtype, kernel_init=init, name=name)


class Attention(nn.Module):
    """A transformer's block over the cells: attention, then dense layers (Vaswani et al. 2017).

    Queries and keys are rotated by their row and column (Su et al. 2021), so attention depends on
    the distance of two cells. Both parts see the trunk divided by its root mean square.
    """

    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Computes the branch."""
        batch, rows, columns, width = x.shape
        tokens = x.reshape(batch, rows * columns, width)
        attended = self._attend(tokens, rows, columns)
        y = self._dense(EXPANSION * width, "hidden")(self._norm("mlp_norm")(tokens + attended))
        y = attended + self._dense(width, "out", zero=True)(nn.relu(y))
        return y.reshape(x.shape)

    def _attend(self, tokens: Array, rows: int, columns: int) -> Array:
        """Lets every cell read the others, [B, H · W, width]."""
        batch, cells, width = tokens.shape
        heads = max(1, width // HEAD)
        seen = self._norm("attention_norm")(tokens)
        query, key, value = (
            self._dense(heads * HEAD, name)(seen).reshape(batch, cells, heads, HEAD)
            for name in ("query", "key", "value")
        )
        angles = position_angles(rows, columns)
        query, key = rotate(query, angles), rotate(key, angles)
        scores = jnp.einsum("bihc,bjhc->bhij", query, key) / np.sqrt(HEAD)
        weights = jax.nn.softmax(scores.astype(jnp.float32)).astype(self.dtype)
        mixed = jnp.einsum("bhij,bjhc->bihc", weights, value).reshape(batch, cells, heads * HEAD)
        return self._dense(width, "mix", zero=True)(mixed)

    def _dense(self, features: int, name: str, zero: bool = False) -> nn.Dense:
        init = ZERO if zero else nn.initializers.he_normal()
        return nn.Dense(features, dtype=self.dtype, kernel_init=init, name=name)

    def _norm(self, name: str) -> nn.RMSNorm:
        return nn.RMSNorm(dtype=self.dtype, name=name)


def pool(x: Array) -> Array:
    """Pools [B, H, W, C] over the board to [B, 3 C]: mean, mean times the board's size, maximum.

    The size is (b − 14) / 10 for a board of b × b cells (Wu 2019, appendix A.1); for other boards b
    is the root of the number of cells.
    """
    mean = x.mean(axis=(1, 2))
    return jnp.concatenate([mean, mean * _size(x), x.max(axis=(1, 2))], axis=-1)


def pool_for_value(x: Array) -> Array:
    """Pools [B, H, W, C] to [B, 3 C]: the mean, times the board's size, and times its square."""
    mean, size = x.mean(axis=(1, 2)), _size(x)
    return jnp.concatenate([mean, mean * size, mean * (size**2 - 0.1)], axis=-1)


def _size(x: Array) -> float:
    return (float(np.sqrt(x.shape[1] * x.shape[2])) - 14) / 10


def position_angles(rows: int, columns: int) -> np.ndarray:
    """Returns the angles by which pairs of a head's channels are rotated, [H · W, HEAD / 2].

    Half of the pairs turn with the row and half with the column, by waves of 4 cells to `LONGEST`.
    """
    waves = np.geomspace(4.0, LONGEST, HEAD // 4)
    row, column = np.divmod(np.arange(rows * columns), columns)
    places = np.concatenate([row[:, None] / waves, column[:, None] / waves], axis=1)
    return (2 * np.pi * places).astype(np.float32)


def rotate(x: Array, angles: np.ndarray) -> Array:
    """Rotates pairs of channels, [B, cells, heads, HEAD]: channel c with channel c + HEAD / 2."""
    first, second = jnp.split(x, 2, axis=-1)
    cosine, sine = (f(angles)[None, :, None].astype(x.dtype) for f in (np.cos, np.sin))
    return jnp.concatenate([first * cosine - second * sine, first * sine + second * cosine], -1)


def multiply_adds(kind: str, cells: int, width: int) -> int:
    """Counts the multiply-adds of a branch, "conv", "nested" or "attention", for one position.

    In attention, products of two activations count as well.
    """
    if kind == "nested":
        narrow = max(1, width // 2)
        return cells * (2 * width * narrow + INNER * 2 * 9 * narrow * narrow)
    if kind == "attention":
        inside = max(1, width // HEAD) * HEAD
        dense = 4 * width * inside + 2 * EXPANSION * width * width
        return cells * (dense + 2 * cells * inside)
    return cells * 9 * 2 * width * width
