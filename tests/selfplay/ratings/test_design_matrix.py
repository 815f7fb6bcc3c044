"""The design matrix, which stores few columns, against one over all parameters."""

import numpy as np
import pytest

from selfplay.ratings.bradley_terry import Floats, Games, Openings, gather
from selfplay.ratings.design_matrix import Design


def dense_matrix(openings: Openings, players: int) -> Floats:
    """Builds the matrices float[R, M + 2, P + 3] entry by entry."""
    rows, games = openings.first.shape
    design = np.zeros((rows, games + 2, players + 3))
    for r in range(rows):
        for m in range(games):
            if openings.mask[r, m]:
                design[r, m, openings.first[r, m]] = 1
                design[r, m, openings.second[r, m]] = -1
                design[r, m, players] = 1
        design[r, games, players + 1] = design[r, games + 1, players + 2] = 1
    return design


@pytest.mark.parametrize(("players", "games", "openings"), [(2, 9, 4), (5, 60, 3), (12, 80, 40)])
def test_design_agrees_with_the_dense_matrix(players: int, games: int, openings: int) -> None:
    rng = np.random.default_rng(players)
    first = rng.integers(0, players, games)
    second = (first + rng.integers(1, players, games)) % players
    outcome, opening = rng.integers(-1, 2, games), rng.integers(0, openings, games)
    rows = gather(Games(first, second, outcome, opening))
    whole, design = dense_matrix(rows, players), Design.of(rows, players)
    assert design.values.shape[-1] <= players + 3
    np.testing.assert_array_equal(design.dense(np.arange(len(whole))), whole)
    np.testing.assert_array_equal(design.dense(np.array([2, 0])), whole[[2, 0]])
    score = rng.normal(size=whole.shape[:2])
    np.testing.assert_allclose(design.sum(score), np.einsum("ra,rap->p", score, whole))
    information = rng.normal(size=(*whole.shape[:2], whole.shape[1]))
    gram = np.einsum("rap,rab,rbq->pq", whole, information, whole)
    np.testing.assert_allclose(design.gram(information), gram, atol=1e-12)
    matrix = rng.normal(size=(players + 3, players + 3))
    within = np.einsum("rap,pq,rbq->rab", whole, matrix, whole)
    np.testing.assert_allclose(design.within(matrix), within, atol=1e-12)


def test_design_without_games_sums_to_zero() -> None:
    empty = Design.of(gather(Games(*np.zeros((4, 0), int))), 3)
    assert not empty.sum(np.zeros((0, 3))).any() and not empty.gram(np.zeros((0, 3, 3))).any()
