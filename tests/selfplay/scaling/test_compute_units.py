"""Units of compute and strength in publications, against counts by hand."""

import pytest

import games
from selfplay.model import flops
from selfplay.model.config import NetworkConfig
from selfplay.model.flops import Ledger
from selfplay.scaling import compute_units

GAME = games.make("tic_tac_toe")
MLP = NetworkConfig("mlp", width=8, depth=1, head_width=4)


def test_selfplay_multiply_adds_are_weights_times_nodes() -> None:
    """A fully connected network of 3 layers of 8 units and two heads, counted by hand."""
    rows, columns, planes = GAME.observation_shape
    weights = rows * columns * planes * 8 + 8 * 8 + 8 * 8 + 8 * 9 + 8 * 4 + 4 * 1
    moves, simulations = 1000, 64
    nodes = moves * (simulations + 1)
    ledger = Ledger().plus(
        selfplay=moves * flops.move(GAME, MLP, simulations + 1),
        learning=50 * flops.training_step(GAME, MLP, 32),
        imitation=12345,
    )
    assert compute_units.selfplay_multiply_adds(ledger) == weights * nodes


def test_all_flops_count_two_per_multiply_add() -> None:
    assert compute_units.all_flops(Ledger(imitation=1, selfplay=20, learning=300)) == 321


@pytest.mark.parametrize(("exponent", "elo"), [(0.88, 352), (0.55, 220)])
def test_elo_per_oom_matches_published_exponents(exponent: float, elo: float) -> None:
    assert compute_units.elo_per_oom(exponent) == pytest.approx(elo)


def test_elo_per_oom_matches_the_odds_of_winning() -> None:
    """At 10 times the compute the odds grow by 10^exponent."""
    gained = compute_units.elo_per_oom(0.55)
    win = 1 / (1 + 10 ** (-gained / 400))
    assert win / (1 - win) == pytest.approx(10**0.55)
