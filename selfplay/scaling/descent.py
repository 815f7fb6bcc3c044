"""Nonlinear least squares inside bounds, of one curve to many sets of ratings at once."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from selfplay.scaling.estimate import Floats
from selfplay.scaling.rated_versions import Ints

STEPS = 60  # at most
CLOSE = 1e-10  # relative improvement of the sum of squares that ends the descent

Evaluate: TypeAlias = Callable[[Floats], tuple[Floats, Floats]]
"""Parameters float[R, K] → Elo float[R, N] and its derivatives float[R, N, K]."""


def descend(
    evaluate: Evaluate, elo: Floats, weights: Floats, beta: Floats, low: Floats, high: Floats
) -> Floats:
    """Takes the steps of Levenberg and Marquardt from given starts.

    Args:
        evaluate: the curve.
        elo: float[R, N].
        weights: float[R, N] of the squares; 0 leaves a version out.
        beta: float[R, K], the starts, inside the bounds.
        low: float[K], the least values of the parameters.
        high: float[K], the largest ones.

    Returns:
        Parameters float[R, K], none of them farther from the ratings than their starts.
    """
    damping = np.full(len(elo), 1e-3)
    mean, jacobian = evaluate(beta)
    squares = (weights * np.square(elo - mean)).sum(axis=1)
    for _ in range(STEPS):
        gradient = np.einsum("rnk,rn->rk", jacobian, weights * (elo - mean))
        # a parameter at a bound that would leave it stays there
        stuck = ((beta <= low) & (gradient < 0)) | ((beta >= high) & (gradient > 0))
        free = np.where(stuck, 0.0, 1.0)
        weighted = np.swapaxes(jacobian * weights[..., None], -1, -2)
        normal = weighted @ jacobian * free[:, :, None] * free[:, None]
        size = np.einsum("rkk->rk", normal)
        scale = np.sqrt(np.where(size > 0, size, 1.0))
        scaled = normal / scale[:, :, None] / scale[:, None]
        scaled = scaled + np.eye(len(low)) * (damping[:, None] + (size <= 0))[:, :, None]
        step = np.linalg.solve(scaled, (gradient * free / scale)[..., None])[..., 0] / scale
        trial = np.clip(beta + step, low, high)
        new_mean, new_jacobian = evaluate(trial)
        new_squares = (weights * np.square(elo - new_mean)).sum(axis=1)
        better = new_squares <= squares
        finished = better & (squares - new_squares <= CLOSE * squares)
        beta = np.where(better[:, None], trial, beta)
        mean = np.where(better[:, None], new_mean, mean)
        jacobian = np.where(better[:, None, None], new_jacobian, jacobian)
        squares = np.where(better, new_squares, squares)
        damping = np.where(better, damping / 5, damping * 4).clip(1e-12, 1e12)
        if (finished | (damping >= 1e12)).all():
            break
    return beta


def best_start(elo: Floats, weights: Floats, shares: Floats) -> tuple[Ints, Floats, Floats]:
    """Fits floor + height · share for each of S shapes, and finds the closest that rises.

    Args:
        elo: float[R, N].
        weights: float[R, N], of the squares.
        shares: float[S, N], the part of the rise that is done at each version.

    Returns:
        The best shape int[R], its floor float[R] and its height float[R], 0 if none rises.
    """
    total = weights.sum(axis=1, keepdims=True)
    mean = weights @ shares.T / total  # [R, S]
    size = weights @ np.square(shares).T - total * mean**2
    average = (weights * elo).sum(axis=1, keepdims=True) / total
    product = (weights * elo) @ shares.T - total * mean * average
    usable = size > 1e-9 * total
    height = np.where(usable, np.maximum(product, 0) / np.where(usable, size, 1.0), 0.0)
    best = np.argmax(height**2 * size, axis=1)
    rows = np.arange(len(elo))
    return best, average[:, 0] - height[rows, best] * mean[rows, best], height[rows, best]
