"""The GTP client: what a misbehaving engine does is a recorded reason, and nothing is left over."""

import os
import shlex
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from games.go import Go
from selfplay.players.gtp_engine import Engine, EngineFailure, check_engine
from tests.selfplay.players import quirky_engine
from tests.small_runs import ROOT

GO = Go(size=9, komi=7.0)

FAKE = """
import os, subprocess, sys, time
moves = 0
def answer(text, mark="="):
    sys.stdout.write(f"{mark}{number} {text}\\n\\n"); sys.stdout.flush()
SETUP
for line in sys.stdin:
    number, name, *arguments = line.split()
    moves += name == "genmove"
    if name == "genmove":
        GENMOVE
    elif name == "quit":
        answer(""); break
    else:
        answer("2" if name == "protocol_version" else "")
"""

Fake = Callable[..., str]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Makes the command line of an engine that treats genmove, or its start, in its own way."""

    def make(genmove: str = 'answer("D4")', setup: str = "pass") -> str:
        path = tmp_path / f"fake{len(list(tmp_path.iterdir()))}.py"
        indented = genmove.replace("\n", "\n" + " " * 8)
        path.write_text(FAKE.replace("SETUP", setup).replace("GENMOVE", indented))
        return shlex.join([sys.executable, "-u", "-I", "-S", str(path)])

    return make


def gone(pid: int, within_s: float = 10) -> bool:
    """True = the process has ended (a zombie that somebody else must bury has)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def wait_for(path: Path, within_s: float = 20) -> int:
    """The number that a process writes to a file, once it has."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return int(text)
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


def test_engine_plays_a_whole_game_and_the_next(fake: Fake) -> None:
    with Engine(fake('answer(["d4", "PASS", "Resign"][moves % 3])'), timeout_s=10) as engine:
        for _ in range(2):
            engine.new_game(GO)
            engine.play("b", "E5")
            moves = {engine.genmove("w") for _ in range(3)}
            assert moves == {"D4", "pass", "resign"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("={n} D4\\n\\n", "D4"),
        ("={n} D4\\r\\n\\r\\n", "D4"),
        ("\\n \\n={n}\\tD4  \\n\\n", "D4"),
        ("={n} A\\n B\\n\\n", "A"),
        ("={n}\\n\\n", ""),
        ("={n} D\\x074\\n\\n", "D4"),
        ("={n} caf\\u00e9 \\udcff\\n\\n", "café \ufffd"),
    ],
)
def test_answers_are_read_as_specified(fake: Fake, written: str, expected: str) -> None:
    setup = "sys.stdout.reconfigure(encoding='utf-8', errors='surrogateescape')"
    command = fake(f'sys.stdout.write("{written}".format(n=number)); sys.stdout.flush()', setup)
    with Engine(command, timeout_s=10) as engine:
        assert engine.send("genmove b") == expected
        assert engine.send("name") == ""


REFUSALS = {
    "komi refused": "refused 'komi 7': 'unacceptable komi', where '=' was expected",
    "size refused": "refused 'boardsize 9': 'unacceptable boardsize'",
    "genmove unknown": "refused 'genmove w': 'unacceptable genmove'",
    "false answer": "answered garbage: '101 2' to 'boardsize 9', where '=' alone was expected",
    "another id": "answered garbage: '7' to 'boardsize 9', where '=' alone was expected",
    "comments without id": "answered garbage: 'done' to 'boardsize 9'",
    "twice without id": "answered garbage: '2' to 'boardsize 9'",
    "nothing": "answered garbage: '' to 'genmove w', where one vertex of the board",
    "two moves": "answered garbage: 'A1 E5' to 'genmove w', where one vertex",
    "off the board": "answered garbage: 'Z99' to 'genmove w'",
    "column I": "answered garbage: 'I5'",
    "no row": "answered garbage: 'A'",
    "row first": "answered garbage: '1A'",
    "pair of numbers": "answered garbage: '(0,0)'",
    "letters": "answered garbage: 'aa'",
    "color first": "answered garbage: 'white A1'",
    "prose": "answered garbage: 'I play A1'",
    "dies": "exited with status 1, saying 'out of memory' at 'genmove w'",
    "silent": "no answer within 0.5 s to 'genmove w'; a line that begins with '=106' was expected",
    "prompt": "no answer within 2 s to 'protocol_version', only 'GTP> =101 2'; a line that",
    "no mark": "no answer within 2 s to 'protocol_version', only '2'",
    "no newline": "no answer within 2 s to 'protocol_version', only '=101 2'",
}
OTHERS = {"two writes", "noise", "version unknown"}
UNDERSTOOD = {*quirky_engine.WRITTEN, *quirky_engine.BANNERS, *quirky_engine.MOVES, *OTHERS}


def quirky(quirk: str) -> str:
    return shlex.join([sys.executable, "-I", "-S", quirky_engine.__file__, quirk])


@pytest.mark.parametrize("quirk", sorted(UNDERSTOOD - REFUSALS.keys()))
def test_unambiguous_deviations_are_understood(quirk: str) -> None:
    move = {"p": "pass", "r": "resign"}.get(quirky_engine.MOVES.get(quirk, " ")[0].lower())
    with Engine(quirky(quirk), timeout_s=20) as engine:
        for _ in range(2):
            engine.new_game(GO)
            engine.play("b", "A1")
            assert [engine.genmove("w") for _ in range(2)] == [move or "B1", move or "C1"]


@pytest.mark.parametrize("quirk", sorted(REFUSALS))
def test_ambiguous_answers_are_rejected_before_a_game(quirk: str) -> None:
    sentence = REFUSALS[quirk]
    start_s = 2.0 if "'protocol_version'" in sentence else 20.0
    timeout_s = 0.5 if "within" in sentence else 20.0
    with pytest.raises(ValueError, match="cannot be rated") as refusal:
        check_engine(quirky(quirk), GO, timeout_s, start_s)
    said = str(refusal.value)
    assert sentence in said and repr(quirky(quirk)) in said and "\n" not in said


def test_output_on_stderr_neither_disturbs_nor_blocks(fake: Fake) -> None:
    genmove = "sys.stderr.write('thinking\\n' * 100_000); sys.stderr.flush()\nanswer('D4')"
    with Engine(fake(genmove), timeout_s=20) as engine:
        engine.new_game(GO)
        assert [engine.genmove("b") for _ in range(3)] == ["D4"] * 3


FLOOD = "while True: sys.stdout.write('x' * 65536)"
FAILURES = {
    "crash": ("sys.exit(3)", "exited with status 3 at 'genmove b'"),
    "last words": ("sys.exit('out of ideas')", "status 1, saying 'out of ideas' at 'genmove b'"),
    "signal": ("os.kill(os.getpid(), 11)", "was killed by signal 11 at 'genmove b'"),
    "half an answer": ("sys.stdout.write('= D'); sys.exit(0)", "exited with status 0"),
    "hang": ("time.sleep(600)", "no answer within 0.5 s to 'genmove b'"),
    "ignores all": (
        "import signal; signal.signal(15, signal.SIG_IGN)\ntime.sleep(600)",
        "no answer within 0.5 s",
    ),
    "drip": (
        "while True: sys.stdout.write('.'); sys.stdout.flush(); time.sleep(0.01)",
        "no answer within 0.5 s",
    ),
    "chatter": (
        "print('I think D4 is best')",
        "within 0.5 s to 'genmove b', only 'I think D4 is best'; ",
    ),
    "no id": ("print('= D4\\n')", "answered garbage: '= D4' without the id"),
    "another's id": ("print('=99 D4\\n')", "answered garbage: '=99 D4' without the id"),
    "no vertex": ("answer('Z99')", "answered garbage: 'Z99' to 'genmove b'"),
    "two vertices": ("answer('D4 D5')", "answered garbage: 'D4 D5' to 'genmove b'"),
    "column I": ("answer('I5')", "answered garbage: 'I5'"),
    "flood": (FLOOD, "answered garbage: over 1,048,576 bytes without end"),
    "flood of lines": (FLOOD.replace("x", "\\n"), "answered garbage: over"),
    "flood of answers": (FLOOD.replace("x", "= D4\\n\\n"), "answered garbage: '= D4'"),
    "closes its output": ("os.close(1); time.sleep(600)", "closed its output and ran on"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_has_a_reason_and_the_next_game_restarts_the_engine(fake: Fake, name: str) -> None:
    genmove, reason = FAILURES[name]
    timeout_s = 0.5 if "within" in reason else 20.0
    with Engine(fake(genmove), timeout_s) as engine:
        for _ in range(2):
            engine.new_game(GO)
            with pytest.raises(EngineFailure) as failure:
                engine.genmove("b")
            assert reason in str(failure.value)
            assert "\n" not in str(failure.value) and len(str(failure.value)) < 400
        with pytest.raises(EngineFailure, match="is not running; a new game starts it"):
            engine.play("b", "D4")


def test_endless_output_is_not_kept_in_memory(fake: Fake) -> None:
    for flood in (FLOOD, "while True: sys.stderr.write('x' * 65536)"):
        with Engine(fake(flood), timeout_s=2) as engine:
            engine.new_game(GO)
            tracemalloc.start()
            with pytest.raises(EngineFailure):
                engine.genmove("b")
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 8 << 20


def test_refusal_has_a_reason_and_keeps_the_process(fake: Fake) -> None:
    with Engine(fake("answer('illegal move\\n  of mine', '?')"), timeout_s=10) as engine:
        engine.new_game(GO)
        with pytest.raises(EngineFailure, match="refused 'genmove b': 'illegal move'"):
            engine.genmove("b")
        engine.play("b", "D4")


def test_start_has_its_own_time_limit(fake: Fake) -> None:
    command = fake(setup="time.sleep(1)")
    with Engine(command, timeout_s=0.5, start_s=20) as engine:
        engine.new_game(GO)
        assert engine.genmove("b") == "D4"
    with pytest.raises(EngineFailure, match=r"no answer within 0\.2 s to 'protocol_version'"):
        Engine(command, timeout_s=0.1, start_s=0.2).new_game(GO)


@pytest.mark.parametrize("command", ["no-such-engine --mode gtp", "/", str(ROOT / "README.md")])
def test_program_that_cannot_start_is_a_failure(command: str) -> None:
    with pytest.raises(EngineFailure, match="could not be started: no program"):
        Engine(command).new_game(GO)


@pytest.mark.parametrize("command", ["", "  ", 'gnugo "--mode'])
def test_invalid_command_lines_are_rejected(command: str) -> None:
    with pytest.raises(ValueError, match="the engine's command"):
        Engine(command)


@pytest.mark.parametrize("text", ["", "name\nquit", "name # why", "na\0me"])
def test_send_accepts_only_one_line(fake: Fake, text: str) -> None:
    with Engine(fake(), timeout_s=10) as engine, pytest.raises(ValueError, match="one line"):
        engine.send(text)


def test_command_is_run_without_a_shell(fake: Fake, tmp_path: Path) -> None:
    with Engine(fake() + f" ; touch {tmp_path / 'harm'} $(touch {tmp_path / 'harm'})") as engine:
        engine.new_game(GO)
    assert not (tmp_path / "harm").exists()


CHILD = "subprocess.Popen(['sleep', '600'], start_new_session={own}).pid"
NOTES = (
    "open({folder!r} + '/child', 'w').write(str(" + CHILD + ") + '\\n');"
    "open({folder!r} + '/engine', 'w').write(str(os.getpid()) + '\\n')"
)


@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize("end", ["close", "hang", "crash", "exit after quit"])
def test_close_ends_all_that_the_engine_started(
    fake: Fake, tmp_path: Path, end: str, own_session: bool
) -> None:
    if own_session and sys.platform != "linux":
        pytest.skip("only Linux tells us of children that left their process group")
    genmove = {"hang": "time.sleep(600)", "crash": "os._exit(1)"}.get(end, "answer('D4')")
    setup = NOTES.format(folder=str(tmp_path), own=own_session)
    if end == "close":
        setup += "\nimport signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]"
        setup += "\nimport atexit; atexit.register(time.sleep, 600)"  # deaf to quit, too
    with Engine(fake(genmove, setup), timeout_s=0.5, start_s=20) as engine:
        engine.new_game(GO)
        pids = [wait_for(tmp_path / name) for name in ("engine", "child")]
        assert all(psutil.pid_exists(pid) for pid in pids)
        if end in ("hang", "crash"):
            with pytest.raises(EngineFailure):
                engine.genmove("b")
            assert all(gone(pid, 0.1) for pid in pids), "a failure ends them, not the driver's end"
    assert all(gone(pid, 0.1) for pid in pids)


DRIVER = """
import sys, threading, time
sys.path.insert(0, sys.argv[1])
from games.go import Go
from selfplay.players.gtp_engine import Engine
engine = Engine(sys.argv[2], timeout_s=30)
# A thread that ends must not take the engine along: a parent-death signal alone would.
thread = threading.Thread(target=lambda: engine.new_game(Go()))
thread.start(); thread.join()
time.sleep(1)
engine.play("b", "D4")
{fork}
open(sys.argv[3], "w").write("1\\n")
engine.genmove("w")
"""
FORKED = "import os\nif os.fork() == 0: time.sleep(30); os._exit(0)"


@pytest.mark.parametrize("fork", ["", FORKED], ids=["alone", "a forked sibling holds the pipes"])
def test_killed_driver_leaves_no_engine_behind(fake: Fake, tmp_path: Path, fork: str) -> None:
    hang = "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]\ntime.sleep(600)"
    command = fake(hang, NOTES.format(folder=str(tmp_path), own=False))
    script = [sys.executable, "-c", DRIVER.format(fork=fork)]
    with subprocess.Popen(
        [*script, str(ROOT), command, str(tmp_path / "ready")],
        start_new_session=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        stderr=subprocess.DEVNULL,
    ) as driver:
        try:
            wait_for(tmp_path / "ready", 60)
            pids = [wait_for(tmp_path / name) for name in ("engine", "child")]
            assert all(psutil.pid_exists(pid) for pid in pids)
            driver.kill()
            driver.wait()
            assert all(gone(pid) for pid in pids)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(driver.pid, signal.SIGKILL)


def test_killed_guard_ends_the_engine(fake: Fake, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("parent-death signals are Linux's")
    command = fake("time.sleep(600)", NOTES.format(folder=str(tmp_path), own=False))
    with Engine(command, timeout_s=20) as engine:
        engine.new_game(GO)
        pid = wait_for(tmp_path / "engine")
        guardian = psutil.Process(pid).parent()
        assert guardian is not None and "guard.py" in " ".join(guardian.cmdline())
        guardian.kill()
        assert gone(pid)
        with pytest.raises(EngineFailure, match="was killed by signal 9"):
            engine.genmove("b")
    os.kill(wait_for(tmp_path / "child"), signal.SIGKILL)  # beyond anyone's reach, as documented
