"""Where commands run: odd folders, terminals and home folders, and paths that cannot be used."""

from __future__ import annotations

import importlib
import io
import os
import pwd
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from rich.console import Console
from rich.table import Table

from games import checkout, extras
from launch import cli
from selfplay.cluster import connection
from selfplay.runs.files import check_writable, describe, write_bytes
from tests.selfplay.report.test_study_report import play
from tests.selfplay.scaling.test_from_ladder import make_run
from tests.selfplay.serve.analysts import untrained
from tests.small_runs import PLAIN, ROOT, TINY, digests, finish, start

LONG = "n" * 300
IN_PROCESS = ("connect_four_smoke", "--cluster.actors", "0")


# Terminals


def test_terminal_without_unicode_shows_look_alikes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # a caller's own is left alone
    cli.replace_unprintable_signs()
    print("7×7 → 81 ± 3 … 黑", flush=True)
    table = Table("σ", title="a → b")
    table.add_row("×")
    Console(file=out, width=30).print(table)
    text = out.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert text.startswith("7x7 -> 81 +- 3 ... ?\n")
    assert "sigma" in text and "a -> b" in text


def test_every_sign_of_our_texts_has_a_look_alike() -> None:
    """The signs in what commands print; letters of other scripts become question marks."""
    assert {*"×−→…±·σ√≥–"} <= cli.LOOK_ALIKES.keys()
    assert all(text.isascii() for text in cli.LOOK_ALIKES.values())


def test_matplotlib_keeps_its_fonts_in_the_checkout(tmp_path: Path) -> None:
    """Matplotlib would write into the home folder, and warn where there is none."""
    script = "import os; from launch import cli; cli.configure_process(); "
    script += "print(os.environ['MPLCONFIGDIR'])"
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("MPLCONFIGDIR", None)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert Path(done.stdout.strip()).parent == ROOT / ".jax_cache", done.stderr


# A local Ray


