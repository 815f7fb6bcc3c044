"""Findings: what a ladder's ratings say about compute, in sentences with figures and tables.

If the data cannot support an estimate, the finding says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from selfplay.report import figures, maps
from selfplay.report.figures import ReportFigure
from selfplay.report.table import Row, Table
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
MIN_REACH = 0.3  # OOMs of training between fitted and predicted runs
FEW_SEEDS = 5  # intervals over fewer are wide, and cover a little less than they claim


@dataclass(frozen=True)
class Finding:
    """A question, and the answer of the data.

    Attributes:
        name: of its files.
        title: the question.
        sentences: the answers, each with its interval.
        figure: with its numbers, if there is one.
        table: of results, if there are many.
        note: which versions the finding is about.
        results: the estimates behind the sentences, in order; an `InsufficientData` where the data
            could not support one.
    """

    name: str
    title: str
    sentences: Sequence[str]
    figure: ReportFigure | None = None
    table: Table | None = None
    note: str = ""
    results: Sequence[object] = ()

    @property
    def numbers(self) -> Table | None:
        """Table of the figure, or else the finding's own."""
        return self.figure.table if self.figure else self.table


@dataclass
class Answers:
    """Collector of answers to one finding's questions.

    Attributes:
        sentences: one for each question, and remarks.
        results: an estimate or an `InsufficientData` for each question.
    """

    sentences: list[str] = field(default_factory=list)
    results: list[object] = field(default_factory=list)

    def add(
        self,
        estimate: Callable[[], T],
        describe: Callable[[T], str] = str,
        context: str = "",
    ) -> T | None:
        """Estimates something and adds a sentence with the result, or with the reason for none.

        Args:
            estimate: makes the result, or raises `InsufficientData`.
            describe: writes the result as a sentence without its period.
            context: begins the sentence, such as " at 8 simulations".

        Returns:
            The result; None if the data cannot support it.
        """
        try:
            result = estimate()
        except InsufficientData as reason:
            text = str(reason)
            self.sentences.append(f"Not answered{context}: {text[:1].lower()}{text[1:]}.")
            self.results.append(reason)
            return None
        text = f"{context}: {describe(result)}".strip() if context else describe(result)
        self.sentences.append(f"{text[:1].upper()}{text[1:]}.")
        self.results.append(result)
        return result

    def finding(
        self,
        name: str,
        title: str,
        figure: ReportFigure | None = None,
        table: Table | None = None,
    ) -> Finding:
        """Makes a finding of the answers."""
        return Finding(name, title, self.sentences, figure, table, results=self.results)


def of_map(
    points: RatedVersions, factors: Sequence[Factor], budget: float | None = None
) -> list[Finding]:
    """Finds the recipe that leads at equal compute, and draws the maps of the grid.

    Args:
        points: of all budgets, plateaus included: no line is fitted to a map.
        factors: that distinguish the recipes.
        budget: of play, which the first sentence is about; the one at which recipes differ most
            clearly if left out.
    """
    if budget is None:
        budget = maps.telling_budget(points)
    if budget is None:
        budget = headline_budget(points)  # the comparison there says why there is no map
    title = f"Which {' and which '.join(factor.field for factor in factors)}?"
    try:
        trained, main = maps.of_training(points, budget)
    except InsufficientData as reason:
        return [Finding("map", title, [f"No map is drawn: {reason}."], results=[reason])]
    played = maps.of_search(points, trained[main].at.training)
    ordered = (trained[main], *(c for i, c in enumerate(trained) if i != main))
    note = f"At {budget:g} simulations a move, where these recipes differ most clearly."
    first = replace(
        _of_comparisons("map", title, ordered, points, factors),
        note=note if len(factors) > 1 and len(played) > 1 else "",
    )
    if len(factors) > maps.MAX_FACTORS:
        remark = (
            f"No map is drawn: {len(factors)} fields were varied, and a map shows "
            f"{maps.MAX_FACTORS}."
        )
        table = maps.table(trained, points, factors)
        return [replace(first, sentences=[*first.sentences, remark], table=table)]
    drawn = trained if len(factors) > 1 else played
    findings = [replace(first, figure=maps.draw(drawn, points, factors, main))]
    if len(factors) > 1 and len(played) > 1:
        title = "And with less or more search in play?"
        searched = _of_comparisons("map_search", title, played, points, factors)
        findings.append(replace(searched, figure=maps.draw(played, points, factors)))
    try:
        moves = maps.of_move(points, trained[main].at)
    except InsufficientData:
        return findings
    title = "And for moves of equal cost?"
    moved = _of_comparisons("map_move", title, moves, points, factors)
    figure = maps.draw(moves, points, factors) if len(factors) > 1 else None
    return [*findings, replace(moved, figure=figure)]


