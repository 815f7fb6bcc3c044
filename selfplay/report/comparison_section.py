"""Compares recipes, or runs, at equal training: in sentences, a table and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from selfplay.report.figures import ReportFigure, style
from selfplay.report.findings import Finding
from selfplay.report.table import Row, Table
from selfplay.scaling import at_training, comparison
from selfplay.scaling.comparison import MAX_GAMES, MAX_SEEDS, NARROW_ELO, Information, Lead
from selfplay.scaling.estimate import Floats, InsufficientData
from selfplay.scaling.rated_versions import RatedVersions, by_budget
from selfplay.style.figure_style import HUES, plain
from selfplay.style.powers_of_ten import label_powers, power

NAME, TITLE = "comparison", "Who is ahead at equal training?"
MAX_DRAWN = 4  # sides in the figure, each with a clearly different hue
LEVELS = 33  # of training at which the figure compares, in addition to those of the versions
HEADER = ("simulations", "side", "against", "training, FLOPs", "runs", "Elo ahead", "from", "to",
          "about", "times less training", "least", "most")  # fmt: skip
COLUMNS = ("simulations", "side", "against", "training_log10_flops", "elo_ahead", "low", "high",
           "about", "runs", "runs_against")  # fmt: skip


def finding(
    points: RatedVersions, information: Information, baseline: str = "", perfect: bool = False
) -> Finding | None:
    """Compares all sides at every search budget.

    The sentences compare the two strongest sides, the table compares all with the baseline.

    Args:
        points: all versions on one ladder.
        information: expected from one more opening; see `comparison.compare`.
        baseline: the side that others are compared with; the first one if left out or not rated.
        perfect: True = perfect play is at 0 Elo.

    Returns:
        The finding; None if there are fewer than two sides.
    """
    names = list(dict.fromkeys(comparison.side_of_versions(points).tolist()))
    if len(names) < 2:
        return None
    baseline = baseline if baseline in names else names[0]
    others = [name for name in names if name != baseline]
    sentences, rows = list[str](), list[Row]()
    leads = list[Lead]()
    results = list[Lead | InsufficientData]()
    for budget in by_budget(points):
        try:
            top = _top_two(points, budget, information)
        except InsufficientData as reason:
            sentences.append(f"At {budget:g} simulations nothing is compared: {reason}.")
            results.append(reason)
        else:
            leads.append(top)
            results.append(top)
            sentences += [leader_sentence(top), _savings(points, top, perfect), what_settles(top)]
        for other in others:
            with suppress(InsufficientData):
                lead = comparison.compare(points, baseline, other, budget, information)
                rows.append(_row(points, lead, perfect))
    sentences += _limits(leads) if leads else []
    if len(names) > 2:
        sentences.append(
            f"Of {len(names)} sides these two lead at the training that most sides share. "
            "The same ratings chose them, which the intervals do not cover. The table "
            f"({NAME}.csv) compares every side with `{baseline}`, if they share any training."
        )
    sentences += [
        f"`{run}` ends earlier than other runs of its recipe, so the comparison ends there."
        for run in comparison.stopped_early(points)
    ]
    figure = draw(points, baseline, others[: MAX_DRAWN - 1]) if rows else None
    if figure and len(names) > MAX_DRAWN:
        sentences.append(f"The figure shows the first {MAX_DRAWN} sides.")
    table = Table(HEADER, rows) if rows else None
    return Finding(sentences, figure, table, results=results, name=NAME, title=TITLE)


def _top_two(points: RatedVersions, budget: float, information: Information) -> Lead:
    """Compares the two strongest sides at a budget, the stronger one as b."""
    best, second, *_ = comparison.rank_sides(points, budget)
    lead = comparison.compare(points, second, best, budget, information)
    if lead.networks.value < 0:  # the order changes at the larger training that these two share
        lead = comparison.compare(points, best, second, budget, information)
    return lead


def _savings(points: RatedVersions, lead: Lead, perfect: bool) -> str:
    """Writes how many times less training the leader takes."""
    context = f"At {lead.budget:g} simulations"
    try:
        text = comparison.training_saved(points, lead.a, lead.b, lead.budget, perfect)[1]
    except InsufficientData as reason:
        return f"{context} it is not known how much training that saves: {reason}."
    return f"{context} {text}."


def leader_sentence(lead: Lead) -> str:
    """Writes who is ahead by how much, and whether that is about recipes or about networks."""
    context = f"At {lead.budget:g} simulations and {power(lead.training)} FLOPs of training each"
    estimate, b = lead.estimate, f"`{lead.b}`"
    if lead.recipes is None:
        about = f"these {_count_networks(lead)}, "
        about += "seeds of one recipe" if lead.one_recipe else "not the recipes"
        leader, other = _networks(lead.b, lead.runs[1]), _networks(lead.a, lead.runs[0])
        undecided = "neither side is shown to be ahead"
    else:
        about = f"recipes, {lead.runs[1]} and {lead.runs[0]} runs"
        leader, other = b, f"`{lead.a}`"
        undecided = "neither recipe is shown to be ahead"
    if estimate.low > 0:
        return f"{context}, {leader} is ahead of {other} by {estimate} ({about})."
    return f"{context}, {undecided}: {estimate} in favor of {b} against `{lead.a}` ({about})."


def _networks(side: str, runs: int) -> str:
    return f"the network of `{side}`" if runs == 1 else f"the mean of {runs} networks of `{side}`"


def _count_networks(lead: Lead) -> str:
    return "two networks" if sum(lead.runs) == 2 else f"{sum(lead.runs)} networks"


def what_settles(lead: Lead) -> str:
    """Writes how many games would settle the networks, and how many seeds the recipes."""
    context = f"At {lead.budget:g} simulations"
    networks = f"these {_count_networks(lead)}"
    if not lead.games_to_decide:
        text = f"{networks} are settled: {lead.networks}, the games' errors alone"
    elif lead.games_to_decide <= MAX_GAMES:
        games = _rounded(lead.games_to_decide)
        text = f"about {games} more games between them would settle {networks}, if the difference "
        text += "stays as estimated"
    else:
        text = f"{networks} are about equal: to settle who is ahead would take more than "
        text += f"{MAX_GAMES:,} games"
        if lead.games_to_narrow:
            text += (
                f", and an interval of ± {NARROW_ELO:g} Elo about {_rounded(lead.games_to_narrow)}"
            )
    if lead.recipes is None:
        return f"{context} {text}."
    if lead.recipes.low > 0:
        return f"{context} {text}; the recipes are settled as well."
    seeds = (
        f"more than {MAX_SEEDS}"
        if lead.seeds_to_decide is None
        else f"about {lead.seeds_to_decide}"
    )
    return (
        f"{context} {text}; the recipes would take {seeds} seeds a side, if estimate and spread "
        "stay."
    )


def _limits(leads: Sequence[Lead]) -> list[str]:
    """Names the open questions that more games cannot settle; none if no such question is open."""
    if all(lead.one_recipe for lead in leads):
        return ["All runs are of one recipe, so they differ by chance alone: by their seeds."]
    if all(lead.recipes is not None and lead.recipes.low > 0 for lead in leads):
        return []
    text = "No number of games settles which recipe is better, only more seeds do."
    if any(lead.recipes is None for lead in leads):
        text += " A single run does not show how much seeds differ: train at least 3 of each."
    return [text]


def _rounded(games: float) -> str:
    """Writes a number of games with two digits: 1 234 as 1,200."""
    return f"{float(f'{games:.2g}'):,.0f}"


def _row(points: RatedVersions, lead: Lead, perfect: bool) -> Row:
    """Makes a row of the table, in the order of `HEADER`."""
    estimate = lead.estimate
    numbers = [f"{float(x):+.0f}" for x in (estimate.value, estimate.low, estimate.high)]
    times = ["", "", ""]
    with suppress(InsufficientData):
        ooms = comparison.training_saved(points, lead.a, lead.b, lead.budget, perfect)[0]
        times = [_times(float(x)) for x in (ooms.value, ooms.low, ooms.high)]
    runs = f"{lead.runs[1]} and {lead.runs[0]}"
    about = "networks" if lead.recipes is None else "recipes"
    return (f"{lead.budget:g}", lead.b, lead.a, power(lead.training), runs, *numbers, about, *times)


def _times(ooms: float) -> str:
    return f"{10**ooms:.3g}" if np.isfinite(ooms) else "no bound"


@style()
def draw(points: RatedVersions, baseline: str, others: Sequence[str]) -> ReportFigure:
    """Draws Elo against training above, and the leads over the baseline below.

    Each search budget has a column. Runs are thin, a side's mean over its runs is bold; bands are
    95 % intervals at equal training: of the recipes, or of the networks if a side has one run.
    """
    budgets = list(by_budget(points))
    size = (7.2, 6.4) if len(budgets) == 1 else (3.3 * len(budgets) + 0.4, 6.0)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(2, len(budgets), sharex="col", sharey="row", squeeze=False)
    hue = dict(zip((baseline, *others), HUES, strict=False))
    side, rows = comparison.side_of_versions(points), list[Row]()
    for (upper, lower), budget in zip(panels.T, budgets, strict=True):
        rated = points.require("simulations") == budget
        for name, color in hue.items():
            if (chosen := rated & (side == name)).any():
                _curves(upper, points.select(chosen), color)
        for name in others:
            with suppress(InsufficientData):
                rows += _difference(lower, points, baseline, name, budget, hue[name])
        lower.axhline(0, color=hue[baseline], linewidth=1.6)
        label_powers(lower.xaxis)
        lower.set_xlabel("training, FLOPs")
        if len(budgets) > 1:
            upper.set_title(f"{budget:g} simulations", fontsize=10)
    panels[0, 0].set_ylabel("Elo")
    panels[1, 0].set_ylabel("Elo ahead, 95 %")
    for name, color in hue.items():
        panels[0, 0].plot([], [], color=color, linewidth=2, label=plain(name))
    figure.legend(loc="outside upper left", frameon=False, fontsize=9, ncols=min(2, len(hue)))
    return ReportFigure(figure, Table(COLUMNS, rows), _caption(baseline, rows))


def _caption(baseline: str, rows: Sequence[Row]) -> str:
    """Explains the lines of the figure, and what its intervals are about."""
    records = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    lines = "each line is a run, its dots are rated versions"
    if any(record["runs"] != 1 or record["runs_against"] != 1 for record in records):
        lines = "thin lines are runs, bold ones the mean over the runs of a recipe"
    about = {record["about"] for record in records}
    if about == {"recipes"}:
        scope = "of the recipes, over more seeds of each"
    elif about == {"networks"}:
        scope = "of these networks: other seeds may differ"
    else:
        scope = "of the recipes, or of the networks where a side has one run"
    return (
        f"Above, {lines}. Below, how far each side is ahead of `{baseline}`, the level line, after "
        f"equal training; bands and bars are 95 % intervals {scope}."
    )


def _curves(axes: Axes, side: RatedVersions, color: str) -> None:
    """Draws a side's runs, and their mean over the training that all of them have reached."""
    for run in side.runs:
        versions = np.flatnonzero(side.run == run)
        versions = versions[np.argsort(side.training[versions])]
        axes.plot(
            side.training[versions], side.elo[versions], color=color, linewidth=0.6,
            marker="o", markersize=2,
        )  # fmt: skip
    low, high = at_training.common_range(side)
    if low < high:
        levels = _levels(side, low, high)
        mean = (at_training.interpolated(side, levels) @ side.elo).mean(axis=1)
        axes.plot(levels, mean, color=color, linewidth=2.5)


def _levels(points: RatedVersions, low: float, high: float) -> Floats:
    """Lists levels of training to draw at, including those of versions, where curves bend."""
    spent = points.training[(points.training >= low) & (points.training <= high)]
    return np.unique([*np.linspace(low, high, LEVELS), *spent]) if low < high else np.array([high])


def _difference(
    axes: Axes, points: RatedVersions, a: str, b: str, budget: float, color: str
) -> list[Row]:
    """Draws the lead of b over a along their common training, and returns rows of `COLUMNS`."""
    pair = comparison.select_pair(points, a, b, budget)
    low, high = comparison.common_training(pair)
    levels = _levels(pair, low, high)
    both = [comparison.estimate_lead(pair, a, b, float(level)) for level in levels]
    estimates = [networks if recipes is None else recipes for networks, recipes in both]
    value, least, most = (
        np.array([float(getattr(estimate, name)) for estimate in estimates])
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
