"""The model of a game's outcome: closed forms, quadrature, derivatives, and games in groups."""

import numpy as np
import pytest

from selfplay.ratings.bradley_terry import Floats, Games, Terms, gather, log_likelihood, terms

BOTH = np.array([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)])  # results of two games


def test_likelihoods_of_one_opening_sum_to_one() -> None:
    side = np.tile([1, -1], (9, 1))
    value = terms(np.full(9, 0.9), side, BOTH, gamma=0.4, delta=-0.3, tau=0.8).value
    assert np.exp(value).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("side", [1, -1])
def test_likelihood_of_one_game_is_davidsons(side: int) -> None:
    outcome = np.array([[1], [0], [-1]])
    value = terms(
        np.full(3, 0.4), np.full((3, 1), side), outcome, gamma=0.3, delta=np.log(0.5), tau=0
    ).value
    x = side * 0.4 + 0.3  # by how much the first player is ahead
    win, loss = np.exp(x / 2), np.exp(-x / 2)
    np.testing.assert_allclose(np.exp(value), np.array([win, 0.5, loss]) / (win + 0.5 + loss))


def test_quadrature_over_openings_agrees_with_a_fine_grid() -> None:
    z = np.linspace(-8, 8, 4001)
    density = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    first = 1 / (1 + np.exp(-(0.75 + 0.25 + 1.2 * z)))  # i moves first and wins
    second = 1 / (1 + np.exp(-(-0.75 + 0.25 + 1.2 * z)))  # j moves first and wins
    exact = np.log(density @ (first * (1 - second)))
    sides, outcome = np.array([[1, -1]]), np.array([[1, -1]])
    value = terms(np.array([0.75]), sides, outcome, gamma=0.25, delta=-40, tau=1.2).value
    assert value[0] == pytest.approx(exact, abs=1e-5)


def test_padding_does_not_change_the_likelihood() -> None:
    ahead, outcome = np.array([0.6]), np.array([[1, 0, 0]])
    padded = terms(ahead, np.array([[1, -1, 0]]), outcome, 0.2, -0.5, 0.7)
    exact = terms(ahead, np.array([[1, -1]]), outcome[:, :2], 0.2, -0.5, 0.7)
    for ours, theirs in zip(padded, exact, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_derivatives_agree_with_finite_differences() -> None:
    """In all four coordinates: d, γ, δ and log τ."""
    rng = np.random.default_rng(0)
    ahead, outcome = rng.normal(size=6), rng.integers(-1, 2, (6, 3))
    side = rng.choice([-1, 1], (6, 3))
    side[3:, 2] = side[5, 1] = 0
    at, e = np.array([0.0, 0.2, -0.3, np.log(0.7)]), 1e-5

    def shifted(by: Floats) -> Terms:
        d, gamma, delta, log_tau = at + by
        return terms(ahead + d, side, outcome, gamma, delta, float(np.exp(log_tau)))

    exact = shifted(np.zeros(4))
    np.testing.assert_allclose(
        exact.value, log_likelihood(ahead, side, outcome, 0.2, -0.3, 0.7), atol=1e-12
    )
    for a, shift in enumerate(e * np.eye(4)):
        up, down = shifted(shift), shifted(-shift)
        score = (up.value - down.value) / (2 * e)
        np.testing.assert_allclose(exact.score[:, a], score, atol=1e-8)
        information = -(up.score - down.score) / (2 * e)
        np.testing.assert_allclose(exact.information[:, a], information, atol=1e-8)


def test_openings_with_equal_results_share_a_row() -> None:
    first, second = np.array([0, 1, 1, 0, 2]), np.array([1, 0, 0, 1, 1])
    rows = gather(Games(first, second, np.array([1, 1, 1, 1, 0]), np.arange(5) // 2))
    assert (rows.i.tolist(), rows.j.tolist()) == ([0, 1], [1, 2])
    assert rows.pairing.tolist() == [0, 1]
    assert rows.count.tolist() == [2, 1]
    assert [sorted(each) for each in rows.side.tolist()] == [[-1, 1], [-1, 0]]
    np.testing.assert_array_equal(rows.by_pairing(np.array([3.0, 5.0])), [6, 5])


def test_openings_of_two_pairings_are_apart_under_one_id() -> None:
    rows = gather(Games(np.array([0, 0]), np.array([1, 2]), np.ones(2, int), np.zeros(2, int)))
    assert rows.side.tolist() == [[1], [1]]
    assert rows.count.tolist() == [1, 1]


def test_order_and_ids_do_not_change_groups() -> None:
    rng = np.random.default_rng(1)
    seats = np.array([(a, b) for a in range(4) for b in range(4) if a != b] * 5)
    outcome, opening = rng.integers(-1, 2, len(seats)), 3 * seats.min(axis=1) % 7
    games = Games(seats[:, 0], seats[:, 1], outcome, opening)
    order = rng.permutation(len(seats))
    shuffled = Games(*(part[order] for part in games))
    rows, again = gather(games), gather(shuffled._replace(opening=50 - 2 * shuffled.opening))
    for name in ("i", "j", "pairing", "side", "outcome", "count"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(again, name))
