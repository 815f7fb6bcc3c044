"""Goodness of fit: tests what ratings and independent pair effects leave unexplained.

Two questions are asked of the same games:

* *One common scale?* Pearson's statistic over pairings, of a fit without pair effects. If it
  rejects, one number per player does not explain who beats whom.
* *Does the rating model hold?* Given the spread σ of the pair effects, are they independent? Three
  tests share the level: the largest deviation of a single pairing (Holm); the largest component of
  cyclic dominance (the first singular value of the deviations as a skew-symmetric matrix, against
  simulated independent ones); and, if players are of several kinds, whether pairings deviate
  further, or in one direction, between kinds than within them.

Each pairing is compared with the points that all other games predict for it. The prediction uses
the difference of the ratings without this pairing (one Newton step away from the fit), the
uncertainty of that difference, the spread of pair effects, and the exact distribution of the
points. The p-value is the probability of a result at least as far from the expected one.

The opening is the unit throughout: variance between openings beyond the model's is estimated
within pairings, and widens all predictions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations_with_replacement, pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.linalg import svds
from scipy.special import chdtrc, gammaincc

from selfplay.ratings.bradley_terry import NATS_PER_ELO, NODES, WEIGHTS, Floats, Games, Ints
from selfplay.ratings.elo import PRIOR, Profile
from selfplay.ratings.posterior import Maximum, Posterior

__all__ = ["P_REJECT", "GoodnessOfFit", "PairingFit", "test"]

P_REJECT: Final = 0.001  # below this p-value the players are not on one common scale
WEAK: Final = 10 * PRIOR
SIMULATED: Final = 400  # simulations of independent deviations
MIN_VARIANCE: Final = 0.4  # points²: a tenth of a game is expected to end the other way
DENSE: Final = 100  # players up to which a matrix is decomposed as a whole
MIN_PAIRINGS: Final = 5  # within kinds, and between them, to compare the two
WIDER: Final = 3.0  # how many times as large effects between kinds are tested
TINY: Final = 1e-9
DEGENERATE: Final = 1e-3  # of the largest variance; directions below it are the ratings' own
FARTHEST: Final = 9 * 400 * NATS_PER_ELO  # nats; larger differences count as this one


class PairingFit(NamedTuple):
    """The observed result of two players, i < j, and the result that all other games predict."""

    i: int
    j: int
    openings: int
    games: int
    observed: float  # i's mean score: 1 a win, 1/2 a draw, 0 a loss
    expected: float  # i's mean score as the other games predict it
    z: float  # observed - expected in standard deviations of the prediction; > 0: i did better
    p_value: float  # of this pairing alone, two-sided
    adjusted: float  # p-value after Holm's correction for all pairings


@dataclass(frozen=True)
class GoodnessOfFit:
    """The results of the tests, over all pairings and for each of them.

    Attributes:
        pairings: by p-value, the smallest first.
        one_scale: p-value of one common scale, without pair effects; 1 if ratings explain all
            pairings, as where these form a tree.
        spread: σ, the standard deviation of the pair effects, Elo.
        cycles: p-value of no cyclic dominance, given σ.
        kinds: p-value of no difference between pairings within and between kinds, given σ; 1 if all
            players are of one kind.
        dispersion: variance between openings divided by the model's, at least 1.
    """

    pairings: list[PairingFit]
    one_scale: float
    spread: float
    cycles: float
    kinds: float
    dispersion: float

    @property
    def single(self) -> float:
        """P-value of the farthest single pairing, given σ, after Holm's correction."""
        return self.pairings[0].adjusted if self.pairings else 1.0

    @property
    def p_value(self) -> float:
        """P-value of the rating model, σ included: Bonferroni's over its three tests."""
        return min(1.0, 3 * min(self.single, self.cycles, self.kinds))

    def badly_predicted(self, level: float = 0.05) -> list[PairingFit]:
        """Returns the pairings whose adjusted p-value is below `level`."""
        return [pairing for pairing in self.pairings if pairing.adjusted < level]


def test(
    games: Games, players: int, prior: float = WEAK, kinds: Sequence[str] | None = None
) -> GoodnessOfFit:
    """Tests how well ratings and pair effects fit the games of `players` players.

    Args:
        games: the results.
        players: P.
        prior: standard deviation of the ratings' prior in Elo. The prior of the ratings themselves
            would show: it pulls players together who won or lost everything.
        kinds: the kind of each player, such as its search budget; None: all are of one kind.

    Raises:
        ValueError: a game that is not between two of the players.
    """
    posterior = Posterior.of(games, players, 0, prior)
    if not len(games.first):
        return GoodnessOfFit([], 1.0, 0.0, 1.0, 1.0, 1.0)
    profile = Profile.of(posterior)
    plain = _Fit.of(posterior, profile.maxima[0])
    sigma = profile.mean() * NATS_PER_ELO
    fitted = _Fit.of(posterior, posterior.maximize(sigma, plain.maximum)) if sigma else plain
    return GoodnessOfFit(
        pairings=_compare(fitted),
        one_scale=_pearson(plain),
        spread=sigma / NATS_PER_ELO,
        cycles=_cycles(fitted),
        kinds=_kinds(fitted, profile, kinds) if kinds else 1.0,
        dispersion=fitted.dispersion,
    )


