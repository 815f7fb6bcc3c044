"""Calibration of ratings: coverage of their intervals, games saved by pairing, and evalica.

`benchmarks/calibration.py` prints what these functions compute for thousands of ladders; the tests
of `selfplay/ratings` compute it for a few.
"""

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from selfplay.ratings import goodness_of_fit
from selfplay.ratings.elo import Z95, Ratings, fit
from tests.simulation.ladders import (
    ANCHORS,
    KINDS,
    PUBLISHED,
    SCENARIOS,
    Field,
    Ladder,
    climb,
    color_blind,
    cycle,
    draw_field,
    ladder,
    published,
)

LADDERS = 2000
TARGET = 40.0  # Elo
SAVED = 0.25  # the fraction of games that adaptive pairing saves at least, in the median
SPREADS: Final = (0.0, 50.0, 100.0, 200.0)  # Elo, of independent pair effects
TESTED: Final = (0.0, 100.0)  # spreads at which the false positives of the tests are counted
TESTED_LADDERS: Final = 500  # the first ladders of such a cell
CYCLE: Final = 150.0  # Elo, amplitude
BETWEEN_KINDS: Final = 150.0  # Elo, standard deviation
PAIRINGS: Final[dict[str, tuple[str, ...]]] = {  # the scenarios of each way of pairing, in turn
    "round-robin": ("round-robin",),
    "sparse": ("neighbors", "at random"),
    "adaptive": ("adaptive",),
}


class Cell(NamedTuple):
    """A cell of the table of coverage: how players are paired, and how pairings deviate."""

    pattern: str  # of `ladders.PATTERNS`
    spread: float  # Elo
    pairing: str  # of PAIRINGS or `ladders.PUBLISHED`

    @property
    def name(self) -> str:
        """The cell's name, such as "independent 100 sparse"."""
        return f"{self.pattern} {self.spread:.0f} {self.pairing}"

    @property
    def published(self) -> bool:
        """Whether its ladders have the data of a published one."""
        return self.pairing in PUBLISHED

    def tested(self, replicate: int) -> bool:
        """Whether this ladder is tested for goodness of fit."""
        every = self.pattern != "independent" or self.published
        return every or (self.spread in TESTED and replicate < TESTED_LADDERS)

    def simulate(self, replicate: int) -> tuple[Ladder, Ratings]:
        """Simulates one of its ladders."""
        if self.published:
            return published(self.pairing, replicate, self.pattern, self.spread)
        scenarios = PAIRINGS[self.pairing]
        number, which = divmod(replicate, len(scenarios))
        return ladder(scenarios[which], number, self.pattern, self.spread)


INDEPENDENT: Final = [
    Cell("independent", spread, pairing) for spread in SPREADS for pairing in PAIRINGS
]
STRUCTURED: Final = [
    Cell(pattern, spread, pairing)
    for pairing in PUBLISHED
    for pattern, spread in (("independent", 100.0), ("cycle", CYCLE), ("kinds", BETWEEN_KINDS))
]
CELLS: Final = {cell.name: cell for cell in (*INDEPENDENT, *STRUCTURED)}


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


class PValues(NamedTuple):
    """P-values of the tests of fit, named as in `goodness_of_fit.GoodnessOfFit`."""

    one_scale: float
    p_value: float
    single: float  # the adjusted p-value of the worst pairing
    cycles: float
    kinds: float


