"""Factors: the config fields in which the recipes of a study differ, the axes of its maps."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from selfplay.scaling.rated_versions import RatedVersions

RECIPE = "recipe"  # the field of a factor whose values are the recipes' names
FIRST = ("network.", "search.")  # fields of these sections are preferred to all others
SPARSE = 2  # a grid must have at most this many cells per recipe


@dataclass(frozen=True)
class Factor:
    """A config field that was varied.

    Attributes:
        field: as on the command line, such as search.num-simulations.
        values: recipe → its value.
    """

    field: str
    values: Mapping[str, object]

    @property
    def numeric(self) -> bool:
        """True = all values are numbers, so that they have an order."""
        kinds = {type(value) for value in self.values.values()}
        return kinds <= {int, float}

    @property
    def levels(self) -> list[str]:
        """The distinct values as text: numbers by size, others in order of appearance."""
        distinct = list({_key(value): value for value in self.values.values()}.values())
        numbers = [value for value in distinct if isinstance(value, int | float)]
        return [text(value) for value in (sorted(numbers) if self.numeric else distinct)]

    def level(self, recipe: str) -> str:
        """Returns a recipe's value as text."""
        return text(self.values[recipe])


def text(value: object) -> str:
    """Formats a value as on the command line: 1e-3 as 0.001, True as true."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(text, value))
    return str(value)


def recipe_text(factors: Sequence[Factor], recipe: str) -> str:
    """Describes a recipe by its values: ``network.width 8, search.num-simulations 2``."""
    if not factors or factors[0].field == RECIPE:
        return recipe
    return ", ".join(f"{factor.field} {factor.level(recipe)}" for factor in factors)


def factors_of_configs(
    configs: Mapping[str, Mapping[str, object]], chosen: Sequence[str] = ()
) -> list[Factor]:
    """Selects the fewest fields that distinguish all recipes, in the order of `chosen`.

    A field that adds no distinction is skipped, for example a learning rate that was always changed
    together with the batch size. If the recipes do not resemble a grid, for example if each makes
    one change to a common base, their names are the only factor.

    Args:
        configs: recipe → dotted path → value.
        chosen: fields that were varied on purpose; others follow if these do not suffice.
    """
    fields = dict.fromkeys(
        _path(name) for name in chosen if any(_path(name) in config for config in configs.values())
    )
    others = sorted({name for config in configs.values() for name in config})
    others.sort(key=lambda name: not name.startswith(FIRST))
    factors: list[Factor] = []
    groups = dict.fromkeys(configs, ())
    for name in (*fields, *others):
        values = {recipe: config.get(name) for recipe, config in configs.items()}
        refined = {recipe: (*groups[recipe], _key(values[recipe])) for recipe in configs}
        if len(set(refined.values())) > len(set(groups.values())):
            factors.append(Factor(name.replace("_", "-"), values))
            groups = refined
    cells = np.prod([len(factor.levels) for factor in factors])
    distinguished = len(set(groups.values())) == len(configs)
    if not distinguished or (len(factors) > 1 and cells > SPARSE * len(configs)):
        return by_name(configs)
    return factors


def factors_of_versions(points: RatedVersions) -> list[Factor]:
    """Returns the factor of recipes without configs: their size if that distinguishes them.

    Otherwise their names.
    """
    recipes = list(dict.fromkeys(points.recipe.tolist()))
    sizes = {r: set(np.round(points.parameters[points.recipe == r], 6)) for r in recipes}
    distinct = set().union(*sizes.values())
    if len(recipes) == len(distinct) > 1 and all(np.isfinite(list(distinct))):
        return [Factor("parameters", {r: round(10 ** sizes[r].pop()) for r in recipes})]
    return by_name(recipes)


def by_name(recipes: Collection[str]) -> list[Factor]:
    """Returns the names as the only factor; no factor for a single recipe."""
    return [Factor(RECIPE, {name: name for name in recipes})] if len(recipes) > 1 else []


def _path(name: str) -> str:
    return name.replace("-", "_")


def _key(value: object) -> Hashable:
    """Makes a key that is equal for equal values: True differs from 1, and 1 equals 1.0."""
    return (isinstance(value, bool), text(value))
