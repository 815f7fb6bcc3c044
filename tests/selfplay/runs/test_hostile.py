"""Folders from untrusted sources: nothing in them is executed, followed or overwritten."""

import io
import json
import os
import pickle
import shutil
import sqlite3
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest

from launch import cli
from selfplay import determinism
from selfplay.experts.writer import Writer
from selfplay.ladder.database import LadderDatabase, settings
from selfplay.model.config import NetworkConfig
from selfplay.report import rated_runs
from selfplay.runs import metrics
from selfplay.runs.codec import from_json
from selfplay.runs.files import (
    TEMPORARY,
    CorruptedFile,
    load_arrays,
    take_lock,
    write_bytes,
    write_json,
)
from selfplay.runs.run import load_version
from selfplay.scaling import from_ladder
from selfplay.study.folder import Study
from tests.selfplay.report.test_study_report import play
from tests.selfplay.runs.runs import carries_at, open_run, state_at, write_run
from tests.selfplay.scaling.test_from_ladder import make_run
from tests.small_runs import PLAIN

pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:commit . is skipped"),
]

WORDS = (ValueError, OSError, CorruptedFile)  # what a command reports in one line


class Bomb:
    """An object that leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _explode, (str(self.mark),)


def _explode(mark: str) -> None:
    Path(mark).touch()


def pickled(mark: Path) -> bytes:
    return pickle.dumps(Bomb(mark))


def array_of_objects(mark: Path) -> bytes:
    data = io.BytesIO()
    objects = np.empty(1, object)
    objects[0] = Bomb(mark)
    np.save(data, objects)
    return data.getvalue()


def archive_of_objects(mark: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("x.npy", "v.npy", "params/dense/bias.npy", "__dtypes__.npy"):
            archive.writestr(name, array_of_objects(mark))
    return data.getvalue()


def nested(_: Path) -> bytes:
    return b"[" * 200_000


def a_class_by_name(mark: Path) -> bytes:
    """JSON as some libraries turn it back into objects."""
    call = {"py/reduce": [{"py/function": f"{__name__}._explode"}, {"py/tuple": [str(mark)]}]}
    return json.dumps({"format_version": 1, "config": call, "__reduce__": call}).encode()


CRAFTED = (pickled, array_of_objects, archive_of_objects, nested, a_class_by_name)
TEXTS, ARRAYS = (pickled, nested, a_class_by_name), (pickled, archive_of_objects)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("template") / "run", 3)


def test_bomb_explodes_when_it_is_unpickled(tmp_path: Path) -> None:
    for crafted in (pickled, array_of_objects):
        mark = tmp_path / crafted.__name__
        data = crafted(mark)
        assert not mark.exists()
        if crafted is pickled:
            pickle.loads(data)
        else:
            np.load(io.BytesIO(data), allow_pickle=True)
        assert mark.exists()


def test_crafted_file_of_a_run_is_not_executed(template: Path, tmp_path: Path) -> None:
    """Replaces each file in turn and reads it by each of its readers."""
    mark = tmp_path / "executed"
    names = [p.relative_to(template) for p in sorted(template.rglob("*")) if p.is_file()]
    assert len(names) > 15
    for name in names:
        for crafted in TEXTS if b"{" in (template / name).read_bytes()[:1] else ARRAYS:
            folder = tmp_path / "run"
            shutil.copytree(template, folder)
            (folder / name).write_bytes(crafted(mark))
            with suppress(*WORDS), open_run(folder) as run:
                run.restore(state_at(0), carries_at(0))
            with suppress(*WORDS):
                load_version(folder, "last")
            with suppress(*WORDS):
                metrics.read(folder)
            assert not mark.exists(), (name, crafted)
            shutil.rmtree(folder)


@pytest.mark.parametrize("crafted", CRAFTED)
def test_crafted_ladder_is_not_executed(tmp_path: Path, crafted: Callable[[Path], bytes]) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "ladder.db").write_bytes(crafted(mark))
    with pytest.raises(WORDS):
        from_ladder.read_state(tmp_path / "ladder.db")
    assert not mark.exists()


def test_engine_named_only_by_a_ladder_is_not_started(tmp_path: Path) -> None:
    """Players are named on the command line; those that only a file names have old games."""
    path, mark = tmp_path / "ladder.db", tmp_path / "executed"
    with closing(LadderDatabase(path, {"game": "go?size=5"})):
        pass
    with closing(sqlite3.connect(path)) as base:
        for number, spec in enumerate((f"gtp:touch {mark}", "random"), 1):
            base.execute("insert into players values (?, ?, '', 0, 0, 0)", (number, spec))
        base.execute("insert into pairings values (1, 0, 1, 2, 0, 1)")
        game = (1, 1, 0, 1, 2, 0, "[]", "[]", 1, "", 5, 0, 0.0)
        base.execute(f"insert into games values ({', '.join('?' * len(game))})", game)
        base.commit()
    with suppress(*WORDS):
        assert [e.spec for e in from_ladder.read_state(path).entries] == [
            f"gtp:touch {mark}",
            "random",
        ]
    assert not mark.exists()


def write_poisoned_journal(base: Path, victim: Path) -> None:
    """Writes a journal next to a ladder with which SQLite would delete the file it names."""
    with closing(sqlite3.connect(base)) as opened:
        opened.execute("PRAGMA journal_mode = DELETE")
    page, name = 4096, str(victim).encode()
    magic = bytes.fromhex("d9d505f920a163d7")
    head = magic + struct.pack(">IIIII", 0, 0, base.stat().st_size // page, 512, page)
    end = struct.pack(">I", 0x40000000 // page + 1) + name
    end += struct.pack(">II", len(name), sum(name)) + magic
    base.with_name(f"{base.name}-journal").write_bytes(head.ljust(512, b"\0") + end)


def ladder(folder: Path, *statements: str) -> Path:
    """Makes a ladder's file and changes it by SQL statements."""
    path = folder / "ladder.db"
    with closing(LadderDatabase(path, {"game": "go?size=5"})):
        pass
    with closing(sqlite3.connect(path)) as base:
        for statement in statements:
            base.execute(statement)
        base.commit()
    return path


