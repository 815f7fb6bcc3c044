"""The maximum at a given spread of pair effects: derivatives, evidence, and covariance."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp

from selfplay.ratings.bradley_terry import NATS_PER_ELO, Floats, log_likelihood
from selfplay.ratings.elo import Games, fit
from selfplay.ratings.posterior import PRIOR, Maximum, Posterior
from tests.simulation.ladders import Field, Ladder, cycle, independent

SIGMA = 120 * NATS_PER_ELO


def play(players: int, pairs: int, spread: float = 0.0, seed: int = 5) -> Ladder:
    """Plays a round-robin with draws, a first move and uneven openings."""
    rng = np.random.default_rng(seed)
    field = Field(rng.uniform(0, 600, players), players // 2, 40.0, 0.6, "normal", 120.0)
    ladder = Ladder(independent(field, spread, rng), rng)
    for pairings in cycle(players):
        ladder.play(pairings, pairs)
    return ladder


def posterior_of(ladder: Ladder) -> Posterior:
    return Posterior.of(ladder.games, ladder.field.players, ladder.field.anchor)


GRID = np.linspace(-7, 7, 141)  # values of a pair effect, in its standard deviations


def log_integrals(posterior: Posterior, parameters: Floats, sigma: float) -> Floats:
    """Computes each pairing's log-likelihood, its effect integrated out on a fine grid."""
    rows, (gamma, delta, log_tau) = posterior.openings, parameters[-3:]
    ahead = (parameters[rows.i] - parameters[rows.j])[rows.pairing]
    tau, values = float(np.exp(log_tau)), list[Floats]()
    for u in sigma * GRID:
        by_row = log_likelihood(ahead + u, rows.side, rows.outcome, gamma, delta, tau)
        values.append(rows.by_pairing(by_row))
    density = -(GRID**2) / 2 - np.log(np.sqrt(2 * np.pi)) + np.log(GRID[1] - GRID[0])
    return np.asarray(logsumexp(np.array(values) + density[:, None], axis=0))


def objective(posterior: Posterior, parameters: Floats, sigma: float) -> float:
    """Computes the penalized log-likelihood, independently of the code that it tests."""
    theta, (gamma, delta, log_tau) = parameters[:-3], parameters[-3:]
    wide = PRIOR * NATS_PER_ELO
    prior = ((theta - theta.mean()) ** 2).sum() / wide**2
    prior += (gamma / (400 * NATS_PER_ELO)) ** 2 + ((delta + 2) / 6) ** 2
    tau = np.exp(2 * log_tau) / (100 * NATS_PER_ELO) ** 2
    total = log_integrals(posterior, parameters, sigma).sum()
    return float(total + (log_tau - tau - prior) / 2)