def _of_comparisons(
    name: str,
    title: str,
    comparisons: Sequence[maps.RecipeComparison],
    points: RatedVersions,
    factors: Sequence[Factor],
) -> Finding:
    """Names the leader of each comparison, and what would fill the blank cells."""
    sentences = [
        *(f"{comparison.sentence(factors)}." for comparison in comparisons),
        *maps.filled_by(comparisons, points),
    ]
    return Finding(name, title, sentences, results=comparisons)


def of_training(
    points: RatedVersions, perfect: bool, factors: Sequence[Factor] = ()
) -> tuple[Finding, dict[float, Frontier | None]]:
    """Estimates what training buys at every search budget; returns the frontiers as well."""
    answers, frontiers = Answers(), dict[float, Frontier | None]()
    for budget, rated in by_budget(points).items():
        context = f" at {budget:g} simulations"
        fit = answers.add(lambda p=rated: frontier.fit(p), context=context)
        frontiers[budget] = fit
        if fit is None or fit.change_point_fit is None:
            answers.add(
                lambda p=rated: slopes.per_training(p),
                lambda slope: f"all versions, one line: {slope}",
                context,
            )
        if perfect:
            answers.add(
                lambda p=rated: compute_to_reach.fit(p, -saturation.NEAR_PERFECT_ELO),
                context=context,
            )
    figure = figures.training(by_budget(points), frontiers, factors)
    return answers.finding("training", "What does training compute buy?", figure), frontiers


def of_search(points: RatedVersions, factors: Sequence[Factor] = ()) -> Finding:
    """Estimates what search buys for a fixed network."""
    answers = Answers()
    answers.add(lambda: slopes.per_search(points), lambda slope: f"at a fixed network: {slope}")
    budgets = np.unique(points.require("simulations"))
    for low, high in pairwise(budgets):
        answers.add(lambda a=low, b=high: multiplier.search_multiplier(points, "simulations", a, b))
    figure = figures.search(points, factors) if len(budgets) > 1 else None
    return answers.finding("search", "What does search buy for a fixed network?", figure)


def of_exchange(points: RatedVersions, rising: NDArray[np.bool_]) -> Finding:
    """Estimates how training and search replace each other.

    Args:
        points: all versions.
        rising: bool[N], True = not on a plateau; the fit uses leading versions among these.
    """
    answers = Answers()
    fit = answers.add(lambda: exchange.fit_frontier(points, rising))
    if fit is not None:
        answers.sentences.append(
            f"In the fit: {fit.training}, {fit.search}, over {fit.in_fit.sum()} versions: those "
            "below a plateau whose recipe led at their training and budget. The same ratings chose "
            "them, which the interval does not cover."
        )
    figure = figures.exchange(points, fit) if fit is not None else None
    return answers.finding("exchange", "How much search replaces how much training?", figure)


def of_size(points: RatedVersions, at_budget: RatedVersions) -> Finding:
    """Estimates what parameters buy, and the best size for a compute.

    Args:
        points: versions at all search budgets.
        at_budget: those at one budget, for questions at equal search.
    """
    answers = Answers()
    answers.add(
        lambda: slopes.per_parameters(at_budget), lambda slope: f"at equal training: {slope}"
    )
    answers.add(lambda: best_size.fit(at_budget)[0])
    played = at_budget.covariates.get("selfplay_simulations", np.zeros(1))
    if len(np.unique(played)) > 2:  # the study varied the search budget of self-play as well
        answers.add(
            lambda: best_size.fit(at_budget, ("selfplay_simulations",), controls=("parameters",))[0]
        )
    answers.add(
        lambda: best_size.fit(points, compute="search", controls=("training",))[0],
        lambda best: f"for a given compute per move, with all budgets: {best}",
    )
    return answers.finding("size", "What does network size buy?")


def of_recipes(points: RatedVersions, budget: float, baseline: str = "") -> Finding:
    """Estimates the training that each recipe saves against a baseline.

    The sentences are about one search budget, the table about all.

    Args:
        points: all versions.
        budget: that the sentences are about.
        baseline: recipe to compare with; the first one if left out, or if it is not rated here.
    """
    answers = Answers()
    rows: list[Row] = []
    recipes = list(dict.fromkeys(by_budget(points)[budget].recipe.tolist()))
    if baseline not in recipes:
        if baseline:
            answers.sentences.append(
                f"No version of {baseline} is rated here; recipes are compared with {recipes[0]}."
            )
        baseline = recipes[0]
    for other_budget, rated in by_budget(points).items():
        for recipe in recipes:
            if recipe == baseline:
                continue
            column = answers if other_budget == budget else Answers()
            saving = column.add(lambda p=rated, r=recipe: multiplier.between(p, baseline, r))
            if saving is not None:
                numbers = (saving.ooms.value, saving.ooms.low, saving.ooms.high)
                p = float(np.asarray(saving.p_parallel))
                ooms = map(_ooms, map(float, numbers))
                rows.append((recipe, f"{other_budget:g}", *ooms, f"{p:.2g}"))
    saved = f"OOMs saved against {baseline}"
    header = ("recipe", "simulations", saved, "from", "to", "p of equal slopes")
    title = "What does each recipe save at equal Elo?"
    return answers.finding("recipes", title, table=Table(header, rows) if rows else None)


