"""The config fields that tell the recipes of a study apart: the axes of its maps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from selfplay.scaling.rated_versions import RatedVersions

RECIPE = "recipe"  # the factor whose values are the recipes' names
FIRST = ("network.", "search.")  # sections whose fields name a difference before all others do
SPARSE = 2  # a grid with more cells than this times the recipes is no grid


@dataclass(frozen=True)
class Factor:
    """A field that was varied.

    Attributes:
        field: as on the command line: search.num-simulations.
        values: recipe → its value.
    """

    field: str
    values: Mapping[str, Any]

    @property
    def numeric(self) -> bool:
        """True = all values are numbers, so that they have an order."""
        kinds = {type(value) for value in self.values.values()}
        return kinds <= {int, float}

    @property
    def levels(self) -> list[str]:
        """Lists the distinct values as text: numbers by size, others as they come."""
        distinct = list({_key(value): value for value in self.values.values()}.values())
        return [text(value) for value in (sorted(distinct) if self.numeric else distinct)]

    def level(self, recipe: str) -> str:
        """Returns a recipe's value as text."""
        return text(self.values[recipe])


def text(value: Any) -> str:
    """Writes a value as the command line takes it: 1e-3 is 0.001, True is true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(text, value))
    return str(value)


def recipe_text(factors: Sequence[Factor], recipe: str) -> str:
    """Says what a recipe is: ``network.width 8, search.num-simulations 2``."""
    if not factors or factors[0].field == RECIPE:
        return recipe
    return ", ".join(f"{factor.field} {factor.level(recipe)}" for factor in factors)


def factors_of_configs(
    configs: Mapping[str, Mapping[str, Any]], chosen: Sequence[str] = ()
) -> list[Factor]:
    """Finds the fewest fields that tell recipes apart, in the order in which they were chosen.

    A field that only repeats what the fields before it tell, as a learning rate that was changed
    together with the batch, is no factor of its own. Recipes that are far from a grid, as one
    change each to a common base, have their name as the only factor.

    Args:
        configs: recipe → dotted path → value.
        chosen: fields that somebody varied on purpose; others follow if these do not suffice.
    """
    fields = dict.fromkeys(
        _path(name) for name in chosen if any(_path(name) in config for config in configs.values())
    )
    others = sorted({name for config in configs.values() for name in config})
    others.sort(key=lambda name: not name.startswith(FIRST))
    found: list[Factor] = []
    groups = dict.fromkeys(configs, ())
    for name in (*fields, *others):
        values = {recipe: config.get(name) for recipe, config in configs.items()}
        refined = {recipe: (*groups[recipe], _key(values[recipe])) for recipe in configs}
        if len(set(refined.values())) > len(set(groups.values())):
            found.append(Factor(name.replace("_", "-"), values))
            groups = refined
    cells = np.prod([len(factor.levels) for factor in found])
    told = len(set(groups.values())) == len(configs)
    if not told or (len(found) > 1 and cells > SPARSE * len(configs)):
        return by_name(configs)
    return found


def factors_of_versions(points: RatedVersions) -> list[Factor]:
    """Finds the factor of recipes whose configs are not known: their size, or else their names."""
    recipes = list(dict.fromkeys(points.recipe.tolist()))
    sizes = {r: set(np.round(points.parameters[points.recipe == r], 6)) for r in recipes}
    distinct = set().union(*sizes.values())
    if len(recipes) == len(distinct) > 1 and all(np.isfinite(list(distinct))):
        return [Factor("parameters", {r: round(10 ** sizes[r].pop()) for r in recipes})]
    return by_name(recipes)


def by_name(recipes: Mapping[str, Any] | Sequence[str]) -> list[Factor]:
    """Takes names as the only factor; none for a single recipe."""
    return [Factor(RECIPE, {name: name for name in recipes})] if len(recipes) > 1 else []


def _path(name: str) -> str:
    return name.replace("-", "_")


def _key(value: Any) -> Hashable:
    """Makes a key that is equal for equal values; True is not 1, and 1 is 1.0."""
    return (isinstance(value, bool), text(value))
