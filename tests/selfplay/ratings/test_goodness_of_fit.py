"""The test of fit: circles are found and named, luck and uneven openings are not."""

from dataclasses import replace

import numpy as np

from selfplay.ratings import goodness_of_fit
from selfplay.ratings.elo import Games
from tests.simulation.ladders import Field, Ladder, cycle

NONE = Games(*np.zeros((4, 0), int))


def circle(ahead: float, openings: int = 40) -> Games:
    """0 is `ahead` Elo better than 1, 1 than 2, 2 than 0; 3 and 4 are as good as anybody."""
    rng = np.random.default_rng(2)
    field = Field(np.zeros(5), 0, 30.0, 0.5, "normal", 60.0)
    ladder = Ladder(field, rng)
    for better, worse in ((0, 1), (1, 2), (2, 0)):
        ladder.field = replace(field, elo=ahead * (np.arange(5) == better))
        ladder.play([(better, worse)], openings)
    ladder.field = field
    ladder.play([(a, b) for a in range(5) for b in (3, 4) if a < b], openings)
    return ladder.games


def test_a_circle_is_found_and_named() -> None:
    found = goodness_of_fit.find(circle(200.0), 5)
    assert found.p_value < 1e-4 and goodness_of_fit.p_value(circle(200.0), 5) == found.p_value
    named = {(pairing.i, pairing.j) for pairing in found.badly_predicted()}
    assert named == {(0, 1), (1, 2), (0, 2)}
    z = {(pairing.i, pairing.j): pairing.z for pairing in found.pairings}
    assert z[0, 1] > 3 and z[1, 2] > 3 and z[0, 2] < -3
    worst = found.pairings[0]
    assert (worst.openings, worst.games) == (40, 80)
    assert abs(worst.observed - worst.expected) > 0.15


def test_a_pairing_is_predicted_without_its_own_games() -> None:
    """0 and 1 are both even with 2; that 0 often beats 1 has no say in what one expects of them."""
    rows = [(0, 1, 1)] * 90 + [(1, 0, -1)] * 90 + [(0, 1, -1), (1, 0, 1)] * 30
    rows += [(a, b, o) for a, b in ((0, 2), (2, 0), (1, 2), (2, 1)) for o in (1, -1)] * 20
    first, second, outcome = np.array(rows).T
    found = goodness_of_fit.find(Games(first, second, outcome, np.arange(len(rows))), 3)
    pairing = next(each for each in found.pairings if (each.i, each.j) == (0, 1))
    assert pairing.observed == 0.75
    assert abs(pairing.expected - 0.5) < 0.05
    assert pairing.z > 2.5


def test_no_circle_is_found_where_there_is_none() -> None:
    found = goodness_of_fit.find(circle(0.0), 5)
    assert found.p_value > 0.05
    assert found.badly_predicted() == []


def test_what_a_tree_of_games_says_fits_anything() -> None:
    first, second, outcome = np.array([(0, 1, 1), (1, 0, -1), (2, 1, 1)] * 9).T
    found = goodness_of_fit.find(Games(first, second, outcome, np.arange(27)), 3)
    assert found.p_value == 1
    assert found.badly_predicted() == []
    assert (
        goodness_of_fit.find(NONE, 3) == goodness_of_fit.Misfit([], 1.0, 1.0)
        and goodness_of_fit.p_value(NONE, 3) == 1
    )


def test_false_alarms_are_as_rare_as_they_say() -> None:
    """Over transitive ladders p-values are uniform or larger, and names are seldom named."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        ladder = Ladder(Field(rng.uniform(0, 900, 9), 0, 30.0, 0.4, "normal", 100.0), rng)
        for pairings in cycle(9):
            ladder.play(pairings, 3)
        found.append(goodness_of_fit.find(ladder.games, 9))
    overall = np.array([each.p_value for each in found])
    assert (overall < 0.5).mean() > 0.25  # no sleeping watchman
    assert (overall < 0.5).mean() < 0.75 and (overall < 0.05).mean() <= 0.15
    assert sum(bool(each.badly_predicted()) for each in found) <= 6


def test_openings_that_suit_a_player_are_no_misfit() -> None:
    """Within-pair dependence that the model does not know widens the test, as it should."""
    rng = np.random.default_rng(8)
    field = Field(np.linspace(0, 300, 6), 0, 0.0, 0.3, "even", 0.0, affinity=400.0)
    ladder = Ladder(field, rng)
    for pairings in cycle(6):
        ladder.play(pairings, 30)
    found = goodness_of_fit.find(ladder.games, 6)
    assert found.dispersion > 1.2
    assert found.badly_predicted() == []
