"""What a ladder's ratings say about compute: every question asked, figure and sentence each.

A question that the data cannot answer is not left out: its sentence says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from selfplay.scaling import (
    best_size,
    exchange,
    extrapolation,
    figures,
    frontier,
    incline,
    multiplier,
    slopes,
)
from selfplay.scaling.figures import Drawing
from selfplay.scaling.points import Points

T = TypeVar("T")
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
    """

    name: str
    title: str
    sentences: list[str]
    drawing: Drawing | None = None
    table: tuple[tuple[str, ...], list[tuple[Any, ...]]] | None = None


@dataclass
class _Asked:
    """Sentences as they come."""

    sentences: list[str] = field(default_factory=list)

    def ask(self, question: Callable[[], T], say: Callable[[T], str] = str) -> T | None:
        """The answer and its sentence, or None and the reason."""
        try:
            found = question()
        except ValueError as reason:
            text = str(reason)
            self.sentences.append(f"Not answered: {text[:1].lower()}{text[1:]}.")
            return None
        text = say(found)
        self.sentences.append(f"{text[:1].upper()}{text[1:]}.")
        return found


def of_training(points: Points) -> Finding:
    """What training buys at one search budget, and where."""
    asked = _Asked()
    found = asked.ask(lambda: frontier.fit(points))
    asked.ask(lambda: slopes.per_training(points), lambda e: f"All versions, one line: {e}")
    drawing = figures.training(points, found)
    return Finding("training", "What does training compute buy?", asked.sentences, drawing)


def of_search(points: Points) -> Finding:
    """What search buys for a fixed network."""
    asked = _Asked()
    asked.ask(lambda: slopes.per_search(points), lambda e: f"At a fixed network: {e}")
    budgets = np.unique(points.known("simulations"))
    for low, high in pairwise(budgets):
        asked.ask(lambda a=low, b=high: multiplier.unhobbling(points, "simulations", a, b))
    drawing = figures.search(points) if len(budgets) > 1 else None
    return Finding("search", "What does search buy for a fixed network?", asked.sentences, drawing)


def of_exchange(points: Points) -> Finding:
    """How training and search replace each other."""
    asked = _Asked()
    found = asked.ask(lambda: exchange.fit(points))
    drawing = None
    if found is not None:
        asked.sentences.append(f"In the fit: {found.training}, {found.search}.")
        drawing = figures.exchange(points, found)
    title = "How much search replaces how much training?"
    return Finding("exchange", title, asked.sentences, drawing)


def of_size(points: Points, at_budget: Points) -> Finding:
    """What parameters buy, and the best size for a compute."""
    asked = _Asked()
    asked.ask(lambda: slopes.per_parameters(at_budget), lambda e: f"At equal training: {e}")
    asked.ask(lambda: best_size.fit(at_budget)[0])
    asked.ask(
        lambda: best_size.fit(points, given="search", controls=("training",))[0],
        lambda best: f"For a given compute per move: {best}",
    )
    several = len(np.unique(points.known("parameters"))) > 1
    drawing = figures.heat(points) if several else None
    title = "Which network size, and which search budget?"
    return Finding("size", title, asked.sentences, drawing)


def of_recipes(points: Points, baseline: str | None = None) -> Finding:
    """What each recipe saves against the first one, at one search budget."""
    recipes = list(dict.fromkeys(points.recipe.tolist()))
    first = baseline or recipes[0]
    asked, rows = _Asked(), []
    for recipe in recipes:
        if recipe == first:
            continue
        found = asked.ask(lambda r=recipe: multiplier.between(points, first, r))
        if found is not None:
            ooms = found.ooms
            p = float(np.asarray(found.p_parallel))
            values = (float(x) for x in (ooms.value, ooms.low, ooms.high))
            rows.append((recipe, *(_rounded(value) for value in values), f"{p:.2g}"))
    header = ("recipe", f"OOMs saved against {first}", "from", "to", "p of equal slopes")
    title = "What does each recipe save at equal Elo?"
    return Finding("recipes", title, asked.sentences, table=(header, rows) if rows else None)


def of_extrapolation(points: Points) -> Finding:
    """The largest runs, predicted from the others."""
    asked = _Asked()
    seeds = len({*points.seed.tolist()})

    def question() -> extrapolation.Extrapolation:
        count = min(seeds, max(1, len(points.runs) // 3))
        return extrapolation.check(points, extrapolation.largest(points, count))

    found = asked.ask(question)
    drawing = figures.extrapolation(points, found) if found is not None else None
    title = "Does the line hold beyond the runs that it was fitted to?"
    return Finding("extrapolation", title, asked.sentences, drawing)


def of_boards(points: Points) -> Finding:
    """Jones's five parameters, over all boards; Elo of each is relative to its own anchor."""
    asked = _Asked()
    asked.ask(lambda: incline.saturation(points, "board"))
    found = asked.ask(lambda: incline.fit(points, "board"))
    if found is not None:
        parts = (found.slope_cost, found.plateau_cost, found.delay)
        asked.sentences += [f"Per board size: {part}." for part in parts if part is not None]
    return Finding("boards", "How does it change with the board?", asked.sentences)


def headline_budget(points: Points) -> float:
    """The search budget at which most versions were rated; of several, the largest."""
    values, counts = np.unique(points.known("simulations"), return_counts=True)
    return float(values[counts == counts.max()].max())


def of_ladder(points: Points) -> list[Finding]:
    """All questions about one game."""
    budget = headline_budget(points)
    same = points.select(points.covariates["simulations"] == budget)
    found = [of_training(same), of_search(points), of_exchange(points), of_size(points, same)]
    if len(set(same.recipe)) > 1:
        found.append(of_recipes(same))
    return [*found, of_extrapolation(same)]


def caveats(points: Points) -> list[str]:
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
    worst = float(np.sqrt(np.diag(points.covariance)).max())
    said.append(f"The ratings' largest standard error is {worst:.0f} Elo.")
    return said


def _rounded(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else "no bound"