@dataclass(frozen=True, eq=False)
class _Fit:
    """A fit at one σ, and the points of its K pairings against their expectation."""

    posterior: Posterior
    maximum: Maximum
    inverse: Floats  # [p, p]

    @classmethod
    def of(cls, posterior: Posterior, maximum: Maximum) -> "_Fit":
        """Inverts the information of a fit."""
        return cls(posterior, maximum, posterior.inverse(maximum))

    @cached_property
    def pairings(self) -> list["_Played"]:
        """The results of each pairing."""
        rows = self.posterior.openings
        seats = np.stack([(rows.side == side).sum(axis=1) for side in (1, -1)], axis=1)
        points = ((1 + rows.side * rows.outcome) * (rows.side != 0)).sum(axis=1)
        ends = np.searchsorted(rows.pairing, np.arange(len(rows.i) + 1))
        parts = [slice(a, b) for a, b in pairwise(ends.tolist())]
        return [_Played(rows.count[part], seats[part], points[part]) for part in parts]

    @cached_property
    def ahead(self) -> Floats:
        """By how much i's rating is ahead of j's, float[K], in nats, pair effects left out."""
        rows, theta = self.posterior.openings, self.maximum.parameters
        return theta[rows.i] - theta[rows.j]

    @cached_property
    def moments(self) -> Floats:
        """Mean, variance and excess kurtosis of i's points in each pairing, float[K, 3]."""
        moments = [
            _moments(self.points(played.seats, played.count, ahead + spread * NODES, WEIGHTS))
            for played, ahead, spread in zip(
                self.pairings, self.ahead, self.maximum.spread, strict=True
            )
        ]
        return np.array(moments)

    @cached_property
    def dispersion(self) -> float:
        """The variance of an opening's points in its pairing over the model's; at least 1."""
        observed = expected = 0.0
        effects = self.maximum.spread * self.maximum.effects
        for played, ahead in zip(self.pairings, self.ahead + effects, strict=True):
            shapes, which = np.unique(played.seats, axis=0, return_inverse=True)
            single = np.ones(1), np.array([ahead]), np.ones(1)
            each = [_moments(self.points(shape[None], *single)) for shape in shapes]
            mean, variance, _ = np.array(each)[which.ravel()].T
            residual, n = played.points - mean, played.count.sum()
            observed += played.count @ (residual - played.count @ residual / n) ** 2
            expected += played.count @ variance * (1 - 1 / n)
        return max(1.0, float(observed / expected)) if expected else 1.0

    @cached_property
    def standardized(self) -> Floats:
        """Each pairing's points minus their mean, in standard deviations, float[K]."""
        total = np.array([played.total for played in self.pairings])
        mean, variance, _ = self.moments.T
        return (total - mean) / np.sqrt(variance * self.dispersion)

    @cached_property
    def root(self) -> Floats:
        """Maps parameters to the means of `standardized`, float[K, p]."""
        rows, kept = self.posterior.openings, self.maximum.kept[:, 0]  # [K, 4]
        each = np.sqrt(np.maximum(kept[:, 0], TINY))
        root = np.zeros((len(each), len(self.inverse)))
        at = np.arange(len(each))
        root[at, rows.i], root[at, rows.j] = each, -each
        root[:, -3:] = kept[:, 1:] / each[:, None]
        return root

    @cached_property
    def freedom(self) -> Floats:
        """Degrees of freedom that the fit leaves each pairing, float[K], in [0, 1]."""
        absorbed = ((self.root @ self.inverse) * self.root).sum(axis=1)
        return np.clip(1 - absorbed, 0, 1)

    def residual(self, deviations: Floats) -> Floats:
        """Removes from deviations float[K, …] what the fit of the parameters absorbs."""
        return deviations - self.root @ (self.inverse @ (self.root.T @ deviations))

    def points(self, seats: Ints, count: Ints | Floats, ahead: Floats, weights: Floats) -> Floats:
        """Returns the distribution of i's points in openings, float[2 games + 1].

        The difference of strength is uncertain. Convolutions are products of characteristic
        functions.

        Args:
            seats: int[S, 2], games of an opening in which i moves first, and j.
            count: int[S], openings.
            ahead: float[D], values of the difference in nats.
            weights: float[D], their probabilities.
        """
        gamma, nu = self.maximum.gamma, self.maximum.nu
        tau = self.posterior.tau(self.maximum.parameters)
        length = int(2 * count @ seats.sum(axis=1)) + 1
        turn = np.exp(-2j * np.pi * np.arange(length) / length)  # [F]
        sides = []
        for side in (1, -1):
            lead = (side * ahead[:, None] + gamma + tau * NODES) * side  # [D, Q], of i
            win, loss = np.exp(lead / 2), np.exp(-lead / 2)
            total = (win + loss + nu)[..., None]
            sides.append((loss[..., None] + nu * turn + win[..., None] * turn**2) / total)
        product = np.ones((len(ahead), length), complex)
        shapes, which = np.unique(seats, axis=0, return_inverse=True)
        for number, (first, second) in enumerate(shapes):
            opening = np.einsum("q,dqf->df", WEIGHTS, sides[0] ** first * sides[1] ** second)
            product *= opening ** int(count[which.ravel() == number].sum())
        return np.maximum(np.fft.ifft(weights @ product).real, 0)


