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


def by_row(posterior: Posterior, parameters: Floats, effects: Floats) -> Floats:
    """Computes each row's log-likelihood, times its openings; effects are in nats."""
    rows, (gamma, delta, log_tau) = posterior.openings, parameters[-3:]
    ahead = (parameters[rows.i] - parameters[rows.j] + effects)[rows.pairing]
    tau = float(np.exp(log_tau))
    return rows.count * log_likelihood(ahead, rows.side, rows.outcome, gamma, delta, tau)


def objective(posterior: Posterior, parameters: Floats, effects: Floats, sigma: float) -> float:
    """Computes the penalized log-likelihood; effects are in units of σ."""
    theta, (gamma, delta, log_tau) = parameters[:-3], parameters[-3:]
    wide = PRIOR * NATS_PER_ELO
    prior = ((theta - theta.mean()) ** 2).sum() / wide**2
    prior += (gamma / (400 * NATS_PER_ELO)) ** 2 + ((delta + 2) / 6) ** 2
    tau = np.exp(2 * log_tau) / (100 * NATS_PER_ELO) ** 2
    total = by_row(posterior, parameters, sigma * effects).sum()
    return float(total + (log_tau - tau - prior - effects @ effects) / 2)


@pytest.mark.parametrize("sigma", [0.0, SIGMA])
def test_derivatives_are_zero_at_the_maximum(sigma: float) -> None:
    posterior = posterior_of(play(6, 3, 100.0))
    at = posterior.maximize(sigma)
    assert objective(posterior, at.parameters, at.effects, sigma) == pytest.approx(at.value)
    size, e = len(at.parameters), 1e-5
    for shift in e * np.eye(size + len(at.effects)):
        ends = [
            objective(
                posterior, at.parameters + s * shift[:size], at.effects + s * shift[size:], sigma
            )
            for s in (1, -1)
        ]
        moved = int(shift.argmax())
        if moved >= size or posterior.free[moved]:
            assert (ends[0] - ends[1]) / (2 * e) == pytest.approx(0, abs=1e-5)


def test_maximum_does_not_depend_on_the_start() -> None:
    posterior = posterior_of(play(6, 3, 100.0))
    direct = posterior.maximize(SIGMA)
    warm = posterior.maximize(SIGMA, posterior.maximize(2 * SIGMA))
    np.testing.assert_allclose(warm.parameters, direct.parameters, atol=1e-7)
    np.testing.assert_allclose(warm.effects, direct.effects, atol=1e-7)


def test_hessian_has_the_pair_effects_eliminated() -> None:
    """It is the Schur complement of the second derivatives in parameters and effects."""
    posterior = posterior_of(play(3, 6, 100.0))
    at = posterior.maximize(SIGMA)
    point, size, e = np.r_[at.parameters, at.effects], len(at.parameters), 1e-3

    def value(shift: Floats) -> float:
        moved = point + shift
        return objective(posterior, moved[:size], moved[size:], SIGMA)

    unit = e * np.eye(len(point))
    full = np.array(
        [
            [sum(s * t * value(s * a + t * b) for s in (1, -1) for t in (1, -1)) for a in unit]
            for b in unit
        ]
    ) / (-4 * e**2)
    own, cross, effects = full[:size, :size], full[:size, size:], full[size:, size:]
    schur = own - cross @ np.linalg.solve(effects, cross.T)
    np.testing.assert_allclose(at.hessian, schur, atol=1e-4 * np.abs(schur).max())


def test_pairing_keeps_at_most_one_over_sigma_squared() -> None:
    posterior = posterior_of(play(4, 150, 100.0))
    at = posterior.maximize(SIGMA)
    before, kept = at.pairings[:, 0, 0], at.kept[:, 0, 0]
    np.testing.assert_allclose(kept, before / (1 + SIGMA**2 * before))
    assert (kept < 1 / SIGMA**2).all() and (kept > 0.8 / SIGMA**2).all()
    assert (before > 5 / SIGMA**2).all()


def test_log_evidence_agrees_with_integrals_over_effects() -> None:
    """On a fine grid, at the parameters of the maximum."""
    posterior = posterior_of(play(3, 5, 200.0))
    for spread in (30.0, 120.0, 400.0):
        sigma = spread * NATS_PER_ELO
        at = posterior.maximize(sigma)
        grid = np.linspace(-7, 7, 701) * sigma
        density = -((grid / sigma) ** 2) / 2 - np.log(sigma * np.sqrt(2 * np.pi))
        rows = np.array([by_row(posterior, at.parameters, np.full(3, u)) for u in grid])
        pairings = np.stack([rows[:, posterior.openings.pairing == k].sum(1) for k in range(3)])
        integrals = logsumexp(pairings + density, axis=1) + np.log(grid[1] - grid[0])
        prior = at.value - by_row(posterior, at.parameters, at.spread * at.effects).sum()
        prior += at.effects @ at.effects / 2
        theta = at.parameters[:3] - at.parameters[:3].mean()
        prior += theta @ theta / 2 / (PRIOR * NATS_PER_ELO) ** 2  # the ratings' prior is left out
        block = np.ix_(posterior.free, posterior.free)
        width = np.linalg.slogdet(at.hessian[block])[1]
        expected = integrals.sum() + prior - width / 2
        assert posterior.log_evidence(at) == pytest.approx(expected, abs=2e-3)


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
