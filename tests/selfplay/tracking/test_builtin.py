"""What the built-in trackers store is read back with the libraries' own formats and readers."""

import importlib
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.runs.files import reject_links
from selfplay.tracking import tracker_specs
from selfplay.tracking.builtin import Wandb
from selfplay.tracking.feed import tracked
from selfplay.tracking.tracker import TrackedRun, scalars
from tests.selfplay.tracking.tracked_runs import commit, open_run, row_of


def train(folder: Path, rows: int, *specs: str) -> TrackedRun:
    """Commits rows to a run that is tracked."""
    announced: list[str] = []
    with open_run(folder) as run:
        with tracked(run, tracker_specs.resolve(specs), announced.append):
            for _ in range(rows):
                commit(run)
        assert not announced
        return TrackedRun.of(run)


def tensorboard_events(folder: Path) -> Iterator[tuple[str, int, float]]:
    """Yields tag, step and value of all TensorBoard files, and ("purge", step, 0)."""
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

    for path in sorted((folder / "tensorboard").iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack("<Q", data[at : at + 8])
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                yield value.tag, event.step, value.simple_value
            if event.HasField("session_log"):
                yield "purge", event.step, 0.0


def test_tensorboard_has_the_numbers_of_rows_and_hides_repeated_ones(tmp_path: Path) -> None:
    train(tmp_path, 3, "tensorboard")
    newest = max((tmp_path / "commits").iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])  # damaged, so that iteration 2 is repeated
    with pytest.warns(UserWarning, match="commit 2 is skipped"):
        train(tmp_path, 2, "tensorboard")
    events = list(tensorboard_events(tmp_path))
    assert [step for tag, step, _ in events if tag == "purge"] == [0, 2]
    losses = [(step, value) for tag, step, value in events if tag == "learner/policy_loss"]
    assert losses == [(1, 1.0), (2, 0.5), (2, 0.5), (3, pytest.approx(1 / 3))]
    tags = {tag for tag, step, _ in events if step == 1}
    assert tags == {*scalars(row_of(1))}
    assert ("ledger/selfplay", 0, 5.0) in events


def wandb_rows(path: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Yields the run's id and the rows of a ``.wandb`` file: LevelDB's log of wandb's messages."""
    wandb_internal_pb2: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")

    block, data, at, message, name = 32768, path.read_bytes(), 7, b"", ""
    while at + 7 <= len(data):
        if (left := block - at % block) < 7:
            at += left
            continue
        _, length, part = struct.unpack("<IHB", data[at : at + 7])
        message += data[at + 7 : at + 7 + length]
        at += 7 + length
        if part in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record.FromString(message)
            message, name = b"", record.run.run_id or name
            if items := record.history.item:
                row = {"/".join([i.key, *i.nested_key]).strip("/"): i.value_json for i in items}
                yield name, {key: json.loads(value) for key, value in row.items()}


def test_wandb_offline_continues_its_run_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "run"
    run = train(folder, 2, "wandb?project=test&mode=offline")
    train(folder, 1, "wandb?project=test&mode=offline")
    files = sorted(folder.glob("wandb/*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)
    deadline = time.monotonic() + 20
    while True:  # wandb's service may write the file's end after the run was closed
        rows = [row for path in files for row in wandb_rows(path)]
        if len(rows) == 3 or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert {name for name, _ in rows} == {run.id} and len(files) == 2
    assert [row["_step"] for _, row in rows] == [0, 1, 2]
    for i, (_, row) in enumerate(rows):
        own = {key: value for key, value in row.items() if not key.startswith("_")}
        assert own == pytest.approx(scalars(row_of(i)))
    reject_links.__globals__["_reject_links"].__wrapped__(str(folder))  # uncached: none are left


def test_wandb_without_a_key_fails_without_asking_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    run = TrackedRun(tmp_path, {}, row_of(0).identity)  # pyright: ignore
    with pytest.raises(ValueError, match="not logged in; run `wandb login`, or add mode=offline"):
        Wandb(mode="online")(row_of(0), run)


def test_wandb_mode_is_checked_before_any_work() -> None:
    with pytest.raises(ValueError, match="unknown mode 'of'; choose from online, offline"):
        Wandb(mode="of")


def test_trackio_continues_its_run_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trackio needs an older Pillow than the lock's, so it is not in `dev`.
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read when it is imported
    trackio = pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage  # pyright: ignore[reportMissingImports]

    run = train(tmp_path / "run", 2, "trackio?project=test")
    train(tmp_path / "run", 1, "trackio?project=test")
    (stored,) = trackio.Api().runs("test")
    assert stored.name == f"run-{run.id[:8]}" and stored.config["lr"] == 0.5
    logs = SQLiteStorage.get_logs("test", stored.name)
    assert [row["step"] for row in logs] == [0, 1, 2]
    for i, row in enumerate(logs):
        own = {key: value for key, value in row.items() if key not in ("timestamp", "step")}
        assert own == pytest.approx(scalars(row_of(i)))