@dataclass(frozen=True, eq=False)
class _Played:
    """The openings of a pairing of i < j; those with equal results share one of S rows."""

    count: Ints  # [S]
    seats: Ints  # [S, 2]: games of an opening in which i moves first, and j
    points: Ints  # [S]: of i in one opening; 2 a win, 1 a draw

    @property
    def games(self) -> int:
        return int(self.count @ self.seats.sum(axis=1))

    @property
    def total(self) -> int:
        return int(self.count @ self.points)


def _moments(distribution: Floats) -> tuple[float, float, float]:
    """Returns mean, variance and excess kurtosis of points with this distribution."""
    points = np.arange(len(distribution))
    mean = distribution @ points / distribution.sum()
    variance = max(float(distribution @ (points - mean) ** 2), 1e-12)
    fourth = float(distribution @ (points - mean) ** 4)
    return float(mean), variance, fourth / variance**2 - 3


def _compare(fit: _Fit) -> list[PairingFit]:
    """Compares every pairing with the prediction of all other games, the least likely first."""
    maximum, rows = fit.maximum, fit.posterior.openings
    # Remove a pairing's games: subtract their information, and take one step along what is left.
    within, kept = fit.posterior.within(fit.inverse), maximum.kept
    score = rows.by_pairing(maximum.score)
    left = np.linalg.inv(np.eye(4) - within @ kept) @ within
    uncertain = np.maximum(left[:, 0, 0], within[:, 0, 0]) + maximum.spread**2
    ahead = fit.ahead - np.einsum("ka,ka->k", left[:, 0], score)
    pairings = []
    for k, played in enumerate(fit.pairings):
        values = np.clip(ahead[k] + np.sqrt(uncertain[k]) * NODES, -FARTHEST, FARTHEST)
        distribution = fit.points(played.seats, played.count, values, WEIGHTS)
        mean, variance, _ = _moments(distribution)
        residual = (played.total - mean) / np.sqrt(fit.dispersion)
        far: NDArray[np.bool_] = np.abs(np.arange(len(distribution)) - mean) >= abs(residual) - 1e-9
        p_value = min(1.0, float(distribution[far].sum()))
        pairings.append(
            PairingFit(
                i=int(rows.i[k]),
                j=int(rows.j[k]),
                openings=int(played.count.sum()),
                games=played.games,
                observed=played.total / (2 * played.games),
                expected=mean / (2 * played.games),
                z=float(residual / np.sqrt(variance)),
                p_value=p_value,
                adjusted=p_value,
            )
        )
    return _holm(pairings)


def _holm(pairings: list[PairingFit]) -> list[PairingFit]:
    """Sorts pairings by p-value and sets the adjusted ones."""
    pairings = sorted(pairings, key=lambda pairing: (pairing.p_value, pairing.i, pairing.j))
    steps = np.arange(len(pairings), 0, -1) * [pairing.p_value for pairing in pairings]
    adjusted = np.minimum(np.maximum.accumulate(steps), 1)
    return [
        pairing._replace(adjusted=float(a)) for pairing, a in zip(pairings, adjusted, strict=True)
    ]


def _pearson(fit: _Fit) -> float:
    """Computes the p-value of Pearson's statistic over pairings, from a gamma distribution.

    Its mean and variance are corrected for the degrees of freedom of the fit and for small counts.
    Pairings with a certain result are left out: no gamma distribution has a tail as theirs.
    """
    seen = fit.moments[:, 1] >= MIN_VARIANCE
    statistic = np.square(fit.standardized[seen]).sum()
    freedom, root = fit.freedom[seen], fit.root[seen]
    expected = freedom.sum()
    if expected < 1 or fit.posterior.fits_any_spread:
        return 1.0
    absorbed = fit.inverse @ (root.T @ root)  # [p, p], traces as those of a [K, K] matrix
    squares = len(freedom) - 2 * np.trace(absorbed) + (absorbed * absorbed.T).sum()
    scatter = 2 * squares + freedom**2 @ fit.moments[seen, 2]
    scatter = max(scatter, 0.5 * expected)
    return float(gammaincc(expected**2 / scatter, statistic * expected / scatter))


