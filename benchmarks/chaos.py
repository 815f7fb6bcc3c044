"""Training under fire: actors, nodes and the driver are killed, and not a bit may change.

    python -m benchmarks.chaos
    python -m benchmarks.chaos --minutes 2 --every 5 10 -- --selfplay.batch-size 64

A Ray cluster of several nodes on this machine trains `connect_four_smoke`, with so many iterations
that it never ends by itself. At random moments, drawn from a seed, an actor's process, a whole
node with its objects, or the driver is killed with SIGKILL; a killed node is replaced, a killed
driver started again. When the time is up the driver is stopped, the same run is trained in-process
and undisturbed, and the digests of every iteration are compared. Exit status 1 if any differs.
What follows ``--`` goes to launch/train.py.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import psutil

from benchmarks.commands import GRACE, end_on_sigterm
from benchmarks.worker import ROOT, default_environment
from selfplay.runs import metrics

PRESET, ENDLESS = "connect_four_smoke", "100000"  # iterations
STORE = 80 * 2**20  # bytes of a node's object store
FAULTS = ("actor", "node", "driver")
GAVE_UP = "driver gave up"  # said so, and was started again: no fault of ours
STANDSTILL = 300.0  # seconds without an iteration


class Nodes(AbstractContextManager["Nodes"]):
    """A Ray cluster: a head that plays nothing, and nodes of one CPU each."""

    def __init__(self, count: int) -> None:
        """Start it."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE}
        )
        self.count, self._nodes = count, [self._add() for _ in range(count)]
        self.address: str = self._cluster.address

    def _add(self) -> Any:
        return self._cluster.add_node(num_cpus=1, object_store_memory=STORE)

    def kill(self, index: int) -> None:
        """A node dies, with all its processes and objects; another one comes."""
        self._cluster.remove_node(self._nodes[index], allow_graceful=False)
        self._nodes[index] = self._add()

    def behead(self) -> None:
        """The head's server dies, and nothing restarts it; the node that it was on lives."""
        self._cluster.head_node.kill_gcs_server()

    def actors(self) -> list[psutil.Process]:
        """The processes of actors that play, on all nodes."""
        found = []
        for process in psutil.Process().children(recursive=True):  # not another cluster's
            with suppress(psutil.NoSuchProcess):
                if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::StreamActor"):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all of it."""
        self._cluster.shutdown()


class Driver:
    """launch/train.py in a process of its own, which can be killed and started again."""

    def __init__(self, folder: Path, flags: Sequence[str]) -> None:
        """Start it on the run in `folder`."""
        self.folder, self._log = folder, folder.with_suffix(".log")
        self._command = [sys.executable, "launch/train.py", PRESET, "--out", str(folder), "--plain"]
        self._command += ["--iterations", ENDLESS, "--exam.every", "0", *flags]
        self.start()

    def start(self) -> None:
        """The same command, which resumes."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=default_environment(), stdout=log, stderr=log
            )

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """As the kernel does it when memory is out."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """As a user does it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill()

    def iterations(self) -> int:
        """Committed ones."""
        rows = metrics.read(self.folder) if self.folder.is_dir() else []
        return rows[-1]["iteration"] if rows else 0

    def wait_for(self, iterations: int) -> None:
        """Until so many are committed; SystemExit if it ends before, or gets nowhere."""
        last, since = self.iterations(), time.monotonic()
        while (now := self.iterations()) < iterations:
            if now > last:
                last, since = now, time.monotonic()
            if not self.alive() or time.monotonic() - since > STANDSTILL:
                raise SystemExit(f"error: the driver ended, or hangs; {self._log} says why")
            time.sleep(0.2)


def disturb(
    nodes: Nodes,
    driver: Driver,
    seconds: float,
    every: tuple[float, float],
    rng: np.random.Generator,
    say: Callable[[str], None],
) -> Counter[str]:
    """Kill until the time is up; how often what was killed."""
    faults: Counter[str] = Counter()
    end = time.monotonic() + seconds
    while (pause := rng.uniform(*every)) + time.monotonic() < end:
        time.sleep(pause)
        fault = FAULTS[rng.integers(len(FAULTS))]
        ended = not driver.alive()
        if ended:  # a fault too many for it: a user would start it again
            fault = GAVE_UP
            driver.start()
        elif fault == "driver":
            driver.kill()
            driver.start()
        elif fault == "node":
            nodes.kill(int(rng.integers(nodes.count)))
        elif actors := nodes.actors():
            try:
                actors[rng.integers(len(actors))].kill()
            except psutil.NoSuchProcess:
                continue
        else:
            continue  # none plays at this moment
        faults[fault] += 1
        say(f"{end - time.monotonic():5.0f} s left  iteration {driver.iterations():4d}  {fault}")
    return faults


def digests(folder: Path, last: int) -> list[dict[str, str]]:
    """Of iterations 0 to `last`."""
    return [row["digest"] for row in metrics.read(folder) if row["iteration"] <= last]


def chaos(
    folder: Path,
    seconds: float,
    every: tuple[float, float],
    count: int = 3,
    seed: int = 0,
    flags: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> tuple[Counter[str], int, bool]:
    """Disturbed, then undisturbed: ``(faults, iterations, whether the digests are the same)``."""
    rng = np.random.default_rng(seed)
    with Nodes(count) as nodes:
        driver = Driver(folder / "disturbed", ("--cluster.address", nodes.address, *flags))
        try:
            driver.wait_for(1)
            faults = disturb(nodes, driver, seconds, every, rng, say)
            driver.wait_for(driver.iterations() + 1)  # it still goes on
        finally:
            driver.stop()
    last = driver.iterations()
    say(f"{faults.total() - faults[GAVE_UP]} faults in {last} iterations; now without any")
    alone = Driver(folder / "undisturbed", ("--cluster.actors", "0", *flags))
    try:
        alone.wait_for(last)
    finally:
        alone.stop()
    same = digests(driver.folder, last) == digests(alone.folder, last)
    return faults, last, same


def main() -> None:
    """Run it and say what was survived."""
    arguments = sys.argv[1:]
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=15, help="under fire [15]")
    parser.add_argument("--every", type=float, nargs=2, default=(20, 60), help="seconds [20 60]")
    parser.add_argument("--nodes", type=int, default=3, help="that play [3]")
    parser.add_argument("--seed", type=int, default=0, help="of the faults [0]")
    parser.add_argument("--out", type=Path, default=Path("runs/chaos"), help="[runs/chaos]")
    options = parser.parse_args(arguments[:cut])
    if options.out.exists():
        parser.error(f"{options.out} exists; name another --out")
    options.out.mkdir(parents=True)
    end_on_sigterm()
    faults, last, same = chaos(
        options.out.absolute(),
        *(60 * options.minutes, tuple(options.every), options.nodes, options.seed),
        arguments[cut + 1 :],
    )
    print("| killed | times |\n|---|---|")
    for name, times in sorted(faults.items()):
        print(f"| {name} | {times} |")
    count = faults.total() - faults[GAVE_UP]
    verdict = "the same digests as" if same else "OTHER DIGESTS THAN"
    print(f"{count} faults, {last} iterations: {verdict} the undisturbed run")
    raise SystemExit(not same)


if __name__ == "__main__":
    main()
