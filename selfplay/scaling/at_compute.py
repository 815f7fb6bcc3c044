"""Elo of recipes at equal training compute, and equal compute per move, and which one leads.

A run's Elo at a training compute is interpolated on the straight line over log10 FLOPs between the
two rated versions around it, and for a fixed compute per move also between the two budgets around
that. A recipe's Elo is the mean over its runs that reach the compute. A recipe that no run takes
there has no Elo: nothing is extrapolated. So every Elo is a weighted sum of ratings, y = W elo, and
their covariance has two parts:

* the variance between runs of one recipe, assumed equal for all recipes. It is estimated from the
  runs within recipes, less the expected contribution of the ratings' errors. Two or three seeds
  say little about the variance of one recipe. If the seeds of one recipe scatter three times as
  much as those of the others, its interval holds the truth in 85 of 100 studies instead of 95;
* the ratings' errors, W S Wᵀ, which all recipes share through the ladder.

Intervals are Student's t with Satterthwaite's degrees of freedom. The leader among many recipes is
also selected for luck. So the lead, and the set of recipes that may be the best, come from
Dunnett's comparison of all with one, whose two-sided quantile is drawn from the joint distribution
(Edwards and Hsu 1983): in 95 of 100 studies the truly best recipe is in that set.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from selfplay.scaling.at_training import TOLERANCE, interpolation_weights
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import Ints, RatedVersions
from selfplay.style.powers_of_ten import power

MIN_DISTANCE = 0.5  # OOMs between two chosen levels
DRAWS = 4000  # of the errors, for the quantile and the probabilities
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class EloAtCompute:
    """The Elo of K recipes at one training compute. Leading axes `[...]` are replicates.

    Attributes:
        training: log10 FLOPs.
        recipes: the K recipes with a run that reaches this compute.
        runs: int[K], how many of their runs do.
        elo: float[..., K].
        search: float[K], log10 FLOPs per move, mean over the runs; NaN if unknown.
        simulations: float[K], per move; NaN if unknown.
        run_stddev: float[...], Elo: the standard deviation between runs of one recipe. NaN if no
            recipe has two runs; all intervals are then of the ratings' errors alone.
        rating_covariance: float[K, K], Elo²: the covariance from the ratings' errors.
    """

    training: float
    recipes: list[str]
    runs: Ints
    elo: Floats
    search: Floats
    simulations: Floats
    run_stddev: Floats
    rating_covariance: Floats
    _total: Floats  # [...]: mean square of runs within recipes, with the ratings' errors
    _noise: Floats  # [G, G]: covariance of the ratings' errors of runs, within recipes

    @property
    def covariance(self) -> Floats:
        """The covariance of the recipes' Elo, float[..., K, K], Elo²."""
        between = np.square(np.nan_to_num(self.run_stddev))[..., None, None]
        return between * np.diag(1 / self.runs) + self.rating_covariance

    def contrast(self, weights: Floats) -> Estimate:
        """Estimates the sum of the recipes' Elo times `weights` float[K]."""
        variance = np.einsum("k,...kl,l->...", weights, self.covariance, weights)
        share = float(np.square(weights) @ (1 / self.runs))
        df = np.full(variance.shape, np.inf)
        if self._residual_df:
            sigma2 = np.square(self.run_stddev)
            spread = (  # the trace of (H (σ² + S) H)²
                self._residual_df * sigma2**2
                + 2 * sigma2 * np.trace(self._noise)
                + np.square(self._noise).sum()
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                df = np.square(variance * self._residual_df) / (share**2 * spread)
            df = np.where(np.isfinite(df), np.maximum(df, 1), self._residual_df)
        return Estimate.student(self.elo @ weights, np.sqrt(variance), df, "Elo")

    def elo_of(self, k: int) -> Estimate:
        """Estimates the Elo of recipe `k`."""
        return self.contrast(np.eye(len(self.recipes))[k])

    def difference(self, a: int, b: int) -> Estimate:
        """Estimates how far recipe `a` is ahead of `b`, without regard to the other recipes."""
        return self.contrast(np.eye(len(self.recipes))[a] - np.eye(len(self.recipes))[b])

    @property
    def _residual_df(self) -> int:
        """The number of runs less the number of recipes."""
        return int(self.runs.sum()) - len(self.recipes)

    def errors(self, draws: int) -> Floats:
        """Draws errors of one replicate's Elo, float[draws, K], from a fixed seed."""
        rng = np.random.default_rng(0)
        values, vectors = np.linalg.eigh(self.rating_covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        ratings = rng.normal(size=(draws, len(self.recipes))) @ root.T
        if not self._residual_df:
            return ratings
        total = float(self._total) * self._residual_df / rng.chisquare(self._residual_df, draws)
        sigma2 = np.maximum(total - np.trace(self._noise) / self._residual_df, 0)
        luck = rng.normal(size=ratings.shape) / np.sqrt(self.runs)
        return ratings + np.sqrt(sigma2)[:, None] * luck


@dataclass(frozen=True, eq=False)
class BestRecipe:
    """The leading recipe, and how certain its lead is.

    Attributes:
        leader: the index of the recipe with the highest Elo.
        runner_up: the index of the second.
        lead: Elo between them, with an interval for the comparison of all recipes with one.
        candidates: the leader and all recipes that these data do not distinguish from the best; in
            95 of 100 studies the truly best recipe is among them.
        probability: float[K], that each recipe is the best, under a flat prior.
        selection_bias: Elo by which the leader appears better than it is, on average, because it
            was selected.
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
    """Finds the leading recipe of a single replicate, with `draws` draws of the errors.

    Raises:
        InsufficientData: there is only one recipe.
    """
    count = len(at.recipes)
    if count < 2:
        raise InsufficientData(f"only one recipe was trained for {power(at.training)} FLOPs")
    errors, elo = at.errors(draws), at.elo
    variance = np.diag(at.covariance)
    gaps = variance[:, None] + variance - 2 * at.covariance
    stderr = np.sqrt(np.maximum(gaps, 1e-12))
    quantile = 0.0
    for k in range(count):  # Dunnett's quantile, with each recipe in turn as the control
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
    """Interpolates every recipe's Elo at `training` log10 FLOPs.

    Args:
        points: versions of one search budget; of several if `search` is given.
        training: log10 FLOPs of training.
        search: log10 FLOPs per move; each run is interpolated between its budgets.

    Raises:
        InsufficientData: no run reaches this compute, FLOPs are unknown, or there are several
            budgets and no `search`.
    """
    spent = points.require("training")
    cost = points.search if search is None else points.require("search")
    simulations = points.covariates.get("simulations", np.full(len(points), np.nan))
    rows, recipes = [], []
    for run in points.runs:
        of_run = points.run == run
        weights = _weights(spent, cost, simulations, of_run, training, search)
        if weights is not None:
            rows.append(weights)
            recipes.append(str(points.recipe[of_run][0]))
    if not rows:
        raise InsufficientData(f"no recipe was rated at {power(training)} FLOPs of training")
    names = [r for r in dict.fromkeys(points.recipe.tolist()) if r in recipes]
    member = np.array([[name == recipe for recipe in recipes] for name in names])  # [K, G]
    counts = member.sum(axis=1)
    mean = member / counts[:, None]
    within = np.eye(len(rows)) - member.T @ mean
    weights = np.array(rows)  # [G, N]
    elo = points.elo @ weights.T
    noise = weights @ points.covariance @ weights.T
    noise_within = within @ noise @ within
    residual_df = len(rows) - len(names)
    total = np.square(elo @ within).sum(axis=-1) / max(residual_df, 1)
    sigma2 = np.maximum(total - np.trace(noise_within) / max(residual_df, 1), 0.0)
    return EloAtCompute(
        training=training,
        recipes=names,
        runs=counts.astype(np.int64),
        elo=elo @ mean.T,
        search=mean @ weights @ cost,
        simulations=10 ** (mean @ weights @ np.log10(1 + simulations)) - 1,
        run_stddev=np.sqrt(sigma2) if residual_df else np.full(total.shape, np.nan),
        rating_covariance=mean @ noise @ mean.T,
        _total=total,
        _noise=noise_within,
    )


def choose_levels(spans: Floats) -> tuple[list[float], int]:
    """Chooses up to three levels of compute to compare recipes at.

    The main level is the largest one at which the most recipes can be compared. A lower and a
    higher one are added if at least two recipes, and half as many as at the main level, can be
    compared there.

    Args:
        spans: float[K, 2]: where each recipe's curve begins and ends, log10 FLOPs.

    Returns:
        The levels in ascending order, log10 FLOPs, and the index of the main one.

    Raises:
        InsufficientData: no level has two recipes.
    """
    ends = np.unique(np.round(spans, 2))
    begun = spans[:, :1] <= ends + TOLERANCE
    count = (begun & (ends <= spans[:, 1:] + TOLERANCE)).sum(axis=0)
    if count.max(initial=0) < 2:
        raise InsufficientData("no two recipes have curves that reach the same compute")
    main = float(ends[count == count.max()].max())
    enough = count >= max(2, count.max() / 2)
    chosen = [main]
    for side, pick in (
        (ends <= main - MIN_DISTANCE, np.min),
        (ends >= main + MIN_DISTANCE, np.max),
    ):
        near = side & enough
        if near.any():
            chosen.append(float(pick(ends[near & (count == count[near].max())])))
    chosen.sort()
    return chosen, chosen.index(main)


def recipe_ranges(
    points: RatedVersions, quantity: str = "training"
) -> dict[str, tuple[float, float]]:
    """Computes where each recipe's curve begins and ends in log10 of a quantity.

    Both ends are medians over runs, so one run that stopped early does not shorten the range.
    """
    values = points.require(quantity)
    ranges = {}
    for recipe in dict.fromkeys(points.recipe.tolist()):
        same = points.recipe == recipe
        runs = [values[same & (points.run == run)] for run in np.unique(points.run[same])]
        first = np.quantile([run.min() for run in runs], 0.5, method="higher")
        last = np.quantile([run.max() for run in runs], 0.5, method="lower")
        ranges[str(recipe)] = float(first), float(last)
    return ranges


def _weights(
    spent: Floats,
    cost: Floats,
    simulations: Floats,
    of_run: NDArray[np.bool_],
    training: float,
    search: float | None,
) -> Floats | None:
    """Computes the ratings' weights in a run's Elo, float[N]; None if it does not get there."""
    budgets = np.unique(np.nan_to_num(simulations[of_run], nan=-1.0))
    if search is None and len(budgets) > 1:
        raise InsufficientData(
            f"runs were rated at {len(budgets)} search budgets: select one, or give the compute of "
            "a move"
        )
    rows, costs = [], []
    for budget in budgets:
        at_budget = of_run & (np.nan_to_num(simulations, nan=-1.0) == budget)
        share = interpolation_weights(spent[at_budget], training)
        if np.isfinite(share).all():
            row = np.zeros(len(spent))
            row[at_budget] = share
            rows.append(row)
            costs.append(float(row @ cost))
    if not rows:
        return None
    if search is None:
        return rows[0]
    share = interpolation_weights(np.array(costs), search)
    return share @ np.array(rows) if np.isfinite(share).all() else None
