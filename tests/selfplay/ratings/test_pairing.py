"""Choice of pairings: the best ones, as a pure function, and the games that it saves."""

import time
from statistics import median

import numpy as np
import pytest

from selfplay.ratings import pairing
from selfplay.ratings.bradley_terry import NATS_PER_ELO
from selfplay.ratings.elo import Games, Ratings, fit
from selfplay.ratings.pairing import MARGIN, choose, divide, information, within_reach
from tests.simulation.calibration import SAVED, until
from tests.simulation.ladders import Field, Ladder, cycle, independent

NONE = Games(*np.zeros((4, 0), int))


def rated(elo: list[float], stderr: list[float], spread: float = 0.0) -> Ratings:
    """Returns independent ratings relative to player 0, without a first-move advantage."""
    covariance = np.diag(np.array(stderr) ** 2)
    return Ratings(np.array(elo), covariance, 0, 0.0, 10.0, 1e-9, 0.0, spread)


def connected(players: int) -> Games:
    """Returns one game between player 0 and every other player, so that no chain is needed."""
    others = np.arange(1, players)
    return Games(0 * others, others, others % 3 - 1, others)


def test_pair_effects_limit_what_games_can_teach() -> None:
    """Seven players, 800 games a pairing: the standard errors are close to the limit."""
    field = independent(
        Field(np.zeros(7), 0, 0.0, 0.5, "even", 0.0), 150.0, np.random.default_rng(1)
    )
    ladder = Ladder(field, np.random.default_rng(0))
    for pairings in cycle(7):
        ladder.play(pairings, 400)
    ratings = ladder.rate()
    limit = ratings.pair_spread * np.sqrt(2 / 7)
    assert limit < ratings.stderr[1:].min() and ratings.stderr.max() < MARGIN * limit
    assert within_reach(ratings, 10.0) == pytest.approx(MARGIN * limit)
    assert within_reach(ratings, 300.0) == 300
    assert within_reach(fit(connected(4), 4, 0), 10.0) == 10


def test_first_pairings_form_a_chain() -> None:
    nothing = fit(NONE, 6, anchor=2)
    assert choose(nothing, NONE, 5, 4, 30.0) == [(i, i + 1) for i in range(5)]


def test_chain_may_take_several_rounds() -> None:
    ladder = Ladder(Field(np.zeros(7), 0, 0.0, 0.5, "even", 0.0), np.random.default_rng(0))
    for _ in range(3):
        chosen = choose(ladder.rate(), ladder.games, 2, 2, 30.0)
        assert len(chosen) == 2 and all(j == i + 1 for i, j in chosen)
        ladder.play(chosen, 2)
    assert ladder.rate().stderr.max() < 1000


def test_newcomer_is_connected_first() -> None:
    games = connected(4)
    assert choose(fit(games, 5, 0), games, 1, 4, 30.0) == [(3, 4)]


def test_uncertain_player_meets_a_near_one() -> None:
    ratings = rated([0, 10, 400, 420, 900], [0, 10, 10, 200, 10])
    assert choose(ratings, connected(5), 1, 4, 30.0) == [(2, 3)]


def test_rating_below_the_target_has_no_gain() -> None:
    ratings = rated([0, 50, 100], [0, 90, 60])
    games = connected(3)
    assert choose(ratings, games, 3, 1, 100.0) == []
    assert choose(ratings, games, 1, 1, 80.0) == [(0, 1)]


def test_round_holds_each_pairing_once() -> None:
    ratings = rated([0, 50, 100], [0, 900, 900])
    chosen = choose(ratings, connected(3), 99, 1, 1.0)
    assert sorted(chosen) == [(0, 1), (0, 2), (1, 2)]


def test_choice_updates_the_covariance_for_the_next_one() -> None:
    """Of two uncertain players, each is chosen once."""
    ratings = rated([0, 0, 0, 0], [0, 300, 290, 0.001])
    (a, b), (c, d) = choose(ratings, connected(4), 2, 50, 40.0)
    assert 1 in (a, b) and 2 in (c, d) and 1 not in (c, d)


