"""Ratings: closed forms, invariances, pair effects, and intervals against simulated truth."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.ratings.bradley_terry import NATS_PER_ELO
from selfplay.ratings.elo import PRIOR, Games, fit, fit_by_kind
from tests.simulation.calibration import (
    CELLS,
    INDEPENDENT,
    LADDERS,
    Cell,
    against_evalica,
    share,
    simulate,
)
from tests.simulation.ladders import Field, Ladder, between_kinds, cycle, independent, ladder
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


def robin(field: Field, pairs: int, rng: np.random.Generator) -> Ladder:
    """Plays everybody against everybody."""
    ladder = Ladder(field, rng)
    for pairings in cycle(field.players):
        ladder.play(pairings, pairs)
    return ladder


@pytest.fixture(scope="module")
def played() -> Ladder:
    """A ladder of 8 with draws, a first move, uneven openings and pair effects."""
    rng = np.random.default_rng(5)
    field = Field(rng.uniform(0, 600, 8), 3, 40.0, 0.6, "normal", 120.0)
    return robin(independent(field, 80.0, rng), 5, rng)


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


outcomes = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(-1, 1), st.integers(0, 6)),
    max_size=30,
)


@settings(max_examples=20, deadline=None)
@given(outcomes, st.integers(0, 4))
def test_any_games_have_finite_ratings(rows: list[tuple[int, int, int, int]], anchor: int) -> None:
    first, apart, outcome, opening = np.array(rows, int).reshape(-1, 4).T
    ratings = fit(Games(first, (first + apart) % 5, outcome, opening), 5, anchor)
    assert np.isfinite(ratings.elo).all() and np.isfinite(ratings.covariance).all()
    assert ratings.elo[anchor] == 0 and ratings.stderr[anchor] == 0
    assert (np.delete(ratings.stderr, anchor) > 30).all()
    low, high = ratings.pair_spread_interval
    assert 0 <= low <= high < np.inf and 0 <= ratings.pair_spread < np.inf
    assert np.linalg.eigvalsh(ratings.covariance).min() > -1e-6 * PRIOR**2
    assert np.abs(ratings.elo).max() < 5 * PRIOR


# Pair effects


def planted(spread: float, players: int = 14, pairs: int = 6, seed: int = 0) -> Ladder:
    """Plays a round-robin of players with pair effects."""
    rng = np.random.default_rng(seed)
    field = Field(rng.uniform(0, 600, players), 0, 30.0, 0.4, "normal", 80.0)
    return robin(independent(field, spread, rng), pairs, rng)


@pytest.mark.parametrize(
    "seats", [[(0, 1)], [(0, 1), (1, 2), (1, 3), (3, 4)]], ids=["two players", "tree"]
)
def test_games_without_a_cycle_support_no_pair_effects(seats: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(3)
    field = independent(Field(rng.uniform(0, 300, 5), 0, 30.0, 0.4, "normal", 80.0), 300.0, rng)
    ladder = Ladder(field, rng)
    ladder.play(seats, 30)
    ratings, plain = (fit(ladder.games, 5, 0, pair_effects=effects) for effects in (True, False))
    low, high = ratings.pair_spread_interval
    assert ratings.pair_spread == low == 0 and high > 300  # nothing is known about it
    np.testing.assert_array_equal(ratings.covariance, plain.covariance)


@pytest.mark.parametrize("reach", [1, 2, 8])
def test_field_wider_than_the_prior_supports_no_pair_effects(reach: int) -> None:
    """Every game is won by the player of the lower number, so one scale explains all of them."""
    pairs = [(i, j) for j in range(8) for i in range(j) if j - i <= reach]
    rows = [(*seats, 1 - 2 * (seats != (i, j)), 0) for i, j in pairs for seats in ((i, j), (j, i))]
    games = np.array([(*row[:3], opening) for row in rows for opening in range(30)], np.int64)
    ratings = fit(Games(*games.T), 8, 0)
    assert ratings.pair_spread == 0 and np.ptp(ratings.elo) > 4 * PRIOR


def test_spread_of_pair_effects_is_recovered() -> None:
    for spread in (100.0, 200.0):
        ratings = fit(planted(spread).games, 14, 0)
        low, high = ratings.pair_spread_interval
        assert 0 < low < spread < high < 2 * spread
        assert low < ratings.pair_spread < high


def test_players_on_one_scale_have_little_or_no_spread() -> None:
    ladder = planted(0.0)
    ratings, plain = (fit(ladder.games, 14, 0, pair_effects=effects) for effects in (True, False))
    assert ratings.pair_spread < 20
    assert ratings.stderr[1:].mean() <= 1.05 * plain.stderr[1:].mean()


def test_plain_ratings_have_no_spread() -> None:
    ratings = fit(planted(150.0).games, 14, 0, pair_effects=False)
    assert ratings.pair_spread == 0 and ratings.pair_spread_interval == (0, 0)


def test_more_games_of_the_same_pairings_do_not_end_uncertainty() -> None:
    """A difference of n players' ratings stays uncertain by σ √(2 / n)."""
    spread, players = 150.0, 8
    ratings = fit(planted(spread, players, pairs=200).games, players, 0)
    plain = fit(planted(spread, players, pairs=200).games, players, 0, pair_effects=False)
    assert plain.stderr[1:].max() < 20
    bound = ratings.pair_spread * np.sqrt(2 / players)
    assert (ratings.stderr[1:] > 0.95 * bound).all()


