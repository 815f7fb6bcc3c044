"""The answer to "which recipe for which compute": who leads, in words, and the map of the grid."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from selfplay.report import map_figure
from selfplay.report.figures import Drawing, plain
from selfplay.report.map_figure import CANDIDATE, LEADER, Cell, Panel
from selfplay.scaling import at_compute
from selfplay.scaling.at_compute import BestRecipe, EloAtCompute
from selfplay.scaling.at_training import TOLERANCE
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.factors import Factor, recipe_text
from selfplay.scaling.rated_versions import RatedVersions, by_budget

MOST = 3  # factors that a map can show
NAMED = 3  # candidates that a sentence names
FILLED_BY = {  # why a recipe has no Elo → what would give it one
    "ends": "more iterations where a curve ends too early ({})",
    "begins": "earlier rated versions, or smaller iterations, where a curve begins too late ({})",
    "rated": "games at that search budget ({})",
    "costs": "other search budgets in play ({})",
}


@dataclass(frozen=True)
class Compared:
    """The recipes at one compute of training, and one way to play.

    Attributes:
        at: their Elo.
        best: who leads; None if only one recipe has got there.
        recipes: how many there are, those included whose curves do not reach this compute.
        budget: simulations of a move; None for a given compute of a move.
        search: log10 FLOPs of a move; None for a given budget.
    """

    at: EloAtCompute
    best: BestRecipe | None
    recipes: int
    budget: float | None = None
    search: float | None = None

    @property
    def trained(self) -> str:
        """Returns the training compute as a sentence writes it."""
        return f"10^{self.at.training:.2f} FLOPs of training"

    @property
    def play(self) -> str:
        """Returns the way of playing as a title writes it."""
        if self.search is not None:
            return f"10^{self.search:.2f} FLOPs a move"
        return f"{self.budget:g} simulations a move" if self.budget else "no search in play"

    @property
    def _among(self) -> str:
        """Says how many recipes are compared, and how many there are."""
        reached = len(self.at.recipes)
        if reached in (1, self.recipes):
            return f"of {self.recipes} recipes"
        what = "that compute" if self.search is None else "both"
        return f"of the {reached} of {self.recipes} recipes whose curves reach {what}"

    def sentence(self, factors: Sequence[Factor]) -> str:
        """Says who leads here, by how much, and how sure that is."""
        at, best = self.at, self.best
        names = [f"`{recipe_text(factors, recipe)}`" for recipe in at.recipes]
        leader = 0 if best is None else best.leader
        where = f"After {self.trained}, with {self.play}"
        if self.search is None and np.isfinite(at.search[leader]):
            where += f" (10^{at.search[leader]:.2f} FLOPs a move)"
        where = where.replace(" a move (", " (")
        if best is None:
            return f"{where}, only {names[0]} {self._among} can be read, at {_pm(at, 0)}"
        half = float(best.lead.high - best.lead.low) / 2
        lead = f"{float(best.lead.value):.0f} ± {half:.0f} Elo"
        chance = [_chance(share) for share in best.probability]
        if np.isnan(at.run_stddev):
            return (
                f"{where}, {names[leader]} is the first {self._among}, {lead} ahead of "
                "the next, with one run of each: that is about these runs, and other seeds may say "
                "otherwise"
            )
        if best.decided:
            return (
                f"{where}, {names[leader]} is the best {self._among}, {lead} ahead of "
                f"the next, {names[best.runner_up]} (probability {chance[leader]})"
            )
        others = [k for k in best.candidates if k != leader]
        shown = ", ".join(f"{names[k]} ({chance[k]})" for k in others[:NAMED])
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        return (
            f"{where}, {names[leader]} is the first {self._among}, {lead} ahead of the "
            f"next, and the best with a probability of {chance[leader]}; when all are compared at "
            f"once, as the interval does, these data do not rule out {shown}{more}"
        )


def compare(
    points: RatedVersions,
    training: float,
    *,
    budget: float | None = None,
    search: float | None = None,
) -> Compared:
    """Compares recipes after `training` log10 FLOPs, at a budget of points, or a cost of a move.

    Raises:
        InsufficientData: no recipe has got there.
    """
    chosen = points if budget is None else by_budget(points)[budget]
    at = at_compute.interpolate(chosen, training, search)
    best = at_compute.best_recipe(at) if len(at.recipes) > 1 else None
    return Compared(at, best, len(set(points.recipe.tolist())), budget, search)


def of_training(points: RatedVersions, budget: float) -> tuple[list[Compared], int]:
    """Compares at one budget, after less and more training, and says which one is the main one.

    Raises:
        InsufficientData: no two recipes can be compared.
    """
    same = by_budget(points)[budget]
    found, main = at_compute.choose_levels(np.array(list(at_compute.recipe_ranges(same).values())))
    return [compare(points, level, budget=budget) for level in found], main


def telling_budget(points: RatedVersions) -> float | None:
    """Finds the budget of play at which recipes differ most surely; None if none compares two.

    By the ratio of how far recipes are apart to what they may be off by. Deep search may level
    them all, as where it plays perfectly, and the raw network may know nothing yet.
    """
    found: dict[float, float] = {}
    for budget in by_budget(points):
        with suppress(InsufficientData):
            compared, main = of_training(points, budget)
            at = compared[main].at
            off = np.diag(at.covariance).mean() - at.covariance.mean()  # without what all share
            found[budget] = float(np.var(at.elo, ddof=1) / max(float(off), 1e-9))
    return max(found, key=lambda budget: found[budget]) if found else None


def of_search(points: RatedVersions, training: float) -> list[Compared]:
    """Compares after one training, at every budget where two recipes can be compared."""
    found = []
    for budget in by_budget(points):
        try:
            found.append(compare(points, training, budget=budget))
        except InsufficientData:
            continue
    return [one for one in found if one.best]


def of_move(points: RatedVersions, trained: EloAtCompute) -> list[Compared]:
    """Compares for moves of equal cost, after the training of another comparison.

    Raises:
        InsufficientData: one budget, or no two recipes with moves of one cost.
    """
    if len(by_budget(points)) < 2:
        raise InsufficientData("versions were rated at one search budget")
    chosen = points.select(np.isin(points.recipe, trained.recipes))
    costs = np.array(list(at_compute.recipe_ranges(chosen, "search").values()))
    found, _ = at_compute.choose_levels(costs)
    return [compare(points, trained.training, search=level) for level in found]


def filled_by(compared: Sequence[Compared], points: RatedVersions) -> list[str]:
    """Says in one sentence what would fill the cells that have no Elo; none if all have."""
    lacking: dict[str, set[str]] = {way: set() for way in FILLED_BY}
    for one in compared:
        for recipe in set(points.recipe.tolist()) - set(one.at.recipes):
            lacking[_missing(points.select(points.recipe == recipe), one)].add(recipe)
    ways = [
        FILLED_BY[way].format(f"{len(recipes)} recipe{'s' * (len(recipes) > 1)}")
        for way, recipes in lacking.items()
        if recipes
    ]
    return [f"What would fill the blanks: {'; '.join(ways)}."] if ways else []


def draw(
    compared: Sequence[Compared],
    points: RatedVersions,
    factors: Sequence[Factor],
    main: int | None = None,
) -> Drawing:
    """Draws the maps of a grid of one to three factors, one for each comparison.

    One factor is shown over the budgets of play, in a single map; a third one in rows of maps.

    Args:
        compared: the comparisons, over the same points.
        points: all versions, for what an empty cell says and what its moves cost.
        factors: one to three.
        main: which of several computes of training is the main one.
    """
    if len(factors) == 1:
        panels = [[_over_budgets(compared, points, factors[0])]]
    else:
        third = factors[2] if len(factors) == MOST else None
        panels = [
            [_map(one, points, factors, level) for one in compared]
            for level in (third.levels if third else [None])
        ]
    drawing = map_figure.draw(panels, *table(compared, points, factors))
    contours = any(panel.has_contours for row in panels for panel in row)
    return replace(drawing, caption=_caption(compared, contours, main))


def _map(
    one: Compared, points: RatedVersions, factors: Sequence[Factor], level: str | None
) -> Panel:
    """Lays out two factors, of the recipes with this level of the third one."""
    y, x, *rest = factors
    cells = {
        (y.level(recipe), x.level(recipe)): _cell(one, points, recipe)
        for recipe in dict.fromkeys(points.recipe.tolist())
        if level is None or rest[0].level(recipe) == level
    }
    across, up = ((f.field, f.levels, f.numeric) for f in (x, y))
    title = f"$10^{{{one.at.training:.2f}}}$ FLOPs of training\n"
    title += one.play if one.search is None else f"$10^{{{one.search:.2f}}}$ FLOPs a move"
    title += f"\n{plain(rest[0].field)} {plain(level)}" if level is not None else ""
    return _annotated(Panel(title, across, up, cells), one)


def _over_budgets(compared: Sequence[Compared], points: RatedVersions, factor: Factor) -> Panel:
    """Lays out one factor against the budgets of play."""
    cells = {
        (factor.level(recipe), f"{one.budget:g}"): _cell(one, points, recipe)
        for one in compared
        for recipe in dict.fromkeys(points.recipe.tolist())
    }
    across = ("simulations a move", [f"{one.budget:g}" for one in compared], True)
    title = f"$10^{{{compared[0].at.training:.2f}}}$ FLOPs of training"
    return Panel(title, across, (factor.field, factor.levels, factor.numeric), cells)


def _cell(one: Compared, points: RatedVersions, recipe: str) -> Cell:
    """Makes the cell of a recipe."""
    at = one.at
    if recipe not in at.recipes:
        own = points.select(points.recipe == recipe)
        return Cell(None, _cost(own, one), note=_why_not(own, one))
    k = at.recipes.index(recipe)
    mark = ""
    if one.best is not None and k in one.best.candidates:
        mark = LEADER if k == one.best.leader else CANDIDATE
    note = f"{at.simulations[k]:.0f} sims" if one.search is not None else ""
    return Cell(at.elo_of(k), float(at.search[k]), mark, note)


def _annotated(panel: Panel, one: Compared) -> Panel:
    """Notes the cost of a move in each cell, where it differs and no contour can say it."""
    costs = [cell.search for cell in panel.cells.values() if np.isfinite(cell.search)]
    if panel.has_contours or one.search is not None or np.ptp(costs or [0.0]) < TOLERANCE:
        return panel
    cells = {
        where: cell if cell.elo is None
        else Cell(cell.elo, cell.search, cell.mark, f"$10^{{{cell.search:.1f}}}$ a move")
        for where, cell in panel.cells.items()
    }  # fmt: skip
    return Panel(panel.title, panel.x, panel.y, cells)


def _cost(own: RatedVersions, one: Compared) -> float:
    """Returns log10 FLOPs of a recipe's moves, even without an Elo; NaN where it was not rated."""
    if one.search is not None:
        return np.nan
    at = own.covariates.get("simulations")
    here = own.search if at is None else own.search[at == one.budget]
    return float(here.mean()) if len(here) else np.nan


