"""Goodness of fit: cycles and kinds of players are reported, luck and uneven openings are not."""

from dataclasses import replace

import numpy as np
import pytest

from selfplay.ratings import goodness_of_fit
from selfplay.ratings.elo import Games
from selfplay.ratings.goodness_of_fit import GoodnessOfFit
from tests.simulation.ladders import Field, Ladder, between_kinds, cycle, cyclic, independent

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


def even_field(players: int, rng: np.random.Generator) -> Field:
    """Draws a field of three kinds of players, in turn, without pair effects."""
    kinds = tuple("abc"[i % 3] for i in range(players))
    elo = rng.uniform(0, 600, players)
    return Field(elo, 0, 30.0, 0.4, "normal", 80.0, kinds=kinds)


def robin(field: Field, pairs: int, rng: np.random.Generator) -> Games:
    """Plays everybody against everybody."""
    ladder = Ladder(field, rng)
    for pairings in cycle(field.players):
        ladder.play(pairings, pairs)
    return ladder.games


def fit_of(field: Field, pairs: int, rng: np.random.Generator) -> GoodnessOfFit:
    """Tests the fit of a round-robin, with the kinds of its players."""
    return goodness_of_fit.test(robin(field, pairs, rng), field.players, kinds=field.kinds)


# One common scale


def test_three_players_in_a_circle_are_not_on_one_scale() -> None:
    result = goodness_of_fit.test(cyclic_games(200.0), 5)
    assert result.one_scale < 1e-4
    assert 80 < result.spread < 300
    z = {(pairing.i, pairing.j): pairing.z for pairing in result.pairings}
    assert z[0, 1] > 1.5 and z[1, 2] > 1.5 and z[0, 2] < -1.5
    farthest = result.pairings[:3]
    assert {(pairing.i, pairing.j) for pairing in farthest} == {(0, 1), (1, 2), (0, 2)}
    assert all((pairing.openings, pairing.games) == (40, 80) for pairing in farthest)
    assert all(abs(pairing.observed - pairing.expected) > 0.15 for pairing in farthest)


def test_pairing_is_predicted_without_its_own_games() -> None:
    """0 and 1 are both even with 2, so an even result is expected although 0 often beats 1."""
    rows = [(0, 1, 1)] * 90 + [(1, 0, -1)] * 90 + [(0, 1, -1), (1, 0, 1)] * 30
    rows += [(a, b, o) for a, b in ((0, 2), (2, 0), (1, 2), (2, 1)) for o in (1, -1)] * 20
    first, second, outcome = np.array(rows).T
    result = goodness_of_fit.test(Games(first, second, outcome, np.arange(len(rows))), 3)
    pairing = next(each for each in result.pairings if (each.i, each.j) == (0, 1))
    assert pairing.observed == 0.75
    assert abs(pairing.expected - 0.5) < 0.05
    assert pairing.z > 0.5
    assert result.one_scale < 0.01


def test_players_on_one_scale_are_not_rejected() -> None:
    result = goodness_of_fit.test(cyclic_games(0.0), 5)
    assert result.one_scale > 0.05 and result.p_value > 0.05
    assert result.spread < 30
    assert result.badly_predicted() == []


@pytest.mark.parametrize("kinds", [None, ["a", "b", "b"]])
def test_tree_of_games_always_fits(kinds: list[str] | None) -> None:
    first, second, outcome = np.array([(0, 1, 1), (1, 0, -1), (2, 1, 1)] * 9).T
    games = Games(first, second, outcome, np.arange(27))
    result = goodness_of_fit.test(games, 3, kinds=kinds)
    assert (result.one_scale, result.cycles, result.kinds, result.spread) == (1, 1, 1, 0)
    assert result.p_value == 1
    assert result.badly_predicted() == []


def test_ladder_without_games_fits() -> None:
    result = goodness_of_fit.test(NONE, 3, kinds=["a", "b", "b"])
    assert result == GoodnessOfFit([], 1.0, 0.0, 1.0, 1.0, 1.0)
    assert result.p_value == 1


