"""Answers "which recipe for which compute?": compares recipes, and maps a grid of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from selfplay.report import map_figure
from selfplay.report.figures import ReportFigure
from selfplay.report.map_figure import CANDIDATE, LEADER, Cell, MapAxis, Panel
from selfplay.report.table import Row, Table
from selfplay.scaling import at_compute
from selfplay.scaling.at_compute import BestRecipe, EloAtCompute
from selfplay.scaling.at_training import TOLERANCE
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.factors import Factor, recipe_text
from selfplay.scaling.rated_versions import RatedVersions, by_budget
from selfplay.style.figure_style import plain
from selfplay.style.powers_of_ten import power, power_math

MAX_FACTORS = 3  # that a map can show
MAX_NAMED = 3  # candidates that a sentence names
FILLED_BY = {  # the reason why a recipe has no Elo → what would give it one
    "ends": "more iterations where a curve ends too early ({})",
    "begins": "earlier rated versions, or smaller iterations, where a curve begins too late ({})",
    "rated": "games at that search budget ({})",
    "costs": "other search budgets in play ({})",
}


@dataclass(frozen=True)
class RecipeComparison:
    """A comparison of recipes at one training compute and one way to play.

    Attributes:
        at: their Elo.
        best: the leader and its lead; None if only one recipe has reached this compute.
        recipes: number of recipes, including those whose curves do not reach this compute.
        budget: simulations a move; None if the compute of a move is given.
        search: log10 FLOPs of a move; None if the budget is given.
    """

    at: EloAtCompute
    best: BestRecipe | None
    recipes: int
    budget: float | None = None
    search: float | None = None

    @property
    def trained(self) -> str:
        """Training compute, for a sentence."""
        return f"{power(self.at.training)} FLOPs of training"

    @property
    def play(self) -> str:
        """Simulations or compute of a move, for a sentence."""
        if self.search is not None:
            return f"{power(self.search)} FLOPs a move"
        return f"{self.budget:g} simulations a move" if self.budget else "no search in play"

    @property
    def _among(self) -> str:
        """Numbers of compared recipes and of all recipes, for a sentence."""
        reached = len(self.at.recipes)
        if reached in (1, self.recipes):
            return f"of {self.recipes} recipes"
        what = "that compute" if self.search is None else "both"
        return f"of the {reached} of {self.recipes} recipes whose curves reach {what}"

    def sentence(self, factors: Sequence[Factor]) -> str:
        """Writes who leads here, by how much, and with what certainty, without a period."""
        at, best = self.at, self.best
        names = [f"`{recipe_text(factors, recipe)}`" for recipe in at.recipes]
        leader = 0 if best is None else best.leader
        where = f"After {self.trained}, with {self.play}"
        if self.search is None and np.isfinite(at.search[leader]):
            where += f" ({power(float(at.search[leader]))} FLOPs a move)"
        where = where.replace(" a move (", " (")
        if best is None:
            return f"{where}, only {names[0]} {self._among} has a rating, {_with_interval(at, 0)}"
        half = float(best.lead.high - best.lead.low) / 2
        lead = f"{float(best.lead.value):.0f} ± {half:.0f} Elo"
        chance = [_percent(probability) for probability in best.probability]
        if np.isnan(at.run_stddev):
            return (
                f"{where}, {names[leader]} is the first {self._among}, {lead} ahead of "
                "the next, with one run of each: other seeds may give another order"
            )
        if best.decided:
            return (
                f"{where}, {names[leader]} is the best {self._among}, {lead} ahead of "
                f"the next, {names[best.runner_up]} (probability {chance[leader]})"
            )
        others = [k for k in best.candidates if k != leader]
        shown = ", ".join(f"{names[k]} ({chance[k]})" for k in others[:MAX_NAMED])
        more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
        return (
            f"{where}, {names[leader]} is the first {self._among}, {lead} ahead of the "
            f"next, and the best with a probability of {chance[leader]}; a simultaneous "
            f"comparison of all recipes does not rule out {shown}{more}"
        )


def compare(
    points: RatedVersions,
    training: float,
    *,
    budget: float | None = None,
    search: float | None = None,
) -> RecipeComparison:
    """Compares recipes after `training` log10 FLOPs, at one budget or at one cost of a move.

    Args:
        points: all versions.
        training: log10 FLOPs.
        budget: simulations a move.
        search: log10 FLOPs of a move; either this or `budget` is given.

    Raises:
        InsufficientData: no recipe reaches this compute.
    """
    chosen = points if budget is None else by_budget(points)[budget]
    at = at_compute.interpolate(chosen, training, search)
    best = at_compute.best_recipe(at) if len(at.recipes) > 1 else None
    return RecipeComparison(at, best, len(set(points.recipe.tolist())), budget, search)


def of_training(points: RatedVersions, budget: float) -> tuple[list[RecipeComparison], int]:
    """Compares recipes at one budget, after less and after more training.

    Returns:
        The comparisons, and the index of the main one.

    Raises:
        InsufficientData: no two recipes can be compared.
    """
    rated = by_budget(points)[budget]
    levels, main = at_compute.choose_levels(
        np.array(list(at_compute.recipe_ranges(rated).values()))
    )
    return [compare(points, level, budget=budget) for level in levels], main


def telling_budget(points: RatedVersions) -> float | None:
    """Finds the budget of play at which recipes differ most clearly.

    It maximizes the variance between recipes relative to the variance of their errors. Deep search
    may level all recipes, for instance if it plays perfectly; so may the raw network, if it has
    learned nothing yet.

    Returns:
        Simulations a move; None if no budget has two recipes to compare.
    """
    ratios: dict[float, float] = {}
    for budget in by_budget(points):
        with suppress(InsufficientData):
            comparisons, main = of_training(points, budget)
            at = comparisons[main].at
            # The mean covariance is the error that all recipes share: it moves none of them.
            error = float(np.diag(at.covariance).mean() - at.covariance.mean())
            ratios[budget] = float(np.var(at.elo, ddof=1) / max(error, 1e-9))
    return max(ratios, key=lambda budget: ratios[budget]) if ratios else None


def of_search(points: RatedVersions, training: float) -> list[RecipeComparison]:
    """Compares recipes after one training, at every budget that has two of them."""
    comparisons = []
    for budget in by_budget(points):
        with suppress(InsufficientData):
            comparisons.append(compare(points, training, budget=budget))
    return [comparison for comparison in comparisons if comparison.best]


def of_move(points: RatedVersions, trained: EloAtCompute) -> list[RecipeComparison]:
    """Compares recipes for moves of equal cost, after the training of another comparison.

    Raises:
        InsufficientData: there is one budget, or no two recipes have moves of one cost.
    """
    if len(by_budget(points)) < 2:
        raise InsufficientData("versions were rated at one search budget")
    chosen = points.select(np.isin(points.recipe, trained.recipes))
    costs = np.array(list(at_compute.recipe_ranges(chosen, "search").values()))
    levels, _ = at_compute.choose_levels(costs)
    return [compare(points, trained.training, search=level) for level in levels]


def missing_recipes(
    comparisons: Sequence[RecipeComparison], points: RatedVersions
) -> dict[str, set[str]]:
    """Groups the recipes without an Elo by the reason for that: a key of `FILLED_BY`."""
    missing: dict[str, set[str]] = {}
    for comparison in comparisons:
        for recipe in set(points.recipe.tolist()) - set(comparison.at.recipes):
            rated = points.select(points.recipe == recipe)
            missing.setdefault(_why_missing(rated, comparison), set()).add(recipe)
    return {reason: missing[reason] for reason in FILLED_BY if reason in missing}


def filled_by(comparisons: Sequence[RecipeComparison], points: RatedVersions) -> list[str]:
    """Writes a sentence on what would fill the cells without an Elo; none if all have one."""
    ways = [
        FILLED_BY[reason].format(f"{len(recipes)} recipe{'s' * (len(recipes) > 1)}")
        for reason, recipes in missing_recipes(comparisons, points).items()
    ]
    return [f"What would fill the blanks: {'; '.join(ways)}."] if ways else []


def draw(
    comparisons: Sequence[RecipeComparison],
    points: RatedVersions,
    factors: Sequence[Factor],
    main: int | None = None,
) -> ReportFigure:
    """Draws the maps of a grid of one to three factors, one for each comparison.

    A single factor is shown against the budgets of play, in one map; a third one in rows of maps.

    Args:
        comparisons: of the same points.
        points: all versions, for the texts of empty cells and the costs of their moves.
        factors: one to three.
        main: index of the main one among several training computes.
    """
    if len(factors) == 1:
        panels = [[_panel_over_budgets(comparisons, points, factors[0])]]
    else:
        third = factors[2] if len(factors) == MAX_FACTORS else None
        panels = [
            [_panel_of_two_factors(c, points, factors, level) for c in comparisons]
            for level in (third.levels if third else [None])
        ]
    figure = map_figure.draw(panels, table(comparisons, points, factors))
    contours = any(panel.has_contours for row in panels for panel in row)
    return replace(figure, caption=_caption(comparisons, contours, main))


def _axis(factor: Factor) -> MapAxis:
    return MapAxis(factor.field, factor.levels, factor.numeric)


def _panel_of_two_factors(
    comparison: RecipeComparison,
    points: RatedVersions,
    factors: Sequence[Factor],
    level: str | None,
) -> Panel:
    """Arranges two factors, for the recipes with this level of the third one."""
    y, x, *rest = factors
    cells = {
        (y.level(recipe), x.level(recipe)): _recipe_cell(comparison, points, recipe)
        for recipe in dict.fromkeys(points.recipe.tolist())
        if level is None or rest[0].level(recipe) == level
    }
    search = comparison.search
    title = f"{power_math(comparison.at.training, 2)} FLOPs of training\n"
    title += comparison.play if search is None else f"{power_math(search, 2)} FLOPs a move"
    title += f"\n{plain(rest[0].field)} {plain(level)}" if level is not None else ""
    return _with_costs(Panel(title, _axis(x), _axis(y), cells), comparison)


def _panel_over_budgets(
    comparisons: Sequence[RecipeComparison], points: RatedVersions, factor: Factor
) -> Panel:
    """Arranges one factor against the budgets of play."""
    cells = {
        (factor.level(recipe), f"{comparison.budget:g}"): _recipe_cell(comparison, points, recipe)
        for comparison in comparisons
        for recipe in dict.fromkeys(points.recipe.tolist())
    }
    budgets = MapAxis("simulations a move", [f"{c.budget:g}" for c in comparisons], True)
    title = f"{power_math(comparisons[0].at.training, 2)} FLOPs of training"
    return Panel(title, budgets, _axis(factor), cells)


def _recipe_cell(comparison: RecipeComparison, points: RatedVersions, recipe: str) -> Cell:
    """Makes the cell of a recipe."""
    at, best = comparison.at, comparison.best
    if recipe not in at.recipes:
        rated = points.select(points.recipe == recipe)
        return Cell(None, _move_cost(rated, comparison), note=_empty_text(rated, comparison))
    k = at.recipes.index(recipe)
    mark = ""
    if best is not None and k in best.candidates:
        mark = LEADER if k == best.leader else CANDIDATE
    note = f"{at.simulations[k]:.0f} sims" if comparison.search is not None else ""
    return Cell(at.elo_of(k), float(at.search[k]), mark, note)


def _with_costs(panel: Panel, comparison: RecipeComparison) -> Panel:
    """Notes the cost of a move in each cell if it varies and there are no contours."""
    if panel.has_contours or comparison.search is not None or panel.cost_range < TOLERANCE:
        return panel
    cells = {
        levels: cell
        if cell.elo is None
        else replace(cell, note=f"{power_math(cell.search, 1)} a move")
        for levels, cell in panel.cells.items()
    }
    return replace(panel, cells=cells)


def _move_cost(rated: RatedVersions, comparison: RecipeComparison) -> float:
    """Returns log10 FLOPs of a recipe's moves, with or without an Elo; NaN if it is not rated."""
    if comparison.search is not None:
        return np.nan
    simulations = rated.covariates.get("simulations")
    costs = rated.search if simulations is None else rated.search[simulations == comparison.budget]
    return float(costs.mean()) if len(costs) else np.nan


