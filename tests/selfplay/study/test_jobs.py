"""Jobs: all are done, failures are tried again, and nothing outlives who asked."""

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


def test_each_slot_has_its_cores_and_every_job_runs_once(tmp_path: Path) -> None:
    code = "import os; print(sorted(os.sched_getaffinity(0)), flush=True)"
    ends = list(jobs.run([job(tmp_path, str(i), code) for i in range(5)], 2, 0))
    assert sorted(end.name for end in ends) == list("01234")
    assert all(end.status == 0 and end.tries == 1 and not end.words for end in ends)
    said = {(tmp_path / f"{i}.log").read_text() for i in range(5)}
    cores = sorted(os.sched_getaffinity(0))
    assert said <= {f"{cores[slot::2] or cores[:1]}\n" for slot in range(2)}
    assert sorted(os.sched_getaffinity(0)) == cores


def test_a_failure_is_tried_again_and_the_others_go_on(tmp_path: Path) -> None:
    heals = """
        import pathlib, sys
        mark = pathlib.Path(sys.argv[1])
        if not mark.exists():
            mark.touch()
            raise SystemExit(3)
    """
    once = job(tmp_path, "heals", heals)
    once = Job(once.name, (*once.command, str(tmp_path / "mark")), once.log)
    never = job(tmp_path, "never", "print('all is lost\\n'); raise SystemExit(4)")
    killed = job(tmp_path, "killed", "import os; os.kill(os.getpid(), 9)")
    good = job(tmp_path, "good", "pass")
    ends = {end.name: end for end in jobs.run([once, never, killed, good], 2, 1)}
    assert [(ends[n].status, ends[n].tries) for n in ("heals", "never", "killed", "good")] == [
        *((0, 2), (4, 2), (128 + signal.SIGKILL, 2), (0, 1))
    ]
    assert ends["never"].words == "all is lost" and ends["good"].words == ""


def test_what_cannot_be_started_has_failed_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    nowhere = job(tmp_path / "a file", "nowhere", "pass")
    ends = {e.name: e for e in jobs.run([nowhere, job(tmp_path, "good", "pass")], 1, 1)}
    assert (ends["nowhere"].status, ends["nowhere"].tries) == (jobs.CANNOT_START, 2)
    assert "a file" in ends["nowhere"].words
    assert ends["good"].status == 0


@pytest.mark.slow
def test_jobs_run_on_a_ray_cluster(tmp_path: Path) -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 2, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        many = [job(tmp_path, str(i), "print('here')") for i in range(3)]
        bad = job(tmp_path, "bad", "print('oh'); raise SystemExit(7)")
        config = ClusterConfig(address=cluster.address)
        ends = {end.name: end for end in jobs.run([*many, bad], 2, 1, config)}
    finally:
        cluster.shutdown()
    assert {ends[str(i)].status for i in range(3)} == {0}
    assert (ends["bad"].status, ends["bad"].tries, ends["bad"].words) == (7, 2, "oh")
    assert (tmp_path / "0.log").read_text() == "here\n"


def test_jobs_are_announced_when_they_start_and_commands_have_what_they_are_given(
    tmp_path: Path,
) -> None:
    started = list[str]()
    waiting = [job(tmp_path, name, f"raise SystemExit({name == 'b':d})") for name in "ab"]
    list(jobs.run(waiting, 1, 1, started=lambda one: started.append(one.name)))
    assert started == ["a", "b"], "once, however often they are tried"
    code = "import os; raise SystemExit(os.environ['WHERE'] != 'here')"
    assert jobs.attend((sys.executable, "-c", code), tmp_path, {"WHERE": "here"}) == 0


SLEEPS = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(600)"


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_no_job_outlives_us(tmp_path: Path, ending: signal.Signals) -> None:
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
def test_an_attended_command_ends_in_peace_or_with_us(
    tmp_path: Path, ending: signal.Signals
) -> None:
    """Interrupted it takes its time, even where only we are signalled; a SIGKILL takes it along."""
    started, peace = tmp_path / "started", tmp_path / "peace"
    takes_its_time = """
        import pathlib, sys, time
        try:
            pathlib.Path(sys.argv[1]).touch()
            time.sleep(600)
        except KeyboardInterrupt:
            time.sleep(1)
            pathlib.Path(sys.argv[2]).touch()
    """
    command = (sys.executable, "-I", "-S", "-c", textwrap.dedent(takes_its_time))
    driver = f"""
        import signal, sys; sys.path.insert(0, {os.getcwd()!r})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        from pathlib import Path
        from selfplay.study.jobs import attend
        try:
            attend({(*command, str(started), str(peace))!r}, Path())
        except KeyboardInterrupt:
            raise SystemExit(0 if Path({str(peace)!r}).exists() else 3)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(driver)]) as process:
        try:
            _wait(started.exists)
            process.send_signal(ending)
            assert process.wait(20) == (-ending if ending == signal.SIGKILL else 0)
            _wait(lambda: not _running(str(started)))
        finally:
            process.kill()
    assert peace.exists() == (ending != signal.SIGKILL)


def test_an_attended_command_has_its_folder_and_its_status(tmp_path: Path) -> None:
    code = "import os; open('here', 'w').close(); raise SystemExit(4)"
    assert jobs.attend((sys.executable, "-I", "-S", "-c", code), tmp_path) == 4
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
