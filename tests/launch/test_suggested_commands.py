"""The commands: bad input is one clear sentence and status 2 before any work; good input works."""

import functools
import io
import json
import re
import shlex
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import configs
from games import checkout
from launch import cli
from launch.progress import Progress, next_steps
from selfplay import command_line
from selfplay.command_line import command
from selfplay.runs.codec import from_json
from selfplay.runs.run import read_config
from selfplay.training.config import TrainConfig
from selfplay.training.verify import newest, verify
from tests.small_runs import (
    ROOT,
    TINY,
    assert_rejected,
    digests,
    finish,
    run_cli,
    run_cli_each,
    start,
    trained,
)

SMALL = (*TINY, "--network.kind", "mlp")  # compiles in less time

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
    "batch": ("connect_four --learner.batch-size 101", "got 101 and 2"),
    "actors": ("connect_four --cluster.actors -2", "got -2"),
    "lanes": ("connect_four --selfplay.batch-size 0", "at least 1, got 0"),
    "address": ("connect_four --out {new} --cluster.address 127.0.0.1:9", "'127.0.0.1:9'"),
    "folder": ("connect_four --out {other}", "is not a run folder"),
    "width": ("connect_four --network.width 0", "got 0"),
}


def test_train_rejects_bad_input_before_any_work(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    new = tmp_path / "new"
    bad = {n: (t.format(other=other, new=new).split(), said) for n, (t, said) in BAD.items()}
    assert_rejected("launch.train", bad)
    assert not new.exists()
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run."""
    folder = tmp_path_factory.mktemp("commands") / "run"
    trained(folder, *SMALL)
    return folder


def test_other_config_names_the_fields_that_differ(run: Path) -> None:
    arguments = ["connect_four_smoke", "--out", str(run), *SMALL]
    arguments += ["--seed", "5", "--search.num-simulations", "6"]
    ((status, said),) = run_cli("launch.train", [arguments])
    assert status == 2
    assert "seed was 0, is 5" in said and "search.num_simulations was 4, is 6" in said


# With an actor: Ray would take the signal for itself.
@pytest.mark.parametrize("actors", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_run_ended_by_sigterm_resumes_with_the_same_command(
    tmp_path: Path, run: Path, actors: str
) -> None:
    process = start(tmp_path / "run", *SMALL, "--cluster.actors", actors, "--plain")
    assert process.stdout is not None
    seen = next(line for line in process.stdout if line.startswith("iteration 1/"))
    process.send_signal(signal.SIGTERM)
    assert "The same command resumes it." in finish(process, 130), seen
    assert len(digests(tmp_path / "run")) < len(digests(run))
    assert trained(tmp_path / "run", *SMALL) == digests(run)


def test_last_lines_are_below_the_live_view(
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


def test_other_number_of_iterations_is_explained_with_commands(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's name has spaces, so that quotes are needed; one run is not finished."""
    done, stopped = tmp_path / "a run", tmp_path / "stopped"
    for folder in (done, stopped):
        shutil.copytree(run, folder)
    for path in ("commits/00000003.json", "snapshots/00000003.npz"):
        (stopped / path).unlink()
    flags = ["connect_four_smoke", "--cluster.actors=0", *SMALL[2:]]  # without the iterations

    def typed(folder: Path, *more: str) -> list[str]:
        return [*flags, f"--out={folder}", *more]

    monkeypatch.chdir(ROOT)  # where the command will be asked
    origin = ("--init-from", f"{done}@3", "--seed", 1)
    more = command("train", *flags, *origin, "--iterations", 5, "--out", f"{done}_more")
    start = command("train", *flags, "--iterations", 5, "--out", f"{done}_5")
    resume = command("train", *flags, "--iterations", 3, "--out", stopped)
    new = tmp_path / "new"
    bad = {
        "why": (typed(done, "--iterations", "5"), "3 iterations, not of 5. The schedule of its"),
        "more": (typed(done, "--iterations=5"), more),
        "start": (typed(done, "--iterations=5"), start),
        "shorter": (typed(done, "--iterations", "2"), "3 iterations, not of 2. The schedule"),
        "unfinished": (typed(stopped, "--iterations", "5"), resume),
        "another seed": (
            typed(done, "--iterations", "5", "--seed", "2"),
            "iterations was 3, is 5; seed was 0, is 2. Resume it with its own config, or name",
        ),
        "another width": (
            typed(new, "--init-from", f"{done}@2", "--network.width", "8"),
            "network.width is 4 there and 8 here",
        ),
        "same folder": (
            typed(done, "--init-from", f"{done}@2", "--iterations", "3"),
            "did not begin from",
        ),
        "no version": (
            typed(new, "--init-from", f"{done}@9"),
            "versions available: 0, 1, 2, 3",
        ),
    }
    words = [*shlex.split(more)[2:], "--iterations", "1"]  # the last one counts
    ((status, said),) = assert_rejected("launch.train", bad, [words])
    assert status == 0 and "version 0 has the parameters of a run@3, which cost 10^" in said
    assert len(digests(tmp_path / "a run_more")) == 2
    assert not new.exists()


def test_every_suggested_command_works(run: Path, tmp_path: Path) -> None:
    """Each is executed, as a shell would read it, on a run whose name needs quotes."""
    folder = tmp_path / "it's a run & more"
    shutil.copytree(run, folder)
    config = parsed(run)
    steps = dict(next_steps(config, folder, 3))
    steps.pop("see its curves", None)  # where TensorBoard is installed
    cheap = {
        "grade it": ["--sims", "0", "--positions", "8"],
        "export it": ["--out", str(tmp_path / "exported.safetensors")],
    }
    expected = {
        "play against it": "Goodbye",
        "grade it": "keep the result",
        "prove it": "identical",
        "export it": "parameters",
    }
    assert list(steps) == list(expected)
    questions = []
    for purpose, line in steps.items():
        python, script, *arguments = shlex.split(line)
        assert Path(shutil.which(python) or "").samefile(sys.executable)
        assert Path(script).parent.samefile(ROOT / "launch")
        questions.append((f"launch.{Path(script).stem}", [*arguments, *cheap.get(purpose, [])]))
    for (purpose, words), (status, said) in zip(
        expected.items(), run_cli_each(questions), strict=True
    ):
        assert status == 0 and words in said, f"{purpose}: {said}"


def parsed(run: Path) -> TrainConfig:
    return from_json(TrainConfig, read_config(run))


def test_next_steps_depend_on_the_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    other = replace(parsed(run), game="tic_tac_toe")
    assert "grade it" not in dict(next_steps(other, folder, 3))  # it has no exam
    for gone, iterations in ((0, "2:3"), (1, "3:3"), (2, None)):
        shutil.rmtree(folder / "checkpoints" / f"{gone:08d}")
        line = dict(next_steps(other, folder, 3)).get("prove it", "")
        assert line.endswith(f"--iterations {iterations}") if iterations else not line
    environment = tmp_path / ".venv" / "bin"
    environment.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(environment / "python"))
    assert "see its curves" not in dict(next_steps(other, folder, 3))
    (environment / "tensorboard").touch(0o755)
    monkeypatch.chdir(tmp_path)
    curves = dict(next_steps(other, Path("a b"), 3))["see its curves"]
    assert shlex.split(curves) == [".venv/bin/tensorboard", "--logdir", "a b"]


