"""Evidence: what a report knows of one game, and what all of its questions need of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from selfplay.ladder import model_fit
from selfplay.ladder.ladder import LadderState
from selfplay.ratings.goodness_of_fit import GoodnessOfFit
from selfplay.report import map_section
from selfplay.report.findings import Finding
from selfplay.scaling import frontier, incline
from selfplay.scaling.estimate import InsufficientData
from selfplay.scaling.factors import Factor, factors_of_versions
from selfplay.scaling.frontier import Frontier
from selfplay.scaling.rated_versions import RatedVersions, by_budget, most_rated_budget

FEW_SEEDS = 5  # intervals over fewer are wide, and cover a little less than they claim


@dataclass(frozen=True, eq=False)
class Evidence:
    """The rated versions of one game, or of one kind of game on several boards.

    Attributes:
        points: all versions.
        baseline: the recipe that others are compared with; "" means the first one.
        perfect: True = perfect play is at 0 Elo.
        varied: the factors that distinguish the recipes; see `factors`.
        ladder: players, games and ratings of the ladder; None if only the versions are known.
    """

    points: RatedVersions
    baseline: str = ""
    perfect: bool = False
    varied: Sequence[Factor] = ()
    ladder: LadderState | None = None

    @cached_property
    def factors(self) -> Sequence[Factor]:
        """The factors that distinguish the recipes: `varied`, or else their sizes or names."""
        return self.varied or factors_of_versions(self.points)

    @cached_property
    def fit(self) -> GoodnessOfFit | None:
        """How well ratings explain the games; None if the games are not known."""
        return model_fit.test(self.ladder) if self.ladder else None

    @cached_property
    def frontiers(self) -> Mapping[float, Frontier | None]:
        """Search budget → its frontier of Elo against training; None if there is no fit."""
        fits = dict[float, Frontier | None]()
        for budget, rated in by_budget(self.points).items():
            fits[budget] = None
            with suppress(InsufficientData):
                fits[budget] = frontier.fit(rated)
        return fits

    @cached_property
    def _rising(self) -> tuple[NDArray[np.bool_], str]:
        return incline.on_incline(self.points, self.perfect)

    @property
    def rising(self) -> NDArray[np.bool_]:
        """Versions on the incline, bool[N], False = before the take-off or on a plateau."""
        return self._rising[0]

    @property
    def incline_note(self) -> str:
        """A sentence on the versions that are off the incline; "" if there are none."""
        return self._rising[1]

    @cached_property
    def on_incline(self) -> RatedVersions:
        """The versions on the incline, at all search budgets: lines are fitted to these.

        See `incline_note`.
        """
        return self.points.select(self.rising)

    @cached_property
    def budget(self) -> float:
        """The search budget at which most versions on the incline were rated, in simulations."""
        return most_rated_budget(self.on_incline)

    @cached_property
    def at_budget(self) -> RatedVersions:
        """The versions on the incline at `budget`, for estimates at equal search.

        See `budget_note`.
        """
        return by_budget(self.on_incline)[self.budget]

    @property
    def budget_note(self) -> str:
        """A sentence on which versions `at_budget` has."""
        return f"At {self.budget:g} simulations. {self.incline_note}".strip()

    @cached_property
    def maps(self) -> Mapping[str, Finding]:
        """Maps of the recipes by name; see `map_section.of_map`. Empty if there is one recipe."""
        maps = map_section.of_map(self.points, self.factors) if self.factors else []
        return {finding.name: finding for finding in maps}


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
