"""How the coordinates of an opening's likelihood follow from the parameters of all ratings.

A row of :class:`~selfplay.ratings.bradley_terry.Openings` has M + 2 coordinates of its own: the
leads of its games, δ and log τ. They are linear in p = P + 3 parameters, θ, γ, δ and log τ, of
which a row knows few: its players' and the last three. It is kept as a small matrix over these, so
that sums over rows take as long as there are rows, however many players there are.
"""

from typing import NamedTuple

import numpy as np

from selfplay.ratings.bradley_terry import Floats, Ints, Openings


class Design(NamedTuple):
    """R rows over K of p parameters each, K − 3 the most players that a row has."""

    parameter: Ints  # [R, K]: whose a column is; columns that a row does not need hold zeros
    values: Floats  # [R, M + 2, K]
    size: int  # p

    @classmethod
    def of(cls, openings: Openings, players: int) -> "Design":
        """Of all rows."""
        rows, games = openings.first.shape
        absent = openings.first[:, :1]
        seats = np.concatenate(
            [np.where(openings.there, s, absent) for s in (openings.first, openings.second)], axis=1
        )
        order = np.argsort(seats, axis=1, kind="stable")
        ordered = np.take_along_axis(seats, order, axis=1)
        rank = np.zeros_like(ordered)
        rank[:, 1:] = np.cumsum(ordered[:, 1:] != ordered[:, :-1], axis=1)
        column = np.empty_like(rank)
        np.put_along_axis(column, order, rank, axis=1)
        most = int(rank.max(initial=0)) + 1
        parameter = np.zeros((rows, most + 3), np.int64)
        np.put_along_axis(parameter, rank, ordered, axis=1)
        parameter[:, most:] = players + np.arange(3)
        values = np.zeros((rows, games + 2, most + 3))
        row, game = np.nonzero(openings.there)
        values[row, game, column[row, game]] = 1
        values[row, game, column[row, games + game]] = -1
        values[row, game, most] = 1
        values[:, games, most + 1] = values[:, games + 1, most + 2] = 1
        return cls(parameter, values, players + 3)

    def dense(self, rows: Ints) -> Floats:
        """float[r, M + 2, p]: some rows over all parameters."""
        made = np.zeros((len(rows), self.values.shape[1], self.size))
        for k in range(self.parameter.shape[1]):
            made[np.arange(len(rows)), :, self.parameter[rows, k]] += self.values[rows, :, k]
        return made

    def sum(self, scores: Floats) -> Floats:
        """float[p]: the sum of what scores float[R, M + 2] are in the parameters."""
        own = np.einsum("ra,rak->rk", scores, self.values)
        return np.bincount(self.parameter.ravel(), own.ravel(), self.size).astype(float)

    def gram(self, information: Floats) -> Floats:
        """float[p, p]: the same of matrices float[R, M + 2, M + 2]."""
        own = np.swapaxes(self.values, 1, 2) @ information @ self.values
        at = self.parameter[:, :, None] * self.size + self.parameter[:, None, :]
        total = np.bincount(at.ravel(), own.ravel(), self.size**2).astype(float)
        return total.reshape(self.size, self.size)

    def within(self, matrix: Floats) -> Floats:
        """float[R, M + 2, M + 2]: what a matrix float[p, p] is in each row's coordinates."""
        own = matrix[self.parameter[:, :, None], self.parameter[:, None, :]]
        return self.values @ own @ np.swapaxes(self.values, 1, 2)
