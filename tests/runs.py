"""Runs of the real command in processes of their own, for tests that compare digests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from selfplay.cluster.config import ClusterConfig
from selfplay.config import TrainConfig
from selfplay.learner import LearnerConfig
from selfplay.network import NetworkConfig
from selfplay.search import SearchConfig
from selfplay.segment import SegmentConfig
from selfplay.store import metrics

ROOT = Path(__file__).resolve().parent.parent

# A few seconds of play and learning with everything in it: openings, exam, several streams.
TINY = (
    "--iterations 3 --network.width 4 --network.depth 1 --network.head-width 8 "
    "--search.num-simulations 4 --selfplay.streams 3 --selfplay.lanes 8 --selfplay.plies 12 "
    "--learner.batch-size 32 --exam.every 0 --exam.budgets"
).split()


# The same for training in this process.
PLAIN = TrainConfig(
    game="tic_tac_toe",
    iterations=6,
    network=NetworkConfig(width=4, depth=1, head_width=4),
    search=SearchConfig(num_simulations=4),
    selfplay=SegmentConfig(streams=1, lanes=16, plies=12),
    learner=LearnerConfig(batch_size=16, shards=2, warmup_steps=1),
    cluster=ClusterConfig(actors=0),
)


def start(folder: Path, *flags: str, failpoint: str = "") -> "subprocess.Popen[str]":
    """``launch/train.py connect_four_smoke`` with `flags`, writing to `folder`."""
    environment = {n: v for n, v in os.environ.items() if n not in ("XLA_FLAGS", "NPROC")}
    environment["OOMZERO_FAILPOINT"] = failpoint
    command = [sys.executable, str(ROOT / "launch/train.py"), "connect_four_smoke", "--out"]
    return subprocess.Popen(
        [*command, str(folder), *flags],
        env=environment,
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
