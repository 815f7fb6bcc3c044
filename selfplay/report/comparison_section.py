"""A comparison of recipes, or of runs, as sentences, a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfplay.report.figures import HUES, Drawing, plain, powers, style
from selfplay.report.findings import Finding
from selfplay.scaling import at_training, comparison
from selfplay.scaling.comparison import MAX_GAMES, MAX_SEEDS, NARROW_ELO, Information, Lead
from selfplay.scaling.estimate import Floats, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions, by_budget

NAME = "comparison"
DRAWN = 4  # sides in the figure: as many hues have a contrast of 3:1 on white
LEVELS = 33  # of training, at which the figure compares, besides those of the versions
HEADER = ("simulations", "side", "against", "training, FLOPs", "runs", "Elo ahead", "from", "to",
          "about", "times less training", "least", "most")  # fmt: skip
COLUMNS = ("simulations", "side", "against", "training_log10_flops", "elo_ahead", "low", "high",
           "about", "runs", "runs_against")  # fmt: skip


def finding(
    points: RatedVersions, information: Information, baseline: str = "", perfect: bool = False
) -> Finding | None:
    """Compares all sides at every search budget.

    The sentences are about the two strongest sides, the table compares all with the baseline.

    Args:
        points: all versions on one ladder.
        information: what one more opening is expected to tell; see `comparison.compare`.
        baseline: the side that others are compared with; the first one if left out or not here.
        perfect: True = perfect play is at 0 Elo.

    Returns:
        None with fewer than two sides.
    """
    names = list(dict.fromkeys(comparison.side_of_versions(points).tolist()))
    if len(names) < 2:
        return None
    baseline = baseline if baseline in names else names[0]
    others = [name for name in names if name != baseline]
    sentences, leads, rows = [], [], []
    for budget in by_budget(points):
        try:
            top = _top_two(points, budget, information)
        except InsufficientData as reason:
            sentences.append(f"At {budget:g} simulations nothing is compared: {reason}.")
        else:
            leads.append(top)
            sentences += [who_leads(top), _savings(points, top, perfect), what_settles(top)]
        for other in others:
            with suppress(InsufficientData):
                found = comparison.compare(points, baseline, other, budget, information)
                rows.append(_row(points, found, perfect))
    sentences += _limits(leads) if leads else []
    if len(names) > 2:
        sentences.append(
            f"Of {len(names)} sides these two lead at the training that most sides share. "
            "They were chosen by the ratings that compare them, and the intervals do not account "
            f"for that. The table ({NAME}.csv) compares every side with `{baseline}`, where they "
            "share any training."
        )
    sentences += [
        f"`{run}` ends earlier than other runs of its recipe, and the comparison ends there."
        for run in comparison.stopped_early(points)
    ]
    drawing = draw(points, baseline, others[: DRAWN - 1]) if rows else None
    if drawing and len(names) > DRAWN:
        sentences.append(f"The figure shows the first {DRAWN} sides.")
    title = "Who is ahead at equal training?"
    return Finding(NAME, title, sentences, drawing, (HEADER, rows) if rows else None)


def _top_two(points: RatedVersions, budget: float, information: Information) -> Lead:
    """Compares the two strongest sides at a budget, the stronger one as b."""
    best, second, *_ = comparison.rank_sides(points, budget)
    found = comparison.compare(points, second, best, budget, information)
    if found.networks.value < 0:  # at the larger training that these two have in common
        found = comparison.compare(points, best, second, budget, information)
    return found


def _savings(points: RatedVersions, found: Lead, perfect: bool) -> str:
    """Says how many times less training the leader takes."""
    where = f"At {found.budget:g} simulations"
    try:
        text = comparison.training_saved(points, found.a, found.b, found.budget, perfect)[1]
    except InsufficientData as reason:
        return f"{where} it is not known how much training that saves: {reason}."
    return f"{where} {text}."


def who_leads(found: Lead) -> str:
    """Says who is ahead by how much, and whether that is about recipes or about networks."""
    where = f"At {found.budget:g} simulations and 10^{found.training:.2f} FLOPs of training each"
    estimate, b = found.estimate, f"`{found.b}`"
    if found.recipes is None:
        about = f"these {_count(found)}, "
        about += "seeds of one recipe" if found.one_recipe else "not the recipes"
        who, whom = _networks(found.b, found.runs[1]), _networks(found.a, found.runs[0])
        nobody = "neither side is shown to be ahead"
    else:
        about = f"recipes, {found.runs[1]} and {found.runs[0]} runs"
        who, whom = b, f"`{found.a}`"
        nobody = "neither recipe is shown to be ahead"
    if estimate.low > 0:
        return f"{where}, {who} is ahead of {whom} by {estimate} ({about})."
    return f"{where}, {nobody}: {estimate} in favor of {b} against `{found.a}` ({about})."


def _networks(side: str, runs: int) -> str:
    return f"the network of `{side}`" if runs == 1 else f"the mean of {runs} networks of `{side}`"


def _count(found: Lead) -> str:
    return "two networks" if sum(found.runs) == 2 else f"{sum(found.runs)} networks"


def what_settles(found: Lead) -> str:
    """Says how many games would settle the networks, and how many seeds the recipes."""
    where = f"At {found.budget:g} simulations"
    if not found.games_to_decide:
        text = f"these {_count(found)} are settled: {found.networks}, the games' errors alone"
    elif found.games_to_decide <= MAX_GAMES:
        text = f"about {_round(found.games_to_decide)} more games between them would settle these "
        text += f"{_count(found)}, if the difference stays as estimated"
    else:
        text = f"these {_count(found)} are about equal: to settle who is ahead would take more "
        text += f"than {MAX_GAMES:,} games"
        if found.games_to_narrow:
            text += (
                f", and an interval of ± {NARROW_ELO:g} Elo about {_round(found.games_to_narrow)}"
            )
    if found.recipes is None:
        return f"{where} {text}."
    if found.recipes.low > 0:
        return f"{where} {text}; the recipes are settled as well."
    seeds = (
        f"more than {MAX_SEEDS}"
        if found.seeds_to_decide is None
        else f"about {found.seeds_to_decide}"
    )
    return (
        f"{where} {text}; the recipes would take {seeds} seeds a side, if estimate and spread stay."
    )


def _limits(leads: Sequence[Lead]) -> list[str]:
    """Says what no number of games will settle, if that is open."""
    if all(one.one_recipe for one in leads):
        return ["All runs are of one recipe: what they differ by is the luck of their seeds."]
    if all(one.recipes is not None and one.recipes.low > 0 for one in leads):
        return []
    text = "No number of games settles which recipe is better, only more seeds do."
    if any(one.recipes is None for one in leads):
        text += " A single run does not tell how much seeds differ: train at least 3 of each."
    return [text]


def _round(games: float) -> str:
    """1 234 → 1,200."""
    return f"{float(f'{games:.2g}'):,.0f}"


def _row(points: RatedVersions, found: Lead, perfect: bool) -> tuple[Any, ...]:
    """A line of the table."""
    estimate = found.estimate
    numbers = [f"{float(x):+.0f}" for x in (estimate.value, estimate.low, estimate.high)]
    times = ["", "", ""]
    with suppress(InsufficientData):
        ooms = comparison.training_saved(points, found.a, found.b, found.budget, perfect)[0]
        times = [_times(float(x)) for x in (ooms.value, ooms.low, ooms.high)]
    runs = f"{found.runs[1]} and {found.runs[0]}"
    about = "networks" if found.recipes is None else "recipes"
    training = f"10^{found.training:.2f}"
    return (f"{found.budget:g}", found.b, found.a, training, runs, *numbers, about, *times)


def _times(ooms: float) -> str:
    return f"{10**ooms:.3g}" if np.isfinite(ooms) else "no bound"


@style()
def draw(points: RatedVersions, baseline: str, others: Sequence[str]) -> Drawing:
    """Draws Elo against training above, and below how far sides are ahead of the baseline.

    A column for each search budget. Runs are faint, a side's mean over its runs is bold; bands are
    95 % intervals at equal training: of the recipes, or of the networks if a side has one run.
    """
    at = by_budget(points)
    size = (7.2, 6.4) if len(at) == 1 else (3.3 * len(at) + 0.4, 6.0)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2, len(at), sharex="col", sharey="row", squeeze=False)
    hue = dict(zip((baseline, *others), HUES, strict=False))
    side, rows = comparison.side_of_versions(points), []
    for (upper, lower), budget in zip(panels.T, at, strict=True):
        chosen = points.require("simulations") == budget
        for name, color in hue.items():
            if (own := chosen & (side == name)).any():
                _curves(upper, points.select(own), color)
        for name in others:
            with suppress(InsufficientData):
                rows += _difference(lower, points, baseline, name, budget, hue[name])
        lower.axhline(0, color=hue[baseline], linewidth=1.6)
        powers(lower.xaxis)
        lower.set_xlabel("training, FLOPs")
        if len(at) > 1:
            upper.set_title(f"{budget:g} simulations", fontsize=10)
    panels[0, 0].set_ylabel("Elo")
    panels[1, 0].set_ylabel("Elo ahead, 95 %")
    for name, color in hue.items():
        panels[0, 0].plot([], [], color=color, linewidth=2, label=plain(name))
    figure.legend(loc="outside upper left", frameon=False, fontsize=9, ncols=min(2, len(hue)))
    return Drawing(figure, COLUMNS, rows, _caption(baseline, rows))


def _caption(baseline: str, rows: Sequence[tuple[Any, ...]]) -> str:
    """Says what the lines of the figure are, and what its intervals are about."""
    *_, abouts, runs, runs_against = zip(*rows, strict=True) if rows else ((), (), ())
    lines = "each line is a run, its dots are rated versions"
    if max((*runs, *runs_against), default=1) > 1:
        lines = "thin lines are runs, bold ones the mean over the runs of a recipe"
    about = set(abouts)
    if about == {"recipes"}:
        what = "of the recipes, over more seeds of each"
    elif about == {"networks"}:
        what = "of these networks: other seeds may differ"
    else:
        what = "of the recipes, or of the networks where a side has one run"
    return (
        f"Above, {lines}. Below, how far each side is ahead of `{baseline}`, the level line, after "
        f"equal training; bands and bars are 95 % intervals {what}."
    )


def _curves(axes: Axes, own: RatedVersions, color: str) -> None:
    """Draws a side's runs, and their mean where all of them are."""
    for run in own.runs:
        versions = np.flatnonzero(own.run == run)
        versions = versions[np.argsort(own.training[versions])]
        axes.plot(
            own.training[versions], own.elo[versions], color=color, linewidth=0.6,
            marker="o", markersize=2,
        )  # fmt: skip
    low, high = at_training.common_range(own)
    if low < high:
        levels = _levels(own, low, high)
        mean = (at_training.interpolated(own, levels) @ own.elo).mean(axis=1)
        axes.plot(levels, mean, color=color, linewidth=2.5)


