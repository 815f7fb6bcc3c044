"""Pair effects integrated out of the likelihood.

A pairing's likelihood is the mean over its effect u ~ Normal(0, s²) of the likelihood given u. The
mean is taken by Gauss-Hermite quadrature around the most likely u, with the width that the second
derivative there implies. For a pairing with many games this is close to Laplace's method; for one
with few games, or results that all point one way, the further nodes correct it.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.special import logsumexp

from selfplay.ratings.bradley_terry import Floats, Openings, Terms, terms

__all__ = ["MIN_SHRUNK", "Integrals", "integrate"]

_HERMITE = np.polynomial.hermite_e.hermegauss(5)
_CENTER_FIRST = np.argsort(np.abs(_HERMITE[0]))
EFFECTS: Final[Floats] = _HERMITE[0][_CENTER_FIRST]  # [E]: nodes, the first of which is 0
LOG_WEIGHTS: Final[Floats] = np.log(_HERMITE[1][_CENTER_FIRST] / np.sqrt(2 * np.pi))
MIN_SHRUNK: Final = 0.05  # the least value of 1 + s² I, where openings make I negative


class Integrals(NamedTuple):
    """Log-likelihoods of K pairings, and means over u of what `terms` computes for R rows."""

    value: Floats  # [K]
    score: Floats  # [R, 4], of one opening of a row
    information: Floats  # [R, 4, 4], of one opening of a row
    by_effect: Floats  # [K]: first derivative in the effect, at the nodes' center
    bend: Floats  # [K, 4]: information about d and each coordinate, at the nodes' center


def integrate(
    openings: Openings, parameters: Floats, effects: Floats, spread: Floats, tau: float
) -> Integrals:
    """Integrates the pair effects out.

    Args:
        openings: the results.
        parameters: float[p]: θ, γ, δ, log τ.
        effects: float[K], center of the nodes, in standard deviations of the effects.
        spread: float[K], standard deviations of the effects in nats.
        tau: the standard deviation of the first-move advantage over openings; 0 for none.
    """
    ahead = parameters[openings.i] - parameters[openings.j]
    gamma, delta = parameters[-3:-1]

    def given(effects: Floats) -> tuple[Terms, Floats]:
        lead = (ahead + spread * effects)[openings.pairing]
        opening = terms(lead, openings.side, openings.outcome, gamma, delta, tau)
        return opening, openings.by_pairing(opening.value) - effects**2 / 2

    center, value = given(effects)
    by_effect = spread * openings.by_pairing(center.score)[:, 0] - effects
    bend = openings.by_pairing(center.information)[:, 0]
    if not spread.any():
        return Integrals(value, center.score, center.information, by_effect, bend)
    width = 1 / np.sqrt(np.maximum(1 + spread**2 * bend[:, 0], MIN_SHRUNK))
    around = [given(effects + width * z) for z in EFFECTS[1:]]
    values = np.array([value, *(each for _, each in around)])
    joint = values + (LOG_WEIGHTS + EFFECTS**2 / 2)[:, None] + np.log(width)
    integral = np.asarray(logsumexp(joint, axis=0))
    share = np.exp(joint - integral)[:, openings.pairing]
    parts = [center, *(each for each, _ in around)]
    score = np.einsum("er,era->ra", share, [each.score for each in parts])
    information = np.einsum("er,erab->rab", share, [each.information for each in parts])
    return Integrals(integral, score, information, by_effect, bend)
