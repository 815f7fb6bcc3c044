"""Ratings: closed forms, derivatives, invariances, and intervals against simulated truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.ratings.bradley_terry import NATS_PER_ELO, gather, terms
from selfplay.ratings.elo import PRIOR, Games, fit, maximize, sandwich
from tests.simulation.calibration import LADDERS, against_evalica, share, simulate
from tests.simulation.ladders import SCENARIOS, Field, Ladder, cycle
from tests.simulation.planted import BAND

NONE = Games(*np.zeros((4, 0), int))


def games(*rows: tuple[int, int, int], paired: bool = False) -> Games:
    """Returns games (first, second, outcome), each of its own opening or in pairs of one."""
    ids = np.arange(len(rows)) // (2 if paired else 1)
    first, second, outcome = np.array(rows).T
    return Games(first, second, outcome, ids)


def decided(wins: int, losses: int) -> Games:
    """Returns games of player 0 against 1: its wins and losses, as many with either color."""
    return games(
        *[(0, 1, 1), (1, 0, -1)] * wins,
        *[(0, 1, -1), (1, 0, 1)] * losses,
    )


@pytest.fixture(scope="module")
def played() -> Ladder:
    """A ladder of 8 with draws, a first move and uneven openings."""
    rng = np.random.default_rng(5)
    field = Field(rng.uniform(0, 600, 8), 3, 40.0, 0.6, "normal", 120.0)
    ladder = Ladder(field, rng)
    for pairings in cycle(8):
        ladder.play(pairings, 5)
    return ladder


# The model


def test_likelihoods_of_one_opening_sum_to_one() -> None:
    ends = np.array([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)])
    lead = np.tile([1.3, -0.4], (9, 1))
    value = terms(lead, ends, np.ones((9, 2), bool), delta=-0.3, tau=0.8).value
    assert np.exp(value).sum() == pytest.approx(1, abs=1e-12)


def test_likelihood_of_one_game_is_davidsons() -> None:
    lead = np.array([[0.7], [0.7], [0.7]])
    outcome = np.array([[1], [0], [-1]])
    value = terms(lead, outcome, np.ones((3, 1), bool), delta=np.log(0.5), tau=0).value
    win, loss = np.exp(0.35), np.exp(-0.35)
    np.testing.assert_allclose(np.exp(value), np.array([win, 0.5, loss]) / (win + 0.5 + loss))


def test_quadrature_over_openings_agrees_with_a_fine_grid() -> None:
    z = np.linspace(-8, 8, 4001)
    density = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    win = 1 / (1 + np.exp(-(1.0 + 1.2 * z)))
    back = 1 / (1 + np.exp(-(-0.5 + 1.2 * z)))
    exact = np.log(density @ (win * (1 - back)))
    ends = np.array([[1, -1]])
    value = terms(np.array([[1.0, -0.5]]), ends, np.ones((1, 2), bool), delta=-40, tau=1.2).value
    assert value[0] == pytest.approx(exact, abs=1e-5)


def test_derivatives_agree_with_finite_differences() -> None:
    rng = np.random.default_rng(0)
    lead, outcome = rng.normal(size=(6, 3)), rng.integers(-1, 2, (6, 3))
    mask = np.ones((6, 3), bool)
    mask[3:, 2] = mask[5, 1] = False
    exact = terms(lead, outcome, mask, -0.3, 0.7)
    e = 1e-5
    for at in range(5):
        shift = np.zeros((5, 1, 1))
        shift[at] = e
        step = np.concatenate([np.tile(shift[:3, 0, 0], (6, 1)), np.zeros((6, 0))], axis=1)
        up = terms(lead + step, outcome, mask, -0.3 + shift[3, 0, 0], 0.7 + shift[4, 0, 0])
        down = terms(lead - step, outcome, mask, -0.3 - shift[3, 0, 0], 0.7 - shift[4, 0, 0])
        counts = mask[:, at] if at < 3 else np.ones(6, bool)
        np.testing.assert_allclose(
            exact.score[counts, at], (up.value - down.value)[counts] / (2 * e), atol=1e-8
        )
        np.testing.assert_allclose(
            exact.information[counts, at], -(up.score - down.score)[counts] / (2 * e), atol=1e-8
        )


def test_openings_with_equal_results_share_a_row() -> None:
    both = games((0, 1, 1), (1, 0, 1), (1, 0, 1), (0, 1, 1), (2, 1, 0), paired=True)
    rows = gather(both)
    assert sorted(rows.count.tolist()) == [1, 2]
    assert sorted(rows.mask.sum(axis=1).tolist()) == [1, 2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (games((0, 3, 1)), "3 players"),
        (games((1, 1, 1)), "plays itself"),
        (games((0, 1, 2)), "outcomes"),
        (games((0, 1, 1))._replace(opening=np.arange(2)), "one length"),
    ],
)
def test_invalid_games_are_rejected(wrong: Games, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(wrong, 3, 0)


def test_anchor_out_of_range_is_rejected() -> None:
    with pytest.raises(ValueError, match="anchor"):
        fit(NONE, 3, 3)


# Ratings


def test_two_players_differ_by_their_log_odds() -> None:
    ratings = fit(decided(300, 100), 2, anchor=1, prior=1e5)
    assert ratings.elo[0] == pytest.approx(400 * np.log10(3), abs=0.1)
    assert ratings.first_move == pytest.approx(0, abs=1e-6)
    # 800 games of one opening each: 1 / (n p q) in nats².
    stderr = np.sqrt(1 / (800 * 0.75 * 0.25)) / NATS_PER_ELO
    assert ratings.stderr[0] == pytest.approx(stderr, rel=0.01)


def test_draws_and_first_move_of_equal_players_are_estimated() -> None:
    rows = [(0, 1, 1), (1, 0, 1)] * 60 + [(0, 1, 0), (1, 0, 0)] * 40 + [(0, 1, -1), (1, 0, -1)] * 30
    ratings = fit(games(*rows), 2, 0)
    assert ratings.elo[1] == pytest.approx(0, abs=1e-6)
    assert ratings.first_move == pytest.approx(400 * np.log10(2), rel=0.02)
    assert ratings.draw == pytest.approx(40 / np.sqrt(60 * 30), rel=0.02)


def test_lopsided_openings_do_not_change_ratings() -> None:
    even = decided(30, 10)
    split = games(*[(0, 1, 1), (1, 0, 1)] * 30, *[(0, 1, 1), (1, 0, -1)] * 10, paired=True)
    rated = fit(split, 2, 1)
    # 30 openings went to whoever had them first; in 10 player 0 won both games.
    assert rated.opening_spread > 50
    assert rated.elo[0] > 1.3 * 400 * np.log10((30 + 20) / 30)
    assert fit(even, 2, 1).opening_spread == 0


def test_gradient_is_zero_at_the_maximum(played: Ladder) -> None:
    fitted = maximize(played.games, 8, 3)
    count = fitted.openings.count[:, None]
    gradient = fitted.design.sum(count * fitted.score)
    theta = fitted.parameters[:8]
    gradient[:8] -= (theta - theta.mean()) / (PRIOR * NATS_PER_ELO) ** 2
    np.testing.assert_allclose(gradient[:8][fitted.free[:8]], 0, atol=1e-6)


def test_opening_spread_is_estimated_on_a_log_scale(played: Ladder) -> None:
    """The last coordinate is log τ, in scores and in information."""
    fitted = maximize(played.games, 8, 3)
    rows, at, e = fitted.openings, fitted.parameters, 1e-4
    lead = (at[rows.first] - at[rows.second] + at[8]) * rows.mask

    def total(delta: float, log_tau: float) -> float:
        value = terms(lead, rows.outcome, rows.mask, delta, float(np.exp(log_tau))).value
        return float(rows.count @ value)

    (a, b), up, down = at[9:11], total(at[9], at[10] + e), total(at[9], at[10] - e)
    assert rows.count @ fitted.score[:, -1] == pytest.approx((up - down) / (2 * e), abs=1e-5)
    bent = -(up - 2 * total(a, b) + down) / e**2
    assert rows.count @ fitted.information[:, -1, -1] == pytest.approx(bent, abs=1e-3)
    corners = [total(a + i * e, b + j * e) * i * j for i in (-1, 1) for j in (-1, 1)]
    mixed = -sum(corners) / (4 * e**2)
    assert rows.count @ fitted.information[:, -1, -2] == pytest.approx(mixed, abs=1e-3)
    assert rows.count @ fitted.information[:, -2, -1] == pytest.approx(mixed, abs=1e-3)


def test_anchor_is_exactly_zero(played: Ladder) -> None:
    ratings = fit(played.games, 8, 3)
    assert ratings.elo[3] == 0
    assert not ratings.covariance[3].any() and not ratings.covariance[:, 3].any()
    assert ratings.interval[3].tolist() == [0, 0]


def test_another_anchor_changes_only_the_origin(played: Ladder) -> None:
    at_3, at_6 = fit(played.games, 8, 3), fit(played.games, 8, 6)
    np.testing.assert_allclose(at_3.elo - at_3.elo[6], at_6.elo, atol=1e-5)
    for i, j in ((0, 1), (3, 6), (2, 6)):
        np.testing.assert_allclose(at_3.difference(i, j), at_6.difference(i, j), atol=1e-4)
    assert at_3.superiority(0, 1) == pytest.approx(at_6.superiority(0, 1), abs=1e-6)


def test_names_and_order_do_not_change_ratings(played: Ladder) -> None:
    rng = np.random.default_rng(1)
    ratings = fit(played.games, 8, 3)
    order, name = rng.permutation(len(played.games.first)), rng.permutation(8)
    first, second, outcome, opening = (part[order] for part in played.games)
    again = fit(Games(name[first], name[second], outcome, 7 * opening + 2), 8, int(name[3]))
    np.testing.assert_allclose(again.elo[name], ratings.elo, atol=1e-6)
    np.testing.assert_allclose(again.covariance[np.ix_(name, name)], ratings.covariance, atol=1e-4)


def test_swapping_sides_mirrors_the_first_move_advantage(played: Ladder) -> None:
    g = played.games
    ratings, mirrored = (
        fit(each, 8, 3) for each in (g, g._replace(first=g.second, second=g.first))
    )
    back = fit(g._replace(first=g.second, second=g.first, outcome=-g.outcome), 8, 3)
    np.testing.assert_allclose(back.elo, ratings.elo, atol=1e-5)
    assert back.first_move == pytest.approx(-ratings.first_move, abs=1e-5)
    np.testing.assert_allclose(mirrored.elo, -ratings.elo, atol=1e-5)


def test_player_that_won_everything_is_finite_and_uncertain() -> None:
    few = games(*[(0, 1, 1), (1, 0, -1)] * 4, *[(1, 2, 1), (2, 1, 1)] * 4, paired=True)
    many = games(*[(0, 1, 1), (1, 0, -1)] * 40, *[(1, 2, 1), (2, 1, 1)] * 4, paired=True)
    rated, more = fit(few, 3, 1), fit(many, 3, 1)
    assert 200 < rated.elo[0] < more.elo[0] < 2500
    assert rated.stderr[0] > 200 and more.stderr[0] > 200
    assert rated.superiority(0, 2) > 0.95


def test_openings_with_equal_results_leave_uncertainty() -> None:
    """The scores of these openings are all 0, so their scatter alone would give no uncertainty."""
    ratings = fit(games(*[(0, 1, 1), (1, 0, 1)] * 4, paired=True), 2, 0)
    assert ratings.elo[1] == pytest.approx(0, abs=1e-6)
    assert 120 < ratings.stderr[1] < 400


def test_player_without_games_has_the_width_of_the_prior() -> None:
    ratings = fit(decided(10, 10), 4, anchor=0)
    np.testing.assert_allclose(ratings.elo, 0, atol=1e-6)
    assert (ratings.stderr[2:] > PRIOR).all()
    assert ratings.superiority(2, 3) == pytest.approx(0.5)
    alone = fit(NONE, 3, 1)
    np.testing.assert_allclose(alone.stderr, [np.sqrt(2) * PRIOR, 0, np.sqrt(2) * PRIOR])


def test_players_without_a_path_to_the_anchor_are_uncertain() -> None:
    apart = games((0, 1, 1), (1, 0, 1), (2, 3, 1), (3, 2, -1), paired=True)
    ratings = fit(apart, 4, 0)
    assert (ratings.stderr[2:] > PRIOR / 2).all()
    assert ratings.difference(2, 3)[1] < ratings.stderr[2]


def test_superiority_of_both_players_sums_to_one(played: Ladder) -> None:
    ratings = fit(played.games, 8, 3)
    order = np.argsort(ratings.elo)
    assert ratings.superiority(order[-1], order[0]) > 0.99
    assert ratings.superiority(2, 2) == 0.5
    forward, backward = ratings.superiority(0, 1), ratings.superiority(1, 0)
    assert forward + backward == pytest.approx(1)


def test_two_games_of_an_opening_count_less_than_independent_ones() -> None:
    """If one player wins both games of every opening, a pair is one observation, not two."""
    rng = np.random.default_rng(3)
    won = rng.integers(0, 2, 200) * 2 - 1
    rows = [row for w in won for row in ((0, 1, int(w)), (1, 0, -int(w)))]
    paired, single = fit(games(*rows, paired=True), 2, 0), fit(games(*rows), 2, 0)
    assert paired.stderr[1] == pytest.approx(np.sqrt(2) * single.stderr[1], rel=0.1)


def test_sandwich_agrees_with_the_model_if_the_model_is_true() -> None:
    rng = np.random.default_rng(4)
    ladder = Ladder(Field(rng.uniform(0, 400, 6), 0, 30.0, 0.5, "normal", 100.0), rng)
    for pairings in cycle(6):
        ladder.play(pairings, 150)
    fitted = maximize(ladder.games, 6, 0)
    robust, model = sandwich(fitted, 6)[:6, :6], fitted.inverse[:6, :6]
    np.testing.assert_allclose(np.diag(robust)[1:], np.diag(model)[1:], rtol=0.2)


outcomes = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(-1, 1), st.integers(0, 6)),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(outcomes, st.integers(0, 4))
def test_any_games_have_finite_ratings(rows: list[tuple[int, int, int, int]], anchor: int) -> None:
    first, apart, outcome, opening = np.array(rows, int).reshape(-1, 4).T
    ratings = fit(Games(first, (first + apart) % 5, outcome, opening), 5, anchor)
    assert np.isfinite(ratings.elo).all() and np.isfinite(ratings.covariance).all()
    assert ratings.elo[anchor] == 0 and ratings.stderr[anchor] == 0
    assert (np.delete(ratings.stderr, anchor) > 30).all()
    assert np.linalg.eigvalsh(ratings.covariance).min() > -1e-6 * PRIOR**2
    assert np.abs(ratings.elo).max() < 5 * PRIOR


# Against others, and against the truth


@pytest.mark.parametrize("draws", [0.0, 0.7])
def test_ratings_agree_with_evalica(draws: float) -> None:
    assert max(against_evalica(seed, draws) for seed in range(2)) < 1


def test_intervals_cover_the_truth() -> None:
    """Simulates a few ladders of each kind: the standard errors are 0.4 % and 0.8 %."""
    counts = {"round-robin": 40, "neighbors": 60, "at random": 60, "adaptive": 8}
    assert set(counts) == set(SCENARIOS)
    covered = [simulate(name, i).covered for name, count in counts.items() for i in range(count)]
    assert 0.93 < share(each.differences for each in covered)[0] < 0.97
    assert 0.925 < share(each.anchor for each in covered)[0] < 0.975


@pytest.mark.slow
def test_intervals_cover_the_truth_of_2000_ladders() -> None:
    each = {
        name: [simulate(name, i) for i in range(LADDERS // len(SCENARIOS))] for name in SCENARIOS
    }
    means = {name: share(o.covered.anchor for o in some)[0] for name, some in each.items()}
    means["all"] = float(np.mean(list(means.values())))
    differences = [o.covered.differences for some in each.values() for o in some]
    means["differences"] = share(differences)[0]
    assert {n: m for n, m in means.items() if not BAND[0] <= m <= BAND[1]} == {}
