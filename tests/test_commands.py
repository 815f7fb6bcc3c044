"""The commands: bad input is one clear sentence and status 2 before any work; good input works."""

import functools
import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

import configs
from launch import cli
from launch.progress import Progress
from tests.runs import ROOT, TINY, digests, finish, refused, start, train

BAD = {
    "preset": (
        "connect_foru",
        "unknown preset 'connect_foru' (did you mean 'connect_four'?); choose from",
    ),
    "no preset": ("--seed 3", "the preset comes first"),
    "field": ("connect_four --search.sims 3", "Unrecognized options: --search.sims"),
    "type": ("connect_four --iterations many", "many"),
    "game": ("connect_four --game chess", "unknown game 'chess' (did you mean 'pgx:chess'?)"),
    "budget": ("connect_four --search.num-simulations -3", "got -3"),
    "exam budget": ("connect_four --exam.budgets -1", "must not be negative"),
    "batch": ("connect_four --learner.batch-size 102", "got 102 and 4"),
    "actors": ("connect_four --cluster.actors -2", "got -2"),
    "lanes": ("connect_four --selfplay.lanes 0", "at least 1, got 0"),
    "address": ("connect_four --out {new} --cluster.address 127.0.0.1:9", "'127.0.0.1:9'"),
    "folder": ("connect_four --out {other}", "is no run folder"),
    "width": ("connect_four --network.width 0", "got 0"),
}


def test_bad_input_is_one_sentence_before_any_work(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    new = tmp_path / "new"
    bad = {n: (t.format(other=other, new=new).split(), said) for n, (t, said) in BAD.items()}
    refused("launch.train", bad)
    assert not new.exists()
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run."""
    folder = tmp_path_factory.mktemp("commands") / "run"
    train(folder, *TINY, "--cluster.actors", "0")
    return folder


def call(script: str, *arguments: str, status: int = 0) -> str:
    """Run a launch script; its output."""
    done = subprocess.run(
        [sys.executable, str(ROOT / f"launch/{script}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def test_another_config_names_the_fields_that_differ(run: Path) -> None:
    said = finish(start(run, *TINY, "--seed", "5", "--search.num-simulations", "6"), 2)
    assert "seed was 0, is 5" in said and "search.num_simulations was 4, is 6" in said


# With an actor: Ray would take the signal for itself.
@pytest.mark.parametrize("actors", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_sigterm_ends_cleanly_and_the_same_command_goes_on(
    tmp_path: Path, run: Path, actors: str
) -> None:
    process = start(tmp_path / "run", *TINY, "--cluster.actors", actors, "--plain")
    assert process.stdout is not None
    seen = next(line for line in process.stdout if line.startswith("iteration 1/"))
    process.send_signal(signal.SIGTERM)
    assert "The same command resumes it." in finish(process, 130), seen
    assert len(digests(tmp_path / "run")) < len(digests(run))
    assert train(tmp_path / "run", *TINY, "--cluster.actors", "0") == digests(run)


def test_the_last_words_stand_below_the_live_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")  # a dumb one has no live view
    screen = io.StringIO()
    terminal = functools.partial(Console, file=screen, force_terminal=True, width=120)
    monkeypatch.setattr("launch.progress.Console", terminal)
    with Progress(configs.get("connect_four_smoke"), tmp_path / "run") as progress:
        progress.say("compiling …")
        progress.interrupted(time.time())
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "compiling" in shown and "nothing is committed yet" in shown
    assert shown.rstrip().endswith("The same command resumes it.")


def test_verify_says_identical_and_finds_a_change(run: Path) -> None:
    assert call("verify", str(run), "--iterations", "2:3").endswith("identical")
    commit = run / "commits" / "00000003.json"
    kept = commit.read_text()
    assert "9:9" in call("verify", str(run), "--iterations", "9:9", status=2)
    from selfplay.store import files

    data = files.read_hashed_json(commit)
    data["metrics_row"]["digest"]["state"] = "0" * 64
    files.write_hashed_json(commit, {k: v for k, v in data.items() if k != "sha256"})
    assert "different: iteration 3, state" in call("verify", str(run), status=1)
    commit.write_text(kept)


def test_exam_grades_an_exported_file_like_its_run(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.safetensors"
    assert "parameters" in call("export", f"{run}@last", "--out", str(file))
    flags = ("--sims", "0", "--positions", "64")
    one, two = call("exam", str(run), *flags), call("exam", str(file), *flags)
    assert "keep the result" in one
    assert one.split("moves that")[1] == two.split("moves that")[1]
    assert "versions available: 0, 1, 2, 3" in call("exam", f"{run}@77", status=2)


def test_a_damaged_checkpoint_falls_back_and_says_which_file(run: Path) -> None:
    expected = (run / "commits" / "00000003.json").read_text()
    for path in (run / "checkpoints" / "00000003").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\0" * max(1, path.stat().st_size))
    said = finish(start(run, *TINY, "--cluster.actors", "0"))
    assert "commit 3 is skipped" in said and "checkpoints/00000003" in said
    assert "resuming after iteration 2" in said

    def digest(text: str) -> dict[str, str]:
        return json.loads(text)["metrics_row"]["digest"]

    assert digest((run / "commits" / "00000003.json").read_text()) == digest(expected)


def test_an_interrupt_that_python_drops_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX has callbacks in which no exception can be raised."""

    class Callback:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    cli.keep_interrupts()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            Callback()
            for _ in range(300):
                time.sleep(0.1)
    finally:
        signal.signal(signal.SIGINT, before)