def test_dependence_within_openings_widens_the_test() -> None:
    """Openings that suit one player in both games raise the dispersion, not the alarm."""
    rng = np.random.default_rng(8)
    field = Field(np.linspace(0, 300, 6), 0, 0.0, 0.3, "even", 0.0, affinity=400.0)
    result = goodness_of_fit.test(robin(field, 30, rng), 6)
    assert result.dispersion > 1.2
    assert result.one_scale > 0.05
    assert result.badly_predicted() == []


# The rating model


def test_independent_effects_are_not_on_one_scale_but_fit_the_model() -> None:
    rng = np.random.default_rng(0)
    result = fit_of(independent(even_field(15, rng), 120.0, rng), 8, rng)
    assert result.one_scale < 0.001
    assert 60 < result.spread < 180
    assert result.p_value > 0.05


def test_perfect_order_is_on_one_scale() -> None:
    """However many games it lasts, and however wide the field is."""
    pairs = [(i, j) for j in range(8) for i in range(j)]
    rows = [row for i, j in pairs for row in ((i, j, 1), (j, i, -1))]
    games = np.array([(*row, opening) for row in rows for opening in range(300)], np.int64)
    result = goodness_of_fit.test(Games(*games.T), 8)
    assert (result.one_scale, result.single, result.spread) == (1, 1, 0)


def test_upsets_are_no_cycle() -> None:
    """Three players lose single games against much weaker ones, who are far apart."""
    rng = np.random.default_rng(4)
    field = Field(np.linspace(0, 2400, 12), 0, 0.0, 0.02, "even", 0.0)
    games = robin(field, 3, rng)
    outcome = games.outcome.copy()
    for strong, weak in ((11, 0), (10, 1), (9, 2)):
        seats = np.flatnonzero((games.first == strong) & (games.second == weak))
        outcome[seats[0]] = -1
    assert goodness_of_fit.test(games._replace(outcome=outcome), 12).cycles > 0.01


def test_players_on_a_circle_are_reported_as_a_cycle() -> None:
    rng = np.random.default_rng(1)
    result = fit_of(cyclic(even_field(15, rng), 300.0, rng), 8, rng)
    assert result.cycles < 0.001
    assert result.p_value <= 3 * result.cycles
    assert result.single > 0.05  # no single pairing is to blame


def test_larger_effects_between_kinds_are_reported() -> None:
    rng = np.random.default_rng(2)
    field = between_kinds(even_field(20, rng), 300.0, rng)
    assert fit_of(field, 6, rng).kinds < 0.001


def test_kind_that_does_better_against_another_is_reported() -> None:
    """A beats B by 150 Elo more than both do elsewhere, B beats C, and C beats A."""
    rng = np.random.default_rng(3)
    field = even_field(15, rng)
    number = np.arange(15) % 3
    turn = np.subtract.outer(number, number) % 3
    effects = 150.0 * ((turn == 2).astype(float) - (turn == 1))
    assert (effects == -effects.T).all()
    assert fit_of(replace(field, effects=effects), 8, rng).kinds < 0.001


def test_pairing_far_from_all_others_is_named() -> None:
    rng = np.random.default_rng(4)
    field = replace(even_field(15, rng), elo=np.zeros(15))
    effects = np.zeros((15, 15))
    effects[3, 7], effects[7, 3] = 900, -900
    result = fit_of(replace(field, effects=effects), 8, rng)
    (named,) = result.badly_predicted()
    assert (named.i, named.j) == (3, 7)
    assert named.z > 3 and named.adjusted < 0.05
    assert result.p_value == pytest.approx(3 * result.single)


@pytest.mark.parametrize("spread", [0.0, 120.0])
def test_false_alarms_are_as_rare_as_p_values_promise(spread: float) -> None:
    """Given σ, independent effects of any size are no evidence against the model."""
    results = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        field = independent(even_field(8, rng), spread, rng)
        results.append(fit_of(field, 2, rng))
    for name in ("single", "cycles", "kinds", *([] if spread else ["one_scale"])):
        p = np.array([getattr(each, name) for each in results])
        assert (p < 0.05).sum() <= 1
        assert (p < 0.6).any()  # the test does reject at times
    assert sum(each.p_value < 0.05 for each in results) <= 1
