"""Says which recipe leads at equal compute, and draws the maps of a grid of recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selfplay.report import maps
from selfplay.report.findings import Finding
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.factors import Factor
from selfplay.scaling.rated_versions import RatedVersions, most_rated_budget


def of_map(
    points: RatedVersions, factors: Sequence[Factor], budget: float | None = None
) -> list[Finding]:
    """Finds the recipe that leads at equal compute, and draws the maps of the grid.

    The findings are named map, map_search and map_move; only the first one exists without a map.

    Args:
        points: of all budgets, plateaus included: no line is fitted to a map.
        factors: that distinguish the recipes.
        budget: of play, which the first sentence is about; the one at which recipes differ most
            clearly if left out.
    """
    if budget is None:
        budget = maps.telling_budget(points)
    if budget is None:
        budget = most_rated_budget(points)  # the comparison there says why there is no map
    title = f"Which {' and which '.join(factor.field for factor in factors)}?"
    try:
        trained, main = maps.of_training(points, budget)
    except InsufficientData as reason:
        return [Finding([f"No map is drawn: {reason}."], results=[reason], name="map", title=title)]
    played = maps.of_search(points, trained[main].at.training)
    ordered = (trained[main], *(c for i, c in enumerate(trained) if i != main))
    note = f"At {budget:g} simulations a move, where these recipes differ most clearly."
    first = replace(
        _of_comparisons("map", ordered, points, factors),
        title=title,
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
        searched = _of_comparisons("map_search", played, points, factors)
        findings.append(replace(searched, figure=maps.draw(played, points, factors)))
    try:
        moves = maps.of_move(points, trained[main].at)
    except InsufficientData:
        return findings
    moved = _of_comparisons("map_move", moves, points, factors)
    figure = maps.draw(moves, points, factors) if len(factors) > 1 else None
    return [*findings, replace(moved, figure=figure)]


def _of_comparisons(
    name: str,
    comparisons: Sequence[maps.RecipeComparison],
    points: RatedVersions,
    factors: Sequence[Factor],
) -> Finding:
    """Names the leader of each comparison, and what would fill the blank cells."""
    sentences = [
        *(f"{comparison.sentence(factors)}." for comparison in comparisons),
        *maps.filled_by(comparisons, points),
    ]
    return Finding(sentences, results=comparisons, name=name)