def _why_missing(rated: RatedVersions, comparison: RecipeComparison) -> str:
    """Finds the reason why a recipe has no Elo there: a key of `FILLED_BY`."""
    ((first, last),) = at_compute.recipe_ranges(rated).values()
    if comparison.at.training > last + TOLERANCE:
        return "ends"
    if comparison.at.training < first - TOLERANCE:
        return "begins"
    return "rated" if comparison.search is None else "costs"


def _empty_text(rated: RatedVersions, comparison: RecipeComparison) -> str:
    """Writes the text of an empty cell."""
    ((first, last),) = at_compute.recipe_ranges(rated).values()
    return {
        "ends": f"ends at\n{power_math(last, 1)}",
        "begins": f"begins at\n{power_math(first, 1)}",
        "rated": "not rated",
        "costs": "moves cost\nmore or less",
    }[_why_missing(rated, comparison)]


def table(
    comparisons: Sequence[RecipeComparison], points: RatedVersions, factors: Sequence[Factor]
) -> Table:
    """Lists the numbers of all cells, including empty ones."""
    header = (
        "training_log10_flops", "simulations", *(factor.field for factor in factors), "elo", "low",
        "high", "stderr", "runs", "search_log10_flops", "probability_best", "may_be_best",
        "curve_begins", "curve_ends",
    )  # fmt: skip
    spans = at_compute.recipe_ranges(points)
    rows: list[Row] = []
    for comparison in comparisons:
        at = comparison.at
        for recipe in dict.fromkeys(points.recipe.tolist()):
            numbers: Row = ("", "", "", "", 0, "", "", "")
            simulations = "" if comparison.budget is None else comparison.budget
            if recipe in at.recipes:
                k = at.recipes.index(recipe)
                simulations = round(float(at.simulations[k]), 2)
                numbers = _cell_numbers(comparison, k)
            values = (factor.level(recipe) for factor in factors)
            ends = (round(x, 4) for x in spans[recipe])
            rows.append((round(at.training, 4), simulations, *values, *numbers, *ends))
    return Table(header, rows)