def test_ratings_within_kinds_are_known_better_if_kinds_differ() -> None:
    """Pairings deviate by 30 Elo within kinds and by 200 between them."""
    rng = np.random.default_rng(1)
    kinds = ("a", "b") * 5
    field = Field(rng.uniform(0, 600, 10), 0, 30.0, 0.4, "normal", 80.0, kinds=kinds)
    played = robin(between_kinds(field, 200.0, rng), 8, rng)
    apart = fit_by_kind(played.games, 10, 0, kinds)
    assert apart.between > 3 * apart.ratings.pair_spread
    together = fit(played.games, 10, 0)
    assert apart.ratings.pair_spread < together.pair_spread < apart.between
    alike = [each.difference(2, 4)[1] for each in (apart.ratings, together)]  # both of kind a
    assert alike[0] < 0.95 * alike[1]


# Against others, and against the truth


@pytest.mark.parametrize("draws", [0.0, 0.7])
def test_ratings_agree_with_evalica(draws: float) -> None:
    assert max(against_evalica(seed, draws) for seed in range(2)) < 1


def test_fields_do_not_depend_on_pair_effects() -> None:
    """Effects have a generator of their own, so the other random numbers stay."""
    without, effects = (ladder("neighbors", 3, spread=s)[0] for s in (0.0, 100.0))
    np.testing.assert_array_equal(without.field.elo, effects.field.elo)
    np.testing.assert_array_equal(without.games.first, effects.games.first)
    assert effects.field.effects is not None
    assert not np.array_equal(without.games.outcome, effects.games.outcome)


def test_intervals_cover_the_truth() -> None:
    """Simulates a few sparse ladders: the standard error is 2 %, where plain ratings miss 20 %."""
    results = [simulate(CELLS["independent 200 sparse"], i) for i in range(10)]
    assert 0.9 < share(each.covered.differences for each in results)[0] < 0.99
    assert 0.88 < share(each.covered.anchor for each in results)[0] < 1
    assert share(each.plain.differences for each in results)[0] < 0.85


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("cell", [cell for cell in INDEPENDENT if cell.pairing != "adaptive"])
def test_intervals_cover_the_truth_of_a_tenth_of_the_ladders(cell: Cell) -> None:
    """The standard error is about 0.6 %; benchmarks/calibration.py simulates all of them."""
    covered = [simulate(cell, i).covered for i in range(LADDERS // 10)]
    for part in ("anchor", "differences"):
        middle, error = share(getattr(each, part) for each in covered)
        assert BAND[0] - 2 * error <= middle <= BAND[1] + 2 * error


def test_effects_too_wide_for_the_integral_do_not_end_a_ladder() -> None:
    """A chain of 225 versions on Hex 3×3, where the first move is worth 1 560 Elo.

    Newton's steps swing around the maximum at large σ, and then find none.
    """
    with np.load(Path(__file__).with_name("hex_3.npz")) as stored:
        played = Games(*(stored[name].astype(int) for name in Games._fields))
    ratings = fit(played, players=225, anchor=0)
    assert np.isfinite(ratings.elo).all() and np.isfinite(ratings.stderr).all()
    assert ratings.pair_spread > 150