def _levels(points: RatedVersions, low: float, high: float) -> Floats:
    """Lists levels of training to draw at, with those of the versions, where curves bend."""
    spent = points.training[(points.training >= low) & (points.training <= high)]
    return np.unique([*np.linspace(low, high, LEVELS), *spent]) if low < high else np.array([high])


def _difference(
    axes: Axes, points: RatedVersions, a: str, b: str, budget: float, color: str
) -> list[tuple[Any, ...]]:
    """Draws how far b is ahead of a along their common training, and returns the numbers."""
    pair = comparison.select_pair(points, a, b, budget)
    low, high = comparison.common_training(pair)
    levels = _levels(pair, low, high)
    both = [comparison.estimate_lead(pair, a, b, float(level)) for level in levels]
    estimates = [networks if recipes is None else recipes for networks, recipes in both]
    value, least, most = (
        np.array([float(getattr(one, name)) for one in estimates])
        for name in ("value", "low", "high")
    )
    if len(levels) == 1:
        error = [value - least, most - value]
        axes.errorbar(levels, value, error, color=color, marker="o", capsize=3)
    else:
        axes.fill_between(levels, least, most, color=color, alpha=0.18, linewidth=0)
        axes.plot(levels, value, color=color, linewidth=2)
    about = "networks" if both[-1][1] is None else "recipes"
    runs = [len(set(pair.run[pair.recipe == name].tolist())) for name in (b, a)]
    numbers = zip(levels.tolist(), value.tolist(), least.tolist(), most.tolist(), strict=True)
    return [(budget, b, a, *line, about, *runs) for line in numbers]
