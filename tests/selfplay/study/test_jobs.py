"""Jobs run once each, failures are retried, and no child survives its parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.cluster.config import ClusterConfig
from selfplay.study import jobs
from selfplay.study.jobs import Job


def job(folder: Path, name: str, code: str) -> Job:
    command = (sys.executable, "-I", "-S", "-c", textwrap.dedent(code))
    return Job(name, command, folder / f"{name}.log")


def test_every_job_runs_once_on_the_cores_of_its_slot(tmp_path: Path) -> None:
    code = "import os; print(sorted(os.sched_getaffinity(0)), flush=True)"
    results = list(jobs.run([job(tmp_path, str(i), code) for i in range(5)], 2, 0))
    assert sorted(result.name for result in results) == list("01234")
    assert all(r.status == 0 and r.tries == 1 and not r.last_line for r in results)
    outputs = {(tmp_path / f"{i}.log").read_text() for i in range(5)}
    cores = sorted(os.sched_getaffinity(0))
    assert outputs <= {f"{cores[slot::2] or cores[:1]}\n" for slot in range(2)}
    assert sorted(os.sched_getaffinity(0)) == cores


def test_failed_jobs_are_retried_while_others_continue(tmp_path: Path) -> None:
    fails_once = """
        import pathlib, sys
        mark = pathlib.Path(sys.argv[1])
        if not mark.exists():
            mark.touch()
            raise SystemExit(3)
    """
    once = job(tmp_path, "heals", fails_once)
    once = Job(once.name, (*once.command, str(tmp_path / "mark")), once.log)
    never = job(tmp_path, "never", "print('all is lost\\n'); raise SystemExit(4)")
    killed = job(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)")
    good = job(tmp_path, "good", "pass")
    results = {result.name: result for result in jobs.run([once, never, killed, good], 2, 1)}
    assert [
        (results[n].status, results[n].tries) for n in ("heals", "never", "killed", "good")
    ] == [*((0, 2), (4, 2), (128 + signal.SIGKILL, 2), (0, 1))]
    assert results["never"].last_line == "all is lost" and results["good"].last_line == ""


def test_job_that_cannot_start_fails_while_others_continue(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    nowhere = job(tmp_path / "a file", "nowhere", "pass")
    results = {r.name: r for r in jobs.run([nowhere, job(tmp_path, "good", "pass")], 1, 1)}
    assert (results["nowhere"].status, results["nowhere"].tries) == (jobs.CANNOT_START, 2)
    assert "a file" in results["nowhere"].last_line
    assert results["good"].status == 0


@pytest.mark.slow
def test_jobs_run_on_ray_cluster(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        many = [job(tmp_path, str(i), "print('here')") for i in range(3)]
        failing = job(tmp_path, "bad", "print('oh'); raise SystemExit(7)")
        config = ClusterConfig(address=cluster.address)
        results = {result.name: result for result in jobs.run([*many, failing], 2, 1, config)}
    finally:
        cluster.shutdown()
    assert {results[str(i)].status for i in range(3)} == {0}
    bad = results["bad"]
    assert (bad.status, bad.tries, bad.last_line) == (7, 2, "oh")
    assert (tmp_path / "0.log").read_text() == "here\n"


def test_started_is_called_once_per_job(tmp_path: Path) -> None:
    started = list[str]()
    queue = [job(tmp_path, name, f"raise SystemExit({name == 'b':d})") for name in "ab"]
    list(jobs.run(queue, 1, 1, started=lambda job: started.append(job.name)))
    assert started == ["a", "b"], "once, however often a job is retried"


def test_run_foreground_sets_environment(tmp_path: Path) -> None:
    code = "import os; raise SystemExit(os.environ['WHERE'] != 'here')"
    assert jobs.run_foreground((sys.executable, "-c", code), tmp_path, {"WHERE": "here"}) == 0


SLEEPS = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_jobs_end_with_their_parent(tmp_path: Path, ending: signal.Signals) -> None:
    started = tmp_path / "started"
    driver = f"""
        import signal, sys; sys.path.insert(0, {os.getcwd()!r})
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & has us ignore it
        from pathlib import Path
        from selfplay.study.jobs import Job, run
        command = (sys.executable, "-I", "-S", "-c", {SLEEPS!r}, {str(started)!r})
        print(list(run([Job("a", command, Path({str(tmp_path / "a.log")!r}))], 1, 5)))
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(driver)], stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait(started.exists)
            process.send_signal(ending)
            assert process.wait(20) != 0
            _wait(lambda: not _running(str(started)))
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_run_foreground_lets_command_finish_unless_parent_is_killed(
    tmp_path: Path, ending: signal.Signals
) -> None:
    """An interrupted command may clean up; SIGKILL of the parent kills it at once."""
    started, finished = tmp_path / "started", tmp_path / "finished"
    cleans_up = """
        import pathlib, sys, time
        try:
            pathlib.Path(sys.argv[1]).touch()
            time.sleep(600)
        except KeyboardInterrupt:
            time.sleep(1)
            pathlib.Path(sys.argv[2]).touch()
    """
    command = (sys.executable, "-I", "-S", "-c", textwrap.dedent(cleans_up))
    driver = f"""
        import signal, sys; sys.path.insert(0, {os.getcwd()!r})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        from pathlib import Path
        from selfplay.study.jobs import run_foreground
        try:
            run_foreground({(*command, str(started), str(finished))!r}, Path())
        except KeyboardInterrupt:
            raise SystemExit(0 if Path({str(finished)!r}).exists() else 3)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(driver)]) as process:
        try:
            _wait(started.exists)
            process.send_signal(ending)
            assert process.wait(20) == (-ending if ending == signal.SIGKILL else 0)
            _wait(lambda: not _running(str(started)))
        finally:
            process.kill()
    assert finished.exists() == (ending != signal.SIGKILL)


def test_run_foreground_uses_folder_and_returns_status(tmp_path: Path) -> None:
    code = "import os; open('here', 'w').close(); raise SystemExit(4)"
    assert jobs.run_foreground((sys.executable, "-I", "-S", "-c", code), tmp_path) == 4
    assert (tmp_path / "here").exists()


def _wait(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _running(argument: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if argument in words:
            return True
    return False
