"""Factors: the fewest fields that tell recipes apart, in an order that their values have."""

from typing import Any

import numpy as np
import pytest

from selfplay.scaling import factors
from selfplay.scaling.factors import Factor
from selfplay.scaling.rated_versions import RatedVersions


def grid(**axes: list[Any]) -> dict[str, dict[str, Any]]:
    """All combinations, and a field that is the same everywhere."""
    configs: list[dict[str, Any]] = [{"lag": 1}]
    for name, values in axes.items():
        configs = [{**one, name.replace("__", "."): value} for one in configs for value in values]
    return {str(i): config for i, config in enumerate(configs)}


def fields(found: list[Factor]) -> list[str]:
    return [factor.field for factor in found]


def test_the_axes_of_a_grid_are_its_factors() -> None:
    configs = grid(search__num_simulations=[2, 8], network__width=[8, 32])
    assert fields(factors.factors_of_configs(configs)) == [
        "network.width",
        "search.num-simulations",
    ]
    chosen = ("search.num-simulations", "network.width")
    found = factors.factors_of_configs(configs, chosen)
    assert fields(found) == list(chosen)
    assert factors.recipe_text(found, "1") == "search.num-simulations 2, network.width 32"


def test_what_was_changed_together_is_one_factor() -> None:
    configs = grid(learner__batch_size=[64, 256], network__width=[8, 32])
    tied = {r: {**c, "learner.rate": c["learner.batch_size"] / 1e5} for r, c in configs.items()}
    assert fields(factors.factors_of_configs(tied)) == ["network.width", "learner.batch-size"]
    assert fields(factors.factors_of_configs(tied, ["learner.rate"])) == [
        "learner.rate",
        "network.width",
    ]


def test_one_change_each_to_a_base_is_no_grid() -> None:
    base = {"a": 1, "b": True, "c": "x"}
    configs = {"base": base, "a": {**base, "a": 2}, "b": {**base, "b": False},
               "c": {**base, "c": "y"}}  # fmt: skip
    (found,) = factors.factors_of_configs({**configs, "d": {**base, "d": 1}})
    assert found.field == factors.RECIPE and found.levels == ["base", "a", "b", "c", "d"]
    assert factors.recipe_text([found], "a") == "a"


def test_recipes_that_no_field_tells_apart_have_their_names() -> None:
    assert fields(factors.factors_of_configs({"x": {"a": 1}, "y": {"a": 1}})) == [factors.RECIPE]
    assert factors.factors_of_configs({"x": {"a": 1}}) == []


@pytest.mark.parametrize(
    ("values", "levels", "numeric"),
    [
        ([32, 8, 128], ["8", "32", "128"], True),
        ([1e-3, 0.01], ["0.001", "0.01"], True),
        ([3, 3.5], ["3", "3.5"], True),
        ([True, False], ["true", "false"], False),
        (["puct", "gumbel"], ["puct", "gumbel"], False),
        ([None, 4], ["None", "4"], False),
        ([[3, 4], [5]], ["3 4", "5"], False),
    ],
)
def test_numbers_are_in_order_and_categories_as_they_come(
    values: list[Any], levels: list[str], numeric: bool
) -> None:
    factor = Factor("field", {str(i): value for i, value in enumerate(values)})
    assert factor.levels == levels and factor.numeric is numeric


def test_without_configs_recipes_have_their_size_or_their_name() -> None:
    def points(sizes: list[float]) -> RatedVersions:
        return RatedVersions.of(
            [0.0, 1.0], np.eye(2), ["a", "b"], parameters=sizes, recipe=["a", "b"]
        )

    (size,) = factors.factors_of_versions(points([3.0, 4.0]))
    assert size.field == "parameters" and size.levels == ["1000", "10000"]
    assert fields(factors.factors_of_versions(points([3.0, 3.0]))) == [factors.RECIPE]
    assert fields(factors.factors_of_versions(points([3.0, np.nan]))) == [factors.RECIPE]
    assert factors.factors_of_versions(points([3.0, 3.0]).select([0])) == []
