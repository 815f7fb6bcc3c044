"""How well ratings explain the games of a ladder: the tests of fit, and what they mean."""

from __future__ import annotations

from selfplay.ladder.kinds import kinds
from selfplay.ladder.ladder import LadderState
from selfplay.ratings import goodness_of_fit
from selfplay.ratings.goodness_of_fit import P_REJECT, GoodnessOfFit

NAMED = 3  # badly predicted pairings that are named


def test(state: LadderState) -> GoodnessOfFit:
    """Tests the ratings of a ladder, with search budgets, engines and perfect players as kinds."""
    return goodness_of_fit.test(state.games, len(state.entries), kinds=kinds(state.entries))


def sentences(state: LadderState) -> list[str]:
    """Says how far pairings deviate from one common scale, and whether the model explains them."""
    fit = test(state)
    lines = [
        f"one common scale: p = {fit.one_scale:.2g}; {describe_spread(state)}",
        f"test of fit, deviations included: p = {fit.p_value:.2g}",
    ]
    if fit.p_value < P_REJECT:
        lines[-1] += f"; {'; '.join(reasons(fit))}"
    for pair in fit.badly_predicted()[:NAMED]:
        a, b = (state.entries[k].spec for k in (pair.i, pair.j))
        lines.append(
            f"badly predicted: {a} scored {pair.observed:.0%} against {b}, "
            f"expected {pair.expected:.0%}"
        )
    return lines


def describe_spread(state: LadderState) -> str:
    """Says by how much pairings deviate from one common scale."""
    ratings = state.ratings
    low, high = ratings.pair_spread_interval
    if not ratings.pair_spread:
        return f"no deviations of pairings from it are found ({low:.0f} to {high:.0f} Elo)"
    return f"pairings deviate from it by {ratings.pair_spread:.0f} Elo ({low:.0f} to {high:.0f})"


def reasons(fit: GoodnessOfFit) -> list[str]:
    """Says which of the tests reject the rating model."""
    p_values = {
        "pairings between kinds of players (search budgets, engines, perfect play) deviate "
        "otherwise than those within a kind": fit.kinds,
        "some players beat each other in a cycle": fit.cycles,
        "single pairings deviate further than a normal distribution allows": fit.single,
    }
    return [f"{text} (p = {p:.1g})" for text, p in p_values.items() if 3 * p < P_REJECT]
