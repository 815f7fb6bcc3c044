"""The schema of rows: what follows from a field's declaration."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import games
from games.game import Game
from selfplay.acting import row_schema
from selfplay.acting.row_schema import BASE, Episodes, Played, RowField, row_bytes
from selfplay.search.base import SearchResult
from tests.selfplay.search.planted import random_positions

GAME = games.make("connect_four")


def cells(game: Game) -> tuple[int, ...]:
    return game.observation_shape[:2]


def first_column(game: Game, episodes: Episodes) -> np.ndarray:
    return np.arange(len(episodes.end))[:, None, None] == np.zeros(cells(game))


def field(**changes: Any) -> RowField:
    return RowField(
        **{"name": "mark", "about": "", "dtype": "int8", "finish": first_column} | changes
    )


def played(count: int) -> Played:
    states, _ = random_positions(GAME, count, seed=2, max_plies=6)
    action: Any = np.zeros(count, np.int32)
    policy: Any = np.ones((count, GAME.num_actions), np.float32) / GAME.num_actions
    result = SearchResult(action, policy, policy[:, 0])
    return Played(states, jax.numpy.asarray(action), result, jax.numpy.asarray(action), states)


def test_row_bytes_are_those_of_the_arrays() -> None:
    """Planes 2·42 bits, legal 7 bits, policy 14 bytes, then 2 + 1 + 2 + 2 + 4 + 1."""
    assert row_bytes(GAME) == 11 + 1 + 14 + 12
    mark = field(dtype="bool", packed=True, shape=cells)
    assert row_bytes(GAME, [mark, field(name="more", dtype="float32")]) == row_bytes(GAME) + 6 + 4


def test_recorded_and_stored_arrays_agree_and_unpack_to_what_was_observed() -> None:
    record = played(5)
    for one in BASE:
        if one.record:
            array, stored = one.at_ply(GAME, record), one.stored(GAME)
            assert array.dtype == stored.dtype and array.shape == (5, *stored.shape), one.name
    planes = row_schema.PLANES.at_ply(GAME, record)
    observed = jax.vmap(GAME.observe)(record.state)
    np.testing.assert_array_equal(row_schema.PLANES.unpack(GAME, planes), observed)


def test_finished_field_is_packed_and_unpacked() -> None:
    episodes = Episodes({}, np.array([1, 1]), np.zeros(2, np.int8))
    mark = field(dtype="bool", packed=True, shape=cells)
    array = mark.at_end(GAME, episodes)
    assert array.dtype == np.uint8 and array.shape == (2, 6)
    unpacked = np.array(mark.unpack(GAME, jax.numpy.asarray(array)))
    np.testing.assert_array_equal(unpacked, first_column(GAME, episodes))
    assert episodes.last.tolist() == [False, True]


@pytest.mark.parametrize(
    ("dtype", "symmetry", "expected"),
    [
        ("int8", "none", "float32"),
        ("float16", "actions", "float32"),
        ("int16", "action", "int32"),
        ("bool", "none", "bool"),
    ],
)
def test_loss_reads_float32_bool_and_numbers_of_actions(
    dtype: str, symmetry: str, expected: str
) -> None:
    stored = jax.numpy.zeros(3, dtype)
    assert field(dtype=dtype, symmetry=symmetry).unpack(GAME, stored).dtype == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "outcome"}, r"cannot be called 'outcome'.*player, over, outcome, lane"),
        ({"name": "a/b"}, r"cannot be called 'a/b'"),
        ({"dtype": "float64"}, r"field mark: dtype 'float64' must be bool, uint8"),
        ({"packed": True}, r"field mark: dtype 'int8' must be bool, because it is packed"),
        ({"finish": None}, r"field mark needs either `record` or `finish`"),
        ({"record": lambda game, played: played.ply}, r"either `record` or `finish`"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value),
)
def test_bad_declaration_is_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        field(**changes)


def test_values_of_another_shape_are_rejected() -> None:
    episodes = Episodes({}, np.array([1, 1]), np.zeros(2, np.int8))
    with pytest.raises(ValueError, match=r"field mark has shape \[2, 6, 7\] where \[2\] was"):
        field().at_end(GAME, episodes)
    column = field(finish=None, record=lambda game, played: played.result.policy)
    with pytest.raises(ValueError, match=r"field mark has shape \[3, 7\] where \[3\] was"):
        column.at_ply(GAME, played(3))
