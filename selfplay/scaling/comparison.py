"""Comparison of two sides at equal training FLOPs: which one is ahead, and what would settle it.

A side is a recipe with one run per seed, or a single run. Every run's Elo is interpolated between
its rated versions (`at_training`), and a side's Elo is the mean over its runs. Two questions share
one estimate and have different intervals:

* Which of these networks is stronger? Only the ratings' errors count, with their full covariance.
  More games narrow the interval.
* Which recipe is stronger? The differences between runs of a recipe count as well, by Student's t
  over runs (`regression`). Only more seeds narrow the interval, and one run per side has none.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from selfplay.ratings.elo import Z95
from selfplay.scaling import at_training, incline, multiplier
from selfplay.scaling.estimate import Estimate, Floats, InsufficientData
from selfplay.scaling.rated_versions import Labels, RatedVersions
from selfplay.scaling.regression import regress
from selfplay.style.powers_of_ten import power

Information = Callable[[Floats], Floats]
"""``information(ahead [C]) -> [C]``: the information, 1 / Elo², that one opening played with both
colors gives about the difference between two players, as a function of that difference in Elo."""

MAX_GAMES = 20_000  # a difference that takes more games to show does not matter
MAX_SEEDS = 100  # more are not looked for
NARROW_ELO = 10.0  # half-width of the interval to aim for if a difference does not matter
STEPS = 501  # levels of training at which `equal_strength` compares
EARLY = 0.1  # OOMs; a run that ends this much before another one of its recipe stopped early


@dataclass(frozen=True, eq=False)
class Lead:
    """The lead of side `b` over side `a` at one search budget and equal training.

    Attributes:
        a: the side that is compared with.
        b: the side that is compared.
        runs: the numbers of runs of a and b.
        budget: simulations per move.
        training: log10 FLOPs, the same for every run.
        networks: Elo by which b's networks are ahead; the interval covers the ratings' errors.
        recipes: the same number for the recipes; the interval also covers the differences between
            runs. None if a side has a single run.
        one_recipe: True = the sides are runs of the same recipe.
        games_to_decide: further games between these networks until the interval of `networks`
            excludes 0, if the estimate stays; 0 if it already does.
        games_to_narrow: further games until that interval is ± `NARROW_ELO`.
        seeds_to_decide: seeds per side with which the interval of `recipes` excludes 0, if estimate
            and spread stay; None if a side has a single run, or if it takes over `MAX_SEEDS`.
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
        """The estimate for the recipes, or for the networks if a side has a single run."""
        return self.networks if self.recipes is None else self.recipes


def side_of_versions(points: RatedVersions) -> Labels:
    """Returns each version's side, str[N]: its recipe, or its run if all have one recipe."""
    return points.recipe if len(set(points.recipe.tolist())) > 1 else points.run


