"""Sources of rows, and which of their rows make the batches of an iteration."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from games.game import Game
from selfplay.acting.row_schema import Episodes, RowField, unpack
from selfplay.learning.row_sources import (
    Completed,
    Concatenated,
    RandomRows,
    Subset,
    batch_indices,
    with_experts,
)
from tests.selfplay.learning.rows import Table, table

BATCH_FIELDS = ("planes", "legal", "policy", "value", "mover_outcome")


@settings(max_examples=50, deadline=None)
@given(
    size=st.integers(1, 60),
    steps=st.integers(1, 8),
    batch=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_batch_indices_pass_over_all_rows_without_repeats(
    size: int, steps: int, batch: int, seed: int
) -> None:
    order = batch_indices(seed, 3, size, steps, batch)
    assert order.shape == (steps, batch) and order.dtype == np.int64
    flat = order.reshape(-1)
    for start in range(0, len(flat), size):
        part = flat[start : start + size]
        assert len(set(part)) == len(part)
        assert len(part) < size or set(part) == set(range(size))
    np.testing.assert_array_equal(order, batch_indices(seed, 3, size, steps, batch))


def test_batch_indices_differ_between_iterations_seeds_and_passes() -> None:
    first = batch_indices(0, 1, 50, 2, 50)
    assert np.any(first[0] != first[1])
    for other in (batch_indices(0, 2, 50, 2, 50), batch_indices(1, 1, 50, 2, 50)):
        assert np.mean(first == other) < 0.2


@pytest.mark.parametrize("shape", [(6, 7, 2), (3, 3, 2), (9,), (8,), (1,)], ids=str)
def test_unpack_undoes_packbits(shape: tuple[int, ...]) -> None:
    bits = np.random.default_rng(0).random((50, *shape)) < 0.5
    packed = np.packbits(bits.reshape(50, -1), axis=-1)
    back = np.array(unpack(jax.device_put(packed), shape))
    assert back.dtype == bool
    np.testing.assert_array_equal(back, bits)


def numbered(count: int, first: int) -> Table:
    """Rows that are numbered from `first` in every field."""
    numbers = np.arange(first, first + count)
    return Table(dict.fromkeys(BATCH_FIELDS, numbers))


def test_subset_gathers_rows_by_their_place_in_it() -> None:
    subset = Subset(numbered(10, 0), np.array([7, 2, 5]))
    assert subset.size == 3
    assert subset.gather(np.array([2, 0, 0]))["policy"].tolist() == [5, 7, 7]


def test_completed_source_has_the_value_of_missing_fields() -> None:
    def shape(game: Game) -> tuple[int, ...]:
        return (game.num_actions,)

    def finish(game: Game, episodes: Episodes) -> np.ndarray:
        raise AssertionError

    game = games.make("tic_tac_toe")
    mark = RowField("mark", "", "bool", shape, packed=True, finish=finish, missing=1)
    left = RowField("left", "", "float16", finish=finish, missing=-1)
    rows = Completed(numbered(3, 5), game, (mark, left)).gather(np.array([2, 0]))
    assert rows["policy"].tolist() == [7, 5]
    assert rows["mark"].tolist() == [[255, 128], [255, 128]] and rows["mark"].dtype == np.uint8
    assert rows["left"].tolist() == [-1, -1] and rows["left"].dtype == np.float16


def test_concatenated_gathers_from_both_sources_in_the_order_of_the_indices() -> None:
    both = Concatenated(numbered(3, 0), numbered(4, 100))
    assert both.size == 7
    rows = both.gather(np.array([6, 0, 3, 2, 5]))
    assert list(rows) == list(BATCH_FIELDS)
    assert rows["value"].tolist() == [103, 0, 100, 2, 102]


@pytest.mark.parametrize(
    ("fraction", "experts", "expected"), [(0.5, 50, 20), (0.8, 50, 50), (0.0, 50, 0), (0.2, 50, 5)]
)
def test_with_experts_adds_the_fraction_or_all_expert_rows(
    fraction: float, experts: int, expected: int
) -> None:
    window = numbered(20, 0)
    source = with_experts(window, numbered(experts, 100), fraction, seed=0, iteration=1)
    values = source.gather(np.arange(source.size))["value"]
    assert source.size == 20 + expected == len(set(values.tolist()))
    assert values[:20].tolist() == list(range(20)) and (values[20:] >= 100).all()


def test_with_experts_draws_other_rows_in_every_iteration_and_for_every_seed() -> None:
    draws = [
        with_experts(numbered(20, 0), numbered(50, 100), 0.5, seed, iteration)
        for seed, iteration in ((0, 1), (0, 2), (1, 1), (0, 1))
    ]
    first, *others, again = (source.gather(np.arange(20, 40))["value"].tolist() for source in draws)
    assert first == again and first not in others


def test_random_rows_are_always_the_same_and_make_every_action_legal() -> None:
    rows = table("tic_tac_toe").rows
    source = RandomRows(rows, 4)
    first, again = (source.gather(np.arange(4)) for _ in range(2))
    for name, array in rows.items():
        assert first[name].dtype == array.dtype and first[name].shape == (4, *array.shape[1:])
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["legal"] == 255).all() and set(first["mover_outcome"]) <= {-1, 0, 1}