def test_journal_of_a_ladder_deletes_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = ladder(tmp_path)
    write_poisoned_journal(path, victim)
    for opened in (lambda: settings(path), lambda: LadderDatabase(path, {"game": "go?size=5"})):
        with pytest.raises(ValueError, match=r"not a valid ladder: ladder\.db-journal names"):
            opened()
    assert victim.exists()
    path.with_name("ladder.db-journal").rename(tmp_path / "journal")
    path.with_name("ladder.db-journal").touch()  # as a process leaves it that is killed early
    assert settings(path)["game"] == "go?size=5"
    (tmp_path / "journal").rename(path.with_name("ladder.db-journal"))
    with closing(sqlite3.connect(path)) as base:  # shows that the journal is dangerous
        base.execute("SELECT * FROM settings").fetchall()
    assert not victim.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW rounds AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) "
        "SELECT i FROM n",
        "CREATE TRIGGER more AFTER INSERT ON games BEGIN DELETE FROM games; END",
        "CREATE VIRTUAL TABLE words USING fts5(word)",
    ],
)
def test_ladder_with_more_than_tables_is_refused(tmp_path: Path, statement: str) -> None:
    path = ladder(tmp_path, statement)
    with pytest.raises(ValueError, match=r"not a valid ladder: it has a (view|trigger|table) '"):
        settings(path)


def test_ladder_folder_with_link_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its report would be written to the target of the link."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "public").mkdir()
    for name in ("a", "b"):
        make_run(tmp_path / name, PLAIN)
    play(Path("ladders/x/ladder.db"), [("a@1?sims=0", 0.0), ("b@1?sims=0", 1.0)])
    Path("ladders/x/report").symlink_to(tmp_path / "public")
    with pytest.raises(ValueError, match=r"ladders/x/report' is a link"):
        rated_runs.of_folder(Path("ladders/x"))
    with pytest.raises(ValueError, match=r"no ladder rates all of a, b \(.*report' is a link"):
        rated_runs.shared_by([Path("a"), Path("b")])


