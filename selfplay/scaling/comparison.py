"""Two sides compared at equal training FLOPs: who is ahead, and what would settle it.

A side is a recipe, with one run for each of its seeds, or a single run. Every run's Elo is
interpolated between its rated versions (`at_training`), and a side's Elo is the mean over its runs.
There are two questions, with one estimate and two intervals:

* Which of these networks is stronger? Only the ratings' errors count, with their whole covariance.
  More games answer it.
* Which recipe is stronger? How runs of a recipe differ counts as well: Student's t over runs
  (`regression`). Only more seeds answer it, and one run a side says nothing about it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from selfplay.ratings.elo import Z95
from selfplay.scaling import at_training, frontier, multiplier, saturation
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import Labels, RatedVersions
from selfplay.scaling.regression import regress

Information = Callable[[Floats], Floats]
"""``information(ahead [C]) -> [C]``: what an opening, colors swapped, tells of a difference in Elo
between two players, 1 / Elo²."""

MAX_GAMES = 20_000  # a difference that takes more is as good as none
MAX_SEEDS = 100
NARROW_ELO = 10.0  # Elo: half the interval that is aimed at where a difference is as good as none
STEPS = 501  # of training, at which equal strength is looked for
SHORTER = 0.1  # OOMs: a run that ends so much before the others of its side is named


@dataclass(frozen=True, eq=False)
class Lead:
    """By how much side `b` is ahead of side `a` at one search budget and equal training.

    Attributes:
        a: the side that is compared with.
        b: the side that is compared.
        runs: how many runs a has, and how many b has.
        budget: simulations a move.
        training: log10 FLOPs, the same for every run.
        networks: Elo by which b's networks are ahead; the interval holds the ratings' errors.
        recipes: the same number for the recipes; the interval holds how runs differ, too. None if
            a side has a single run.
        one_recipe: True = the sides are runs of the same recipe.
        games_to_decide: more games between these networks after which the interval of `networks` excludes 0,
            if the estimate stays; 0 if it does already.
        games_to_narrow: more games after which that interval is ± `NARROW_ELO` Elo.
        seeds_to_decide: seeds a side with which the interval of `recipes` excludes 0, if estimate and spread
            stay; None if a side has a single run, or where it takes more than `MAX_SEEDS`.
    """

    a: str
    b: str
    runs: tuple[int, int]
    budget: float
    training: float
    networks: Estimate
    recipes: Estimate | None
    one_recipe: bool
    games_to_decide: float
    games_to_narrow: float
    seeds_to_decide: int | None

    @property
    def estimate(self) -> Estimate:
        """What the data say at most: about the recipes, or else about the networks."""
        return self.networks if self.recipes is None else self.recipes


def side_of_versions(points: RatedVersions) -> Labels:
    """Names the side of each version, str[N]: its recipe, or its run if all are of one recipe."""
    return points.recipe if len(set(points.recipe.tolist())) > 1 else points.run


def compare(points: RatedVersions, a: str, b: str, budget: float, information: Information) -> Lead:
    """Compares side `b` with side `a` at the largest training that every run of both has reached.

    Args:
        points: versions of both sides, and of others; of all search budgets.
        a: the side that is compared with.
        b: the side that is compared.
        budget: simulations a move.
        information: what one more opening is expected to tell; see `pairing.information`.

    Raises:
        InsufficientData: a side without versions at this budget, or no training that is common to
            all runs.
    """
    both = select_pair(points, a, b, budget)
    _, training = common_training(both)
    weights = at_training.interpolated(both, training)
    networks, recipes = estimate_lead(both, a, b, training)
    run_side = _side_of_runs(both)
    count = int((run_side == a).sum()), int((run_side == b).sum())
    contrast = _contrast(run_side, a, b) @ weights
    value = float(networks.value)
    return Lead(
        a=a,
        b=b,
        runs=count,
        budget=budget,
        training=training,
        networks=networks,
        recipes=recipes,
        one_recipe=len(set(points.recipe.tolist())) == 1,
        games_to_decide=games_needed(both, contrast, abs(value) / Z95, information),
        games_to_narrow=games_needed(both, contrast, NARROW_ELO / Z95, information),
        seeds_to_decide=None if recipes is None else seeds_needed(recipes, count),
    )


def estimate_lead(
    points: RatedVersions, a: str, b: str, training: float
) -> tuple[Estimate, Estimate | None]:
    """Estimates by how much b is ahead of a at one level of training, log10 FLOPs.

    Args:
        points: both sides' versions of one search budget; ratings may be a batch.
        a: the side that is compared with.
        b: the side that is compared.
        training: a level that every run has reached.

    Returns:
        Of the networks, and of the recipes: None if a side has a single run.
    """
    weights = at_training.interpolated(points, training)
    elo = points.elo @ weights.T  # [..., R]
    covariance = weights @ points.covariance @ weights.T
    covariance = (covariance + covariance.T) / 2
    side = _side_of_runs(points)
    contrast = _contrast(side, a, b)
    value = elo @ contrast
    stderr = np.sqrt(max(float(contrast @ covariance @ contrast), 0.0))
    known = np.full(np.shape(value), np.inf)  # degrees of freedom
    networks = Estimate.student(value, np.full(np.shape(value), stderr), known, "Elo")
    if min((side == a).sum(), (side == b).sum()) < 2:
        return networks, None
    columns = np.stack([side == a, side == b], axis=1).astype(float)
    means = RatedVersions.of(elo, covariance, points.runs)
    return networks, regress(means, columns).contrast(elo, [-1.0, 1.0], "Elo")


def training_saved(
    points: RatedVersions, a: str, b: str, budget: float, perfect: bool = False
) -> tuple[Estimate, str]:
    """Estimates how many times less training b takes than a for the same Elo, at one budget.

    Recipes with several runs a side are compared by `multiplier.between`, without what is on a
    plateau; networks by `equal_strength`.

    Args:
        points: versions of both sides, and of others; of all search budgets.
        a: the side that is compared with.
        b: the side that is compared.
        budget: simulations a move.
        perfect: True = perfect play is at 0 Elo.

    Returns:
        The OOMs of training that b saves, and a sentence about them.

    Raises:
        InsufficientData: the data do not say.
    """
    both = select_pair(points, a, b, budget)
    side = _side_of_runs(both)
    if min((side == a).sum(), (side == b).sum()) < 2:
        training, ooms = equal_strength(both, a, b)
        asked = f", that of `{a}` after 10^{training:.2f} FLOPs"
        anything = np.isinf(ooms.low) and np.isinf(ooms.high)
        return ooms, _takes(a, b, ooms) + ("" if anything else asked)
    kept, left_out = saturation.not_saturated(both, {budget: frontier.fit(both)}, perfect)
    found = multiplier.between(both.select(kept), a, b)
    away = f", without {(~kept).sum()} versions on a plateau" if left_out else ""
    return found.ooms, f"{found}{away}"


def equal_strength(points: RatedVersions, a: str, b: str) -> tuple[float, Estimate]:
    """Estimates the OOMs of training with which b's networks are as strong as a's, below a's.

    That is asked of a's Elo at the largest training that all runs have reached. The interval holds
    every training of b, inside its rated versions, at which the difference to that Elo is not
    significant by the ratings' errors. Where it goes up to the first or the last of them, and where
    b is stronger or weaker throughout, it has no bound on that side.

    Args:
        points: both sides' versions of one search budget.
        a: the side that is compared with.
        b: the side that is compared.

    Returns:
        a's training, log10 FLOPs, and the estimate.
    """
    training = common_training(points)[1]
    side = _side_of_runs(points)
    contrast = _contrast(side, a, b)
    of_a = np.minimum(contrast, 0) @ _filled(at_training.interpolated(points, training))
    low, high = at_training.common_range(points.select(points.recipe == b))
    levels = np.linspace(low, high, STEPS)
    of_b = np.maximum(contrast, 0) @ _filled(at_training.interpolated(points, levels))
    rows = of_a + of_b  # [STEPS, N]
    ahead = rows @ points.require_single().elo
    error = Z95 * np.sqrt(np.maximum((rows @ points.covariance * rows).sum(axis=1), 0.0))
    first, last = ahead > error, ahead < -error  # surely stronger, surely weaker
    same = np.flatnonzero(~first & ~last)
    crossing = np.flatnonzero(ahead >= 0)
    at = float(levels[crossing[0]] if len(crossing) else levels[-1])
    if len(crossing) and crossing[0]:
        step = slice(crossing[0] - 1, crossing[0] + 1)
        at = float(np.interp(0.0, ahead[step], levels[step]))
    least, most = training - at, training - at
    if len(same):
        least = training - levels[min(same[-1] + 1, STEPS - 1)]
        most = training - levels[max(same[0] - 1, 0)]
    least = -np.inf if not first[-1] else min(least, training - at)
    most = np.inf if not last[0] else max(most, training - at)
    value, infinite = np.array(training - at), np.array(np.inf)
    unit = "OOMs of training"
    return training, Estimate(value, np.array(least), np.array(most), infinite, infinite, unit)


def _filled(weights: Floats) -> Floats:
    """Replaces what is blank: runs that have weight 0 there."""
    return np.where(np.isnan(weights), 0.0, weights)


def _takes(a: str, b: str, ooms: Estimate) -> str:
    """Says how many times the training of `a` it is that `b` takes, with the bounds there are."""
    if np.isfinite(ooms.low) == np.isfinite(ooms.high):
        return multiplier.sentence(a, b, ooms)
    bound, end = ("at most", ooms.low) if np.isfinite(ooms.low) else ("at least", ooms.high)
    return (
        f"`{b}` takes {bound} {10 ** -float(end):.3g} times the training of `{a}` for the same Elo"
    )


def games_needed(
    points: RatedVersions, contrast: Floats, stderr: float, information: Information
) -> float:
    """Computes how many more games bring a difference of ratings to a standard error.

    The games are between the versions that the difference is of, those with a positive weight
    against those with a negative one, in proportion to their weights.

    Args:
        points: the versions, with what is known of them.
        contrast: float[N], weights that sum to 0.
        stderr: the wanted one, Elo.
        information: see `lead`.

    Returns:
        A number of games, colors swapped; 0 if none are needed, inf for a standard error of 0.
    """
    now = float(contrast @ points.covariance @ contrast)
    if now <= stderr**2:
        return 0.0
    if not stderr > 0:
        return np.inf
    ups, downs = np.flatnonzero(contrast > 0), np.flatnonzero(contrast < 0)
    i, j = (grid.ravel() for grid in np.meshgrid(ups, downs, indexing="ij"))
    share = contrast[i] * -contrast[j]
    share = share / share.sum()
    told = information(points.require_single().elo[i] - points.elo[j])
    along = np.zeros((len(i), len(points)))  # an opening of each pairing is a row
    along[np.arange(len(i)), i] = np.sqrt(share * told)
    along[np.arange(len(i)), j] = -np.sqrt(share * told)
    # After n openings the variance is c Σ c - u (1/n + G)⁻¹ u, in G's eigenvectors a sum.
    values, vectors = np.linalg.eigh(along @ points.covariance @ along.T)
    along_values = np.square(vectors.T @ (along @ points.covariance @ contrast))
    values = np.maximum(values, 0.0)

    def variance(openings: float) -> float:
        return now - float((along_values * openings / (1 + openings * values)).sum())

    low, high = 0.0, 1.0
    while variance(high) > stderr**2:
        low, high = high, 2 * high
        if high > 1e12:
            return np.inf
    while high - low > max(0.5, 1e-3 * high):
        middle = (low + high) / 2
        low, high = (middle, high) if variance(middle) > stderr**2 else (low, middle)
    return 2.0 * float(np.ceil(high))


def seeds_needed(recipes: Estimate, runs: tuple[int, int]) -> int | None:
    """Computes how many seeds a side make the interval exclude 0, if estimate and spread stay.

    Returns:
        At least as many as the smaller side has; None where it takes more than `MAX_SEEDS`.
    """
    now = 2 / (1 / runs[0] + 1 / runs[1])
    each = float(recipes.stderr) * np.sqrt(now)  # of one run a side
    for seeds in range(max(2, min(runs)), MAX_SEEDS + 1):
        if stdtrit(2 * seeds - 2, 0.975) * each / np.sqrt(seeds) < abs(float(recipes.value)):
            return seeds
    return None


def common_training(points: RatedVersions) -> tuple[float, float]:
    """Finds the common range of training, log10 FLOPs, of versions of one search budget.

    Raises:
        InsufficientData: there is none; the message says what is missing.
    """
    low, high = at_training.common_range(points)
    if low <= high:
        return low, high
    spent, index = points.training, points.run_index
    firsts = [spent[index == run].min() for run in range(len(points.runs))]
    lasts = [spent[index == run].max() for run in range(len(points.runs))]
    late, short = points.runs[int(np.argmax(firsts))], points.runs[int(np.argmin(lasts))]
    alone = [run for run in (short, late) if (points.run == run).sum() == 1]
    advice = "rate earlier versions of the one, or train the other one for longer"
    if alone:
        advice = f"{_and(alone)} has one rated version here: rate more of them"
    raise InsufficientData(
        f"no training is common to all of them: `{short}` is rated up to 10^{high:.2f} FLOPs and "
        f"`{late}` from 10^{low:.2f}, {low - high:.2f} orders of magnitude apart; {advice}"
    )


def rank_sides(points: RatedVersions, budget: float) -> list[str]:
    """Orders the sides by their mean Elo at the training that most of them share.

    Args:
        points: versions of all sides and search budgets.
        budget: simulations a move.

    Returns:
        The names of the sides that have got there, the strongest first; the training is the largest
        one that so many have in common.

    Raises:
        InsufficientData: one side alone is rated at this budget, or no two share any training.
    """
    chosen = np.flatnonzero(points.require("simulations") == budget)
    same = replace(points.select(chosen), recipe=side_of_versions(points)[chosen])
    names = list(dict.fromkeys(same.recipe.tolist()))
    if len(names) < 2:
        raise InsufficientData(f"`{names[0]}` alone is rated there")
    ranges = [at_training.common_range(same.select(same.recipe == name)) for name in names]

    def there(level: float) -> list[str]:
        slack = at_training.TOLERANCE / 2
        inside = [low - slack <= level <= high + slack for low, high in ranges]
        return [name for name, holds in zip(names, inside, strict=True) if holds]

    level = max((high for _, high in ranges), key=lambda high: (len(there(high)), high))
    compared = there(level)
    if len(compared) < 2:  # they meet within the tolerance, or this says what is missing
        level, compared = common_training(same)[1], names
    weights = at_training.interpolated(same, level)
    elo, side = weights @ same.require_single().elo, _side_of_runs(same)
    means = {name: float(elo[side == name].mean()) for name in compared}
    return sorted(means, key=lambda name: -means[name])


def stopped_early(points: RatedVersions) -> list[str]:
    """Names the runs that end more than `SHORTER` before the longest run of their recipe."""
    spent, names = points.training, []
    for recipe in dict.fromkeys(points.recipe.tolist()):
        own = points.recipe == recipe
        ends = {run: spent[own & (points.run == run)].max() for run in set(points.run[own])}
        names += [run for run, end in ends.items() if end < max(ends.values()) - SHORTER]
    return sorted(names)


def select_pair(points: RatedVersions, a: str, b: str, budget: float) -> RatedVersions:
    """Selects two sides at one budget, with the side as the recipe."""
    side = side_of_versions(points)
    at = points.require("simulations") == budget
    for name in (a, b):
        if not (at & (side == name)).any():
            raise InsufficientData(f"no version of `{name}` is rated at {budget:g} simulations")
    chosen = np.flatnonzero(at & ((side == a) | (side == b)))
    return replace(points.select(chosen), recipe=side[chosen])


def _side_of_runs(points: RatedVersions) -> Labels:
    """Names the side of each run, str[R], in the order of `points.runs`."""
    side = side_of_versions(points)
    return np.array([side[points.run == run][0] for run in points.runs], np.str_)


def _contrast(side: Labels, a: str, b: str) -> Floats:
    """Weights runs, float[R], so that their sum is b's mean less a's."""
    return (side == b) / max(1, (side == b).sum()) - (side == a) / max(1, (side == a).sum())


def _and(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)
