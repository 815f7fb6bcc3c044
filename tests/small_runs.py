"""Small runs of the real commands, for tests that compare digests or output."""

import contextlib
import importlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from launch import cli
from selfplay.acting.config import SelfPlayConfig
from selfplay.cluster.config import ClusterConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs import metrics
from selfplay.search.config import SearchConfig
from selfplay.training.config import TrainConfig

ROOT = Path(__file__).resolve().parent.parent

# Flags for a few seconds of training that use everything: openings, exam, several streams.
TINY = (
    "--iterations 3 --network.width 4 --network.depth 1 --network.head-width 8 "
    "--search.num-simulations 4 --selfplay.streams 3 --selfplay.batch-size 8 "
    "--selfplay.segment-length 12 "
    "--learner.batch-size 32 --cluster.learner-devices 1 --exam.every 0 --exam.budgets"
).split()


# A config for training in this process.
PLAIN = TrainConfig(
    game="tic_tac_toe",
    iterations=6,
    network=NetworkConfig("mlp", width=4, depth=1, head_width=4),
    search=SearchConfig(num_simulations=4),
    selfplay=SelfPlayConfig(streams=1, batch_size=16, segment_length=12),
    learner=LearnerConfig(batch_size=16, shards=2, warmup_steps=1),
    cluster=ClusterConfig(actors=0, learner_devices=1),
)


def start(folder: Path, *flags: str, failpoint: str = "") -> "subprocess.Popen[str]":
    """Starts ``launch/train.py connect_four_smoke`` with `flags`, writing to `folder`."""
    command = [sys.executable, str(ROOT / "launch/train.py"), "connect_four_smoke", "--out"]
    return subprocess.Popen(
        [*command, str(folder), *flags],
        env={**os.environ, "OOMZERO_FAILPOINT": failpoint},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]", expect: int = 0) -> str:
    """Waits for a command and returns its output; fails if its status is not `expect`."""
    output, _ = process.communicate(timeout=600)
    assert process.returncode == expect, f"status {process.returncode}:\n{output}"
    return output


def train(folder: Path, *flags: str, failpoint: str = "") -> list[dict[str, str]]:
    """Trains to the end, or to the failpoint's SIGKILL; returns all iterations' digests."""
    finish(start(folder, *flags, failpoint=failpoint), -signal.SIGKILL if failpoint else 0)
    return digests(folder)


def digests(folder: Path) -> list[dict[str, str]]:
    """Reads the digests from metrics.jsonl, one dict per iteration from 0."""
    return [row["digest"] for row in metrics.read(folder)]


def trained(folder: Path, *flags: str) -> list[dict[str, str]]:
    """Trains as `train` does, in this process, where programs are compiled once for all runs."""
    arguments = ["connect_four_smoke", "--out", str(folder), *flags]
    ((status, text),) = run_cli("launch.train", [[*arguments, "--cluster.actors", "0"]])
    assert status == 0, text
    return digests(folder)


def run_cli(command: str, argument_lists: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """Returns (status, output) for each list of arguments; the output in one line without boxes.

    `command` is the module, such as launch.train. It runs in this process, which is pinned already.
    """
    return run_cli_each([(command, arguments) for arguments in argument_lists])


def run_cli_each(commands: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[int, str]]:
    """Returns the same for several commands: pairs of a module and its arguments."""
    return [_run_here(command, arguments) for command, arguments in commands]


def _run_here(command: str, arguments: Sequence[str]) -> tuple[int, str]:
    output, status = io.StringIO(), 0
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(ROOT):
        patch.setattr(cli, "configure_process", lambda: None)
        module = importlib.import_module(command)
        patch.setattr(sys, "argv", [command, *arguments])
        patch.setattr(sys, "stdin", io.StringIO())
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                cli.run_command(module.main)
        except SystemExit as end:
            assert isinstance(end.code, int)
            status = end.code
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return status, " ".join(output.getvalue().replace("│", " ").split())


def assert_rejected(
    command: str,
    bad: Mapping[str, tuple[Sequence[str], str]],
    then: Sequence[Sequence[str]] = (),
) -> list[tuple[int, str]]:
    """Each of the named commands must be answered by its sentence, with status 2.

    What the command answers `then` is returned.
    """
    results = run_cli(command, [*(arguments for arguments, _ in bad.values()), *then])
    for (name, (_, expected)), (status, text) in zip(bad.items(), results, strict=False):
        assert status == 2, f"{name}: status {status}: {text}"
        assert expected in text, f"{name}: {text}"
        assert "Traceback" not in text, f"{name}: {text}"
    return results[len(bad) :]
