"""The run folder: commits, resuming, damage to every kind of file, refused folders."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.runs import checkpoint
from selfplay.runs import run as run_module
from selfplay.runs.digest import digest
from selfplay.runs.files import CorruptedFile, read_hashed_json, write_hashed_json
from selfplay.runs.metrics import read
from selfplay.runs.run import DiskFull, load_version
from selfplay.runs.snapshots import is_snapshot
from tests.selfplay.runs.runs import (
    Cluster,
    Config,
    carries_at,
    drive,
    open_run,
    rows_at,
    state_at,
    write_run,
)

# Orbax gives up on a damaged checkpoint while its own reads are still under way; one that ends
# later finds the event loop closed, which Python reports as an exception nobody can catch
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("template") / "run", 8)


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "run"))


def test_resumed_run_restores_everything(folder: Path) -> None:
    with open_run(folder) as run:
        assert run.next_iteration == 8
        restored = run.restore(state_at(0), carries_at(0))
        assert digest(restored.state) == digest(state_at(7))
        assert digest(restored.carries) == digest(carries_at(7))
        assert isinstance(restored.state["epoch"], int)
        assert isinstance(restored.state["opt"][1]["count"], jax.Array)
        assert (restored.ledger, restored.iteration) == ({"flops": 70}, 7)
        nested = run.restore(state_at(0)).carries
        assert nested["0"]["episodes"].shape == (3, 2)
        assert run.replay.total == 56
        newest = run.replay.gather(np.array([run.replay.size - 1]))
        assert newest["x"].tolist() == [[7, 7]]
        drive(run, 9)
        with pytest.raises(RuntimeError, match="call it before commit"):
            run.restore(state_at(0))
    assert [row["iteration"] for row in read(folder)] == list(range(9))
    sessions = json.loads((folder / "manifest.json").read_text())["sessions"]
    assert [s["next_iteration"] for s in sessions] == [0, 8]


def test_pruned_run_keeps_what_its_commits_need(folder: Path) -> None:
    def numbers(name: str) -> list[int]:
        return sorted(int(p.name.split(".")[0]) for p in (folder / name).iterdir())

    assert numbers("commits") == list(range(8))
    assert numbers("checkpoints") == [6, 7]
    assert numbers("snapshots") == [0, 1, 2, 3, 4, 6, 7]
    # commit 6: N = 48, W = (2.4^.65 - 1) * 20 / .65 * .4 + 20 = 29, oldest row 19 of shard 3;
    # commit 7: N = 56, W = 31, oldest row 25 of shard 4
    assert numbers("replay") == [3, 4, 5, 6, 7]


def test_keep_all_prunes_nothing(tmp_path: Path) -> None:
    with open_run(tmp_path / "run", keep_all=True) as run:
        drive(run, 6)
        for name in ("commits", "checkpoints", "snapshots"):
            assert len(list((tmp_path / "run" / name).iterdir())) == 6
        assert run.commits.load(1).replay.total == 8  # verify starts from any commit


def test_snapshots_are_two_versions_per_octave() -> None:
    assert [v for v in range(-1, 200) if is_snapshot(v)] == [
        0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192,
    ]  # fmt: skip


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, 2 * len(data) // 3):
        data[at] ^= 0x10
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def tensors(folder: Path, iteration: int) -> Path:
    """The largest file of an Orbax checkpoint: the arrays themselves."""
    files = (p for p in checkpoint.checkpoint_path(folder, iteration).rglob("*") if p.is_file())
    return max(files, key=lambda p: p.stat().st_size)


@pytest.mark.parametrize("damage", [flip, truncate, os.unlink])
@pytest.mark.parametrize(
    "kind", ["commit", "shard", "snapshot", "arrays", "metadata", "tree", "checkpoint"]
)
def test_damaged_commit_is_named_and_the_one_before_is_used(
    folder: Path, kind: str, damage: Any
) -> None:
    home = folder / "checkpoints" / "00000007"
    path = {
        "commit": folder / "commits" / "00000007.json",
        "shard": folder / "replay" / "00000007.npz",
        "snapshot": folder / "snapshots" / "00000007.npz",
        "arrays": home / "arrays" / "_METADATA",
        "metadata": home / "arrays" / "manifest.ocdbt",
        "tree": home / "tree.json",
        "checkpoint": home,
    }[kind]
    is_uncommitted = kind == "commit" and damage is os.unlink  # then there is no commit 7
    if kind == "checkpoint":
        shutil.rmtree(home)
    elif kind == "arrays":
        for file in (home / "arrays").rglob("*"):
            if file.is_file():
                damage(file)
    else:
        damage(path)
    named = path.parent if kind in ("arrays", "metadata") else path
    if is_uncommitted:
        run = open_run(folder)
    else:
        with pytest.warns(UserWarning, match="commit 7 is skipped") as caught:
            run = open_run(folder)
        assert str(named) in str(caught[0].message)
        assert "\n" not in str(caught[0].message)
    with run:
        assert run.next_iteration == 7
        assert digest(run.restore(state_at(0)).state) == digest(state_at(6))
        assert run.replay.total == 48
        assert [row["iteration"] for row in read(folder)] == list(range(7))
        drive(run, 8)
    with open_run(folder) as run:
        assert run.next_iteration == 8


def test_altered_checkpoint_arrays_are_noticed(folder: Path) -> None:
    flip(tensors(folder, 7))
    with pytest.warns(UserWarning, match=r"checkpoints/00000007/arrays is damaged"):
        open_run(folder).close()


@pytest.mark.parametrize("part", ["", "arrays"])
def test_swapped_checkpoint_is_noticed(folder: Path, part: str) -> None:
    """Every file is sound, but of another iteration."""
    home = folder / "checkpoints"
    shutil.rmtree(home / "00000007" / part)
    shutil.copytree(home / "00000006" / part, home / "00000007" / part)
    with pytest.warns(UserWarning, match=r"checkpoints/00000007.* is damaged: (its|the) digest"):
        open_run(folder).close()


def test_run_without_an_undamaged_commit_is_refused_and_not_changed(folder: Path) -> None:
    flip(folder / "replay" / "00000005.npz")
    before = sorted(folder.rglob("*"))
    with (
        pytest.warns(UserWarning, match="skipped"),
        pytest.raises(CorruptedFile, match=r"00000005\.npz is damaged.*no commit of"),
    ):
        open_run(folder)
    assert sorted(folder.rglob("*")) == before


def test_run_without_its_commit_files_is_refused_and_not_changed(folder: Path) -> None:
    shutil.rmtree(folder / "commits")
    with pytest.raises(ValueError, match=r"newest commit is none.*were lost"):
        open_run(folder)
    assert (folder / "snapshots" / "00000007.npz").exists()


def test_leftovers_of_a_crash_are_removed(folder: Path) -> None:
    shutil.copy(folder / "replay" / "00000007.npz", folder / "replay" / "00000008.npz")
    shutil.copytree(folder / "checkpoints" / "00000007", folder / "checkpoints" / "00000008")
    (folder / "commits" / ".tmp-9-00000008.json").write_text("{")
    (folder / ".tmp-9-manifest.json").write_text("{")
    with open_run(folder) as run:
        assert run.next_iteration == 8
    assert not [p for p in folder.rglob("*") if "00000008" in p.name or ".tmp-" in p.name]


def test_other_config_is_refused_by_field(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"another config: seed was 0, is 1\."):
        open_run(folder, Config(seed=1, iterations=99))
    with open_run(folder, Config(iterations=99, cluster=Cluster(4))):
        pass
    session = json.loads((folder / "manifest.json").read_text())["sessions"][-1]
    assert session["config_changes"] == ["cluster.actors was 1, is 4", "iterations was 10, is 99"]
    with pytest.raises(ValueError, match=r"cluster\.actors was 1, is 4"):
        open_run(folder, Config(cluster=Cluster(4)), mutable=("cluster.act",))


def test_folder_without_a_run_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"home is not a run folder.*'thesis\.tex'"):
        open_run(tmp_path / "home")
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["thesis.tex"]
    with pytest.raises(ValueError, match="is a file"):
        open_run(tmp_path / "home" / "thesis.tex")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "lock").write_text("")  # killed before config.json
    open_run(tmp_path / "empty").close()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format_version": 99}))
    with pytest.raises(ValueError, match="run format 99, this program reads 1"):
        open_run(folder)


def test_second_writer_is_refused(folder: Path) -> None:
    with (
        open_run(folder),
        pytest.raises(ValueError, match=rf"written by another process \(pid {os.getpid()}\)"),
    ):
        open_run(folder)
    open_run(folder).close()


def test_commit_out_of_turn_is_refused(tmp_path: Path) -> None:
    with open_run(tmp_path / "run") as run:
        with pytest.raises(ValueError, match="no commit to restore"):
            run.restore(state_at(0))
        with pytest.raises(ValueError, match="iteration 1 cannot be committed, 0 is next"):
            run.commit(1, state_at(1), {})
        with pytest.raises(ValueError, match="row of iteration 0 says 3"):
            run.commit(0, state_at(0), {"iteration": 3})
        run.commit(0, state_at(0), {})
        run.replay.add(1, rows_at(1))  # the driver's order: add, train, commit
        commit = run.commit(1, state_at(1), {})
        assert commit.replay is not None and commit.replay.total_rows == 8
    with open_run(tmp_path / "run") as run:
        assert run.replay.total == 8
        assert run.restore(state_at(0)).carries is None
        with pytest.raises(ValueError, match=r"lacks 'other'"):
            run.restore({**state_at(0), "other": 1})


def test_failed_commit_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_run(tmp_path / "run") as run:
        drive(run, 1)
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "save", lambda *_: (_ for _ in ()).throw(OSError("full")))
            with pytest.raises(OSError, match="full"):
                drive(run, 2)
        run.commit(1, state_at(1), {}, carries=carries_at(1))  # its rows are in the replay
        drive(run, 3)
        assert run.replay.total == 16


def test_load_version_reads_kept_versions_and_lists_them(folder: Path) -> None:
    params, config, _, number = load_version(folder, 6)
    assert number == 6
    assert digest(params) == digest(state_at(6)["params"])
    assert isinstance(params["dense"]["kernel"], np.ndarray)
    assert config == {"seed": 0, "iterations": 10, "cluster": {"actors": 1}}
    assert digest(load_version(folder, "last")[0]) == digest(state_at(7)["params"])
    with pytest.raises(ValueError, match=r"no version 5; versions available: 0, 1, 2, 3, 4, 6, 7"):
        load_version(folder, 5)
    with pytest.raises(ValueError, match="no version 'best'"):
        load_version(folder, "best")
    with pytest.raises(ValueError, match=rf"does not exist \(did you mean '{folder}'\?\)"):
        load_version(folder.with_name(folder.name[1:]), 0)
    with pytest.raises(ValueError, match=r"elsewhere is not a run folder"):
        load_version(folder / "elsewhere", 0)
    flip(folder / "snapshots" / "00000004.npz")
    with pytest.raises(CorruptedFile, match=r"snapshots/00000004\.npz is damaged"):
        load_version(folder, 4)


def test_checkpoint_keeps_empty_and_bfloat16_arrays(tmp_path: Path) -> None:
    state = {**state_at(3), "empty": np.zeros((0, 2)), "half": jnp.ones(3, jnp.bfloat16)}
    assert checkpoint.save(tmp_path, 3, {"state": state}) == {"state": digest(state)}
    loaded = checkpoint.load(tmp_path, 3)
    assert loaded.digests == {"state": digest(state)} == {"state": digest(loaded.parts["state"])}
    checkpoint.save(tmp_path, 4, {"state": {}, "carries": None})
    assert checkpoint.load(tmp_path, 4) == ({}, {})
    with pytest.raises(TypeError, match="leaf at 'state/name' is <U1"):
        checkpoint.save(tmp_path, 5, {"state": {"name": "x"}})


def test_checkpoint_is_not_hashed_again_where_the_digests_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, carries = state_at(3), [np.arange(4)]
    known = {"state": digest(state)}
    hashed = []
    monkeypatch.setattr(checkpoint, "digest", lambda tree: hashed.append(tree) or digest(tree))
    digests = checkpoint.save(tmp_path, 3, {"state": state, "carries": carries}, known)
    assert digests == {"state": digest(state), "carries": digest(carries)}
    assert [list(tree) for tree in hashed] == [["0"]]
    checkpoint.save(tmp_path, 4, {"state": state}, {"state": "0" * 64})
    with pytest.raises(CorruptedFile, match=r"the digest of 'state' is .*, expected 0{12}…"):
        checkpoint.load(tmp_path, 4)


def test_run_with_one_digest_for_a_checkpoint_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with open_run(folder) as run:
        run.commit(0, state_at(0), {}, carries=[np.arange(4)])
    whole = digest({"state": state_at(0), "carries": [np.arange(4)]})
    old = {"checkpoints/00000000/tree.json": "digest", "commits/00000000.json": "state_digest"}
    for path, name in old.items():
        document = read_hashed_json(folder / path)
        del document["digests"]
        write_hashed_json(folder / path, {**document, name: whole})
    with open_run(folder) as run:
        assert run.commits.read(0).digests == {checkpoint.WHOLE: whole}
        assert digest(run.restore(state_at(0)).state) == digest(state_at(0))


@pytest.mark.parametrize("step", ["replay.save", "checkpoint.save", "save_snapshot", "write"])
def test_full_disk_leaves_no_partial_commit_and_the_run_can_be_resumed(
    folder: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> set[Path]:
        return {p for p in folder.rglob("*") if p.is_file() and "tensorboard" not in p.parts}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_run(folder) as run:
        run.restore(state_at(0), carries_at(0))
        before = files()
        place = {
            "replay.save": run.replay,
            "checkpoint.save": run_module.checkpoint,
            "save_snapshot": run_module,
            "write": run.commits,
        }[step]
        with monkeypatch.context() as patch:
            patch.setattr(place, step.rpartition(".")[2], full)
            with pytest.raises(DiskFull, match=f"the disk of {folder} is full"):
                drive(run, 9)
        assert run.next_iteration == 8 and files() == before
    with open_run(folder) as run:  # there is free space again
        drive(run, 9)
    with open_run(tmp_path / "undisturbed") as run:
        drive(run, 9)
    commits = [f / "commits" / "00000008.json" for f in (folder, tmp_path / "undisturbed")]
    assert commits[0].read_bytes() == commits[1].read_bytes()


def test_error_with_free_space_is_not_a_full_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(run_module, "save_snapshot", broken)
    with open_run(folder) as run, pytest.raises(OSError, match="the disk is broken"):
        drive(run, 9)
    little = type(shutil.disk_usage(folder))(10**9, 10**9, 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)  # whatever a library calls it
    with open_run(folder) as run, pytest.raises(DiskFull):
        drive(run, 9)