def _cycles(fit: _Fit) -> float:
    """Computes the p-value of the largest cyclic component of the deviations.

    Players on a cycle, each of which beats the next ones, have deviations of rank 2 (Balduzzi et
    al. 2018). The statistic is the largest singular value of the deviations as a skew-symmetric
    matrix, in which all players weigh the same however many opponents they met. Its distribution
    comes from simulated independent deviations.
    """
    rows, players = fit.posterior.openings, fit.posterior.players
    if fit.freedom.sum() < 1:
        return 1.0
    met = np.bincount(np.r_[rows.i, rows.j], minlength=players)
    weight = 1 / np.sqrt(met[rows.i] * met[rows.j])

    def largest(deviations: Floats) -> float:
        values = weight * deviations
        at = np.r_[rows.i, rows.j], np.r_[rows.j, rows.i]
        matrix = coo_array((np.r_[values, -values], at), shape=(players, players))
        return _largest_singular_value(matrix.tocsr(), players)

    rng = np.random.default_rng(0)
    independent = fit.residual(rng.normal(size=(len(rows.i), SIMULATED)))
    simulated = np.array([largest(deviations) for deviations in independent.T])
    return _upper_tail(largest(fit.standardized), simulated)


def _largest_singular_value(matrix: csr_array, size: int) -> float:
    """Returns the largest singular value of a square matrix of this size."""
    if size < DENSE:
        return float(np.linalg.norm(matrix.toarray(), 2))
    # Not a vector of ones: a cycle maps it to 0, and the search would end there.
    _, values, _ = svds(matrix, k=1, v0=np.random.default_rng(0).normal(size=size))
    assert values is not None
    return float(values[0])


def _upper_tail(value: float, simulated: Floats) -> float:
    """Returns the probability of at least `value`, from a gamma distribution with three moments."""
    mean, deviation = simulated.mean(), simulated.std()
    if deviation <= TINY * abs(mean):
        return 1.0
    skew = max(float(((simulated - mean) ** 3).mean() / deviation**3), 0.05)
    shape = 4 / skew**2
    return float(gammaincc(shape, max(shape + np.sqrt(shape) * (value - mean) / deviation, 0.0)))


def _size_differs(profile: Profile, between: NDArray[np.bool_]) -> float:
    """Computes the p-value of equally large effects between kinds and within them.

    This is a likelihood-ratio test against effects `WIDER` times as large on one side. A free ratio
    would gain more, so the test is cautious.
    """
    scales = (np.where(between, WIDER, 1.0), np.where(between, 1.0, WIDER))
    others = [Profile.of(replace(profile.posterior, scale=scale)) for scale in scales]
    best = max(float(other.evidence.max()) for other in others)
    return float(chdtrc(1, 2 * max(0.0, best - float(profile.evidence.max()))))


def _kinds(fit: _Fit, profile: Profile, kinds: Sequence[str]) -> float:
    """Computes the p-value of equal pairings within and between kinds of players.

    Bonferroni's over two tests: whether deviations are larger between kinds than within them or
    smaller, and whether they have a direction: one kind does better against another than both do
    elsewhere, or the scale of differences depends on the kinds.
    """
    rows = fit.posterior.openings
    names, number = np.unique(np.asarray(list(kinds)), return_inverse=True)
    first, second = number[rows.i], number[rows.j]
    between = first != second
    if len(names) < 2 or min(between.sum(), (~between).sum()) < MIN_PAIRINGS:
        return 1.0
    p_size = _size_differs(profile, between)
    columns = []
    for a, b in combinations_with_replacement(range(len(names)), 2):
        forward, backward = (first == a) & (second == b), (first == b) & (second == a)
        if a != b:
            columns.append(forward.astype(float) - backward)
        columns.append((forward | backward) * fit.ahead)
    information = np.sqrt(np.maximum(fit.maximum.kept[:, 0, 0], 0))
    # Without what the ratings absorb: a kind that does better against all is no deviation.
    design = fit.residual(information[:, None] * np.stack(columns, axis=1))
    score = design.T @ fit.standardized
    covariance = design.T @ fit.residual(design)
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    seen = values > DEGENERATE * values.max()
    statistic = float(((vectors[:, seen].T @ score) ** 2 / values[seen]).sum())
    p_direction = float(chdtrc(seen.sum(), statistic))
    return min(1.0, 2 * min(p_size, p_direction))
