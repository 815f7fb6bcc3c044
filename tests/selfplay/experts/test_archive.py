"""Archives: rows as written, splits, and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from games.game import Game
from selfplay.acting.row_schema import BASE, row_bytes
from selfplay.experts.archive import ExpertArchive, Split
from selfplay.experts.filters import Filters
from selfplay.generated import importing
from selfplay.runs.files import CorruptedFile, read_hashed_json, write_hashed_json
from tests.selfplay.experts.records import GAME, NAME, random_moves, write
from tests.selfplay.experts.records import sgf as record


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive")
    # The first moves come from few, so that sides have positions in common.
    games = [
        [12, seed % 3, *(m for m in random_moves(seed, 20) if m not in (12, seed % 3))]
        for seed in range(60)
    ]
    records = write(path / "a.sgf", *map(record, games))
    importing.import_sgf(path / "out", NAME, GAME, [records], Filters(), 0.3, lambda *a: None)
    return path / "out"


def test_gather_returns_rows_with_an_episodes_fields(folder: Path) -> None:
    experts = ExpertArchive(folder)
    indices = np.array([5, 0, experts.size - 1, 5, 17])
    rows = experts.gather(indices)
    assert set(rows) == {field.name for field in BASE}
    for field in BASE:
        stored, array = field.stored(GAME), rows[field.name]
        assert array.dtype == stored.dtype and array.shape == (5, *stored.shape), field.name
        assert type(array) is np.ndarray
    for name in set(rows) - {"policy", "version"}:
        np.testing.assert_array_equal(rows[name], experts.fields[name][indices])
    assert sum(array[0].nbytes for array in rows.values()) == row_bytes(GAME)
    played = np.eye(GAME.num_actions)[rows["action"]]
    np.testing.assert_array_equal(rows["policy"], played)
    assert (rows["version"] == -1).all()
    assert len(experts.gather(np.zeros(0, np.int64))["policy"]) == 0


@pytest.mark.parametrize("index", [-1, 10**6])
def test_gather_rejects_rows_outside_the_archive(folder: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"{index}"):
        ExpertArchive(folder).gather(np.array([0, index]))


def test_splits_partition_the_archive(folder: Path) -> None:
    experts = ExpertArchive(folder)
    rows = np.concatenate([experts.train.rows, experts.held_out.rows])
    assert np.sort(rows).tolist() == list(range(experts.size))
    assert experts.train.size > experts.held_out.size > 0
    split = experts.held_out
    np.testing.assert_array_equal(
        split.gather(np.arange(split.size))["ply"], experts.fields["ply"][split.rows]
    )
    assert split.gather(np.arange(split.size))["last"].sum() == len(split.games)


def test_samples_are_of_whole_games_and_nested(folder: Path) -> None:
    train = ExpertArchive(folder).train
    splits = [train.sample(share) for share in (0, 0.1, 0.4, 1)]
    sets = [set(split.games.tolist()) for split in splits]
    assert sets[0] == set() and sets[1] < sets[2] < sets[3] == set(train.games.tolist())
    assert splits[0].size == 0 and splits[3].size == train.size


def test_positions_in_marks_positions_and_images_of_the_other_split(folder: Path) -> None:
    experts = ExpertArchive(folder)
    train, held_out = experts.train, experts.held_out
    known = set(experts.fields["position"][train.rows].tolist())
    expected = [p in known for p in experts.fields["position"][held_out.rows].tolist()]
    occurs = held_out.positions_in(train)
    assert occurs.tolist() == expected and 0 < occurs.mean() < 1
    ply = held_out.gather(np.arange(held_out.size))["ply"]
    assert occurs[ply == 0].all()
    assert not held_out.positions_in(train.sample(0)).any()


def test_archive_makes_its_game(folder: Path) -> None:
    game: Game = ExpertArchive(folder).game
    assert game == GAME and isinstance(ExpertArchive(folder).train, Split)


def test_damaged_files_are_detected(folder: Path, tmp_path: Path) -> None:
    def copy() -> Path:
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        return tmp_path

    copy()
    path = tmp_path / "targets.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptedFile, match=r"targets.npy is damaged: its bytes were altered"):
        ExpertArchive(tmp_path).check()
    path.write_bytes(bytes(data[:-1]))
    with pytest.raises(CorruptedFile, match=r"targets.npy is damaged"):
        ExpertArchive(tmp_path)
    path.unlink()
    with pytest.raises(CorruptedFile, match=r"targets.npy is damaged"):
        ExpertArchive(tmp_path)
    copy()
    (tmp_path / "games.npz").write_bytes(b"")
    with pytest.raises(CorruptedFile, match=r"games.npz"):
        ExpertArchive(tmp_path)
    copy()
    np.save(tmp_path / "ply.npy", np.zeros(3, np.int16))
    with pytest.raises(CorruptedFile, match=r"ply.npy is damaged: it holds int16\[3\]"):
        ExpertArchive(tmp_path)


def test_other_formats_and_folders_are_rejected(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"is not an archive of expert games: .*experts\.py --help$"
    ):
        ExpertArchive(tmp_path)
    manifest = read_hashed_json(folder / "manifest.json")
    write_hashed_json(tmp_path / "manifest.json", {**manifest, "format": 0})
    with pytest.raises(ValueError, match="has format 0, this program reads 1"):
        ExpertArchive(tmp_path)
