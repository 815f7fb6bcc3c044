"""Files are whole or absent, and damage to any byte is noticed."""

import json
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.runs import files
from selfplay.runs.digest import digest
from selfplay.runs.files import (
    CorruptedFile,
    from_jsonable,
    load_arrays,
    read_hashed_json,
    read_json,
    save_arrays,
    to_jsonable,
    write_hashed_json,
    write_json,
)

ARRAYS = {
    "params/w": np.arange(12, dtype=np.float32).reshape(3, 4),
    "file": np.array(True),  # a name that np.savez's own signature would refuse
    "b": np.asarray(jnp.full((2, 2), -0.0, jnp.bfloat16)),
    "empty": np.zeros((0, 3), np.float16),
    "scalar": np.asarray(jnp.array(1.5, jnp.bfloat16)),
}


def test_arrays_survive_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a" / "x.npz"
    answer = save_arrays(path, ARRAYS)
    back = load_arrays(path, answer)
    assert answer == digest(ARRAYS) == digest(back)
    assert {n: (a.dtype, a.shape) for n, a in back.items()} == {
        n: (a.dtype, a.shape) for n, a in ARRAYS.items()
    }
    assert [p.name for p in path.parent.iterdir()] == ["x.npz"]
    with np.load(path) as archive:  # an ordinary npz for everybody else
        assert (archive["params/w"] == ARRAYS["params/w"]).all()


def test_pickled_arrays_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_arrays(tmp_path / "x.npz", {"a": np.array([None])})
    assert list(tmp_path.iterdir()) == []
    np.savez(tmp_path / "evil.npz", a=np.array([None]))  # pickles by default
    with pytest.raises(CorruptedFile, match=r"evil\.npz"):
        load_arrays(tmp_path / "evil.npz")


def test_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    answer = save_arrays(path, ARRAYS)
    whole = path.read_bytes()
    noticed = 0
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        try:
            assert digest(load_arrays(path, answer)) == answer
        except CorruptedFile as error:
            assert "x.npz is damaged" in str(error)
            noticed += 1
    assert noticed > len(whole) / 5 / 4  # the rest is padding and zip time stamps


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, -1])
def test_truncated_file_is_noticed(tmp_path: Path, length: float) -> None:
    path = tmp_path / "x.npz"
    answer = save_arrays(path, ARRAYS)
    whole = path.read_bytes()
    cut = int(len(whole) * length) if isinstance(length, float) else length
    path.write_bytes(whole[:cut])
    with pytest.raises(CorruptedFile, match=r"x\.npz is damaged"):
        load_arrays(path, answer)


def test_missing_or_swapped_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptedFile, match=r"gone\.npz is damaged: the file is missing"):
        load_arrays(tmp_path / "gone.npz")
    with pytest.raises(CorruptedFile, match=r"gone\.json is damaged: the file is missing"):
        read_json(tmp_path / "gone.json")
    digest_of_zeros = save_arrays(tmp_path / "x.npz", {"a": np.zeros(2)})
    save_arrays(tmp_path / "x.npz", {"a": np.ones(2)})
    with pytest.raises(CorruptedFile, match=f"expected {digest_of_zeros[:12]}"):
        load_arrays(tmp_path / "x.npz", digest_of_zeros)


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_hashed_json_notices_changed_values(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_hashed_json(path, {"flops": 1.5e15, "row": {"loss": float("nan")}, "i": 3})
    assert read_hashed_json(path)["flops"] == 1.5e15
    whole = path.read_text()
    for old, new in [("1.5e15", "1.6e15"), ("1500000000000000.0", "1e15"), ('"i": 3', '"i": 4')]:
        if old in whole:
            path.write_text(whole.replace(old, new))
            with pytest.raises(CorruptedFile, match="SHA-256"):
                read_hashed_json(path)
    path.write_text(whole[:-5])
    with pytest.raises(CorruptedFile, match="not JSON"):
        read_hashed_json(path)


def test_jsonable_is_strict_json_and_can_be_undone() -> None:
    data = {
        "a": np.float32(0.5),
        "b": [jnp.int32(3), (1, None)],
        "c": np.array([1.0, np.inf]),
        "d": float("nan"),
        "e": {"f": -math.inf, "g": True, "h": "text"},
    }
    jsonable = to_jsonable(data)
    json.dumps(jsonable, allow_nan=False)
    assert jsonable == {
        "a": 0.5,
        "b": [3, [1, None]],
        "c": [1.0, "inf"],
        "d": "nan",
        "e": {"f": "-inf", "g": True, "h": "text"},
    }
    back = from_jsonable(jsonable)
    assert math.isnan(back["d"]) and back["e"] == data["e"] and back["c"] == [1.0, math.inf]
    with pytest.raises(TypeError, match="no JSON form"):
        to_jsonable({"a": object()})