def test_next_steps_allow_the_import_paths_of_a_run(run: Path) -> None:
    for game, allowed in (("tic_tac_toe", False), ("my_game:MyGame?size=5", True)):
        steps = dict(next_steps(replace(parsed(run), game=game), run, 3))
        steps.pop("see its curves", None)
        assert len(steps) == 3
        assert all(("--trust-imports" in shlex.split(line)) == allowed for line in steps.values())


def test_verify_takes_the_newest_iterations_without_a_gap(run: Path, tmp_path: Path) -> None:
    """What it takes when it is not told: the newest, without a gap."""
    assert newest([1, 2, 3, 4]) == range(2, 5)
    assert newest([1, 2, 4, 5]) == range(4, 6) and newest([7]) == range(7, 8)
    assert list(newest([])) == []
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    shutil.rmtree(folder / "checkpoints" / "00000001")  # as after --store.keep-for-verify was off
    with pytest.raises(ValueError, match=r"2:2 of .* checkpoints are kept for 1, 3 \("):
        verify(folder, 2, 2, lambda *_: None)
    none = tmp_path / "none"
    shutil.copytree(folder, none)
    for path in (none / "checkpoints").iterdir():
        shutil.rmtree(path)
    bad = {"none": ([str(none)], "keeps no two checkpoints in a row")}
    ((status, said),) = assert_rejected("launch.verify", bad, [[str(folder)]])
    assert status == 0 and said.startswith("iteration 3:") and said.endswith("identical")


