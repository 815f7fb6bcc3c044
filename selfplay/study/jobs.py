"""Runs commands in parallel, on separate cores of this machine or on a Ray cluster.

Failed commands are retried while others continue. All children are killed with this process.
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
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.connection import connect
from selfplay.process import guard
from selfplay.runs.files import describe

CANNOT_START = 126  # the exit status that a shell reports for it
LOG_TAIL_BYTES = 4096  # of a log, searched for its last line


@dataclass(frozen=True)
class Job:
    """A command, and the file that receives its output.

    Attributes:
        name: in messages.
        command: the program and its arguments.
        log: the file that receives its output.
        environment: variables added to those of the process that starts it.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobResult:
    """Exit status of a job, with its duration and the last line of its output.

    Attributes:
        name: of the job.
        status: its exit status, 128 + n for signal n; 0 is success.
        seconds: from its first start to its end, retries included.
        last_line: of its output; empty after success.
        tries: how often it was started.
    """

    name: str
    status: int
    seconds: float
    last_line: str = ""
    tries: int = 1


Execute = Callable[[Job], int]
"""``execute(job) → status``."""


def run(
    jobs: Sequence[Job],
    slots: int,
    retries: int,
    cluster: ClusterConfig | None = None,
    started: Callable[[Job], None] = lambda job: None,
) -> Iterator[JobResult]:
    """Runs jobs and yields the result of each as it ends; a failed job is restarted at once.

    Args:
        jobs: in the order in which they start.
        slots: how many run at a time; on this machine, they share the cores evenly.
        retries: how often a failed job is restarted.
        cluster: with an address, jobs run on that Ray cluster, each on one core; all of its nodes
            must see the same files.
        started: called with every job when it first starts, in that job's thread.

    Raises:
        ConnectionError: nothing answers at the cluster's address.
    """
    stopping = threading.Event()

    def run_with_retries(job: Job) -> JobResult:
        began, tries, status, last_line = time.monotonic(), 0, 1, ""
        started(job)
        while status and tries <= retries and not stopping.is_set():
            tries += 1
            try:
                status = execute(job)
                last_line = _last_line(job.log) if status else ""
            except OSError as error:  # the command could not start, or its log not be written
                status, last_line = CANNOT_START, describe(error)
        return JobResult(job.name, status, time.monotonic() - began, last_line, tries)

    executor = _on_ray(cluster) if cluster and cluster.address else _on_this_machine(slots)
    # The executor is left first: it ends the running jobs, so that the threads can end.
    with ThreadPoolExecutor(slots) as threads, executor as execute:
        futures = [threads.submit(run_with_retries, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            stopping.set()
            threads.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def _on_this_machine(slots: int) -> Iterator[Execute]:
    """Runs each job on its share of this machine's cores; leaving the context ends all jobs."""
    cores = sorted(os.sched_getaffinity(0))
    free: SimpleQueue[set[int]] = SimpleQueue()
    for slot in range(slots):
        free.put(set(cores[slot::slots]) or {cores[slot % len(cores)]})
    lifeline, ours = os.pipe()

    def execute(job: Job) -> int:
        share = free.get()
        try:
            os.sched_setaffinity(0, share)  # of this thread; the job inherits it
            return _run_guarded(job, lifeline)
        finally:
            free.put(share)

    try:
        yield execute
    finally:
        os.close(ours)
        os.close(lifeline)


@contextlib.contextmanager
def _on_ray(cluster: ClusterConfig) -> Iterator[Execute]:
    """Runs each job on one core of a Ray cluster; leaving the context ends all jobs."""
    ray = connect(cluster, 0)

    @ray.remote(num_cpus=1, max_retries=0)
    def run_on_worker(job: Job) -> int:
        lifeline, ours = os.pipe()  # closes when this worker ends
        try:
            return _run_guarded(job, lifeline)
        finally:
            os.close(ours)
            os.close(lifeline)

    in_flight = set[object]()

    def execute(job: Job) -> int:
        reference = run_on_worker.remote(job)
        in_flight.add(reference)
        try:
            return ray.get(reference)
        except ray.exceptions.RayError:  # its node or worker died
            return 128 + signal.SIGKILL
        finally:
            in_flight.discard(reference)

    try:
        yield execute
    finally:
        for reference in list(in_flight):
            ray.cancel(reference, force=True)
        ray.shutdown()


def _run_guarded(job: Job, lifeline: int) -> int:
    """Runs a job and returns its status; kills it if the other end of the lifeline closes."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        return subprocess.Popen(
            [*_guard_command(lifeline), *job.command],
            env={**os.environ, **job.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lifeline,),
            start_new_session=True,  # this process alone receives Ctrl-C
        ).wait()


def run_foreground(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> int:
    """Runs a command in a folder, at this terminal, and returns its exit status.

    An interrupt of this process is passed on to the command, which may end in its own time;
    KeyboardInterrupt is raised afterwards. The command is killed with this process.

    Args:
        command: the program and its arguments.
        folder: its working directory.
        environment: variables added to those of this process.

    Raises:
        KeyboardInterrupt: this process was interrupted, and the command has ended.
    """
    lifeline, ours = os.pipe()
    interrupted = False
    try:
        process = subprocess.Popen(
            [*_guard_command(lifeline), *command],
            cwd=folder,
            env={**os.environ, **(environment or {})},
            pass_fds=(lifeline,),
            start_new_session=True,  # so that Ctrl-C reaches it once, through this process
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


def _guard_command(lifeline: int) -> list[str]:
    """Returns the prefix of a command that must end with this process."""
    return [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(lifeline)]


def _last_line(log: Path) -> str:
    """Reads the last line of a log that is not empty."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