def compare(points: RatedVersions, a: str, b: str, budget: float, information: Information) -> Lead:
    """Compares side `b` with side `a` at the largest training that all their runs reach.

    Args:
        points: versions of both sides, possibly of others, at all search budgets.
        a: the side that is compared with.
        b: the side that is compared.
        budget: simulations per move.
        information: what one more opening is expected to give; see `pairing.information`.

    Raises:
        InsufficientData: a side has no versions at this budget, or no training is common to all
            runs.
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
    """Estimates the lead of b over a at one level of training, log10 FLOPs.

    Args:
        points: both sides' versions of one search budget; ratings may be a batch.
        a: the side that is compared with.
        b: the side that is compared.
        training: a level that every run reaches.

    Returns:
        The lead of the networks, and that of the recipes: None if a side has a single run.
    """
    weights = at_training.interpolated(points, training)
    elo = points.elo @ weights.T  # [..., R]
    covariance = weights @ points.covariance @ weights.T
    covariance = (covariance + covariance.T) / 2
    side = _side_of_runs(points)
    contrast = _contrast(side, a, b)
    value = elo @ contrast
    stderr = np.sqrt(max(float(contrast @ covariance @ contrast), 0.0))
    df = np.full(np.shape(value), np.inf)  # the ratings' covariance is known
    networks = Estimate.student(value, np.full(np.shape(value), stderr), df, "Elo")
    if min((side == a).sum(), (side == b).sum()) < 2:
        return networks, None
    columns = np.stack([side == a, side == b], axis=1).astype(float)
    means = RatedVersions.of(elo, covariance, points.runs)
    return networks, regress(means, columns).contrast(elo, [-1.0, 1.0], "Elo")


def training_saved(
    points: RatedVersions, a: str, b: str, budget: float, perfect: bool = False
) -> tuple[Estimate, str]:
    """Estimates the training that b saves against a at the same Elo, at one budget.

    Recipes with several runs per side are compared by `multiplier.between`, on the incline, and
    networks by `equal_strength`.

    Args:
        points: versions of both sides, possibly of others, at all search budgets.
        a: the side that is compared with.
        b: the side that is compared.
        budget: simulations per move.
        perfect: True = perfect play is at 0 Elo.

    Returns:
        The OOMs of training that b saves, and a sentence about them.

    Raises:
        InsufficientData: as `select_pair`, `common_training` and `multiplier.between`.
    """
    both = select_pair(points, a, b, budget)
    side = _side_of_runs(both)
    if min((side == a).sum(), (side == b).sum()) < 2:
        training, ooms = equal_strength(both, a, b)
        strength = f", that of `{a}` after {power(training)} FLOPs"
        unbounded = np.isinf(ooms.low) and np.isinf(ooms.high)
        return ooms, _saving_sentence(a, b, ooms) + ("" if unbounded else strength)
    rising, _ = incline.on_incline(both, perfect)
    saving = multiplier.between(both.select(rising), a, b)
    without = "" if rising.all() else f", without {(~rising).sum()} versions off the incline"
    return saving.ooms, f"{saving}{without}"


def equal_strength(points: RatedVersions, a: str, b: str) -> tuple[float, Estimate]:
    """Estimates how many OOMs less training b's networks need to be as strong as a's.

    The strength is a's Elo at the largest training that all runs reach. The interval holds every
    training of b, within its rated versions, at which b's difference from that Elo is not
    significant by the ratings' errors. It has no bound on a side where it reaches b's first or last
    version, or where b is stronger or weaker throughout.

    Args:
        points: both sides' versions of one search budget.
        a: the side that is compared with.
        b: the side that is compared.

    Returns:
        a's training, log10 FLOPs, and the estimate, in OOMs.
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
    stronger, weaker = ahead > error, ahead < -error  # significantly
    same = np.flatnonzero(~stronger & ~weaker)
    crossing = np.flatnonzero(ahead >= 0)
    at = float(levels[crossing[0]] if len(crossing) else levels[-1])
    if len(crossing) and crossing[0]:
        step = slice(crossing[0] - 1, crossing[0] + 1)
        at = float(np.interp(0.0, ahead[step], levels[step]))
    least, most = training - at, training - at
    if len(same):
        least = training - levels[min(same[-1] + 1, STEPS - 1)]
        most = training - levels[max(same[0] - 1, 0)]
    least = -np.inf if not stronger[-1] else min(least, training - at)
    most = np.inf if not weaker[0] else max(most, training - at)
    value, infinite = np.array(training - at), np.array(np.inf)
    unit = "OOMs of training"
    return training, Estimate(value, np.array(least), np.array(most), infinite, infinite, unit)


def _filled(weights: Floats) -> Floats:
    """Replaces NaN, the weights of runs that do not reach a level, by 0."""
    return np.where(np.isnan(weights), 0.0, weights)


def _saving_sentence(a: str, b: str, ooms: Estimate) -> str:
    """Says how much training `b` takes compared with `a`, if only by a bound."""
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

    The games are played between the versions with a positive weight and those with a negative one,
    in proportion to their weights.

    Args:
        points: the versions, with the covariance of their ratings.
        contrast: float[N], weights of the difference, which sum to 0.
        stderr: the standard error to reach, Elo.
        information: see `compare`.

    Returns:
        The number of games, two per opening; 0 if none are needed, inf if it is out of reach, as a
        standard error of 0 is.
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
    per_opening = information(points.require_single().elo[i] - points.elo[j])
    along = np.zeros((len(i), len(points)))  # an opening of each pairing is a row
    along[np.arange(len(i)), i] = np.sqrt(share * per_opening)
    along[np.arange(len(i)), j] = -np.sqrt(share * per_opening)
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
    """Computes how many seeds per side make the interval exclude 0, if estimate and spread stay.

    Returns:
        At least the smaller side's number of runs; None if it takes more than `MAX_SEEDS`.
    """
    now = 2 / (1 / runs[0] + 1 / runs[1])
    each = float(recipes.stderr) * np.sqrt(now)  # with one run per side
    for seeds in range(max(2, min(runs)), MAX_SEEDS + 1):
        if stdtrit(2 * seeds - 2, 0.975) * each / np.sqrt(seeds) < abs(float(recipes.value)):
            return seeds
    return None