@dataclass(frozen=True)
class SimulatedLadder:
    """A simulated ladder and how well its intervals cover the truth.

    Plain ratings are those of the same games without pair effects.

    Attributes:
        cell: the name of its cell.
        openings: how the first player's advantage depends on openings, one of `OPENINGS`.
        anchored_at: the anchor's place among the players, one of `ANCHORS`.
        draws: whether games are drawn.
        games: how many were played.
        stderr: median standard error over the players besides the anchor, Elo.
        wider: mean standard error divided by the plain one.
        spread: the estimate of σ, Elo.
        covered: the fractions of intervals that hold the truth.
        plain: the fractions of plain intervals that hold it.
        spread_covered: whether the interval of σ holds the standard deviation of the effects.
        p_values: of the tests of fit; None if they were not made.
        seconds: CPU time.
    """

    cell: str
    openings: str
    anchored_at: str
    draws: bool
    games: int
    stderr: float
    wider: float
    spread: float
    covered: Covered
    plain: Covered
    spread_covered: bool
    p_values: PValues | None = None
    seconds: float = field(default=0.0, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Returns its attributes as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "SimulatedLadder":
        """Reads what `to_json` returned."""
        parts = {name: Covered(*values[name]) for name in ("covered", "plain")}
        p_values = values["p_values"] and PValues(*values["p_values"])
        return cls(**{**values, **parts, "p_values": p_values})


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


def simulate(cell: Cell, replicate: int) -> SimulatedLadder:
    """Simulates one ladder, a function of its cell and number."""
    start = time.process_time()
    played, ratings = cell.simulate(replicate)
    truth, games = played.field, played.games
    plain = fit(games, truth.players, truth.anchor, pair_effects=False)
    stderr, plain_stderr = (np.delete(each.stderr, truth.anchor) for each in (ratings, plain))
    low, high = ratings.pair_spread_interval
    ends = {int(truth.elo.argmin()): ANCHORS[0], int(truth.elo.argmax()): ANCHORS[1]}
    p_values = _p_values(played) if cell.tested(replicate) else None
    return SimulatedLadder(
        cell=cell.name,
        openings=truth.openings,
        anchored_at=ends.get(truth.anchor, ANCHORS[2]),
        draws=truth.draw > 0,
        games=2 * played.pairs,
        stderr=float(np.median(stderr)),
        wider=float(stderr.mean() / plain_stderr.mean()),
        spread=ratings.pair_spread,
        covered=covered(truth, ratings),
        plain=covered(truth, plain),
        spread_covered=bool(low <= cell.spread <= high),
        p_values=p_values,
        seconds=time.process_time() - start,
    )


def _p_values(played: Ladder) -> PValues:
    """Tests the fit; players without kinds get `KINDS`, which take turns."""
    players = played.field.players
    kinds = played.field.kinds or [f"kind {i % KINDS}" for i in range(players)]
    result = goodness_of_fit.test(played.games, players, kinds=kinds)
    return PValues(*(getattr(result, name) for name in PValues._fields))


def share(values: Iterable[float]) -> tuple[float, float]:
    """Computes the mean of some fractions, and its standard error."""
    column = np.array(list(values), float)
    return float(column.mean()), float(column.std() / np.sqrt(len(column)))


def until(
    replicate: int,
    target: float = TARGET,
    players: int = 30,
    pairs: int = 4,
    pair_effects: bool = True,
) -> tuple[int, int]:
    """Counts the games until every rating's standard error is at most `target` Elo.

    Adaptive pairing and a round-robin both play rounds of players / 2 pairings, `pairs` openings
    each, and look at the standard errors after every round. The players are on one scale, which
    ratings with `pair_effects` do not take for granted.

    Returns:
        The games of adaptive pairing, and those of the round-robin.
    """
    rng = np.random.default_rng([len(SCENARIOS), replicate])
    elo = rng.permutation(np.sort(rng.uniform(0, 1200, players)))
    field = replace(draw_field(rng), elo=elo, anchor=int(elo.argsort()[replicate % players]))
    adaptive = Ladder(field, np.random.default_rng([replicate, 0]), pair_effects)
    climb(adaptive, target, players // 2, pairs, rounds=1000)
    robin = Ladder(field, np.random.default_rng([replicate, 1]), pair_effects)
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
    ours = fit(both, field.players, 0, prior=1e5, pair_effects=False).elo
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
