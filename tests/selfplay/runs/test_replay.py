"""The window formula computed by hand, and the ring buffer against slow concatenation."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.runs.digest import digest
from selfplay.runs.files import CorruptedFile
from selfplay.runs.replay import Replay, WindowPart, shard_path
from selfplay.runs.window import ReplayConfig, bytes_needed, window_size

SMALL = ReplayConfig(minimum=10, exponent=0.65, scale=0.4)


def rows(count: int, first: int = 0) -> dict[str, np.ndarray]:
    """Makes rows that contain their own number, so that a misplaced row shows."""
    number = np.arange(first, first + count)
    return {
        "planes": np.stack([number % 251, number // 251], 1).astype(np.uint8),
        "value": number.astype(np.float16),
        "number": number,
    }


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (0, 0),
        (1, 1),
        (249_999, 249_999),
        (250_000, 250_000),
        # ((1e6)^.65 - (2.5e5)^.65) / (.65 (2.5e5)^-.35) * .4 + 2.5e5:
        # 4^.65 = 2.46229, so (2.46229 - 1) * 250000 / .65 * .4 + 250000 = 474 967
        (1_000_000, 474_967),
        # 100^.65 = 19.95262: 18.95262 * 153846.15 + 250000 = 3 165 788
        (25_000_000, 3_165_788),
    ],
)
def test_window_size_matches_hand_computation(total: int, expected: int) -> None:
    assert abs(window_size(total, ReplayConfig()) - expected) <= 1


def test_window_size_of_small_windows_is_exact() -> None:
    # exponent 1: ((20 - 10) / 1) * 0.5 + 10 = 15
    assert window_size(20, ReplayConfig(10, 1.0, 0.5)) == 15
    assert window_size(1000, ReplayConfig(10, 1.0, 0.5, maximum=40)) == 40
    assert window_size(1000, ReplayConfig(10, 1.0, 0.0)) == 10
    assert bytes_needed(ReplayConfig(10, 1.0, 0.5), 20, 100) == 1500
    assert bytes_needed(ReplayConfig(10, 1.0, 0.5), 20, 100, keep_for_verify=True) == 2000


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 10**6),
    st.floats(0.05, 1),
    st.floats(0, 0.99),
    st.integers(0, 10**9),
    st.none() | st.integers(0, 10**6),
)
def test_window_edge_never_moves_back(
    minimum: int, exponent: float, scale: float, total: int, extra: int | None
) -> None:
    config = ReplayConfig(minimum, exponent, scale, None if extra is None else minimum + extra)
    before, after = window_size(total, config), window_size(total + 1, config)
    assert min(total, minimum) <= before <= total
    assert before <= after <= before + 1


@pytest.mark.parametrize(
    ("field", "value"), [("minimum", 0), ("exponent", 0.0), ("exponent", 1.5), ("scale", 1.0)]
)
def test_impossible_window_is_refused_by_field_and_value(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^replay\.{field} .*got {value}$"):
        ReplayConfig(**{field: value})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"^replay\.maximum .*\(9\), got 5$"):
        ReplayConfig(minimum=9, maximum=5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=14), st.integers(1, 50), st.data())
def test_gather_returns_what_slow_concatenation_returns(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    minimum: int,
    data: st.DataObject,
) -> None:
    config = ReplayConfig(minimum=minimum, scale=data.draw(st.sampled_from([0.0, 0.4, 0.9])))
    folder = tmp_path_factory.mktemp("replay")
    stop = data.draw(st.integers(0, len(counts)))
    replay, everything = Replay(folder, config), 0
    for i, count in enumerate(counts):
        replay.add(i, rows(count, everything))
        replay.save(i)
        everything += count
        if i == stop:  # continuing from disk must change nothing
            replay.prune()
            replay = Replay.restore(folder, replay.index, config)
        size = window_size(everything, config)
        slow = {name: array[everything - size :] for name, array in rows(everything).items()}
        assert (replay.size, replay.total) == (size, everything)
        assert sum(part.stop - part.start for part in replay.window()) == size
        indices = np.asarray(
            data.draw(st.lists(st.integers(0, size - 1), max_size=8)) if size else [], np.int64
        )
        fast = replay.gather(indices)
        for name, array in slow.items():
            np.testing.assert_array_equal(fast[name], array[indices], strict=True)
        assert digest(replay.gather(np.arange(size))) == digest(slow)


def test_window_lists_partial_shards_oldest_first(tmp_path: Path) -> None:
    replay = Replay(tmp_path, ReplayConfig(minimum=10, scale=0.0))
    for i in range(4):
        replay.add(i, rows(4, 4 * i))
    assert replay.window() == [WindowPart(1, 2, 4), WindowPart(2, 0, 4), WindowPart(3, 0, 4)]
    assert [shard.iteration for shard in replay.index.shards] == [1, 2, 3]
    assert replay.gather(np.array([0, 9]))["number"].tolist() == [6, 15]
    replay.add(9, rows(25, 16))  # larger than the window
    assert replay.window() == [WindowPart(9, 15, 25)]
    assert replay.gather(np.array([0, 9]))["number"].tolist() == [31, 40]


def test_replay_memory_is_bounded_by_the_window(tmp_path: Path) -> None:
    replay = Replay(tmp_path, ReplayConfig(minimum=100, scale=0.0))
    for i in range(50):
        replay.add(i, rows(30))
        replay.save(i)
    assert len(replay._ring["number"]) <= 150
    assert not replay._unsaved and len(replay.index.shards) == 4


def test_replay_refuses_unfitting_rows_and_positions(tmp_path: Path) -> None:
    replay = Replay(tmp_path, SMALL)
    replay.add(3, rows(4))
    with pytest.raises(ValueError, match="iteration 3 cannot be added to the replay after 3"):
        replay.add(3, rows(4))
    with pytest.raises(ValueError, match=r"'value' as float64\[\], earlier rows as float16"):
        replay.add(4, {**rows(4), "value": np.zeros(4)})
    with pytest.raises(ValueError, match="'value' as None"):
        replay.add(4, {k: v for k, v in rows(4).items() if k != "value"})
    with pytest.raises(ValueError, match="share one leading dimension"):
        replay.add(4, {**rows(4), "value": np.zeros(5, np.float16)})
    with pytest.raises(IndexError, match=r"0\.\.4 are outside a window of 4"):
        replay.gather(np.array([0, 4]))
    with pytest.raises(IndexError):
        replay.gather(np.array([-1]))
    with pytest.raises(ValueError, match="no unsaved rows of iteration 5"):
        replay.save(5)
    assert replay.size == 4
    assert replay.save(3) == replay.save(3)  # a repeated commit


def test_restore_needs_only_the_files_of_the_window(tmp_path: Path) -> None:
    replay = Replay(tmp_path, SMALL)
    for i in range(6):
        replay.add(i, rows(8, 8 * i))
        replay.save(i)
    replay.prune()
    needed = [shard.iteration for shard in replay.index.shards]
    assert needed == [3, 4, 5]
    assert sorted(int(p.stem) for p in (tmp_path / "replay").iterdir()) == needed
    assert Replay.restore(tmp_path, replay.index, SMALL).size == replay.size
    with pytest.raises(ValueError, match="cannot be enlarged"):
        Replay.restore(tmp_path, replay.index, ReplayConfig(minimum=40))
    shard_path(tmp_path, 4).unlink()
    with pytest.raises(CorruptedFile, match=r"00000004\.npz is damaged: the file is missing"):
        Replay.restore(tmp_path, replay.index, SMALL)


def test_prune_keeps_what_retained_commits_need(tmp_path: Path) -> None:
    replay = Replay(tmp_path, SMALL)
    indexes = []
    for i in range(6):
        replay.add(i, rows(8))
        replay.save(i)
        indexes.append(replay.index)
    replay.prune(retained=[indexes[2]])
    files = sorted(int(p.stem) for p in (tmp_path / "replay").iterdir())
    assert files == sorted({s.iteration for i in (2, 5) for s in indexes[i].shards})
