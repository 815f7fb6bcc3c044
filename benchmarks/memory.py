"""What a command and all its descendants hold in memory, over time.

    python -m benchmarks.memory -- python launch/train.py connect_four
    python -m benchmarks.memory --minutes 30 --plot memory.png -- python launch/train.py go_9x9

Every 2 s it adds up the proportional set size (PSS: a page shared by n processes counts 1/n in
each) of the command and everything that descends from it; Ray's daemons and workers descend from
the process that called ``ray.init``. A process whose parent has died is still counted: Linux
hands it to us, because we ask to be the subreaper of what we start.

Ray's plasma store is one shared mapping under /dev/shm. PSS divides it among the processes that
have touched its pages, so the total already holds it once; the column "plasma" says how much of
the total it is (PSS of mappings of /dev/shm/plasma*). "/dev/shm" is what the store's files hold,
those that one of our processes has open: it exceeds "plasma" where pages are allocated but mapped
by nobody, and those pages are memory as well, so the peak is given with them.

PSS also depends on others: a library that another program has loaded counts half. To measure a
trend, let nothing else of the same installation run.

With ``--minutes`` the command is stopped after that time by SIGTERM. ``--plot`` draws the
course, and a CSV of the samples lies beside it. The exit status is the command's.
"""

import argparse
import contextlib
import csv
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import numpy as np

PROC = Path("/proc")
SHM = Path("/dev/shm")
PR_SET_CHILD_SUBREAPER = 36
MIB = 1 << 20


class Sample(NamedTuple):
    """One moment; sizes in bytes."""

    seconds: float
    processes: int
    pss: int  # of all processes, their share of plasma included
    plasma: int  # the part of `pss` that is plasma
    shm: int  # what the files of the store hold

    @property
    def total(self) -> int:
        """`pss`, and the shared memory that no process has mapped."""
        return self.pss + max(0, self.shm - self.plasma)


def descendants(root: int) -> set[int]:
    """`root`'s descendants, without `root`; zombies too (they hold nothing)."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            # a process may end at any time; the name in brackets may hold spaces and brackets
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text(errors="replace")
                children[int(stat.rpartition(")")[2].split()[1])].append(int(entry.name))
    found: set[int] = set()
    queue = [root]
    while queue:
        new = set(children[queue.pop()]) - found
        found |= new
        queue += new
    return found


def pss_of(pid: int) -> int:
    """PSS in bytes; 0 for a process that has ended."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def plasma_of(pid: int) -> int:
    """The part of a process's PSS, in bytes, that maps Ray's plasma store."""
    total, inside = 0, False
    with contextlib.suppress(OSError):
        if f"{SHM}/plasma" not in (PROC / str(pid) / "maps").read_text(errors="replace"):
            return 0  # `smaps` is slow: read it only where there is something to find
        for line in (PROC / str(pid) / "smaps").read_text(errors="replace").splitlines():
            field = line.split(maxsplit=1)[0]
            if not field.endswith(":"):  # the head of a mapping: addresses, ..., path
                inside = f"{SHM}/plasma" in line
            elif inside and field == "Pss:":
                total += int(line.split()[1]) * 1024
    return total


