"""The table of renamed parts: files and digests keep the names of format 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from selfplay.acting.episode import Carry
from selfplay.acting.segment import Lanes
from selfplay.experts.replaying import FIELDS
from selfplay.experts.writer import Writer
from selfplay.learning.learner import LearnerState
from selfplay.model.config import NetworkConfig
from selfplay.players.version import Version
from selfplay.runs import checkpoint
from selfplay.runs.codec import to_json
from selfplay.runs.digest import digest
from selfplay.runs.files import load_arrays
from selfplay.runs.renamed import ON_DISK, ROWS_ON_DISK, code_names, disk_names, today_arguments
from selfplay.runs.replay import Replay, shard_path
from selfplay.runs.snapshots import load_snapshot, save_snapshot
from selfplay.runs.tree import flatten, unflatten
from selfplay.runs.window import ReplayConfig
from selfplay.search.config import SearchConfig
from selfplay.training.trainer import TrainState

VALUES = np.arange(3, dtype=np.int8)
STATE = TrainState(
    LearnerState(params={}, ema_params={"w": VALUES}, optimizer=(), step=np.int32(0)),  # pyright: ignore
    acting_params={"w": VALUES},
)
CARRY = Carry(lanes=Lanes(state=(), ply=VALUES), pending={"lane": VALUES})  # pyright: ignore
USER_NAMES = ("pending", "waiting", "ema_params", "averaged", "acting_params", "playing")
USER_NAMES += ("mover_outcome", "outcome")


def test_states_have_the_names_of_format_1_on_disk() -> None:
    assert list(flatten(STATE)) == ["learner/averaged/w", "learner/step", "playing/w"]
    assert list(flatten(STATE.learner)) == ["averaged/w", "step"]
    assert list(flatten(CARRY)) == ["lanes/ply", "waiting/lane"]
    both = flatten({"state": STATE, "carries": [CARRY]})
    assert {"carries/0/waiting/lane", "state/playing/w", "state/learner/averaged/w"} < set(both)
    places = [".".join(place) for place in ON_DISK]
    assert places == ["acting_params", "ema_params", "learner.ema_params", "pending"]


def test_state_is_read_under_today_s_names(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 0, {"state": STATE})
    restored = unflatten(STATE, checkpoint.load(tmp_path, 0).parts["state"])
    np.testing.assert_array_equal(restored.learner.ema_params["w"], VALUES)
    np.testing.assert_array_equal(restored.acting_params["w"], VALUES)


def test_parameters_keep_their_author_s_names(tmp_path: Path) -> None:
    """Through checkpoint, snapshot and export, at any depth, and whatever they are called."""
    flat = {name: np.array([i], np.float32) for i, name in enumerate(USER_NAMES)}
    params = {**flat, "layer": {name: {"kernel": array + 50} for name, array in flat.items()}}
    paths = sorted([*USER_NAMES, *(f"layer/{name}/kernel" for name in USER_NAMES)])
    assert list(flatten(params)) == paths

    def assert_same(actual: Any) -> None:
        assert digest(actual) == digest(params)
        for name, array in flat.items():
            assert actual[name] == array and actual["layer"][name]["kernel"] == array + 50

    state = TrainState(LearnerState(params, params, (), np.int32(0)), params)  # pyright: ignore
    checkpoint.save(tmp_path, 0, {"state": state})
    restored = unflatten(state, checkpoint.load(tmp_path, 0).parts["state"])
    for part in (restored.learner.params, restored.learner.ema_params, restored.acting_params):
        assert_same(part)
    save_snapshot(tmp_path, 1, params)
    assert_same(load_snapshot(tmp_path, 1))
    config = {"game": "tic_tac_toe", "network": to_json(NetworkConfig())}
    config["search"] = to_json(SearchConfig())
    Version("run@1", params, config).export(tmp_path / "version.safetensors")
    assert_same(Version.load(tmp_path / "version.safetensors").params)


def test_rows_get_their_stored_names_and_back() -> None:
    rows = dict.fromkeys(("planes", *ROWS_ON_DISK, "pending", "playing"), VALUES)
    assert list(disk_names(rows)) == ["planes", "outcome", "pending", "playing"]
    assert list(code_names(disk_names(rows))) == list(rows)


def test_replay_shard_stores_mover_outcome_as_outcome(tmp_path: Path) -> None:
    replay = Replay(tmp_path, ReplayConfig())
    replay.add(1, {"mover_outcome": VALUES})
    replay.save(1)
    assert list(load_arrays(shard_path(tmp_path, 1))) == ["outcome"]
    restored = Replay.restore(tmp_path, replay.index, ReplayConfig())
    np.testing.assert_array_equal(restored.gather(np.arange(3))["mover_outcome"], VALUES)


def test_expert_archive_stores_mover_outcome_as_outcome(tmp_path: Path) -> None:
    with Writer(tmp_path / "experts") as writer:
        writer.append(dict.fromkeys(FIELDS, VALUES))
        manifest = writer.commit({"start": VALUES}, {})  # pyright: ignore[reportArgumentType]
    names = {path.stem for path in (tmp_path / "experts").glob("*.npy")}
    assert names == set(manifest["fields"]) == set(FIELDS) - {"mover_outcome"} | {"outcome"}


def test_stored_arguments_get_the_names_of_today() -> None:
    stored = "--learner.reuse=2 --search.no-rescale-values --search.no_rescale_values --out lag"
    today = "--learner.replay-ratio=2 --search.gumbel.no-rescale-values "
    today += "--search.gumbel.no-rescale-values --out lag"
    assert today_arguments("train", stored.split()) == today.split()
    assert today_arguments("train", today.split()) == today.split()
    assert today_arguments("ablate", ["--set=lag=1", "lag=2,3", "game=go?size=9"]) == [
        *("--fix=policy-lag=1", "policy-lag=2,3", "game=go?size=9")
    ]
    assert today_arguments("experts", ["label", "label"]) == ["generate", "label"]
    assert today_arguments("ladder", ["--lag=1", "lag=1"]) == ["--lag=1", "lag=1"]
