"""The questions of every report on what compute buys.

To add one: write its statistic, a function of rated versions, in selfplay/scaling/, and the
function that asks it here, with an entry in the list at the end.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from selfplay.report import comparison_section, extrapolation_figure, figures, rated_runs
from selfplay.report.evidence import Evidence
from selfplay.report.findings import Answers, Finding
from selfplay.report.questions import Question
from selfplay.report.scale_question import of_scale
from selfplay.report.sensitivity import of_sensitivity
from selfplay.report.table import Row, Table, Value
from selfplay.scaling import (
    bends,
    best_size,
    compute_to_reach,
    exchange,
    extrapolation,
    frontier,
    incline,
    multiplier,
    phases,
    slopes,
)
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.extrapolation import Comparison, Trial
from selfplay.scaling.multiplier import Multiplier
from selfplay.scaling.rated_versions import RatedVersions, by_budget

MIN_REACH = 0.3  # OOMs of training between fitted and predicted runs
SECONDS = "seconds"  # the covariate
IN_SECONDS = ("the same in seconds", "seconds from", "seconds to")
CANDIDATES_NOTE = (
    "Each candidate is a curve of Elo against training: phases are a floor, an incline and a "
    "plateau; over sizes, the network's size shifts the curve; of the frontier, only the leading "
    "versions are fitted. In the test, the recipes with the largest runs are predicted from all "
    "others. The candidate for that is chosen without them: it has the least root mean square "
    "error when the largest of the other recipes are predicted. Errors are rated less predicted "
    "Elo; inside counts the versions in their prediction intervals."
)


def of_sides(evidence: Evidence) -> Finding | None:
    """Compares recipes, or runs, at equal training; None if there is only one."""
    if evidence.ladder is None:
        return None
    return rated_runs.compare(evidence.ladder, evidence.points, evidence.baseline)


def of_map(evidence: Evidence) -> Finding | None:
    """Finds the recipe that leads at equal compute; None if there is no map to show it."""
    finding = evidence.maps.get("map")
    return finding if finding and finding.figure else None


def why_no_map(evidence: Evidence) -> Finding | None:
    """Says why there is no map of several recipes; None if there is one."""
    finding = evidence.maps.get("map")
    return finding if finding and not finding.figure else None


def of_training(evidence: Evidence) -> Finding:
    """Estimates what training buys at every search budget."""
    answers = Answers()
    for budget, rated in by_budget(evidence.points).items():
        context = f" at {budget:g} simulations"
        known = evidence.frontiers[budget]
        answers.add(lambda p=rated, f=known: f or frontier.fit(p), context=context)
        rising = by_budget(evidence.on_incline).get(budget)
        if rising is not None:
            answers.add(
                lambda p=rising: slopes.per_training(p),
                lambda slope: f"one line through the inclines of all recipes: {slope}",
                context,
            )
        if evidence.perfect:
            answers.add(
                lambda p=rated: compute_to_reach.fit(p, -incline.NEAR_PERFECT_ELO),
                context=context,
            )
    budgets = by_budget(evidence.points)
    return answers.finding(
        figures.training(budgets, evidence.frontiers, evidence.factors), note=evidence.incline_note
    )


def of_search(evidence: Evidence) -> Finding:
    """Estimates what search buys for a fixed network."""
    answers, points = Answers(), evidence.on_incline
    answers.add(lambda: slopes.per_search(points), lambda slope: f"at a fixed network: {slope}")
    budgets = np.unique(points.require("simulations"))
    for low, high in pairwise(budgets):
        answers.add(lambda a=low, b=high: multiplier.search_multiplier(points, "simulations", a, b))
    figure = figures.search(points, evidence.factors) if len(budgets) > 1 else None
    return answers.finding(figure, note=evidence.incline_note)


def of_exchange(evidence: Evidence) -> Finding:
    """Estimates how training and search replace each other, from the leading versions."""
    answers, points = Answers(), evidence.points
    fit = answers.add(lambda: exchange.fit_frontier(points, evidence.rising))
    if fit is not None:
        answers.sentences.append(
            f"In the fit: {fit.training}; {fit.search}; over {fit.in_fit.sum()} versions: those "
            "on the incline whose recipe led at their training and budget. The same ratings chose "
            "them, which the intervals do not allow for."
        )
    figure = figures.exchange(points, fit) if fit is not None else None
    return answers.finding(figure, note=evidence.incline_note)


def of_size(evidence: Evidence) -> Finding | None:
    """Estimates what parameters buy, and the best size for a compute; None for a single size."""
    if len(set(evidence.points.parameters)) < 2:
        return None
    answers, at_budget = Answers(), evidence.at_budget
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
        lambda: best_size.fit(evidence.on_incline, compute="search", controls=("training",))[0],
        lambda best: f"for a given compute per move, with all budgets: {best}",
    )
    return answers.finding(note=evidence.budget_note)


def of_recipes(evidence: Evidence) -> Finding | None:
    """Estimates the training that each recipe saves against the baseline; None for one recipe.

    The sentences are about one search budget, the table about all. If the baseline is not rated
    here, the first recipe takes its place.
    """
    recipes = list(dict.fromkeys(evidence.at_budget.recipe.tolist()))
    if len(recipes) < 2:
        return None
    answers = Answers()
    rows: list[Row] = []
    baseline = evidence.baseline
    if baseline not in recipes:
        if baseline:
            answers.sentences.append(
                f"No version of {baseline} is rated here; recipes are compared with {recipes[0]}."
            )
        baseline = recipes[0]
    seconds = evidence.on_incline.covariates.get(SECONDS, np.array(np.nan))
    timed = bool(np.isfinite(seconds).all())  # published data may lack the seconds of a run
    for budget, rated in by_budget(evidence.on_incline).items():
        for recipe in recipes:
            if recipe == baseline:
                continue
            column = answers if budget == evidence.budget else Answers()
            saving = column.add(lambda p=rated, r=recipe: multiplier.between(p, baseline, r))
            if saving is not None:
                p = float(np.asarray(saving.p_parallel))
                row = (recipe, f"{budget:g}", *_ooms_saved(saving), f"{p:.2g}")
                rows.append(row + _seconds_saved(rated, baseline, recipe) if timed else row)
    saved = f"OOMs saved against {baseline}"
    header = ("recipe", "simulations", saved, "from", "to", "p of equal slopes")
    table = Table((*header, *IN_SECONDS) if timed else header, rows) if rows else None
    return answers.finding(table=table, note=evidence.budget_note)


def _seconds_saved(rated: RatedVersions, baseline: str, recipe: str) -> tuple[str, str, str]:
    """Writes a recipe's saving in OOMs of wall-clock seconds; empty if it cannot be estimated."""
    try:
        return _ooms_saved(multiplier.between(rated, baseline, recipe, SECONDS))
    except InsufficientData:
        return "", "", ""


