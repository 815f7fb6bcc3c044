"""Rows of metrics survive crashes; the manifest records what ran, without secrets."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from selfplay.runs import manifest
from selfplay.runs.files import CorruptedFile
from selfplay.runs.metrics import MetricsLog, read


def test_appended_row_is_strict_json(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    log.append({"iteration": 0, "loss": np.float32(2), "note": "start", "elo": {"raw": 3}})
    log.append({"iteration": 1, "loss": math.nan, "elo": {"raw": np.int64(4)}})
    first, second = read(tmp_path)
    assert first == {"iteration": 0, "loss": 2.0, "note": "start", "elo": {"raw": 3}}
    assert math.isnan(second["loss"])
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        assert "NaN" not in line and json.loads(line)  # strict JSON
    with pytest.raises(ValueError, match="integer 'iteration', got None"):
        log.append({"loss": 1})


def test_truncate_drops_later_rows_and_a_torn_line(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path)
    for i in range(4):
        log.append({"iteration": i, "loss": i})
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + b'{"iteration": 4, "lo')
    assert [row["iteration"] for row in read(tmp_path)] == [0, 1, 2, 3]
    log = MetricsLog(tmp_path)
    log.truncate(2)
    log.append({"iteration": 2, "loss": 9})
    assert [row["loss"] for row in read(tmp_path)] == [0, 1, 9]


def test_row_without_its_newline_is_not_joined(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"iteration": 0}\n{"iteration": 1}')
    log = MetricsLog(tmp_path)
    log.truncate(2)
    log.append({"iteration": 3})
    assert [row["iteration"] for row in read(tmp_path)] == [0, 1, 3]
    log.fill([{"iteration": 2, "loss": 5}])
    assert [row["iteration"] for row in read(tmp_path)] == [0, 1, 2, 3]


def test_damaged_line_before_the_last_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 0}\n{"iter\n{"iteration": 2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
        read(tmp_path)
    assert read(tmp_path / "nowhere") == []


def test_manifest_lists_sessions_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("NPROC", "2")
    session = manifest.collect({"nproc": 2})
    assert session["environment"]["NPROC"] == "2"
    assert set(session["environment"]) <= set(manifest.ENVIRONMENT)
    assert session["flags"] == {"nproc": 2}
    assert session["devices"]["count"] >= 1 and "jax" in session["packages"]
    assert set(session["git"]) == {"commit", "dirty"}
    manifest.record(tmp_path, session)
    manifest.record(tmp_path, {**session, "next_iteration": 5})
    text = (tmp_path / "manifest.json").read_text()
    assert "hunter2" not in text
    assert [s.get("next_iteration") for s in json.loads(text)["sessions"]] == [None, 5]
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(CorruptedFile, match=r"manifest\.json is damaged"):
        manifest.record(tmp_path, session)


def test_code_version_is_the_commit_and_whether_files_changed(tmp_path: Path) -> None:
    import subprocess

    assert manifest.code_version(tmp_path) == {"commit": None, "dirty": None}
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / ".gitignore").write_text("environment")
    subprocess.run([*git, "add", ".gitignore"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    clean = manifest.code_version(tmp_path)
    assert clean["commit"] and len(clean["commit"]) == 40 and clean["dirty"] is False
    (tmp_path / "new").write_text("")
    assert manifest.code_version(tmp_path) == clean | {"dirty": True}
    (installed := tmp_path / "environment").mkdir()  # in the user's own repository
    (installed / "code.py").write_text("")
    assert manifest.code_version(installed) == {"commit": None, "dirty": None}