@pytest.mark.parametrize(
    ("target", "spread"), [(5.0, 0.0), (60.0, 0.0), (100.0, 0.0), (60.0, 90.0)]
)
def test_choice_by_bounds_is_the_best_of_all_pairings(
    target: float, spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most gains are never computed, because their bounds are smaller than the best gain."""
    monkeypatch.setattr(pairing, "GAIN_CHUNK", 4)
    rng = np.random.default_rng(4)
    players = 50
    root = rng.normal(0, 25, (players, players))
    root[0] = 0
    elo = rng.normal(0, 300, players)
    ratings = Ratings(elo, root @ root.T / 4, 0, 0.0, 10.0, 1e-9, 0.0, spread)
    i, j = np.triu_indices(players, 1)
    each = pairing._expected_information(ratings, i, j)
    before = each * (i == 0)  # everybody has met player 0 once
    gained = pairing._limited(ratings, before + 8 * each) - pairing._limited(ratings, before)
    gains = pairing._gains(ratings.covariance, gained, i, j, target)
    best = int(np.argmax(gains))
    assert choose(ratings, connected(players), 1, 8, target) == [(i[best], j[best])]
    exclude = {(int(i[k]), int(j[k])) for k in np.argsort(-gains)[:700]}
    unused = np.array([(a, b) not in exclude for a, b in zip(i.tolist(), j.tolist(), strict=True)])
    best = int(np.argmax(np.where(unused, gains, -1)))
    wanted = [(i[best], j[best])] if gains[best] > 0 else []
    assert choose(ratings, connected(players), 1, 8, target, exclude) == wanted


def met(a: int, b: int, openings: int) -> Games:
    """Returns openings of two players, who win in turn."""
    first, second = np.tile([[a, b], [b, a]], openings)
    return Games(first, second, np.tile([1, -1], openings), np.repeat(np.arange(openings), 2))


def joined(*parts: Games) -> Games:
    """Joins games, whose openings stay apart."""
    opening = np.concatenate([1000 * k + part.opening for k, part in enumerate(parts)])
    first, second, outcome = (np.concatenate(each) for each in list(zip(*parts, strict=True))[:3])
    return Games(first, second, outcome, opening)


def test_new_opponent_is_preferred_when_a_pairing_is_used_up() -> None:
    """Player 1 met the anchor, which is known exactly, 200 times; player 2 only once."""
    games = joined(met(0, 1, 200), met(0, 2, 1))
    stderr = [0.0, 100, 0.001]
    assert choose(rated([0, 0, 60], stderr), games, 1, 8, 20.0) == [(0, 1)]
    assert choose(rated([0, 0, 60], stderr, spread=100), games, 1, 8, 20.0) == [(1, 2)]


def test_pairing_gains_at_most_what_its_effect_allows() -> None:
    """With one opponent left, games bring the variance to σ² and no further."""
    ratings = rated([0, 0], [0, 300], spread=100)
    nothing = met(0, 1, 1)
    before = 1 / 300**2
    each = pairing._expected_information(ratings, np.array([0]), np.array([1]))
    for openings in (10, 1000, 100_000):
        gained = pairing._limited(ratings, openings * each)
        assert gained < 1 / 100**2
    assert 1 / np.sqrt(before + gained[0]) == pytest.approx(1 / np.sqrt(before + 1 / 100**2), 0.01)
    assert choose(ratings, nothing, 1, 8, 20.0) == [(0, 1)]


@pytest.mark.parametrize(("spread", "parts"), [(0.0, [[0, 1]]), (400.0, [[1], [0]])])
def test_players_are_apart_if_their_effect_hides_the_difference(
    spread: float, parts: list[list[int]]
) -> None:
    """Many games could bring the difference to ±100, unless the pair effect is larger."""
    games = met(0, 1, 100)._replace(outcome=np.tile([-1, 1], 100))  # player 1 wins all
    ratings = rated([0, 600], [0, 400], spread)
    assert divide(ratings, games, 1_000, 100.0) == parts


def test_games_that_were_played_leave_less_to_learn_from_a_pairing() -> None:
    """1 000 more openings of a pairing with an effect of ±50 help after 100 openings, not 1 000."""
    ratings = rated([0, 600], [0, 400], 50.0)
    for played, parts in ((100, [[0, 1]]), (1_000, [[1], [0]])):
        games = met(0, 1, played)._replace(outcome=np.tile([-1, 1], played))
        assert divide(ratings, games, 1_000, 100.0) == parts


def test_names_do_not_change_the_choice() -> None:
    ladder = Ladder(
        Field(np.array([0.0, 130, 310, 370, 620]), 1, 30.0, 0.5, "normal", 90.0),
        np.random.default_rng(3),
    )
    for pairings in cycle(5)[:3]:
        ladder.play(pairings, 3)
    games = ladder.games
    name = np.array([3, 0, 4, 1, 2])
    renamed = games._replace(first=name[games.first], second=name[games.second])
    chosen = choose(fit(games, 5, 1), games, 3, 4, 40.0)
    after_renaming = choose(fit(renamed, 5, int(name[1])), renamed, 3, 4, 40.0)
    assert [tuple(sorted(name[list(pair)])) for pair in chosen] == after_renaming


def test_order_of_games_does_not_change_the_choice() -> None:
    ladder = Ladder(
        Field(np.linspace(0, 500, 6), 0, 30.0, 0.5, "even", 0.0), np.random.default_rng(1)
    )
    ladder.play(cycle(6)[0] + cycle(6)[1], 4)
    games = ladder.games
    order = np.random.default_rng(2).permutation(len(games.first))
    shuffled = Games(*(part[order] for part in games))
    assert choose(fit(games, 6, 0), games, 6, 4, 20.0) == choose(
        fit(shuffled, 6, 0), shuffled, 6, 4, 20.0
    )


def test_information_of_an_opening_has_its_closed_form() -> None:
    ahead = np.array([0.0, 200.0, -200.0, 800.0])
    ratings = rated([0, 0], [0, 1])
    p = 1 / (1 + np.exp(-ahead * NATS_PER_ELO))
    np.testing.assert_allclose(
        information(ratings, ahead), 2 * p * (1 - p) * NATS_PER_ELO**2, rtol=1e-6
    )


def test_information_agrees_with_a_fits_standard_error() -> None:
    """At equal strength no other parameter is correlated with the difference."""
    field = Field(np.array([0.0, 0.0]), 0, 40.0, 0.4, "normal", 120.0)
    ladder = Ladder(field, np.random.default_rng(6))
    ladder.play([(0, 1)], 600)
    ratings = ladder.rate()
    promised = 1 / np.sqrt(600 * information(ratings, ratings.elo[[1]]))
    assert ratings.stderr[1] == pytest.approx(promised[0], rel=0.1)


@pytest.mark.parametrize("wrong", [(0, 1, 30.0), (1, 0, 30.0), (1, 1, 0.0), (1, 1, float("nan"))])
def test_invalid_arguments_are_rejected(wrong: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        choose(fit(NONE, 3, 0), NONE, *wrong)


def test_choice_among_sixty_players_takes_under_two_seconds() -> None:
    ratings, games = fit(NONE, 60, 0), connected(60)
    start = time.process_time()
    assert len(choose(ratings, games, 30, 8, 25.0)) == 30
    assert time.process_time() - start < 2


def test_adaptive_pairing_saves_games_over_round_robin() -> None:
    adaptive, robin = until(0, target=90.0, players=14, pair_effects=False)
    assert adaptive <= (1 - SAVED) * robin


@pytest.mark.slow
def test_adaptive_pairing_saves_a_quarter_of_games_with_30_players() -> None:
    races = [until(replicate) for replicate in range(5)]
    assert median(1 - mine / robin for mine, robin in races) >= SAVED
