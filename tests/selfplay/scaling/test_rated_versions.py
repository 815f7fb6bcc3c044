"""Rated versions: checks of their values, and selections."""

from typing import Any

import numpy as np
import pytest

from selfplay.scaling.rated_versions import RatedVersions

GIVEN: dict[str, Any] = {
    "elo": [100.0, 200.0, 150.0, 260.0],
    "covariance": np.diag([1.0, 2.0, 3.0, 4.0]) + 0.5,
    "run": ["b", "b", "a", "a"],
    "training": [12.0, 13.0, 12.0, 13.0],
    "search": [7.0, 7.0, 8.0, 8.0],
    "recipe": ["big", "big", "small", "small"],
    "seed": [0, 0, 1, 1],
    "covariates": {"board": [5.0, 5.0, 7.0, 7.0]},
}


def points(**changes: Any) -> RatedVersions:
    return RatedVersions.of(**{**GIVEN, **changes})


def test_network_index_distinguishes_runs_and_training() -> None:
    result = points()
    assert len(result) == 4
    assert result.runs == ["a", "b"]
    assert result.run_index.tolist() == [1, 1, 0, 0]
    assert len(set(result.network_index)) == 4
    again = result.select([0, 0, 1])
    assert again.network_index[0] == again.network_index[1] != again.network_index[2]


def test_select_keeps_all_columns_aligned() -> None:
    result = points().select([3, 1])
    assert result.elo.tolist() == [260, 200]
    np.testing.assert_array_equal(result.covariance, [[4.5, 0.5], [0.5, 2.5]])
    assert result.run.tolist() == ["a", "b"] and result.recipe.tolist() == ["small", "big"]
    assert result.training.tolist() == [13, 13] and result.search.tolist() == [8, 7]
    assert result.seed.tolist() == [1, 0]
    assert result.require("board").tolist() == [7, 5]
    masked = points().select(np.array([False, True, False, True]))
    assert masked.elo.tolist() == [200, 260]


def test_select_of_a_batch_selects_versions() -> None:
    batch = points(elo=np.arange(12.0).reshape(3, 4))
    assert batch.select([0, 2]).elo.tolist() == [[0, 2], [4, 6], [8, 10]]
    with pytest.raises(ValueError, match=r"got a batch \(3,\)"):
        batch.require_single()
    assert points().require_single().elo.shape == (4,)


def test_unknown_quantity_is_rejected_by_require() -> None:
    result = points(search=[7.0, np.nan, 8.0, np.nan])
    with pytest.raises(ValueError, match=r"search is not known of 2 versions, the first .* run b"):
        result.require("search")
    with pytest.raises(ValueError, match="parameters is not known of 4 versions"):
        result.require("parameters")
    with pytest.raises(ValueError, match="choose from training, search, parameters, board"):
        result.require("komi")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"elo": []}, "there are no rated versions"),
        ({"elo": 3.0}, "there are no rated versions"),
        ({"elo": [1.0, 2.0, np.nan, np.inf]}, "2 ratings are not finite"),
        ({"training": [12.0]}, r"training has shape \(1,\), the ratings make it \(4,\)"),
        ({"run": ["a"]}, r"run has shape \(1,\)"),
        ({"covariates": {"board": [3.0]}}, r"board has shape \(1,\)"),
        ({"covariance": np.eye(3)}, r"the covariance has shape \(3, 3\), .* \(4, 4\)"),
        ({"covariance": np.triu(np.ones((4, 4)))}, "not finite and symmetric"),
        ({"covariance": np.full((4, 4), np.nan)}, "not finite and symmetric"),
        ({"covariance": 1 - 2 * np.eye(4)}, "has the eigenvalue -2; none is below 0"),
    ],
)
def test_invalid_values_are_rejected(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        points(**changes)


def test_empty_selection_is_rejected() -> None:
    with pytest.raises(ValueError, match="none of the 4 versions"):
        points().select(np.zeros(4, bool))
