"""Factors: the fields that distinguish recipes, and their order."""

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


def fields(result: list[Factor]) -> list[str]:
    return [factor.field for factor in result]


def test_factors_are_the_axes_of_a_grid() -> None:
    configs = grid(search__num_simulations=[2, 8], network__width=[8, 32])
    assert fields(factors.factors_of_configs(configs)) == [
        "network.width",
        "search.num-simulations",
    ]
    chosen = ("search.num-simulations", "network.width")
    result = factors.factors_of_configs(configs, chosen)
    assert fields(result) == list(chosen)
    assert factors.recipe_text(result, "1") == "search.num-simulations 2, network.width 32"


def test_fields_changed_together_are_one_factor() -> None:
    configs = grid(learner__batch_size=[64, 256], network__width=[8, 32])
    tied = {r: {**c, "learner.rate": c["learner.batch_size"] / 1e5} for r, c in configs.items()}
    assert fields(factors.factors_of_configs(tied)) == ["network.width", "learner.batch-size"]
    assert fields(factors.factors_of_configs(tied, ["learner.rate"])) == [
        "learner.rate",
        "network.width",
    ]


def test_changes_to_a_base_have_names_as_the_factor() -> None:
    base = {"a": 1, "b": True, "c": "x"}
    configs = {"base": base, "a": {**base, "a": 2}, "b": {**base, "b": False},
               "c": {**base, "c": "y"}}  # fmt: skip
    (result,) = factors.factors_of_configs({**configs, "d": {**base, "d": 1}})
    assert result.field == factors.RECIPE and result.levels == ["base", "a", "b", "c", "d"]
    assert factors.recipe_text([result], "a") == "a"


def test_indistinguishable_recipes_have_names_as_the_factor() -> None:
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
def test_levels_sort_numbers_and_keep_the_order_of_categories(
    values: list[Any], levels: list[str], numeric: bool
) -> None:
    factor = Factor("field", {str(i): value for i, value in enumerate(values)})
    assert factor.levels == levels and factor.numeric is numeric


def test_factor_of_versions_is_their_size_or_name() -> None:
    def points(sizes: list[float]) -> RatedVersions:
        return RatedVersions.of(
            [0.0, 1.0], np.eye(2), ["a", "b"], parameters=sizes, recipe=["a", "b"]
        )

    (size,) = factors.factors_of_versions(points([3.0, 4.0]))
    assert size.field == "parameters" and size.levels == ["1000", "10000"]
    assert fields(factors.factors_of_versions(points([3.0, 3.0]))) == [factors.RECIPE]
    assert fields(factors.factors_of_versions(points([3.0, np.nan]))) == [factors.RECIPE]
    assert factors.factors_of_versions(points([3.0, 3.0]).select([0])) == []
