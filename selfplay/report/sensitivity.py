"""Sensitivity of a report's numbers to which games are rated, and to the model that rates them.

Each headline is computed again from ratings of other games, or by another model:

* *one budget*: only games between versions with equal search budgets;
* *between recipes*: only games between versions of different recipes, and with other players;
* *no pair effects*: all games, by the plain Bradley-Terry model;
* *half of the openings*: every second opening, in the order in which they were played.

A headline changes if the new value is outside the interval that the report gives it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from selfplay.ladder.ladder import LadderState
from selfplay.ratings import elo
from selfplay.report.evidence import Evidence
from selfplay.report.findings import Finding
from selfplay.report.table import Row, Table
from selfplay.scaling import exchange, multiplier, slopes
from selfplay.scaling.estimate import Estimate, InsufficientData, decimals
from selfplay.scaling.rated_versions import RatedVersions, by_budget

Mask = NDArray[np.bool_]

NOT_POSSIBLE: Final = "–"  # these games do not support the headline
CHANGED: Final = " (!)"
PART: Final = "part"  # covariate: number of the part of the field that games link


@dataclass(frozen=True, eq=False)
class Variant:
    """Another choice of games, or of the model.

    Attributes:
        name: heading of its column.
        games: bool[N], True = the game is rated.
        pair_effects: False = plain Bradley-Terry.
    """

    name: str
    games: Mask
    pair_effects: bool = True


def of_sensitivity(evidence: Evidence) -> Finding | None:
    """Computes every headline from other games; None if the games are not known."""
    if evidence.ladder is None:
        return None
    reported = dict(headlines(evidence, evidence.budget))
    if not reported:
        raise InsufficientData("there is no number to compute again")
    columns, changed = {}, list[str]()
    for variant in variants(evidence.points, evidence.ladder):
        with suppress(InsufficientData):
            other = replace(evidence, points=rate_again(evidence.points, evidence.ladder, variant))
            columns[variant.name] = dict(headlines(other, evidence.budget))
    names = [variant.name for variant in variants(evidence.points, evidence.ladder)]
    rows = list[Row]()
    for name, estimate in reported.items():
        cells = [str(estimate).split(estimate.unit)[0].strip()]
        outside = list[str]()
        for column in names:
            value = columns.get(column, {}).get(name)
            if value is None:
                cells.append(NOT_POSSIBLE)
                continue
            differs = not estimate.covers(float(value.value))
            outside += [column] if differs else []
            cells.append(_number(value, estimate) + CHANGED * differs)
        rows.append((f"{name}, {estimate.unit}", *cells))
        changed += [f"{name} ({', '.join(outside)})"] if outside else []
    table = Table(("number", "as reported", *names), rows)
    return Finding([_summary(changed, len(reported))], table=table)


def variants(points: RatedVersions, state: LadderState) -> list[Variant]:
    """Lists the choices of games."""
    games, players = state.games, len(state.entries)
    budget, recipe = np.full(players, -1.0), np.arange(players).astype(object)
    player = points.require("player").astype(int)
    budget[player], recipe[player] = points.require("simulations"), points.recipe
    a, b = games.first, games.second
    everything = np.ones(len(a), bool)
    return [
        Variant("one budget", (budget[a] == budget[b]) & (budget[a] >= 0)),
        Variant("between recipes", (recipe[a] != recipe[b]).astype(bool)),
        Variant("no pair effects", everything, pair_effects=False),
        Variant("half of the openings", games.opening % 2 == 0),
    ]


def rate_again(points: RatedVersions, state: LadderState, variant: Variant) -> RatedVersions:
    """Rates the versions by the games of a variant; those without a game are left out.

    Raises:
        InsufficientData: no version has a game.
    """
    games = elo.Games(*(part[variant.games] for part in state.games))
    players = len(state.entries)
    ratings = elo.fit(games, players, state.ratings.anchor, pair_effects=variant.pair_effects)
    at = points.require("player").astype(int)
    links = coo_array((np.ones(len(games.first)), (games.first, games.second)), (players, players))
    part = connected_components(links, directed=False)[1][at].astype(float)
    rated = replace(
        points,
        elo=ratings.elo[at],
        covariance=ratings.covariance[np.ix_(at, at)],
        covariates={**points.covariates, PART: part},
    )
    return rated.select(np.isin(at, np.r_[games.first, games.second]))


def headlines(evidence: Evidence, budget: float) -> Iterator[tuple[str, Estimate]]:
    """Yields the headlines that the data support, by name.

    Args:
        evidence: the rated versions.
        budget: the search budget at which recipes are compared.
    """
    for simulations, frontier in evidence.frontiers.items():
        if frontier is not None and _linked(by_budget(evidence.points)[simulations]):
            yield f"training at {simulations:g} simulations", frontier.slope
    points = evidence.on_incline
    if _linked(points):
        with suppress(InsufficientData):
            yield "search at a fixed network", slopes.per_search(points)
        with suppress(InsufficientData):
            fit = exchange.fit_frontier(evidence.points, evidence.rising)
            yield "search for training", fit.training_exponent
    at_budget = by_budget(points).get(budget)
    if at_budget is None or not _linked(at_budget):
        return
    recipes = list(dict.fromkeys(at_budget.recipe.tolist()))
    baseline = evidence.baseline if evidence.baseline in recipes else recipes[0]
    for recipe in recipes:
        with suppress(InsufficientData):
            if recipe != baseline:
                yield recipe, multiplier.between(at_budget, baseline, recipe).ooms


def _linked(points: RatedVersions) -> bool:
    """Tells whether games link all these versions; ratings of separate parts do not compare."""
    return len(set(points.covariates.get(PART, np.zeros(1)).tolist())) == 1


def _number(value: Estimate, reported: Estimate) -> str:
    """Formats a value with the decimals of the reported one."""
    half = (float(reported.high) - float(reported.low)) / 2
    digits = decimals(half) if np.isfinite(half) else 2
    return f"{float(value.value):+.{digits}f}"


def _summary(changed: list[str], count: int) -> str:
    if not changed:
        return f"None of the {count} numbers leaves its interval with other games or another model."
    return f"{len(changed)} of {count} numbers leave their intervals: {'; '.join(changed)}."