def test_command_names_the_interpreter_as_it_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bin = tmp_path / "check out" / ".venv" / "bin"
    bin.mkdir(parents=True)
    for name in ("python", "python3.11"):
        (bin / name).symlink_to(sys.executable)
    other = tmp_path / "other"
    other.mkdir()
    (other / "python").symlink_to(sys.executable)  # another environment's: the same file
    launch = tmp_path / "check out" / "launch"
    monkeypatch.setattr(command_line, "LAUNCH", launch)
    monkeypatch.setattr(sys, "executable", str(bin / "python3.11"))
    for path, here, expected in (
        (str(bin), launch.parent, ["python", "launch/exam.py"]),
        (str(other), launch.parent, [".venv/bin/python3.11", "launch/exam.py"]),
        ("", launch.parent, [".venv/bin/python3.11", "launch/exam.py"]),
        ("", tmp_path, ["check out/.venv/bin/python3.11", "check out/launch/exam.py"]),
        (str(bin), other, ["python", "../check out/launch/exam.py"]),
        ("", other, ["../check out/.venv/bin/python3.11", "../check out/launch/exam.py"]),
    ):
        monkeypatch.setenv("PATH", path)
        monkeypatch.chdir(here)
        for run in ("runs/a", "a b@last", "x?sims=3&y", "it's"):
            assert shlex.split(command("exam", run, "--sims", 0)) == [
                *expected, run, "--sims", "0"
            ]  # fmt: skip


def test_command_outside_a_checkout_names_no_file_of_the_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (python := tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(checkout, "LOCK", tmp_path / "requirements.lock")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command("exam", "a b") == "python -m launch exam 'a b'"
    (tmp_path / "oomzero").touch(0o755)
    assert command("exam", "a b") == "oomzero exam 'a b'"
    assert command_line.documented("exam", "a b") == "oomzero exam 'a b'"


def test_verify_prints_identical_or_the_difference(run: Path) -> None:
    ((status, said),) = run_cli("launch.verify", [[str(run), "--iterations", "2:3"]])
    assert status == 0 and said.endswith("identical")
    commit = run / "commits" / "00000003.json"
    kept = commit.read_text()
    assert_rejected("launch.verify", {"none": ([str(run), "--iterations", "9:9"], "9:9")})
    from selfplay.runs import files

    data = files.read_hashed_json(commit)
    data["metrics_row"]["digest"]["state"] = "0" * 64
    files.write_hashed_json(commit, {k: v for k, v in data.items() if k != "sha256"})
    ((status, said),) = run_cli("launch.verify", [[str(run)]])
    assert status == 1 and "different: iteration 3, state" in said
    commit.write_text(kept)


def test_exported_file_gets_the_grades_of_its_run(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.safetensors"
    ((status, said),) = run_cli("launch.export", [[f"{run}@last", "--out", str(file)]])
    assert status == 0 and "parameters" in said
    flags = ("--sims", "0", "--positions", "64")
    bad = {"no version": ([f"{run}@77"], "versions available: 0, 1, 2, 3")}
    (first, one), (second, two) = assert_rejected(
        "launch.exam", bad, [[str(run), *flags], [str(file), *flags]]
    )
    assert first == second == 0 and "keep the result" in one
    assert one.split("moves that")[1] == two.split("moves that")[1]


def test_damaged_checkpoint_is_skipped_and_named(run: Path) -> None:
    expected = (run / "commits" / "00000003.json").read_text()
    for path in (run / "checkpoints" / "00000003").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\0" * max(1, path.stat().st_size))
    arguments = ["connect_four_smoke", "--out", str(run), *SMALL, "--cluster.actors", "0"]
    with pytest.warns(UserWarning, match=r"commit 3 is skipped: .*checkpoints/00000003"):
        ((status, said),) = run_cli("launch.train", [arguments])
    assert status == 0
    assert "resuming after iteration 2" in said

    def digest(text: str) -> dict[str, str]:
        return json.loads(text)["metrics_row"]["digest"]

    assert digest((run / "commits" / "00000003.json").read_text()) == digest(expected)


def test_dropped_ctrl_c_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX has callbacks in which no exception can be raised."""

    class Callback:
        def __del__(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    cli.redeliver_ctrl_c()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            Callback()
            for _ in range(300):
                time.sleep(0.1)
    finally:
        signal.signal(signal.SIGINT, before)