SIZES = {"few games": (6, 3), "many games": (4, 60)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sigma", [1e-3, SIGMA, 4 * SIGMA])
def test_derivatives_are_zero_at_the_maximum(size: str, sigma: float) -> None:
    """To 4 % of the standard error of each parameter."""
    posterior = posterior_of(play(*SIZES[size], 100.0))
    at = posterior.maximize(sigma)
    assert objective(posterior, at.parameters, sigma) == pytest.approx(at.value, abs=0.02)
    stderr = np.sqrt(np.diag(posterior.inverse(at)))
    for moved in np.flatnonzero(posterior.free):
        shift = 0.01 * stderr[moved] * np.eye(len(stderr))[moved]
        ends = [objective(posterior, at.parameters + s * shift, sigma) for s in (1, -1)]
        assert (ends[0] - ends[1]) / 0.02 == pytest.approx(0, abs=0.04)


def test_maximum_does_not_depend_on_the_start() -> None:
    posterior = posterior_of(play(6, 3, 100.0))
    direct = posterior.maximize(SIGMA)
    warm = posterior.maximize(SIGMA, posterior.maximize(2 * SIGMA))
    np.testing.assert_allclose(warm.parameters, direct.parameters, atol=1e-6)
    np.testing.assert_allclose(warm.effects, direct.effects, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_hessian_is_that_of_the_integrals(size: str) -> None:
    """To 5 % of the standard errors' product."""
    posterior = posterior_of(play(*SIZES[size], 100.0))
    at = posterior.maximize(SIGMA)
    free = np.flatnonzero(posterior.free)
    stderr = np.sqrt(np.diag(posterior.inverse(at)))
    unit = 0.05 * (stderr * np.eye(len(stderr)))[free]
    second = np.array(
        [
            [
                sum(
                    s * t * objective(posterior, at.parameters + s * a + t * b, SIGMA)
                    for s in (1, -1)
                    for t in (1, -1)
                )
                for a in unit
            ]
            for b in unit
        ]
    ) / (-4 * 0.05**2)
    expected = (at.hessian * np.outer(stderr, stderr))[np.ix_(free, free)]
    np.testing.assert_allclose(second, expected, atol=0.05 * np.abs(expected).max())


def test_pairing_keeps_at_most_one_over_sigma_squared() -> None:
    posterior = posterior_of(play(4, 150, 100.0))
    at = posterior.maximize(SIGMA)
    before, kept = at.pairings[:, 0, 0], at.kept[:, 0, 0]
    np.testing.assert_allclose(kept, before / (1 + SIGMA**2 * before))
    assert (kept < 1 / SIGMA**2).all() and (kept > 0.8 / SIGMA**2).all()
    assert (before > 5 / SIGMA**2).all()


def test_log_evidence_takes_the_width_of_the_field_for_the_ratings_prior() -> None:
    """It is a t-distribution instead of the normal one, up to a constant."""
    posterior = posterior_of(play(3, 5, 200.0))
    at = posterior.maximize(SIGMA)
    theta = at.parameters[:3] - at.parameters[:3].mean()
    normal = -theta @ theta / 2 / (PRIOR * NATS_PER_ELO) ** 2
    student = -2 / 2 * np.log(theta @ theta / 3 + (100 * NATS_PER_ELO) ** 2)
    width = np.linalg.slogdet(at.hessian[np.ix_(posterior.free, posterior.free)])[1]
    assert posterior.log_evidence(at) == pytest.approx(at.value - normal + student - width / 2)


GAMES = {  # pairings (first player, second player, outcome), and whether ratings explain them all
    "tree": ([(0, 1, 1), (0, 1, -1), (1, 2, 1), (1, 2, -1)], True),
    "cycle": ([(0, 1, 1), (0, 1, -1), (1, 2, 1), (1, 2, -1), (0, 2, 1), (0, 2, -1)], False),
    "perfect order": ([(0, 1, 1), (1, 2, 1), (0, 2, 1)], True),
    "each beats the next": ([(0, 1, 1), (1, 2, 1), (2, 0, 1)], False),
    "one beats two equal ones": ([(0, 1, 1), (0, 2, 1), (1, 2, 1), (1, 2, -1)], True),
    "one lost against one of two equal ones": (
        [(0, 1, 1), (2, 0, 1), (1, 2, 1), (1, 2, -1)],
        False,
    ),
    "draws": ([(0, 1, 0), (1, 2, 0), (2, 0, 0)], False),
    "nothing": ([], True),
}


@pytest.mark.parametrize("name", GAMES)
def test_ratings_explain_trees_and_perfect_orders(name: str) -> None:
    rows, explained = GAMES[name]
    first, second, outcome = np.array(rows, int).reshape(-1, 3).T
    games = Games(first, second, outcome, np.arange(len(first)))
    assert Posterior.of(games, 4, 0).fits_any_spread == explained


def test_log_evidence_is_continuous_at_no_effects() -> None:
    posterior = posterior_of(play(5, 4))
    none, tiny = (posterior.log_evidence(posterior.maximize(s)) for s in (0.0, 1e-4))
    assert tiny == pytest.approx(none, abs=1e-4)


def test_log_evidence_does_not_depend_on_the_anchor() -> None:
    ladder = play(5, 4, 100.0)
    values = []
    for anchor in (0, 3):
        posterior = Posterior.of(ladder.games, 5, anchor)
        values.append(posterior.log_evidence(posterior.maximize(SIGMA)))
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_effects_are_scaled_by_pairing() -> None:
    """Where the scale is 0 there are no effects, whatever σ is."""
    ladder = play(5, 4, 100.0)
    posterior = posterior_of(ladder)
    none = replace(posterior, scale=np.zeros(10)).maximize(SIGMA)
    np.testing.assert_allclose(none.parameters, posterior.maximize().parameters, atol=1e-7)
    double = Posterior.of(ladder.games, 5, 2, scale=lambda i, j: np.full(len(i), 2.0))
    np.testing.assert_allclose(
        double.maximize(SIGMA).parameters, posterior.maximize(2 * SIGMA).parameters, atol=1e-7
    )


def check_sandwich(posterior: Posterior, at: Maximum, tolerance: float) -> None:
    """Compares the variances of the ratings with those of the model."""
    players = posterior.players
    free = posterior.free[:players]
    robust, model = posterior.sandwich(at), posterior.inverse(at)
    ratio = np.diag(robust)[:players][free] / np.diag(model)[:players][free]
    np.testing.assert_allclose(ratio, 1, atol=tolerance)


def test_sandwich_agrees_with_the_model_if_the_model_is_true() -> None:
    posterior = posterior_of(play(6, 150))
    check_sandwich(posterior, posterior.maximize(), 0.2)


def test_sandwich_with_effects_agrees_with_the_model() -> None:
    posterior = posterior_of(play(8, 100, 120.0))
    check_sandwich(posterior, posterior.maximize(SIGMA), 0.1)


def test_sandwich_without_openings_in_common_has_no_less_than_the_effects() -> None:
    """However many games two players have, their difference is known to ±σ."""
    games = play(2, 3000, 120.0).games
    posterior = Posterior.of(Games(*games), 2, 1)
    variance = posterior.sandwich(posterior.maximize(SIGMA))[0, 0]
    assert np.sqrt(variance) == pytest.approx(SIGMA, rel=0.05)


@pytest.mark.slow
def test_sandwich_agrees_with_the_scatter_of_estimates() -> None:
    """Over 300 ladders of 8 players: the variance of each rating is known to 8 %."""
    spread, errors, variances = 100.0, [], []
    for seed in range(300):
        ladder = play(8, 4, spread, seed)
        posterior = posterior_of(ladder)
        at = posterior.maximize(spread * NATS_PER_ELO)
        truth = ladder.field.elo - ladder.field.elo[ladder.field.anchor]
        errors.append(at.parameters[:8] / NATS_PER_ELO - truth)
        variances.append(np.diag(posterior.sandwich(at))[:8] / NATS_PER_ELO**2)
    others = np.arange(8) != 4
    ratio = np.square(errors).mean(axis=0)[others] / np.mean(variances, axis=0)[others]
    assert 0.9 < ratio.mean() < 1.1
    assert (ratio > 0.75).all() and (ratio < 1.25).all()


@pytest.mark.parametrize(("anchor", "prior"), [(3, PRIOR), (-1, PRIOR), (0, 0.0), (0, np.inf)])
def test_anchor_or_prior_out_of_range_is_rejected(anchor: int, prior: float) -> None:
    with pytest.raises(ValueError, match=r"anchor|prior"):
        fit(Games(*np.zeros((4, 0), int)), 3, anchor, prior)