def _cell_numbers(comparison: RecipeComparison, k: int) -> Row:
    """Lists the numbers of the k-th recipe, in the order of the table's columns."""
    at, best, elo = comparison.at, comparison.best, comparison.at.elo_of(k)
    return (
        *(round(float(x), 2) for x in (elo.value, elo.low, elo.high, elo.stderr)),
        int(at.runs[k]),
        round(float(at.search[k]), 4),
        "" if best is None else round(float(best.probability[k]), 4),
        "" if best is None else int(k in best.candidates),
    )


def _caption(comparisons: Sequence[RecipeComparison], contours: bool, main: int | None) -> str:
    """Explains how to read the maps; maps after the first one refer to its caption."""
    sentences = [
        "Elo of each recipe ± its 95 % interval, read inside its own training curve. A pale cell's "
        "curve does not reach that compute, and the cell says where it begins or ends.",
        "A full star marks the leader, an empty star a recipe that these data do not rule out: in "
        "95 of 100 studies the truly best recipe has a star.",
    ]
    if main is None:
        sentences = ["Read as the first map."]
    if contours:
        sentences.append("White lines are FLOPs of a move.")
    spread = [float(comparison.at.run_stddev) for comparison in comparisons]
    if np.isfinite(spread).any():
        low, high = f"{np.nanmin(spread):.0f}", f"{np.nanmax(spread):.0f}"
        size = f"a standard deviation of {low if low == high else f'{low} to {high}'} Elo"
        if high == "0":
            size = "which is negligible next to these errors"
        sentences.append(
            "Intervals cover the errors of the ratings and the differences between seeds of a "
            f"recipe, {size}, pooled over recipes."
        )
    else:
        sentences.append(
            "There is one run of each recipe: intervals cover the errors of the ratings alone, not "
            "the differences between seeds."
        )
    bias = max((c.best.selection_bias for c in comparisons if c.best), default=0.0)
    if bias >= 1:
        sentences.append(
            "The same games chose the leader, so its Elo is too high, by up to "
            f"{bias:.0f} in the mean; its lead and the stars allow for that."
        )
    if main is not None and len(comparisons) > 1:
        sentences.append(
            f"{power(comparisons[main].at.training)} FLOPs is the most training at which the most "
            "recipes can be compared; the other maps have less and more. Where a recipe's runs "
            "end, its learning rate has fallen, which is in its favor."
        )
    return " ".join(sentences)


def _with_interval(at: EloAtCompute, k: int) -> str:
    elo = at.elo_of(k)
    return f"{float(elo.value):+.0f} ± {float(elo.high - elo.low) / 2:.0f} Elo"


def _percent(probability: float) -> str:
    """Writes a probability; the random draws behind it are too few to resolve it near 0 or 1."""
    if probability > 0.99:
        return "over 99 %"
    return "under 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"