def shm_of(pids: set[int]) -> int:
    """Bytes that Ray's plasma stores hold, each file that a process has open once."""
    held: dict[tuple[int, int], int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for handle in (PROC / str(pid) / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(handle).startswith(f"{SHM}/plasma"):
                        file = handle.stat()
                        held[file.st_dev, file.st_ino] = file.st_blocks * 512
    return sum(held.values())


def take(seconds: float) -> Sample:
    """What our descendants hold now."""
    pids = descendants(os.getpid())
    return Sample(
        seconds=seconds,
        processes=len(pids),
        pss=sum(pss_of(pid) for pid in pids),
        plasma=sum(plasma_of(pid) for pid in pids),
        shm=shm_of(pids),
    )


def become_subreaper() -> None:
    """Orphans among our descendants become our children, so that they stay in the sum."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def reap_orphans(main: int) -> None:
    """Collects orphans that have ended; the command's own status is left to `subprocess`."""
    for pid in descendants(os.getpid()) - {main}:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def measure(command: list[str], every: float, most: float) -> tuple[int, list[Sample]]:
    """Runs `command` and returns its exit status and the samples, one each `every` seconds.

    After `most` seconds it is stopped, and what it does then is no longer measured.
    """
    become_subreaper()
    start = time.monotonic()
    process = subprocess.Popen(command)
    # Ctrl-C reaches the command by itself (same group); we stay to report. SIGTERM is passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    samples = []
    while process.poll() is None:
        if time.monotonic() - start > most:
            process.terminate()
            process.wait()
            break
        samples.append(take(time.monotonic() - start))
        reap_orphans(process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, len(samples) * every - (time.monotonic() - start)))
    return process.returncode, samples


def report(samples: list[Sample]) -> str:
    """The peak, and the samples at 10 % to 100 % of the runtime."""
    if not samples:
        return "the command ended before the first sample"
    peak = max(samples, key=lambda sample: sample.total)
    lines = [
        f"peak {peak.total / MIB:.0f} MiB at {peak.seconds:.0f} s, of which plasma "
        f"{max(peak.plasma, peak.shm) / MIB:.0f} MiB (counted once); {len(samples)} samples",
        f"{'runtime':>8} {'seconds':>8} {'procs':>6} {'total':>8} {'PSS':>8} {'plasma':>8} "
        f"{'/dev/shm':>9}   (MiB)",
    ]
    for tenth in range(1, 11):
        # the sample nearest to this share of the time between the first and the last
        moment = samples[-1].seconds * tenth / 10
        s = min(samples, key=lambda sample: abs(sample.seconds - moment))
        lines.append(
            f"{tenth * 10:7d}% {s.seconds:8.0f} {s.processes:6d} {s.total / MIB:8.0f} "
            f"{s.pss / MIB:8.0f} {s.plasma / MIB:8.0f} {s.shm / MIB:9.0f}"
        )
    return "\n".join(lines)


def trend(samples: list[Sample]) -> float:
    """MiB per hour of `Sample.total` in the second half of the time, by least squares."""
    late = [s for s in samples if s.seconds >= samples[-1].seconds / 2]
    hours = np.array([s.seconds / 3600 for s in late])
    total = np.array([s.total / MIB for s in late])
    return float(np.polyfit(hours, total, 1)[0]) if len(late) > 2 else float("nan")


def plot(samples: list[Sample], path: Path) -> None:
    """The course as a figure at `path`, and the samples as a CSV beside it."""
    matplotlib.use("Agg")
    minutes = [s.seconds / 60 for s in samples]
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, values, style in (
        ("all processes, shared memory once", [s.total for s in samples], "-"),
        ("object store", [max(s.plasma, s.shm) for s in samples], "--"),
    ):
        (line,) = axes.plot(minutes, [v / MIB for v in values], style, linewidth=1.5)
        axes.annotate(name, (minutes[-1], values[-1] / MIB), (0, 6), textcoords="offset points",
                      ha="right", color=line.get_color())  # fmt: skip
    axes.set(xlabel="minutes", ylabel="MiB", ylim=(0, None), xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    with path.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*Sample._fields, "total"))
        writer.writerows((f"{s.seconds:.1f}", *s[1:], s.total) for s in samples)


def main() -> int:
    """Run the command, report, and return its exit status."""
    parser = argparse.ArgumentParser(description="PSS of a command and its descendants.")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between samples")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop it then")
    parser.add_argument("--plot", type=Path, help="draw the course here (PNG, SVG, PDF)")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ...")
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("no command given: python -m benchmarks.memory -- COMMAND ...")
    try:
        status, samples = measure(command, options.every, 60 * options.minutes)
    except OSError as error:
        parser.error(f"cannot run {command[0]!r}: {error}")
    print(report(samples), file=sys.stderr, flush=True)
    if samples:
        print(f"second half: {trend(samples):+.0f} MiB per hour", file=sys.stderr, flush=True)
        if options.plot:
            plot(samples, options.plot)
    return 128 - status if status < 0 else status  # killed by a signal: as shells say it


if __name__ == "__main__":
    sys.exit(main())