def _missing(own: RatedVersions, one: Compared) -> str:
    """Finds out why a recipe has no Elo there: a key of `FILLED_BY`."""
    ((first, last),) = at_compute.recipe_ranges(own).values()
    if one.at.training > last + TOLERANCE:
        return "ends"
    if one.at.training < first - TOLERANCE:
        return "begins"
    return "rated" if one.search is None else "costs"


def _why_not(own: RatedVersions, one: Compared) -> str:
    """Writes the text of an empty cell."""
    ((first, last),) = at_compute.recipe_ranges(own).values()
    return {
        "ends": f"ends at\n$10^{{{last:.1f}}}$",
        "begins": f"begins at\n$10^{{{first:.1f}}}$",
        "rated": "not rated",
        "costs": "moves cost\nmore or less",
    }[_missing(own, one)]


def table(
    compared: Sequence[Compared], points: RatedVersions, factors: Sequence[Factor]
) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Lists the numbers of all cells, empty ones included."""
    header = (
        "training_log10_flops", "simulations", *(factor.field for factor in factors), "elo", "low",
        "high", "stderr", "runs", "search_log10_flops", "probability_best", "may_be_best",
        "curve_begins", "curve_ends",
    )  # fmt: skip
    spans = at_compute.recipe_ranges(points)
    rows = []
    for one in compared:
        for recipe in dict.fromkeys(points.recipe.tolist()):
            numbers: tuple[Any, ...] = ("", "", "", "", 0, "", "", "")
            simulations: Any = "" if one.budget is None else one.budget
            if recipe in one.at.recipes:
                k = one.at.recipes.index(recipe)
                elo = one.at.elo_of(k)
                simulations = round(float(one.at.simulations[k]), 2)
                best = one.best
                numbers = (
                    *(round(float(x), 2) for x in (elo.value, elo.low, elo.high, elo.stderr)),
                    int(one.at.runs[k]),
                    round(float(one.at.search[k]), 4),
                    "" if best is None else round(float(best.probability[k]), 4),
                    "" if best is None else int(k in best.candidates),
                )
            values = (factor.level(recipe) for factor in factors)
            ends = (round(x, 4) for x in spans[recipe])
            rows.append((round(one.at.training, 4), simulations, *values, *numbers, *ends))
    return header, rows


def _caption(compared: Sequence[Compared], contours: bool, main: int | None) -> str:
    """Says how to read the maps; those that follow the first one are read alike."""
    said = [
        "Elo of each recipe ± its 95 % interval, read inside its own training curve. A pale cell's "
        "curve does not reach that compute, and says where it begins or ends.",
        "A full star leads, an empty star is what these data do not rule out: in 95 of 100 "
        "studies the truly best recipe has a star.",
    ]
    if main is None:
        said = ["Read as the first map."]
    if contours:
        said.append("White lines are FLOPs of a move.")
    spread = [float(one.at.run_stddev) for one in compared]
    if np.isfinite(spread).any():
        low, high = f"{np.nanmin(spread):.0f}", f"{np.nanmax(spread):.0f}"
        much = f"a standard deviation of {low if low == high else f'{low} to {high}'} Elo"
        if high == "0":
            much = "too little to be seen beside these errors"
        said.append(
            "Intervals hold the errors of the ratings and how seeds of a recipe differ, "
            f"{much}, pooled over recipes."
        )
    else:
        said.append(
            "There is one run of each recipe: intervals hold the errors of the ratings alone, and "
            "nothing of how other seeds would differ."
        )
    luck = max((one.best.selection_bias for one in compared if one.best), default=0.0)
    if luck >= 1:
        said.append(
            "The leader was chosen by the same games, so its Elo is too high, in the mean by up to "
            f"{luck:.0f}; its lead and the stars allow for that."
        )
    if main is not None and len(compared) > 1:
        said.append(
            f"10^{compared[main].at.training:.2f} FLOPs is the most training at which the most "
            "recipes can be compared; the other maps have less and more. Where a recipe's runs "
            "end, its learning rate has fallen, which is in its favor."
        )
    return " ".join(said)


def _pm(at: EloAtCompute, k: int) -> str:
    elo = at.elo_of(k)
    return f"{float(elo.value):+.0f} ± {float(elo.high - elo.low) / 2:.0f} Elo"


def _chance(share: float) -> str:
    """Writes a probability; the draws are too few to tell it from 0 or 1."""
    if share > 0.99:
        return "over 99 %"
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"
