"""Calibration of ratings: coverage of their intervals, games saved by pairing, and evalica.

`benchmarks/calibration.py` prints what these functions compute for 2 000 ladders; the tests of
`selfplay/ratings` compute it for a few.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from selfplay.ratings.elo import Z95, Ratings, fit
from tests.simulation.ladders import (
    ANCHORS,
    SCENARIOS,
    Field,
    Ladder,
    climb,
    color_blind,
    cycle,
    draw_field,
    ladder,
)

LADDERS = 2000
TARGET = 40.0  # Elo
SAVED = 0.25  # the fraction of games that adaptive pairing saves at least, in the median


class Covered(NamedTuple):
    """Fractions of a ladder's 95 % intervals that hold the truth.

    Attributes:
        anchor: of the ratings relative to the anchor.
        differences: of the differences between any two players.
        ends: of the difference between the strongest and the weakest player, 0 or 1.
    """

    anchor: float
    differences: float
    ends: float


@dataclass(frozen=True)
class SimulatedLadder:
    """A simulated ladder and how well its intervals cover the truth.

    Attributes:
        scenario: the way of pairing, one of `SCENARIOS`.
        field: the truth.
        games: how many were played.
        stderr: median standard error over the players besides the anchor, Elo.
        covered: the fractions of intervals that hold the truth.
    """

    scenario: str
    field: Field
    games: int
    stderr: float
    covered: Covered

    @property
    def anchored_at(self) -> str:
        """The anchor's place among the players, one of `ANCHORS`."""
        elo = self.field.elo
        ends = {int(elo.argmin()): ANCHORS[0], int(elo.argmax()): ANCHORS[1]}
        return ends.get(self.field.anchor, ANCHORS[2])


def covered(field: Field, ratings: Ratings) -> Covered:
    """Computes which fractions of the ratings' intervals hold the truth."""
    truth = field.elo - field.elo[field.anchor]
    others = np.arange(field.players) != field.anchor
    low, high = ratings.interval.T
    errors, covariance = ratings.elo - truth, ratings.covariance
    variance = np.diag(covariance)
    spread = np.add.outer(variance, variance) - 2 * covariance
    within = np.subtract.outer(errors, errors) ** 2 <= Z95**2 * spread
    pairs = np.triu_indices(field.players, 1)
    return Covered(
        anchor=float(((low <= truth) & (truth <= high))[others].mean()),
        differences=float(within[pairs].mean()),
        ends=float(within[field.elo.argmax(), field.elo.argmin()]),
    )


def simulate(scenario: str, replicate: int) -> SimulatedLadder:
    """Simulates one ladder, a function of its scenario and number."""
    played, ratings = ladder(scenario, replicate)
    stderr = float(np.median(np.delete(ratings.stderr, played.field.anchor)))
    coverage = covered(played.field, ratings)
    return SimulatedLadder(scenario, played.field, 2 * played.pairs, stderr, coverage)


def share(values: Iterable[float]) -> tuple[float, float]:
    """Computes the mean of some fractions, and its standard error."""
    column = np.array(list(values))
    return float(column.mean()), float(column.std() / np.sqrt(len(column)))


def until(
    replicate: int, target: float = TARGET, players: int = 30, pairs: int = 4
) -> tuple[int, int]:
    """Counts the games until every rating's standard error is at most `target` Elo.

    Adaptive pairing and a round-robin both play rounds of players / 2 pairings, `pairs` openings
    each, and look at the standard errors after every round.

    Returns:
        The games of adaptive pairing, and those of the round-robin.
    """
    rng = np.random.default_rng([len(SCENARIOS), replicate])
    elo = rng.permutation(np.sort(rng.uniform(0, 1200, players)))
    field = replace(draw_field(rng), elo=elo, anchor=int(elo.argsort()[replicate % players]))
    adaptive = Ladder(field, np.random.default_rng([replicate, 0]))
    climb(adaptive, target, players // 2, pairs, rounds=1000)
    robin = Ladder(field, np.random.default_rng([replicate, 1]))
    rounds = cycle(players)
    ratings = robin.rate()
    while ratings.stderr.max() > target:
        robin.play(rounds[robin.pairs // (pairs * len(rounds[0])) % len(rounds)], pairs)
        ratings = robin.rate()
    return 2 * adaptive.pairs, 2 * robin.pairs


def against_evalica(seed: int, draws: float) -> float:
    """Computes the largest difference in Elo from evalica's ratings, where the models coincide.

    The games show no advantage of the first move. Without draws evalica's model is Bradley and
    Terry's, with draws it is Newman's, which is Davidson's.

    Args:
        seed: of the simulated games.
        draws: Davidson's ν, how often equal players draw; 0 for never.
    """
    import evalica

    rng = np.random.default_rng([len(SCENARIOS) + 1, seed])
    field = Field(rng.uniform(0, 500, 12), 0, 0.0, draws, "even", 0.0)
    played = Ladder(field, rng)
    for _ in range(4):
        for pairings in cycle(field.players):
            played.play(pairings, 5)
    both = color_blind(played.games)
    ours = fit(both, field.players, 0, prior=1e5).elo
    names = {1: evalica.Winner.X, 0: evalica.Winner.Draw, -1: evalica.Winner.Y}
    rate = evalica.newman if draws else evalica.bradley_terry
    result = rate(
        both.first.tolist(),
        both.second.tolist(),
        [names[int(o)] for o in both.outcome],
        tolerance=1e-12,
        limit=100_000,
    )
    scores: NDArray[np.float64] = result.scores.sort_index().to_numpy()
    theirs = 400 * np.log10(scores / scores[0])
    return float(np.abs(ours - theirs).max())
