"""Goodness of fit: cycles of strength are reported, luck and uneven openings are not."""

from dataclasses import replace

import numpy as np

from selfplay.ratings import goodness_of_fit
from selfplay.ratings.elo import Games
from tests.simulation.ladders import Field, Ladder, cycle

NONE = Games(*np.zeros((4, 0), int))


def cyclic_games(ahead: float, openings: int = 40) -> Games:
    """Plays 0 `ahead` Elo better than 1, 1 than 2, 2 than 0; 3 and 4 are even with everybody."""
    rng = np.random.default_rng(2)
    field = Field(np.zeros(5), 0, 30.0, 0.5, "normal", 60.0)
    ladder = Ladder(field, rng)
    for better, worse in ((0, 1), (1, 2), (2, 0)):
        ladder.field = replace(field, elo=ahead * (np.arange(5) == better))
        ladder.play([(better, worse)], openings)
    ladder.field = field
    ladder.play([(a, b) for a in range(5) for b in (3, 4) if a < b], openings)
    return ladder.games


def test_cycle_of_strength_is_reported_with_its_pairings() -> None:
    result = goodness_of_fit.test(cyclic_games(200.0), 5)
    assert (
        result.p_value < 1e-4 and goodness_of_fit.p_value(cyclic_games(200.0), 5) == result.p_value
    )
    named = {(pairing.i, pairing.j) for pairing in result.badly_predicted()}
    assert named == {(0, 1), (1, 2), (0, 2)}
    z = {(pairing.i, pairing.j): pairing.z for pairing in result.pairings}
    assert z[0, 1] > 3 and z[1, 2] > 3 and z[0, 2] < -3
    worst = result.pairings[0]
    assert (worst.openings, worst.games) == (40, 80)
    assert abs(worst.observed - worst.expected) > 0.15


def test_pairing_is_predicted_without_its_own_games() -> None:
    """0 and 1 are both even with 2, so an even result is expected although 0 often beats 1."""
    rows = [(0, 1, 1)] * 90 + [(1, 0, -1)] * 90 + [(0, 1, -1), (1, 0, 1)] * 30
    rows += [(a, b, o) for a, b in ((0, 2), (2, 0), (1, 2), (2, 1)) for o in (1, -1)] * 20
    first, second, outcome = np.array(rows).T
    result = goodness_of_fit.test(Games(first, second, outcome, np.arange(len(rows))), 3)
    pairing = next(each for each in result.pairings if (each.i, each.j) == (0, 1))
    assert pairing.observed == 0.75
    assert abs(pairing.expected - 0.5) < 0.05
    assert pairing.z > 2.5


def test_games_without_a_cycle_are_not_rejected() -> None:
    result = goodness_of_fit.test(cyclic_games(0.0), 5)
    assert result.p_value > 0.05
    assert result.badly_predicted() == []


def test_tree_of_games_always_fits() -> None:
    first, second, outcome = np.array([(0, 1, 1), (1, 0, -1), (2, 1, 1)] * 9).T
    result = goodness_of_fit.test(Games(first, second, outcome, np.arange(27)), 3)
    assert result.p_value == 1
    assert result.badly_predicted() == []
    assert (
        goodness_of_fit.test(NONE, 3) == goodness_of_fit.GoodnessOfFit([], 1.0, 1.0)
        and goodness_of_fit.p_value(NONE, 3) == 1
    )


def test_false_alarms_are_as_rare_as_p_values_promise() -> None:
    """Over transitive ladders p-values are uniform or larger, and pairings are rarely reported."""
    results = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        ladder = Ladder(Field(rng.uniform(0, 900, 9), 0, 30.0, 0.4, "normal", 100.0), rng)
        for pairings in cycle(9):
            ladder.play(pairings, 3)
        results.append(goodness_of_fit.test(ladder.games, 9))
    overall = np.array([each.p_value for each in results])
    assert (overall < 0.5).mean() > 0.25  # the test does reject at times
    assert (overall < 0.5).mean() < 0.75 and (overall < 0.05).mean() <= 0.15
    assert sum(bool(each.badly_predicted()) for each in results) <= 6


def test_dependence_within_openings_widens_the_test() -> None:
    """Openings that suit one player in both games raise the dispersion, not the alarm."""
    rng = np.random.default_rng(8)
    field = Field(np.linspace(0, 300, 6), 0, 0.0, 0.3, "even", 0.0, affinity=400.0)
    ladder = Ladder(field, rng)
    for pairings in cycle(6):
        ladder.play(pairings, 30)
    result = goodness_of_fit.test(ladder.games, 6)
    assert result.dispersion > 1.2
    assert result.badly_predicted() == []
