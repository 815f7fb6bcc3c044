"""Runs of the real commands in processes of their own, for tests that compare digests or words."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from selfplay.acting.config import SelfPlayConfig
from selfplay.cluster.config import ClusterConfig
from selfplay.learning.config import LearnerConfig
from selfplay.model.config import NetworkConfig
from selfplay.runs import metrics
from selfplay.search.config import SearchConfig
from selfplay.training.config import TrainConfig

ROOT = Path(__file__).resolve().parent.parent

# A few seconds of play and learning with everything in it: openings, exam, several streams.
TINY = (
    "--iterations 3 --network.width 4 --network.depth 1 --network.head-width 8 "
    "--search.num-simulations 4 --selfplay.streams 3 --selfplay.batch-size 8 "
    "--selfplay.segment-length 12 "
    "--learner.batch-size 32 --exam.every 0 --exam.budgets"
).split()


# The same for training in this process.
PLAIN = TrainConfig(
    game="tic_tac_toe",
    iterations=6,
    network=NetworkConfig(width=4, depth=1, head_width=4),
    search=SearchConfig(num_simulations=4),
    selfplay=SelfPlayConfig(streams=1, batch_size=16, segment_length=12),
    learner=LearnerConfig(batch_size=16, shards=2, warmup_steps=1),
    cluster=ClusterConfig(actors=0),
)


def start(folder: Path, *flags: str, failpoint: str = "") -> "subprocess.Popen[str]":
    """``launch/train.py connect_four_smoke`` with `flags`, writing to `folder`."""
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
    """Wait for the command and return what it printed; fails when the status is another."""
    output, _ = process.communicate(timeout=600)
    assert process.returncode == expect, f"status {process.returncode}:\n{output}"
    return output


def train(folder: Path, *flags: str, failpoint: str = "") -> list[dict[str, str]]:
    """Train to the end, or to the failpoint's SIGKILL; the digests of every committed iteration."""
    finish(start(folder, *flags, failpoint=failpoint), -signal.SIGKILL if failpoint else 0)
    return digests(folder)


def digests(folder: Path) -> list[dict[str, str]]:
    """The digests in metrics.jsonl, one dict per iteration from 0."""
    return [row["digest"] for row in metrics.read(folder)]


ASK = """
import contextlib, importlib, io, json, sys
from launch import cli
answers, sys.stdin = [], io.StringIO()
for name, arguments in json.loads(sys.argv[1]):
    command = importlib.import_module(name)
    out, sys.argv[1:] = io.StringIO(), arguments
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            cli.run_command(command.main)
            status = 0
        except SystemExit as end:
            status = end.code
    answers.append([status, out.getvalue()])
print(json.dumps(answers))
"""


def ask(command: str, questions: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """(status, what is said) for each list of arguments, all asked in one process.

    `command` is the module, launch.train; what is said comes in one line, without tyro's boxes.
    """
    return ask_each([(command, arguments) for arguments in questions])


def ask_each(questions: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[int, str]]:
    """The same for several commands: pairs of a module and its arguments."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(questions)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return [(status, " ".join(said.replace("│", " ").split())) for status, said in found]


def refused(
    command: str,
    bad: Mapping[str, tuple[Sequence[str], str]],
    then: Sequence[Sequence[str]] = (),
) -> list[tuple[int, str]]:
    """Each of the named questions must be answered by its sentence, with status 2.

    What the command answers `then`, in the same process, is returned.
    """
    answers = ask(command, [*(arguments for arguments, _ in bad.values()), *then])
    for (name, (_, expected)), (status, said) in zip(bad.items(), answers, strict=False):
        assert status == 2, f"{name}: status {status}: {said}"
        assert expected in said, f"{name}: {said}"
        assert "Traceback" not in said, f"{name}: {said}"
    return answers[len(bad) :]
