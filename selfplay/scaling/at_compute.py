"""Elo of recipes after equal training, for a move of equal cost: what each has, and who leads.

A run's Elo at a training compute is read inside its own curve, on the straight line over log10
FLOPs between the two rated versions around it; for a given compute of a move also between the two
budgets around that. A recipe has the mean over its runs that have got there, and the others have no
cell: nothing is extrapolated. Every number is thus a weighted sum of ratings, y = W elo, and all
cells have one covariance of two parts:

* what runs of one recipe differ by, one variance for all recipes, estimated from the runs within
  them, less what the ladder's errors contribute to it in expectation. With two or three seeds a
  recipe's own variance is hardly known. If one recipe's seeds scatter three times as much as those
  of others, its interval holds the truth in 85 of 100 studies instead of 95;
* the ratings' errors, W S Wᵀ, which all cells share through the ladder.

Intervals are Student's t with Satterthwaite's degrees of freedom. The leader of many recipes has
also been lucky. So the lead, and the set of recipes that may be the best, come from Dunnett's
comparison of all with one, whose two-sided quantile is drawn from the joint distribution (Edwards
and Hsu 1983): in 95 of 100 studies the truly best recipe is in that set.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from selfplay.scaling.at_training import TOLERANCE, interpolation_weights
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import Ints, RatedVersions

APART = 0.5  # OOMs between two levels that are shown
DRAWS = 4000
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class EloAtCompute:
    """K recipes at one compute of training. Leading axes `[...]` are replicates.

    Attributes:
        training: log10 FLOPs.
        recipes: str[K]: those with a run that has got there.
        runs: int[K], how many have.
        elo: float[..., K].
        search: float[K], log10 FLOPs of a move, mean over the runs; NaN where it is not known.
        simulations: float[K], of a move; NaN where that is not known.
        run_stddev: float[...], Elo: the standard deviation of runs of one recipe; NaN if no recipe has
            two runs. All intervals are then of the ratings' errors alone.
        rating_covariance: float[K, K], Elo²: the part of the covariance from the ratings' errors.
    """

    training: float
    recipes: list[str]
    runs: Ints
    elo: Floats
    search: Floats
    simulations: Floats
    run_stddev: Floats
    rating_covariance: Floats
    _total: Floats  # [...]: mean square of runs within recipes, ratings' errors included
    _noise: Floats  # [G, G]: the ratings' errors of the runs, within recipes

    @property
    def covariance(self) -> Floats:
        """Returns the covariance of the cells, float[..., K, K], Elo²."""
        between = np.square(np.nan_to_num(self.run_stddev))[..., None, None]
        return between * np.diag(1 / self.runs) + self.rating_covariance

    def contrast(self, weights: Floats) -> Estimate:
        """Sums the cells times `weights` float[K]: one cell, or a difference of two."""
        variance = np.einsum("k,...kl,l->...", weights, self.covariance, weights)
        share = float(np.square(weights) @ (1 / self.runs))
        df = np.full(variance.shape, np.inf)
        if self._free:
            sigma2 = np.square(self.run_stddev)
            spread = (  # the trace of (H (σ² + S) H)²
                self._free * sigma2**2
                + 2 * sigma2 * np.trace(self._noise)
                + np.square(self._noise).sum()
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                df = np.square(variance * self._free) / (share**2 * spread)
            df = np.where(np.isfinite(df), np.maximum(df, 1), self._free)
        return Estimate.student(self.elo @ weights, np.sqrt(variance), df, "Elo")

    def elo_of(self, k: int) -> Estimate:
        """Estimates a recipe's Elo."""
        return self.contrast(np.eye(len(self.recipes))[k])

    def difference(self, a: int, b: int) -> Estimate:
        """Estimates by how much `a` is ahead of `b`, of these two alone."""
        return self.contrast(np.eye(len(self.recipes))[a] - np.eye(len(self.recipes))[b])

    @property
    def _free(self) -> int:
        return int(self.runs.sum()) - len(self.recipes)

    def errors(self, draws: int) -> Floats:
        """Draws what the cells of a single study may be off by, float[draws, K]; a fixed seed."""
        rng = np.random.default_rng(0)
        values, vectors = np.linalg.eigh(self.rating_covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        ratings = rng.normal(size=(draws, len(self.recipes))) @ root.T
        if not self._free:
            return ratings
        total = float(self._total) * self._free / rng.chisquare(self._free, draws)
        sigma2 = np.maximum(total - np.trace(self._noise) / self._free, 0)
        luck = rng.normal(size=ratings.shape) / np.sqrt(self.runs)
        return ratings + np.sqrt(sigma2)[:, None] * luck


@dataclass(frozen=True, eq=False)
class BestRecipe:
    """Who leads, and how sure that is.

    Attributes:
        leader: the recipe with the most Elo, an index.
        runner_up: the one behind it.
        lead: Elo between them; its interval holds for the comparison of all recipes with one.
        candidates: the leader, and all that these data do not tell from the best; in 95 of 100
            studies the truly best one is among them.
        probability: float[K], that each is the best, if nothing is known beforehand.
        selection_bias: Elo by which the leader looks better than it is, on average, because it was selected.
    """

    leader: int
    runner_up: int
    lead: Estimate
    candidates: list[int]
    probability: Floats
    selection_bias: float

    @property
    def decided(self) -> bool:
        """True = the leader is the only candidate."""
        return len(self.candidates) == 1


def best_recipe(at: EloAtCompute, draws: int = DRAWS) -> BestRecipe:
    """Compares the recipes of a single study, with so many draws of what they may be off by.

    Raises:
        InsufficientData: only one recipe has got there.
    """
    count = len(at.recipes)
    if count < 2:
        raise InsufficientData(f"only one recipe was trained for 10^{at.training:.2f} FLOPs")
    errors, elo = at.errors(draws), at.elo
    variance = np.diag(at.covariance)
    gaps = variance[:, None] + variance - 2 * at.covariance
    stderr = np.sqrt(np.maximum(gaps, 1e-12))
    quantile = 0.0
    for k in range(count):  # Dunnett's, with each of them as the one that all are compared with
        away = np.abs(errors - errors[:, [k]]) / stderr[k]
        quantile = max(quantile, float(np.quantile(away.max(axis=1), CONFIDENCE)))
    behind = elo[:, None] - elo >= -quantile * stderr
    np.fill_diagonal(behind, True)
    order = np.argsort(-elo, kind="stable")
    leader, second = int(order[0]), int(order[1])
    pair = at.difference(leader, second)
    half = max(quantile, float(stdtrit(pair.df, 0.975))) * float(stderr[leader, second])
    value = np.asarray(pair.value)
    drawn = np.argmax(elo + errors, axis=1)
    among = {leader, *np.flatnonzero(behind.all(axis=1)).tolist()}
    return BestRecipe(
        leader=leader,
        runner_up=second,
        lead=Estimate(value, value - half, value + half, pair.stderr, pair.df, "Elo"),
        candidates=[int(k) for k in order if int(k) in among],
        probability=np.bincount(drawn, minlength=count) / len(drawn),
        selection_bias=float(errors[np.arange(len(drawn)), drawn].mean()),
    )


def interpolate(
    points: RatedVersions, training: float, search: float | None = None
) -> EloAtCompute:
    """Reads every recipe's Elo at `training` log10 FLOPs.

    Args:
        points: of one search budget; of several if `search` is given.
        training: the compute at which they are compared.
        search: log10 FLOPs of a move; each run is read between its budgets there.

    Raises:
        InsufficientData: no run has got there, FLOPs that are not known, or several budgets and no
            `search`.
    """
    spent = points.require("training")
    cost = points.search if search is None else points.require("search")
    simulations = points.covariates.get("simulations", np.full(len(points), np.nan))
    rows, recipes = [], []
    for run in points.runs:
        own = points.run == run
        weights = _weights(spent, cost, simulations, own, training, search)
        if weights is not None:
            rows.append(weights)
            recipes.append(str(points.recipe[own][0]))
    if not rows:
        raise InsufficientData(f"no recipe was rated at 10^{training:.2f} FLOPs of training")
    names = [r for r in dict.fromkeys(points.recipe.tolist()) if r in recipes]
    member = np.array([[name == recipe for recipe in recipes] for name in names])  # [K, G]
    counts = member.sum(axis=1)
    mean = member / counts[:, None]
    within = np.eye(len(rows)) - member.T @ mean
    weights = np.array(rows)  # [G, N]
    elo = points.elo @ weights.T
    noise = weights @ points.covariance @ weights.T
    left = within @ noise @ within
    free = len(rows) - len(names)
    total = np.square(elo @ within).sum(axis=-1) / max(free, 1)
    sigma2 = np.maximum(total - np.trace(left) / max(free, 1), 0.0)
    return EloAtCompute(
        training=training,
        recipes=names,
        runs=counts.astype(np.int64),
        elo=elo @ mean.T,
        search=mean @ weights @ cost,
        simulations=10 ** (mean @ weights @ np.log10(1 + simulations)) - 1,
        run_stddev=np.sqrt(sigma2) if free else np.full(total.shape, np.nan),
        rating_covariance=mean @ noise @ mean.T,
        _total=total,
        _noise=left,
    )


def choose_levels(spans: Floats) -> tuple[list[float], int]:
    """Chooses at most three computes to compare at, and which of them is the main one.

    The main one is the most compute at which the most recipes can be compared. One with less and
    one with more follow where at least half as many recipes, and two, are to be had.

    Args:
        spans: float[K, 2]: where each recipe's curve begins and ends, log10 FLOPs.

    Raises:
        InsufficientData: nowhere two recipes can be compared.
    """
    ends = np.unique(np.round(spans, 2))
    begun = spans[:, :1] <= ends + TOLERANCE
    count = (begun & (ends <= spans[:, 1:] + TOLERANCE)).sum(axis=0)
    if count.max(initial=0) < 2:
        raise InsufficientData("no two recipes have curves that reach the same compute")
    main = float(ends[count == count.max()].max())
    enough = count >= max(2, count.max() / 2)
    found = [main]
    for side, pick in ((ends <= main - APART, np.min), (ends >= main + APART, np.max)):
        near = side & enough
        if near.any():
            found.append(float(pick(ends[near & (count == count[near].max())])))
    found.sort()
    return found, found.index(main)


def recipe_ranges(
    points: RatedVersions, quantity: str = "training"
) -> dict[str, tuple[float, float]]:
    """Finds where each recipe's curve begins and ends in log10 of a quantity: medians of runs.

    One that stopped early does not shorten the others' range.
    """
    values = points.require(quantity)
    found = {}
    for recipe in dict.fromkeys(points.recipe.tolist()):
        own = points.recipe == recipe
        each = [values[own & (points.run == run)] for run in np.unique(points.run[own])]
        first = np.quantile([one.min() for one in each], 0.5, method="higher")
        last = np.quantile([one.max() for one in each], 0.5, method="lower")
        found[str(recipe)] = float(first), float(last)
    return found


def _weights(
    spent: Floats,
    cost: Floats,
    simulations: Floats,
    own: NDArray[np.bool_],
    training: float,
    search: float | None,
) -> Floats | None:
    """Weights each rating in a run's Elo there, float[N]; None if its curve does not get there."""
    budgets = np.unique(np.nan_to_num(simulations[own], nan=-1.0))
    if search is None and len(budgets) > 1:
        raise InsufficientData(
            f"runs were rated at {len(budgets)} search budgets: select one, or give the compute of "
            "a move"
        )
    rows, costs = [], []
    for budget in budgets:
        here = own & (np.nan_to_num(simulations, nan=-1.0) == budget)
        share = interpolation_weights(spent[here], training)
        if np.isfinite(share).all():
            row = np.zeros(len(spent))
            row[here] = share
            rows.append(row)
            costs.append(float(row @ cost))
    if not rows:
        return None
    if search is None:
        return rows[0]
    share = interpolation_weights(np.array(costs), search)
    return share @ np.array(rows) if np.isfinite(share).all() else None
