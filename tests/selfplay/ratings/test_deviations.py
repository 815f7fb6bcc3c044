"""Deviations of pairings: what the fit of the parameters leaves of them."""

import numpy as np
import pytest

from selfplay.ratings.deviations import Deviations
from selfplay.ratings.posterior import Posterior
from tests.simulation.ladders import Field, Ladder, independent


def played(players: int, openings: int) -> Posterior:
    """Plays everybody against the next two players, with pair effects."""
    rng = np.random.default_rng(1)
    field = Field(np.linspace(0, 150 * players, players), 0, 100.0, 0.02, "normal", 150.0)
    ladder = Ladder(independent(field, 100.0, rng), rng)
    ladder.play([(i, i + apart) for apart in (1, 2) for i in range(players - apart)], openings)
    return Posterior.of(ladder.games, players, 0)


@pytest.mark.parametrize("openings", [4, 24])
def test_residuals_have_a_covariance(openings: int) -> None:
    """No combination of deviations has a negative variance once the fit is removed."""
    posterior = played(10, openings)
    fit = Deviations.of(posterior, posterior.maximize())
    residual = fit.residual(np.eye(len(posterior.openings.i)))
    np.testing.assert_allclose(residual, residual.T, atol=1e-9)
    assert np.linalg.eigvalsh(residual).min() > -1e-9


def test_degrees_of_freedom_are_those_of_the_residual_matrix() -> None:
    posterior = played(5, 12)
    fit = Deviations.of(posterior, posterior.maximize())
    residual = fit.residual(np.eye(len(fit.pairings)))
    np.testing.assert_allclose(fit.freedom, np.diag(residual), atol=1e-9)