def of_extrapolation(points: RatedVersions) -> Finding:
    """Predicts the recipes with the largest runs from all others."""
    answers = Answers()
    fit = answers.add(lambda: extrapolation.predict_largest(points, MIN_REACH))
    figure = figures.extrapolation(points, fit) if fit is not None else None
    title = "Does the line hold beyond the runs that it was fitted to?"
    return answers.finding("extrapolation", title, figure)


def of_boards(points: RatedVersions) -> Finding:
    """Fits Jones's five parameters to the frontiers of all boards, at every search budget.

    0 Elo is perfect play on every board.
    """
    answers = Answers()
    for budget, rated in by_budget(points).items():
        context = f" at {budget:g} simulations"
        leading = rated.select(frontier.on_frontier_by(rated, "board"))
        test = answers.add(
            lambda p=leading: change_point.saturation_test(p, "board"), context=context
        )
        if test is None or not test.significant:
            continue
        mean_board = answers.add(
            lambda p=leading: change_point.fit(p, "board"),
            lambda fit: f"the mean board: {fit}",
            context,
        )
        if mean_board is None:
            continue
        costs = (
            ("cost of one more row on the incline", mean_board.slope_cost),
            ("cost of one more row on the plateau", mean_board.plateau_cost),
            ("delay of the plateau by one more row", mean_board.delay),
        )
        for text, cost in costs:
            if cost is not None:
                answers.add(lambda c=cost: c, lambda c, t=text: f"{t}: {c}", context)
    return answers.finding("boards", "How does it change with the board?")


def headline_budget(points: RatedVersions) -> float:
    """Returns the search budget at which most versions were rated; the largest of several."""
    values, counts = np.unique(points.require("simulations"), return_counts=True)
    return float(values[counts == counts.max()].max())


def of_ladder(
    points: RatedVersions, baseline: str = "", perfect: bool = False, factors: Sequence[Factor] = ()
) -> list[Finding]:
    """Answers all questions about one game; the map of its recipes comes first, if there is one.

    Args:
        points: all versions on its ladder.
        baseline: the recipe that others are compared with; see `of_recipes`.
        perfect: True = perfect play is at 0 Elo.
        factors: that distinguish the recipes; their sizes or names if left out.
    """
    factors = factors or factors_of_versions(points)
    training, frontiers = of_training(points, perfect, factors)
    rising, plateau_note = saturation.not_saturated(points, frontiers, perfect)
    below_plateau = points.select(rising)
    budget = headline_budget(below_plateau)
    at_budget = by_budget(below_plateau)[budget]
    of_all = [of_search(below_plateau, factors), of_exchange(points, rising)]
    of_budget = [of_size(below_plateau, at_budget)] if len(set(points.parameters)) > 1 else []
    if len(set(at_budget.recipe)) > 1:
        of_budget.append(of_recipes(below_plateau, budget, baseline))
    of_budget.append(of_extrapolation(at_budget))
    budget_note = f"At {budget:g} simulations. {plateau_note}".strip()
    others = [
        training,
        *(replace(finding, note=plateau_note) for finding in of_all),
        *(replace(finding, note=budget_note) for finding in of_budget),
    ]
    mapped = of_map(points, factors) if factors else []
    drawn = any(finding.figure for finding in mapped)
    return [*mapped, *others] if drawn else [*others, *mapped]


def caveats(points: RatedVersions) -> list[str]:
    """Lists the limits of these data."""
    sentences = []
    seeds = [len(set(points.seed[points.recipe == r])) for r in set(points.recipe)]
    fewest = min(seeds)
    if fewest < FEW_SEEDS:
        count = "Only one seed" if fewest == 1 else f"Only {fewest} seeds"
        sentences.append(
            f"{count} of a recipe: intervals rest on how the runs differ, and are wide because "
            "runs are few."
        )
    if len(seeds) > 1:
        sentences.append(
            "Intervals are over more seeds of these recipes. Estimates across recipes, such as Elo "
            "per OOM of parameters, may differ for other recipes."
        )
    largest = float(np.sqrt(np.diag(points.covariance)).max())
    sentences.append(f"The ratings' largest standard error is {largest:.0f} Elo.")
    return sentences


def _ooms(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else "no bound"
