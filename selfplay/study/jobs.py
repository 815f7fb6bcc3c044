"""Commands, several at a time: each on cores of its own here, or wherever a Ray cluster has room.

A command that fails is tried again; the others go on. None of them outlives this process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.connection import connect
from selfplay.process import guard
from selfplay.runs.files import describe

CANNOT_START = 126  # the status, as a shell has it
LAST_WORDS = 4096  # bytes of the log that are searched for them


@dataclass(frozen=True)
class Job:
    """A command, and the file that holds what it says."""

    name: str
    command: tuple[str, ...]
    log: Path


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        name: the job's.
        status: its exit status, 128 + n for signal n; 0 is success.
        seconds: from its first start, all tries.
        words: the last line that it said.
        tries: how often it was started.
    """

    name: str
    status: int
    seconds: float
    words: str = ""
    tries: int = 1


Execute = Callable[[Job], int]
"""``execute(job) → status``."""


def run(
    jobs: Sequence[Job],
    slots: int,
    retries: int,
    cluster: ClusterConfig | None = None,
    started: Callable[[Job], None] = lambda job: None,
) -> Iterator[Ended]:
    """The jobs' ends, as they come; those that fail are tried again at once.

    Args:
        jobs: what is to be done, the first ones first.
        slots: how many at a time; here, they share the cores evenly.
        retries: how often a job that failed is started again.
        cluster: with an address, jobs run on that Ray cluster, a core each; all of its nodes
            must see the same files.
        started: gets every job when it is first started, in a thread of its own.

    Raises:
        ConnectionError: nothing answers at the cluster's address.
    """
    stopping = threading.Event()

    def persist(job: Job) -> Ended:
        began, tries, status, words = time.monotonic(), 0, 1, ""
        started(job)
        while status and tries <= retries and not stopping.is_set():
            tries += 1
            try:
                status = execute(job)
                words = _last_words(job.log) if status else ""
            except OSError as error:  # it could not be started, or its log not be written
                status, words = CANNOT_START, describe(error)
        return Ended(job.name, status, time.monotonic() - began, words, tries)

    where = _on_ray(cluster) if cluster and cluster.address else _here(slots)
    with ThreadPoolExecutor(slots) as threads, where as execute:  # left in the other order
        futures = [threads.submit(persist, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            stopping.set()
            threads.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _here(slots: int) -> Iterator[Execute]:
    """On this machine, each job on its share of the cores; leaving it ends all that run."""
    cores = sorted(os.sched_getaffinity(0))
    free: SimpleQueue[set[int]] = SimpleQueue()
    for slot in range(slots):
        free.put(set(cores[slot::slots]) or {cores[slot % len(cores)]})
    lifeline, ours = os.pipe()

    def execute(job: Job) -> int:
        mine = free.get()
        try:
            os.sched_setaffinity(0, mine)  # of this thread; the job inherits it
            return _guarded(job, lifeline)
        finally:
            free.put(mine)

    try:
        yield execute
    finally:
        os.close(ours)
        os.close(lifeline)


@contextlib.contextmanager
def _on_ray(cluster: ClusterConfig) -> Iterator[Execute]:
    """On a Ray cluster, a core each; leaving it ends all that run."""
    ray = connect(cluster, 0)

    @ray.remote(num_cpus=1, max_retries=0)
    def there(job: Job) -> int:
        lifeline, ours = os.pipe()  # ends with this worker
        try:
            return _guarded(job, lifeline)
        finally:
            os.close(ours)
            os.close(lifeline)

    flying = set[Any]()

    def execute(job: Job) -> int:
        reference = there.remote(job)
        flying.add(reference)
        try:
            return ray.get(reference)
        except ray.exceptions.RayError:  # its node or worker died
            return 128 + signal.SIGKILL
        finally:
            flying.discard(reference)

    try:
        yield execute
    finally:
        for reference in list(flying):
            ray.cancel(reference, force=True)
        ray.shutdown()


def _guarded(job: Job, lifeline: int) -> int:
    """Run a job until it ends, or until the other end of the lifeline is closed: its status."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        return subprocess.Popen(
            [*_guard(lifeline), *job.command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lifeline,),
            start_new_session=True,  # Ctrl-C is for us
        ).wait()


def attend(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> int:
    """Run a command in a folder, at this terminal, and return its status.

    `environment` is added to ours.

    What interrupts this process interrupts the command, which may take its time to end; only then
    KeyboardInterrupt is raised. It does not outlive this process.
    """
    lifeline, ours = os.pipe()
    interrupted = False
    try:
        process = subprocess.Popen(
            [*_guard(lifeline), *command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            pass_fds=(lifeline,),
            start_new_session=True,  # it hears of Ctrl-C from us, and once
        )
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
                process.send_signal(signal.SIGINT)
    finally:
        os.close(ours)
        os.close(lifeline)
    if interrupted:
        raise KeyboardInterrupt
    return status


def _guard(lifeline: int) -> list[str]:
    """What stands before a command that must not outlive us."""
    return [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(lifeline)]


def _last_words(log: Path) -> str:
    """The last line that is not empty."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_WORDS))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
