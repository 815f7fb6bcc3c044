"""The design matrix: coordinates of an opening's likelihood as linear functions of the parameters.

A row of :class:`~selfplay.ratings.bradley_terry.Openings` has M + 2 coordinates: the leads of its
games, δ and log τ. They are linear in the p = P + 3 parameters θ, γ, δ and log τ, but a row depends
only on its own players' θ and on the last three. Its matrix is stored over these few parameters, so
the time of a sum over rows is proportional to the number of rows, not to the number of players.
"""

from typing import NamedTuple

import numpy as np

from selfplay.ratings.bradley_terry import Floats, Ints, Openings


class Design(NamedTuple):
    """The matrices of R rows, each over K of p parameters; a row has at most K − 3 players."""

    parameter: Ints  # [R, K]: the parameter of each column; columns not needed hold zeros
    values: Floats  # [R, M + 2, K]
    size: int  # p

    @classmethod
    def of(cls, openings: Openings, players: int) -> "Design":
        """Builds the matrices of all rows."""
        rows, games = openings.first.shape
        filler = openings.first[:, :1]
        seats = np.concatenate(
            [np.where(openings.mask, s, filler) for s in (openings.first, openings.second)], axis=1
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
        row, game = np.nonzero(openings.mask)
        values[row, game, column[row, game]] = 1
        values[row, game, column[row, games + game]] = -1
        values[row, game, most] = 1
        values[:, games, most + 1] = values[:, games + 1, most + 2] = 1
        return cls(parameter, values, players + 3)

    def dense(self, rows: Ints) -> Floats:
        """Returns the matrices of r `rows` over all parameters, float[r, M + 2, p]."""
        matrices = np.zeros((len(rows), self.values.shape[1], self.size))
        for k in range(self.parameter.shape[1]):
            matrices[np.arange(len(rows)), :, self.parameter[rows, k]] += self.values[rows, :, k]
        return matrices

    def sum(self, scores: Floats) -> Floats:
        """Maps scores float[R, M + 2] to the parameters and sums over rows, float[p]."""
        by_row = np.einsum("ra,rak->rk", scores, self.values)
        return np.bincount(self.parameter.ravel(), by_row.ravel(), self.size).astype(float)

    def gram(self, information: Floats) -> Floats:
        """Maps matrices float[R, M + 2, M + 2] to parameters and sums over rows, float[p, p]."""
        by_row = np.swapaxes(self.values, 1, 2) @ information @ self.values
        entries = self.parameter[:, :, None] * self.size + self.parameter[:, None, :]
        total = np.bincount(entries.ravel(), by_row.ravel(), self.size**2).astype(float)
        return total.reshape(self.size, self.size)

    def within(self, matrix: Floats) -> Floats:
        """Maps a matrix float[p, p] to each row's coordinates, float[R, M + 2, M + 2]."""
        blocks = matrix[self.parameter[:, :, None], self.parameter[:, None, :]]
        return self.values @ blocks @ np.swapaxes(self.values, 1, 2)