def _ooms_saved(saving: Multiplier) -> tuple[str, str, str]:
    """Writes a saving and the ends of its 95 % interval, in OOMs."""
    ooms = saving.ooms
    value, low, high = map(_ooms, map(float, (ooms.value, ooms.low, ooms.high)))
    return value, low, high


def of_extrapolation(evidence: Evidence) -> Finding:
    """Predicts the recipes with the largest runs from all others, at every search budget.

    Versions on a plateau count, because the candidates describe it.
    """
    answers, rows = Answers(), list[Row]()
    fits = dict[float, Comparison]()
    for budget, rated in by_budget(evidence.points).items():
        fit = answers.add(
            lambda p=rated: extrapolation.compare(p, MIN_REACH),
            context=f" at {budget:g} simulations",
        )
        if fit is not None:
            rows += [(f"{budget:g}", *_trial(trial, fit)) for trial in fit.trials]
            fits[budget] = fit
    figure = None
    if fits:
        budget = evidence.budget if evidence.budget in fits else next(iter(fits))
        rated = by_budget(evidence.points)[budget]
        figure = extrapolation_figure.draw(rated, fits[budget], f"At {budget:g} simulations. ")
    columns = ("mean error", "root mean square", "inside")
    sides = (f"{side}: {name}" for side in ("choice", "test") for name in columns)
    header = ("simulations", "candidate", *sides, "chosen")
    if not rows:
        return answers.finding(figure)
    return answers.finding(figure, Table(header, rows), note=CANDIDATES_NOTE)


def _trial(trial: Trial, fit: Comparison) -> Row:
    """Lists a candidate's errors, in Elo, in both tests, and whether it is chosen."""
    row: list[Value] = [trial.candidate.name]
    chosen = trial.candidate is fit.best
    for test in (trial.chosen_by, fit.test if chosen else trial.tested):
        if isinstance(test, InsufficientData):
            row += ["", "", ""]
        else:
            mean, square = float(test.error.mean()), float(test.root_mean_square)
            row += [f"{mean:+.0f}", f"{square:.0f}", f"{test.covered.sum()}/{test.covered.size}"]
    return (*row, "yes" if chosen else "")


def of_boards(evidence: Evidence) -> Finding:
    """Fits Jones's five parameters to the frontiers of all boards, at every search budget.

    0 Elo is perfect play on every board.
    """
    answers = Answers()
    for budget, rated in by_budget(evidence.points).items():
        context = f" at {budget:g} simulations"
        leading = rated.select(frontier.on_frontier_by(rated, "board"))
        test = answers.add(lambda p=leading: bends.saturation(p, "board"), context=context)
        if test is None or not test.significant:
            continue
        mean_board = answers.add(
            lambda p=leading: phases.fit(p, "board"),
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
    return answers.finding()


def _ooms(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else "no bound"


OF_STUDY: Final = (
    Question("map", "Which recipe?", of_map),
    Question(
        "map_search",
        "And with less or more search in play?",
        lambda evidence: evidence.maps.get("map_search"),
    ),
    Question(
        "map_move", "And for moves of equal cost?", lambda evidence: evidence.maps.get("map_move")
    ),
    Question("training", "What does training compute buy?", of_training),
    Question("search", "What does search buy for a fixed network?", of_search),
    Question("exchange", "How much search replaces how much training?", of_exchange),
    Question("size", "What does network size buy?", of_size),
    Question("recipes", "What does each recipe save at equal Elo?", of_recipes),
    Question(
        "extrapolation",
        "How well do smaller runs predict larger ones?",
        of_extrapolation,
    ),
    Question("scale", "Do all players share one scale?", of_scale),
    Question("sensitivity", "Which numbers depend on the games that are rated?", of_sensitivity),
    Question("map", "Which recipe?", why_no_map),  # a report does not begin without an answer
)
"""Questions to the versions of one game; the first answer is the report's lead."""

OF_RUNS: Final = (
    Question(comparison_section.NAME, comparison_section.TITLE, of_sides),
    *OF_STUDY,
)
"""Questions to runs that share a ladder."""

OF_BOARDS: Final = (Question("boards", "How does it change with the board?", of_boards),)
"""Questions to the versions on several boards, where perfect play is at 0 Elo on each."""