def common_training(points: RatedVersions) -> tuple[float, float]:
    """Returns the range of training, log10 FLOPs, that all runs share at one search budget.

    Raises:
        InsufficientData: the runs share no training; the message says what is missing.
    """
    low, high = at_training.common_range(points)
    if low <= high:
        return low, high
    spent, index = points.training, points.run_index
    firsts = [spent[index == run].min() for run in range(len(points.runs))]
    lasts = [spent[index == run].max() for run in range(len(points.runs))]
    late, short = points.runs[int(np.argmax(firsts))], points.runs[int(np.argmin(lasts))]
    single = [run for run in (short, late) if (points.run == run).sum() == 1]
    advice = f"rate earlier versions of `{late}`, or train `{short}` for longer"
    if single:
        advice = f"{_and(single)} has one rated version here: rate more of them"
    raise InsufficientData(
        f"no training is common to all of them: `{short}` is rated up to {power(high)} FLOPs and "
        f"`{late}` from {power(low)}, {low - high:.2f} orders of magnitude apart; {advice}"
    )


def rank_sides(points: RatedVersions, budget: float) -> list[str]:
    """Orders the sides by their mean Elo at the training that most of them share.

    Args:
        points: versions of all sides and search budgets.
        budget: simulations per move.

    Returns:
        The names of the sides that reach this training, the strongest first. The training is the
        largest one that the most sides share.

    Raises:
        InsufficientData: only one side is rated at this budget, or no two sides share any training.
    """
    chosen = np.flatnonzero(points.require("simulations") == budget)
    same = replace(points.select(chosen), recipe=side_of_versions(points)[chosen])
    names = list(dict.fromkeys(same.recipe.tolist()))
    if len(names) < 2:
        raise InsufficientData(f"`{names[0]}` alone is rated there")
    ranges = [at_training.common_range(same.select(same.recipe == name)) for name in names]

    def sharing(level: float) -> list[str]:
        slack = at_training.TOLERANCE / 2
        inside = [low - slack <= level <= high + slack for low, high in ranges]
        return [name for name, holds in zip(names, inside, strict=True) if holds]

    level = max((high for _, high in ranges), key=lambda high: (len(sharing(high)), high))
    compared = sharing(level)
    if len(compared) < 2:  # they meet within the tolerance, or this raises
        level, compared = common_training(same)[1], names
    weights = at_training.interpolated(same, level)
    elo, side = weights @ same.require_single().elo, _side_of_runs(same)
    means = {name: float(elo[side == name].mean()) for name in compared}
    return sorted(means, key=lambda name: -means[name])


def stopped_early(points: RatedVersions) -> list[str]:
    """Lists the runs that end more than `EARLY` before the longest run of their recipe."""
    spent, names = points.training, []
    for recipe in dict.fromkeys(points.recipe.tolist()):
        same = points.recipe == recipe
        ends = {run: spent[same & (points.run == run)].max() for run in set(points.run[same])}
        names += [run for run, end in ends.items() if end < max(ends.values()) - EARLY]
    return sorted(names)


def select_pair(points: RatedVersions, a: str, b: str, budget: float) -> RatedVersions:
    """Selects the versions of two sides at one budget, with the side as their recipe.

    Raises:
        InsufficientData: a side has no versions at this budget.
    """
    side = side_of_versions(points)
    at = points.require("simulations") == budget
    for name in (a, b):
        if not (at & (side == name)).any():
            raise InsufficientData(f"no version of `{name}` is rated at {budget:g} simulations")
    chosen = np.flatnonzero(at & ((side == a) | (side == b)))
    return replace(points.select(chosen), recipe=side[chosen])


def _side_of_runs(points: RatedVersions) -> Labels:
    """Returns each run's side, str[R], in the order of `points.runs`."""
    side = side_of_versions(points)
    return np.array([side[points.run == run][0] for run in points.runs], np.str_)


def _contrast(side: Labels, a: str, b: str) -> Floats:
    """Computes the runs' weights, float[R], whose weighted sum is b's mean less a's."""
    return (side == b) / max(1, (side == b).sum()) - (side == a) / max(1, (side == a).sum())


def _and(names: list[str]) -> str:
    """Joins quoted names by "and"."""
    return " and ".join(f"`{name}`" for name in names)
