"""The table of renamed parts: files and digests keep the names of format 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfplay.experts.replaying import FIELDS
from selfplay.experts.writer import Writer
from selfplay.runs import checkpoint
from selfplay.runs.digest import digest
from selfplay.runs.files import load_arrays
from selfplay.runs.renamed import ON_DISK, code_names, disk_names, today_arguments
from selfplay.runs.replay import Replay, shard_path
from selfplay.runs.tree import flatten, unflatten
from selfplay.runs.window import ReplayConfig

VALUES = np.arange(3, dtype=np.int8)
each_entry = pytest.mark.parametrize(("code", "disk"), ON_DISK.items())


def test_table_is_one_to_one() -> None:
    assert len(set(ON_DISK.values())) == len(ON_DISK)
    assert not set(ON_DISK) & set(ON_DISK.values())


@each_entry
def test_renamed_part_has_the_digest_of_its_stored_name(code: str, disk: str) -> None:
    today, stored = ({"a": {name: {"b": VALUES}}} for name in (code, disk))
    assert digest(today) == digest(stored)
    assert list(flatten(today)) == [f"a/{disk}/b"]
    np.testing.assert_array_equal(unflatten(today, flatten(stored))["a"][code]["b"], VALUES)


@each_entry
def test_tree_with_both_names_is_rejected(code: str, disk: str) -> None:
    with pytest.raises(ValueError, match=disk):
        flatten({code: VALUES, disk: VALUES})


@each_entry
def test_checkpoint_is_read_under_today_s_name(tmp_path: Path, code: str, disk: str) -> None:
    for iteration, name in enumerate((code, disk)):
        checkpoint.save(tmp_path, iteration, {name: VALUES})
        arrays = checkpoint.load(tmp_path, iteration).arrays
        assert list(arrays) == [disk]
        state = unflatten({code: VALUES}, arrays)
        np.testing.assert_array_equal(state[code], VALUES)


def test_rows_get_their_stored_names_and_back() -> None:
    rows = dict.fromkeys(("planes", *ON_DISK), VALUES)
    assert list(disk_names(rows)) == ["planes", *ON_DISK.values()]
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
