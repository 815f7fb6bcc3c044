"""Games of self-play that can be replayed, from the newest rows of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfplay.runs.files import save_arrays
from selfplay.runs.renamed import disk_names
from selfplay.runs.replay import shard_path
from selfplay.serve.web import self_played


def save(folder: Path, iteration: int, plies: list[int], ends: list[int]) -> None:
    count = len(plies)
    rows = {
        "action": np.arange(count, dtype=np.int16),
        "ply": np.array(plies, np.int16),
        "last": np.isin(np.arange(count), ends),
        "version": np.arange(count, dtype=np.int32) // 4,
        "mover_outcome": np.full(count, -1, np.int8),
    }
    save_arrays(shard_path(folder, iteration), disk_names(rows))


def test_only_games_with_all_their_moves_are_read(tmp_path: Path) -> None:
    """The first begins with random moves, the third has a gap; the newest iteration counts."""
    save(tmp_path, 1, [0], [0])
    save(tmp_path, 2, [3, 4, 0, 1, 2, 0, 2, 0], [1, 4, 6, 7])
    iteration, games = self_played.newest(tmp_path)
    assert iteration == 2
    assert [(game.moves, game.first) for game in games] == [
        ((2, 3, 4), "versions 0 to 1"),
        ((7,), "version 1"),
    ]
    assert games[0].outcome == -1 and games[0].second == games[0].first


def test_iteration_without_games_has_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no games on the disk"):
        self_played.newest(tmp_path)
    save(tmp_path, 1, [], [])
    assert self_played.newest(tmp_path) == (1, [])