def test_player_name_with_control_characters_is_refused(tmp_path: Path) -> None:
    path = ladder(tmp_path, "INSERT INTO players VALUES (1, '\x1b[2Jrandom', '', 0, 0, 0)")
    with pytest.raises(ValueError, match=r"has a player '\\x1b\[2Jrandom', which is not a"):
        from_ladder.read_state(path)


@pytest.mark.parametrize("name", ["lock", "metrics.jsonl", "snapshots", "config.json", ".tmp-1-x"])
def test_link_in_a_run_is_not_followed(template: Path, tmp_path: Path, name: str) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    shutil.copytree(template, folder)
    place = folder / name
    if place.is_dir():
        shutil.copytree(place, victim)
        shutil.rmtree(place)
        (victim / "2023").mkdir()
    else:
        victim.write_bytes(place.read_bytes() if place.exists() else b"precious")
        place.unlink(missing_ok=True)
    place.symlink_to(victim)
    before = {p: p.is_file() and p.read_bytes() for p in [victim, *victim.rglob("*")]}
    for opened in (lambda: open_run(folder), lambda: load_version(folder, "last")):
        with pytest.raises(ValueError, match=f"{name}' is a link"):
            opened()
    assert {p: p.is_file() and p.read_bytes() for p in [victim, *victim.rglob("*")]} == before


def test_pipe_in_a_run_is_refused_without_waiting(template: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(template, folder)
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    with pytest.raises(ValueError, match=r"config\.json' is a device"):
        load_version(folder, "last")


def test_linked_log_of_a_study_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "study.json", {"format_version": 1, "commands": [], "cells": []})
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").symlink_to("../../.bashrc")
    with pytest.raises(ValueError, match=r"a\.log' is a link"):
        Study.read(tmp_path)


def test_atomic_write_does_not_follow_a_link(tmp_path: Path) -> None:
    """Guesses the names of temporary files, as an attacker would."""
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.write_text("precious")
    folder.mkdir()
    (folder / f"{TEMPORARY}{os.getpid()}-new").symlink_to(victim)
    write_bytes(folder / "new", b"ours")
    assert (folder / "new").read_bytes() == b"ours" and not (folder / "new").is_symlink()
    (folder / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        take_lock(folder)
    (tmp_path / f"{TEMPORARY}archive").symlink_to(folder)
    with pytest.raises(ValueError, match="is a link: remove it"), Writer(tmp_path / "archive"):
        pass
    assert victim.read_text() == "precious" and (folder / "new").exists()


def test_compressed_arrays_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        data = io.BytesIO()
        np.save(data, np.zeros(10**7, np.uint8))
        archive.writestr("x.npy", data.getvalue())
    assert (tmp_path / "x.npz").stat().st_size < 10**5
    with pytest.raises(CorruptedFile, match="uncompressed size"):
        load_arrays(tmp_path / "x.npz")


def test_figures_ignore_matplotlibrc_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\ntext.latex.preamble: \\evil\n")
    ask = "import matplotlib as m; from {} import {} as style\nwith style(): "
    ask += "print(m.rcParams['text.usetex'])"
    root = str(Path(determinism.__file__).resolve().parent.parent)
    ours, none = ("selfplay.report.figures", "style"), ("contextlib", "nullcontext")
    for (module, name), expect in ((ours, "False"), (none, "True")):
        command = [sys.executable, "-c", ask.format(module, name)]
        environment = {**os.environ, "PYTHONPATH": root}
        said = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert said.stdout.strip() == expect, said.stderr


def test_error_does_not_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValueError, match=r'^"x\\ntouch" is an unknown key') as refused:
        from_json(NetworkConfig, {"x\ntouch": 1})
    with pytest.raises(SystemExit):
        cli.exit_with_error(f"{refused.value} \x1b[2J")
    said = capsys.readouterr().err
    assert said.startswith('error: "x\\ntouch" is an unknown key') and "\x1b" not in said


def test_compilation_cache_is_outside_run_folders(
    template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cached programs are code, so only the installation or the user chooses their folder."""
    cache = Path(determinism.__file__).resolve().parent.parent / ".jax_cache"
    assert not list(template.rglob("*cache*"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setattr("sys.modules", {})  # as before JAX
    determinism.pin()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(cache)
