"""What a ladder's ratings say about compute: every question asked, figure and sentence each.

A question that the data cannot answer is not left out: its sentence says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from selfplay.report import figures, maps
from selfplay.report.figures import Drawing
from selfplay.scaling import (
    best_size,
    change_point,
    compute_to_reach,
    exchange,
    extrapolation,
    frontier,
    multiplier,
    saturation,
    slopes,
)
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.factors import Factor, factors_of_versions
from selfplay.scaling.frontier import Frontier
from selfplay.scaling.rated_versions import RatedVersions, by_budget

T = TypeVar("T")
REACH = 0.3  # OOMs that an extrapolation goes at least
FEW_SEEDS = 5  # intervals over fewer are wide, and cover a little less than they say


@dataclass(frozen=True)
class Finding:
    """A question and what the data answer.

    Attributes:
        name: of its files.
        title: the question.
        sentences: the answers, each with its interval.
        drawing: the figure and its numbers, if there is one.
        table: (header, rows), where a table says it best.
        note: which versions it is about.
    """

    name: str
    title: str
    sentences: list[str]
    drawing: Drawing | None = None
    table: tuple[tuple[str, ...], list[tuple[Any, ...]]] | None = None
    note: str = ""


@dataclass
class _Asked:
    """Sentences as they come."""

    sentences: list[str] = field(default_factory=list)

    def ask(
        self, question: Callable[[], T], say: Callable[[T], str] = str, where: str = ""
    ) -> T | None:
        """The answer and its sentence, or None and the reason; `where` it was asked is said."""
        try:
            found = question()
        except InsufficientData as reason:
            text = str(reason)
            self.sentences.append(f"Not answered{where}: {text[:1].lower()}{text[1:]}.")
            return None
        text = f"{where}: {say(found)}".strip() if where else say(found)
        self.sentences.append(f"{text[:1].upper()}{text[1:]}.")
        return found


def of_map(
    points: RatedVersions, factors: Sequence[Factor], budget: float | None = None
) -> list[Finding]:
    """Which recipe leads at equal compute, and the map of the grid.

    Args:
        points: of all budgets, plateaus included: no line goes through a map.
        factors: what tells the recipes apart.
        budget: of play, for which the first sentence answers; the one at which recipes differ most
            surely if left out.
    """
    if budget is None:
        budget = maps.telling_budget(points)
    if budget is None:
        budget = headline_budget(points)  # where it is said why there is no map
    title = f"Which {' and which '.join(factor.field for factor in factors)}?"
    try:
        trained, main = maps.of_training(points, budget)
    except InsufficientData as reason:
        return [Finding("map", title, [f"No map is drawn: {reason}."])]
    at_main = trained[main].at.training
    played = maps.of_search(points, at_main)
    others = [one for i, one in enumerate(trained) if i != main]
    note = f"At {budget:g} simulations a move, where these recipes differ most surely."
    first = Finding(
        "map",
        title,
        _said((trained[main], *others), points, factors),
        note=note if len(factors) > 1 and len(played) > 1 else "",
    )
    if len(factors) > maps.MOST:
        said = f"No map is drawn: {len(factors)} fields were varied, and a map shows {maps.MOST}."
        return [
            replace(
                first,
                sentences=[*first.sentences, said],
                table=maps.table(trained, points, factors),
            )
        ]
    found = [_mapped(first, trained if len(factors) > 1 else played, points, factors, main)]
    if len(factors) > 1 and len(played) > 1:
        title = "And with less or more search in play?"
        sentences = _said(played, points, factors)
        found.append(_mapped(Finding("map_search", title, sentences), played, points, factors))
    try:
        moves = maps.of_move(points, trained[main].at)
    except InsufficientData:
        return found
    title = "And for moves of equal cost?"
    second = Finding("map_move", title, _said(moves, points, factors))
    return [*found, _mapped(second, moves, points, factors) if len(factors) > 1 else second]


def _said(
    compared: Sequence[maps.Compared], points: RatedVersions, factors: Sequence[Factor]
) -> list[str]:
    """Lists who leads in each comparison, and what would fill the blanks."""
    return [
        *(f"{one.sentence(factors)}." for one in compared),
        *maps.filled_by(compared, points),
    ]


def _mapped(
    finding: Finding,
    compared: Sequence[maps.Compared],
    points: RatedVersions,
    factors: Sequence[Factor],
    main: int | None = None,
) -> Finding:
    """Returns the finding with its map."""
    return replace(finding, drawing=maps.draw(compared, points, factors, main))


def of_training(
    points: RatedVersions, perfect: bool, factors: Sequence[Factor] = ()
) -> tuple[Finding, dict[float, Frontier | None]]:
    """What training buys at every search budget, and the frontiers there."""
    asked, found = _Asked(), {}
    for budget, same in by_budget(points).items():
        where = f" at {budget:g} simulations"
        found[budget] = one = asked.ask(lambda p=same: frontier.fit(p), where=where)
        if one is None or one.change_point_fit is None:
            asked.ask(
                lambda p=same: slopes.per_training(p),
                lambda e: f"all versions, one line: {e}",
                where,
            )
        if perfect:
            asked.ask(
                lambda p=same: compute_to_reach.fit(p, -saturation.NEAR_PERFECT_ELO), where=where
            )
    drawing = figures.training(by_budget(points), found, factors)
    finding = Finding("training", "What does training compute buy?", asked.sentences, drawing)
    return finding, found


def of_search(points: RatedVersions, factors: Sequence[Factor] = ()) -> Finding:
    """What search buys for a fixed network."""
    asked = _Asked()
    asked.ask(lambda: slopes.per_search(points), lambda e: f"at a fixed network: {e}")
    budgets = np.unique(points.require("simulations"))
    for low, high in pairwise(budgets):
        asked.ask(lambda a=low, b=high: multiplier.search_multiplier(points, "simulations", a, b))
    drawing = figures.search(points, factors) if len(budgets) > 1 else None
    return Finding("search", "What does search buy for a fixed network?", asked.sentences, drawing)


def of_exchange(points: RatedVersions, rising: NDArray[np.bool_]) -> Finding:
    """How training and search replace each other, among those that lead and are still rising."""
    asked = _Asked()
    found = asked.ask(lambda: exchange.fit_frontier(points, rising))
    drawing = None
    if found is not None:
        asked.sentences.append(
            f"In the fit: {found.training}, {found.search}, over {found.in_fit.sum()} versions: "
            "those on no plateau whose recipe no other one was ahead of at their training and budget. "
            "They were chosen by the ratings that are fitted, and the interval does not account "
            "for that."
        )
        drawing = figures.exchange(points, found)
    title = "How much search replaces how much training?"
    return Finding("exchange", title, asked.sentences, drawing)


def of_size(points: RatedVersions, at_budget: RatedVersions) -> Finding:
    """What parameters buy, and the best size for a compute."""
    asked = _Asked()
    asked.ask(lambda: slopes.per_parameters(at_budget), lambda e: f"at equal training: {e}")
    asked.ask(lambda: best_size.fit(at_budget)[0])
    played = at_budget.covariates.get("selfplay_simulations", np.zeros(1))
    if len(np.unique(played)) > 2:  # the search that made them was varied, too
        asked.ask(
            lambda: best_size.fit(at_budget, ("selfplay_simulations",), controls=("parameters",))[0]
        )
    asked.ask(
        lambda: best_size.fit(points, compute="search", controls=("training",))[0],
        lambda best: f"for a given compute per move, with all budgets: {best}",
    )
    return Finding("size", "What does network size buy?", asked.sentences)


def of_recipes(points: RatedVersions, budget: float, baseline: str = "") -> Finding:
    """What each recipe saves against one of them: in words at one search budget, a table of all.

    The first recipe is compared with where `baseline` is left out, or has no version there.
    """
    asked, rows = _Asked(), []
    recipes = list(dict.fromkeys(by_budget(points)[budget].recipe.tolist()))
    if baseline not in recipes:
        said = f"No version of {baseline} is here: {recipes[0]} stands in its place."
        asked.sentences += [said] if baseline else []
        baseline = recipes[0]
    for at, same in by_budget(points).items():
        for recipe in recipes:
            if recipe == baseline:
                continue
            here = asked if at == budget else _Asked()
            found = here.ask(lambda p=same, r=recipe: multiplier.between(p, baseline, r))
            if found is not None:
                numbers = (found.ooms.value, found.ooms.low, found.ooms.high)
                p = float(np.asarray(found.p_parallel))
                rows.append((recipe, f"{at:g}", *map(_rounded, map(float, numbers)), f"{p:.2g}"))
    saved = f"OOMs saved against {baseline}"
    header = ("recipe", "simulations", saved, "from", "to", "p of equal slopes")
    title = "What does each recipe save at equal Elo?"
    return Finding("recipes", title, asked.sentences, table=(header, rows) if rows else None)


def of_extrapolation(points: RatedVersions) -> Finding:
    """The recipes with the largest runs, predicted from the others."""
    asked = _Asked()
    found = asked.ask(lambda: extrapolation.predict_largest(points, REACH))
    drawing = figures.extrapolation(points, found) if found is not None else None
    title = "Does the line hold beyond the runs that it was fitted to?"
    return Finding("extrapolation", title, asked.sentences, drawing)


def of_boards(points: RatedVersions) -> Finding:
    """Jones's five parameters on the frontiers of all boards, at every search budget.

    0 Elo is perfect play on every board.
    """
    asked = _Asked()
    for budget, same in by_budget(points).items():
        where = f" at {budget:g} simulations"
        chosen = same.select(frontier.on_frontier_by(same, "board"))
        bends = asked.ask(lambda p=chosen: change_point.saturation_test(p, "board"), where=where)
        if bends is None or not bends.significant:
            continue
        found = asked.ask(
            lambda p=chosen: change_point.fit(p, "board"), lambda i: f"the mean board: {i}", where
        )
        parts = (
            ("one more row costs on the incline", found and found.slope_cost),
            ("one more row costs on the plateau", found and found.plateau_cost),
            ("with one more row the plateau begins later by", found and found.delay),
        )
        asked.sentences += [f"{where.strip().capitalize()} {t}: {p}." for t, p in parts if p]
    return Finding("boards", "How does it change with the board?", asked.sentences)


def headline_budget(points: RatedVersions) -> float:
    """The search budget at which most versions were rated; of several, the largest."""
    values, counts = np.unique(points.require("simulations"), return_counts=True)
    return float(values[counts == counts.max()].max())


def of_ladder(
    points: RatedVersions, baseline: str = "", perfect: bool = False, factors: Sequence[Factor] = ()
) -> list[Finding]:
    """All questions about one game, the map of its recipes first.

    Args:
        points: all versions on its ladder.
        baseline: the recipe that others are compared with; see `of_recipes`.
        perfect: True = perfect play is at 0 Elo.
        factors: what tells the recipes apart; their sizes or names if left out.
    """
    factors = factors or factors_of_versions(points)
    first, found = of_training(points, perfect, factors)
    whole = points
    kept, left_out = saturation.not_saturated(whole, found, perfect)
    points = whole.select(kept)
    budget = headline_budget(points)
    same = by_budget(points)[budget]
    of_maps = of_map(whole, factors) if factors else []
    of_all = [of_search(points, factors), of_exchange(whole, kept)]
    of_same = [of_size(points, same)] if len(set(whole.parameters)) > 1 else []
    if len(set(same.recipe)) > 1:
        of_same.append(of_recipes(points, budget, baseline))
    of_same.append(of_extrapolation(same))
    at_budget = f"At {budget:g} simulations. {left_out}".strip()
    noted = [replace(one, note=left_out) for one in of_all]
    rest = [first, *noted, *(replace(one, note=at_budget) for one in of_same)]
    answered = any(one.drawing for one in of_maps)  # a page begins with its answer
    return [*of_maps, *rest] if answered else [*rest, *of_maps]


def caveats(points: RatedVersions) -> list[str]:
    """What a reader has to know about these data."""
    said = []
    per_recipe = [len(set(points.seed[points.recipe == r])) for r in set(points.recipe)]
    least = min(per_recipe)
    if least < FEW_SEEDS:
        many = "Only one seed" if least == 1 else f"Only {least} seeds"
        said.append(
            f"{many} of a recipe: intervals rest on how the runs differ, and are as wide as so few "
            "make them."
        )
    if len(per_recipe) > 1:
        said.append(
            "Intervals are over more seeds of these recipes. What is asked across recipes, as Elo "
            "per OOM of parameters, may differ for others."
        )
    worst = float(np.sqrt(np.diag(points.covariance)).max())
    said.append(f"The ratings' largest standard error is {worst:.0f} Elo.")
    return said


def _rounded(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else "no bound"
