"""Today's code computes the bits that were recorded, and reads the files that were written then.

Where a test here fails after a refactoring, the refactoring changed what is computed: find out
where. Where bits are meant to change, see tests/golden/recording.py.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.experts.archive import ExpertArchive
from selfplay.players.version import Version
from selfplay.runs.run import load_version
from selfplay.scaling import from_ladder
from selfplay.training.verify import verify
from tests.golden import recording
from tests.golden.recording import FORMAT_1, RUNS, STOPPED

OTHER_BITS = "this machine or its packages compute other bits than the recorded ones"
RECORDED: dict[str, Any] = json.loads(recording.GOLDEN.read_text())


def recorded(name: str) -> dict[str, Any]:
    return RECORDED["runs"][name]


def config_of(name: str) -> dict[str, Any]:
    """Returns the recorded config; one device learns the same bits as several, compiled once."""
    config = recorded(name)["config"]
    return config | {"cluster": config["cluster"] | {"learner_devices": 1}}


def same_arithmetic(name: str, folder: Path) -> None:
    """Skips the test on a machine or with packages that compute other bits."""
    if recording.fingerprint(folder) != RECORDED["fingerprint"][name]:
        pytest.skip(OTHER_BITS)


@pytest.fixture
def format_1(tmp_path: Path) -> Path:
    """A copy of the files that were written when the digests were recorded."""
    return shutil.copytree(FORMAT_1, tmp_path / "format_1")


@pytest.mark.parametrize("name", RUNS)
def test_runs_compute_the_recorded_digests(name: str, tmp_path: Path) -> None:
    digests = recording.digests(config_of(name), tmp_path / "run", FORMAT_1 / "experts")
    same_arithmetic(name, tmp_path / "run")
    assert digests == recorded(name)["digests"]


def test_ladder_plays_the_recorded_games(format_1: Path, tmp_path: Path) -> None:
    with contextlib.chdir(format_1):
        ladder = recording.ladder(tmp_path / "ladder.db", "run")
    same_arithmetic("connect_four", format_1 / "run")
    assert ladder["games"] == RECORDED["ladder"]["games"]
    assert_same_ratings(tmp_path / "ladder.db")


def assert_same_ratings(ladder: Path) -> None:
    """Rates a ladder by the model of the recording, in which pairings have no effects."""
    ratings = recording.plain_ratings(from_ladder.read_state(ladder))
    expected = RECORDED["ladder"]["ratings"]
    assert sorted(ratings) == sorted(expected)
    for player, values in expected.items():
        recorded_values = [float(value) for value in values]
        np.testing.assert_allclose(ratings[player], recorded_values, rtol=1e-6, atol=1e-6)


def test_recorded_run_resumes_to_the_recorded_digests(format_1: Path) -> None:
    folder = format_1 / "run"
    try:
        digests = recording.digests(config_of("connect_four"), folder, format_1 / "experts")
    except ValueError as error:
        if "fingerprint" in str(error):
            pytest.skip(OTHER_BITS)
        raise
    assert digests == recorded("connect_four")["digests"]


def test_recorded_run_verifies(format_1: Path) -> None:
    difference = verify(format_1 / "run", 1, STOPPED)
    if difference and "fingerprint" in difference.part:
        pytest.skip(OTHER_BITS)
    assert difference is None


def test_recorded_run_and_exported_file_are_one_version(format_1: Path) -> None:
    stored = load_version(format_1 / "run", STOPPED)
    versions = [
        Version.load(f"{format_1 / 'run'}@{STOPPED}"),
        Version.load(str(format_1 / "version.safetensors")),
    ]
    state = versions[0].game.init()
    moves = [int(version.search(state, num_simulations=4).action) for version in versions]
    values = [float(version.evaluate(state).value) for version in versions]
    assert moves[0] == moves[1] and values[0] == values[1]
    assert stored.number == STOPPED


def test_recorded_archive_is_read(format_1: Path) -> None:
    archive = ExpertArchive(format_1 / "experts")
    assert archive.train.size + archive.held_out.size == 560


def test_recorded_ladder_is_rated(format_1: Path) -> None:
    path = format_1 / "ladder" / "ladder.db"
    assert_same_ratings(path)
    standing = from_ladder.read_state(path)
    points = from_ladder.read_versions(standing, format_1)
    assert len(points) == 4 and points.runs == ["run"]
