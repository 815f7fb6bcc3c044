"""Reading an archive: rows as they were written, views, and damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from games.game import Game
from selfplay.acting.episode import FIELDS, row_bytes
from selfplay.experts.archive import ExpertArchive, View
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


def test_gather_gives_the_rows_of_an_episode(folder: Path) -> None:
    experts = ExpertArchive(folder)
    indices = np.array([5, 0, experts.size - 1, 5, 17])
    rows = experts.gather(indices)
    assert set(rows) == set(FIELDS)
    for name, text in FIELDS.items():
        assert rows[name].dtype.name == text.partition("[")[0] and len(rows[name]) == 5
        assert type(rows[name]) is np.ndarray
    for name in set(FIELDS) - {"policy", "version"}:
        np.testing.assert_array_equal(rows[name], experts.fields[name][indices])
    assert sum(array[0].nbytes for array in rows.values()) == row_bytes(GAME)
    played = np.eye(GAME.num_actions)[rows["action"]]
    np.testing.assert_array_equal(rows["policy"], played)
    assert (rows["version"] == -1).all()
    assert len(experts.gather(np.zeros(0, np.int64))["policy"]) == 0


@pytest.mark.parametrize("index", [-1, 10**6])
def test_a_row_outside_is_an_error(folder: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"{index}"):
        ExpertArchive(folder).gather(np.array([0, index]))


def test_both_sides_together_are_the_archive(folder: Path) -> None:
    experts = ExpertArchive(folder)
    rows = np.concatenate([experts.train.rows, experts.held_out.rows])
    assert np.sort(rows).tolist() == list(range(experts.size))
    assert experts.train.size > experts.held_out.size > 0
    view = experts.held_out
    np.testing.assert_array_equal(
        view.gather(np.arange(view.size))["ply"], experts.fields["ply"][view.rows]
    )
    assert view.gather(np.arange(view.size))["last"].sum() == len(view.games)


def test_shares_are_of_games_and_nested(folder: Path) -> None:
    train = ExpertArchive(folder).train
    views = [train.share(share) for share in (0, 0.1, 0.4, 1)]
    sets = [set(view.games.tolist()) for view in views]
    assert sets[0] == set() and sets[1] < sets[2] < sets[3] == set(train.games.tolist())
    assert views[0].size == 0 and views[3].size == train.size


def test_seen_positions_are_those_that_an_image_of_stands_in_the_other_view(folder: Path) -> None:
    experts = ExpertArchive(folder)
    train, held_out = experts.train, experts.held_out
    known = set(experts.fields["position"][train.rows].tolist())
    expected = [p in known for p in experts.fields["position"][held_out.rows].tolist()]
    seen = held_out.seen_in(train)
    assert seen.tolist() == expected and 0 < seen.mean() < 1
    ply = held_out.gather(np.arange(held_out.size))["ply"]
    assert seen[ply == 0].all()
    assert not held_out.seen_in(train.share(0)).any()


def test_the_game_is_the_archives(folder: Path) -> None:
    game: Game = ExpertArchive(folder).game
    assert game == GAME and isinstance(ExpertArchive(folder).train, View)


def test_damage_is_found(folder: Path, tmp_path: Path) -> None:
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


def test_another_format_or_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"is not an archive of expert games: .*experts\.py --help$"
    ):
        ExpertArchive(tmp_path)
    manifest = read_hashed_json(folder / "manifest.json")
    write_hashed_json(tmp_path / "manifest.json", {**manifest, "format": 0})
    with pytest.raises(ValueError, match="has format 0, this program reads 1"):
        ExpertArchive(tmp_path)