def test_temporary_folder_is_short_enough_for_the_sockets_of_ray(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    usable = f"/tmp/{os.getpid()}"
    os.mkdir(usable)
    try:
        assert connection.temporary_folder({}) == "/tmp/ray"
        assert connection.temporary_folder({"TMPDIR": usable}) == f"{usable}/ray"
        assert connection.temporary_folder({"TMPDIR": "/", "RAY_TMPDIR": usable}) == f"{usable}/ray"
        for bad in (str(long), "/dev/null", "/none", "relative", ""):
            assert connection.temporary_folder({"TMPDIR": bad}) == "/tmp/ray"
            assert connection.temporary_folder({"RAY_TMPDIR": bad, "TMPDIR": usable}) != "/tmp/ray"
    finally:
        os.rmdir(usable)
    longest = connection.LONGEST_SOCKET - len(connection.SOCKET)
    assert longest > len("/dev/shm")


def test_missing_folder_for_ray_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SHORT_FOLDERS", ("/none",))
    with pytest.raises(ValueError, match=r"RAY_TMPDIR.*--cluster.actors 0"):
        connection.temporary_folder({"TMPDIR": "/x" * 50})


def test_ray_needs_no_token_from_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not connection.has_token({}) and not connection.has_token({"RAY_AUTH_MODE": "token"})
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        assert connection.has_token({name: "something"})
    assert connection.has_token({"RAY_AUTH_MODE": "disabled"})
    write_bytes(tmp_path / ".ray" / "auth_token", b"secret")
    assert connection.has_token({})
    for home in ("/dev/null/none", "/none", "", "relative"):
        monkeypatch.setenv("HOME", home)
        assert not connection.has_token({})
    monkeypatch.delenv("HOME")  # then the system's list of users names the folder
    of_user = Path(pwd.getpwuid(os.getuid()).pw_dir, ".ray", "auth_token")
    assert connection.has_token({}) == os.access(of_user, os.R_OK)


@pytest.mark.slow
def test_training_with_ray_works_in_odd_environments_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long TMPDIR, no home folder, an ASCII terminal, and a run called a@b?: the same bytes."""
    (long := tmp_path / ("long" * 25)).mkdir()
    home = tmp_path / "home"
    variables = {"TMPDIR": str(long), "HOME": str(home), "PYTHONIOENCODING": "ascii"}
    variables |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    folder = tmp_path / "a@b?"
    flags = (*TINY, "--iterations", "2")
    said = finish(start(folder, *flags, "--cluster.actors", "2"))
    assert "complete" in said and said.isascii()
    assert not home.exists() and not [*long.iterdir()]
    finish(start(tmp_path / "plain", *flags, "--cluster.actors", "0"))
    assert digests(folder) == digests(tmp_path / "plain")


# Paths


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is pinned already; what commands do to signals is undone."""
    monkeypatch.setattr(cli, "configure_process", lambda: None)
    monkeypatch.delenv("OOMZERO_TRACEBACK", raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def refuse(command: str, arguments: list[str], monkeypatch: Any, capsys: Any) -> str:
    """The one sentence in which a command refuses these arguments, with status 2."""
    module = importlib.import_module(f"launch.{command}")
    monkeypatch.setattr(sys, "argv", [command, *arguments])
    with pytest.raises(SystemExit) as end:
        cli.run_command(module.main)
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert said.startswith("error: ") and said.count("\n") == 1, said
    for raw in ("Errno", "Traceback", "Error(", "os error"):
        assert raw not in said
    return said


def unusable(folder: Path) -> dict[str, Path]:
    """Paths of every kind that no command can read as what it wants, nor write to."""
    (folder / "file").write_bytes(b"precious")
    (folder / "loop").symlink_to("loop")
    (folder / "full").mkdir()
    (folder / "full" / "thesis.txt").write_bytes(b"precious")
    names = ("file", "file/below", LONG, "loop", "full", "missing")
    return {name: folder / name for name in names}


READERS = {
    "exam": ["{}@3"],
    "export": ["{}"],
    "ladder": ["{}@last"],
    "play": ["terminal", "{}?sims=3"],
    "report": ["{}"],
    "simulate": ["{}"],
    "verify": ["{}"],
    "train": [*IN_PROCESS, "--imitation.dataset", "{}", "--out", "{}.run"],
}
MORE = [
    ("exam", ["{}.safetensors"]),
    ("experts", ["inspect", "{}"]),
    ("experts", ["positions", "connect_four", "{}", "--out", "{}.archive"]),
    ("experts", ["import", "go9x9", "{}", "--out", "{}.archive"]),
    ("ladder", [*"--game tic_tac_toe --players random rollouts --openings".split(), "{}"]),
]


@pytest.mark.parametrize(("command", "arguments"), [*READERS.items(), *MORE])
def test_unreadable_path_is_rejected_in_one_sentence(
    command: str,
    arguments: list[str],
    tmp_path: Path,
    unpinned: None,
    monkeypatch: Any,
    capsys: Any,
) -> None:
    for name, path in unusable(tmp_path).items():
        said = refuse(command, [a.format(path) for a in arguments], monkeypatch, capsys)
        assert str(path) in said or name == "file", said
    assert (tmp_path / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("command", ["train", "export", "ladder", "ablate", "report", "experts"])
def test_unwritable_path_is_rejected_in_one_sentence(
    command: str, tmp_path: Path, unpinned: None, monkeypatch: Any, capsys: Any
) -> None:
    version = tmp_path / "version.safetensors"
    untrained("tic_tac_toe").export(version)
    arguments = {
        "train": [*IN_PROCESS, "--out", "{}"],
        "export": [str(version), "--out", "{}.safetensors"],
        "ladder": [*"--game tic_tac_toe --players random rollouts --out".split(), "{}"],
        "ablate": ["hex_3", "--plan", "--out", "{}"],
        "report": [str(tmp_path / "run"), "--out", "{}"],
        "experts": ["generate", "tic_tac_toe", "--games", "2", "--processes", "1", "--out", "{}"],
    }[command]
    if command == "report":
        make_run(tmp_path / "run", PLAIN)
        play(tmp_path / "run" / "ladder" / "ladder.db", [("run@1?sims=0", 0.0)])

    def work(*_: Any) -> NoReturn:
        raise AssertionError("work has begun")

    monkeypatch.setattr("selfplay.study.forecast.time_recipes", work)
    monkeypatch.setattr("selfplay.report.study_report.build_page", work)
    monkeypatch.setattr("selfplay.generated.teacher.play", work)
    for name in ("file.safetensors", "loop.safetensors"):
        (tmp_path / name).mkdir()
    paths = unusable(tmp_path)
    del paths["missing"]
    if command in ("export", "ladder", "report"):
        del paths["full"]
    if command in ("ablate", "report"):
        paths["proc"] = Path("/proc/none/below")
    before = sorted(tmp_path.rglob("*"))
    for path in paths.values():
        refuse(command, [a.format(path) for a in arguments], monkeypatch, capsys)
    assert (tmp_path / "file").read_bytes() == b"precious"
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    if command != "ladder":  # which makes the folders above it
        assert sorted(tmp_path.rglob("*")) == before


def test_check_writable_creates_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path / "a" / "b c", Path("a"), Path("there"), Path("link/a"), Path(".")):
        check_writable(folder)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["link", "there"]

    def denied(path: str, *_: Any) -> None:  # as root may write everywhere
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "mkdir", denied)
    with pytest.raises(PermissionError) as error:
        check_writable(Path("there/new"))
    assert describe(error.value).startswith("there/new: permission denied")


@pytest.mark.parametrize("command", ["exam", "export", "verify", "simulate", "report"])
def test_folder_without_permission_is_rejected_in_one_sentence(
    command: str, tmp_path: Path, unpinned: None, monkeypatch: Any, capsys: Any
) -> None:
    """Root may read everything, so the system's answer is played."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").touch()

    def denied(path: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    for name in ("exists", "read_bytes", "open"):
        monkeypatch.setattr(Path, name, denied)
    said = refuse(command, [str(tmp_path / "run")], monkeypatch, capsys)
    assert f"{tmp_path / 'run'}" in said and "permission denied" in said


def test_every_system_error_is_described_in_words() -> None:
    for number in (1, 2, 13, 20, 21, 28, 30, 36, 40, 5, 122):
        text = describe(OSError(number, os.strerror(number), "/a/.tmp-71-b.json"))
        assert text.startswith("/a/b.json: ") and "Errno" not in text
    assert describe(OSError(28, "No space left on device")) == "its disk is full"
    assert describe(OSError(39, "x", "/a/.tmp-b", None, "/a/b")).startswith("/a/b: ")
    assert describe(ConnectionError("nobody answers")) == "nobody answers"


# Hints


def test_python_without_the_packages_names_the_one_that_has_them() -> None:
    bare = [sys.executable, "-S", "launch/train.py", "connect_four"]  # without site-packages
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONPATH"}
    done = subprocess.run(bare, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "no package 'jax'" in done.stderr and f"{ROOT}/.venv/bin/python" in done.stderr


def test_install_names_a_command_for_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout.ROOT)
    words = shlex.split(extras.install("solver"))
    assert Path(words[0]).absolute() == Path(sys.executable)
    assert words[1:] == ["-m", "pip", "install", "-c", "requirements.lock", "-e", ".[solver]"]
    monkeypatch.chdir(tmp_path)
    words = shlex.split(extras.install("pgx"))
    assert words[-3] == str(checkout.ROOT / "requirements.lock")
    assert words[-1] == f"{checkout.ROOT}[pgx]"
    assert shlex.split(extras.install("trackio"))[4:] == ["-e", f"{checkout.ROOT}[trackio]"]
    monkeypatch.setattr(checkout, "LOCK", tmp_path / "requirements.lock")  # as in site-packages
    assert [w.partition(">")[0] for w in shlex.split(extras.install("pgx"))[4:]] == ["pgx"]
    needed = {re.split(r"[\[>]", word)[0] for word in shlex.split(extras.install())[4:]}
    assert {"jax", "ray", "tyro"} <= needed and not {"pgx", "pytest"} & needed
    monkeypatch.setattr(extras, "PACKAGE", "no-such-package")  # as in a copied folder
    assert shlex.split(extras.install("pgx"))[4:] == ["no-such-package[pgx]"]
