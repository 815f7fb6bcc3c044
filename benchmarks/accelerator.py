"""Measures this package on an accelerator in one call of a few minutes.

    python -m benchmarks.accelerator                # on one GPU, about eight minutes
    python -m benchmarks.accelerator --small        # shrunk, on a CPU, to test the script

Every part is a process of its own, in the order of value: gradient steps of `go_9x9_gpu` in two
processes, one by one and many in a program; two trainings of `connect_four_smoke` and
`launch/verify.py`; self-play; gradient steps of three sizes of network; self-play against mctx with
pgx's rules, in turns (the `pgx` extra); a simulation by part; the rules against the CPU's; a
training of `connect_four_gpu` for three minutes with its exam; self-play and gradient steps under
two more sets of flags; two iterations of `go_9x9_gpu`. Parts of a group compile at the same time
and are timed one after the other, while nothing else runs. A part that fails beside others runs
again alone.

Flags: `pinned` is what every command sets. `graphs` adds CUDA graphs for loops. `excluded` rules
out nondeterministic kernels, but permits autotuning. Processes share no compiled programs, so equal
digests mean that they chose the same kernels. (With `--small` they share them, to save time.)

Each measurement is a JSON line in `accelerator.jsonl` in the folder $OUT (`out` if it is not set),
and a row of the table at the end and in the page `accelerator.md` there:

    t           seconds since the start, when the line was written
    ms          milliseconds: of a gradient step, or of a ply of all games
    per_second  positions that self-play searched
    tflops      10^12 FLOPs a second, as the ledger counts them
    peak        tflops as a share of the card's bfloat16 peak, where that is known
    peak_gib    the most that the process has had in use on the device, earlier programs included
    first_s     seconds of the first call, most of which compiles while other parts compile
    digest      of what the program returns; `repeats`: another call gave the same

Sets of flags run one after the other, and the host's speed changes meanwhile: compare programs of
one process rather than `ms` of two.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this file may be run as a script

from selfplay import determinism

FLAGS = ("pinned", "graphs", "excluded")
QUICK_TO_COMPILE = "--xla_backend_optimization_level=0"
"""A further flag with `--small`, where most of the time is spent in compiling."""

Measurement = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A process that measures.

    Attributes:
        name: which measurement, see `benchmarks.accelerator_parts`.
        program: which program it measures.
        flags: one of `FLAGS`.
        process: number of the process, where the same part runs twice.
        limit: seconds until it is stopped, for compiling and for measuring separately.
    """

    name: str
    program: str = "today"
    flags: str = "pinned"
    process: int = 1
    limit: float = 120

    def __str__(self) -> str:
        return f"{self.name} {self.program}, {self.flags}, process {self.process}"


GROUPS = (
    tuple(Part("learn", "all", "pinned", n) for n in (1, 2)),
    (
        Part("smoke", limit=150),
        Part("play"),
        Part("sizes"),
        Part("peer"),
        Part("parts"),
        Part("rules"),
    ),
    (Part("train", limit=280),),
    (
        Part("play", "today", "graphs"),
        *(Part("learn", "today", flags, n) for flags in ("graphs", "excluded") for n in (1, 2)),
    ),
    (Part("iterations", limit=140),),
)
"""Parts that may run at the same time, the most valuable group first."""


def xla_flags(name: str) -> str:
    """Returns the XLA flags of a part: the pinned ones, changed as its set of flags says."""
    pinned = determinism.environment(1)["XLA_FLAGS"]
    if name == "graphs":
        return f"{pinned} --xla_gpu_enable_command_buffer=+WHILE"
    if name == "excluded":
        old, new = "--xla_gpu_deterministic_ops", "--xla_gpu_exclude_nondeterministic_ops"
        assert old in pinned
        return pinned.replace(old, new)
    return pinned


def environment(part: Part, small: bool) -> dict[str, str]:
    """Returns the environment of a part's process."""
    flags = xla_flags(part.flags)
    return {
        **os.environ,
        **determinism.environment(1),
        "XLA_FLAGS": f"{QUICK_TO_COMPILE} {flags}" if small else flags,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # several processes share the device
        "JAX_ENABLE_COMPILATION_CACHE": "true" if small else "false",
        "JAX_COMPILATION_CACHE_DIR": str(determinism.cache_folder()),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }


class Child:
    """A part's process. It puts (child, line) for every line that it prints, then (child, None)."""

    def __init__(self, part: Part, small: bool, lines: queue.Queue[tuple[Child, str | None]]):
        self.part, self.is_ready, self.is_late = part, False, False
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the child)
        command = [sys.executable, "-m", "benchmarks.accelerator_parts", part.name]
        command += ["--program", part.program, *(["--small"] if small else [])]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(part, small),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            process_group=0,
        )
        assert self._process.stdin and self._process.stdout
        self._stdin = self._process.stdin
        self.limit = part.limit * (4 if small else 1)  # on a CPU that does other work
        self.stop_at = time.monotonic() + self.limit
        reader = threading.Thread(
            target=self._read, args=(self._process.stdout, lines), daemon=True
        )
        reader.start()

    def _read(self, stdout: IO[str], lines: queue.Queue[tuple[Child, str | None]]) -> None:
        for line in stdout:
            lines.put((self, line.strip()))
        lines.put((self, None))

    def measure(self) -> None:
        """Starts the measurement of a child that is ready."""
        self.is_ready = False
        self.stop_at = time.monotonic() + self.limit
        with contextlib.suppress(BrokenPipeError):  # it has just ended; its last line is None
            self._stdin.write("go\n")
            self._stdin.flush()

    def stop(self) -> None:
        """Kills the process and those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def error(self) -> str | None:
        """Waits for the end, stops what is left, and returns why the part failed, or None."""
        status = self._process.wait()
        self.stop()  # its process group: what it started and left behind
        if not status:
            return None
        self.errors.seek(0)
        if self.is_late:
            status = f"{status}, stopped after {self.limit:.0f} s"
        last = [line.strip() for line in self.errors if line.strip()][-4:]
        return f"status {status}: " + " | ".join(line[:400] for line in last)


@dataclass
class Session:
    """The measurements so far, and where they are written."""

    path: Path
    small: bool
    start: float = field(default_factory=time.monotonic)
    rows: list[Measurement] = field(default_factory=list)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def record(self, part: Part, values: Mapping[str, Any]) -> None:
        """Writes and prints a measurement."""
        row = {"t": round(self.elapsed), "part": part.name, "flags": part.flags}
        row |= {"process": part.process, "program": part.program, **values}
        self.rows.append(row)
        line = json.dumps(row)
        with self.path.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def run(self, parts: Iterable[Part]) -> list[Part]:
        """Runs parts at the same time, measuring one by one.

        Returns:
            The parts that failed before their limit, and may succeed alone.
        """
        lines: queue.Queue[tuple[Child, str | None]] = queue.Queue()
        children = [Child(part, self.small, lines) for part in parts]
        failed = []
        try:
            while children:
                if all(child.is_ready for child in children):
                    children[0].measure()  # the others wait
                busy = [child for child in children if not child.is_ready]
                wait = min(child.stop_at for child in busy) - time.monotonic()
                try:
                    child, line = lines.get(timeout=max(wait, 0))
                except queue.Empty:
                    _stop_late(busy)
                    continue
                if line is None:
                    children.remove(child)
                    if error := child.error():
                        if not child.is_late:
                            failed.append(child.part)
                        self.record(child.part, {"failed": error})
                elif line == "ready":
                    child.is_ready = True
                elif line.startswith("{"):
                    self.record(child.part, json.loads(line))
        finally:
            for child in children:
                child.stop()
        return failed

    def run_groups(self, groups: Iterable[tuple[Part, ...]], deadline: float) -> None:
        """Runs the groups in order; starts nothing after `deadline` seconds."""
        together = True
        for group in groups:
            if self.elapsed > deadline:
                print(f"not started: {'; '.join(map(str, group))}", flush=True)
                continue
            failed = self.run(group) if together else list(group)
            if len(group) == 1 and together:
                continue  # it has just run alone
            if len(failed) > len(group) / 2:
                together = False  # this device may not be shared
            for part in failed:
                if self.elapsed < deadline:
                    self.run([part])


def _stop_late(children: Iterable[Child]) -> None:
    """Stops the children whose time is over."""
    for child in children:
        if child.stop_at <= time.monotonic():
            child.is_late = True
            child.stop()
            child.stop_at += 60  # until its (child, None) arrives


def table(rows: list[Measurement]) -> str:
    """Returns the measurements as a table with aligned columns."""
    head = ("part", "flags", "p", "program", "ms", "TFLOP/s", "/s", "GiB", "digest", "")
    lines: list[tuple[str, ...]] = [head]
    for row in rows:
        notes = [f"{name[:-2]} {row[name]:.2f} s" for name in row if name.endswith("_s")]
        notes += [f"{row['seconds']:.0f} s"] if "seconds" in row else []
        notes += [f"{row['steps']} steps"] if "steps" in row else []
        notes += [f"{row['peak']:.0%} of the peak"] if "peak" in row else []
        notes += [f"kept {row['kept']:.1%}"] if "kept" in row else []
        notes += [row["note"]] if "note" in row else []
        if "equal" in row:
            notes.append("equal" if row["equal"] else "DIFFERENT")
        if row.get("repeats") is False:
            notes.append("THE SECOND CALL DIFFERS")
        notes += [f"FAILED {row['failed'][:100]}"] if "failed" in row else []
        cells = [row["part"], row["flags"], str(row["process"]), row["program"]]
        cells += [_number(row.get(name)) for name in ("ms", "tflops", "per_second", "peak_gib")]
        lines.append((*cells, row.get("digest", "")[:12], ", ".join(notes)))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _number(value: float | None) -> str:
    """Formats a number with four digits; an empty cell for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"


def conclusions(rows: list[Measurement]) -> list[str]:
    """Compares digests: between processes, and with today's program under the pinned flags."""
    digests: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row["part"] in ("learn", "play") and "digest" in row:
            key = row["part"], row["flags"], row["program"]
            digests.setdefault(key, []).append(row["digest"])
    lines = []
    for (part, flags, program), values in digests.items():
        first, comma, rest = program.partition(", ")
        reference = digests.get((part, "pinned", f"today{comma}{rest}"))
        if len(values) > 1:
            same = "the same bytes" if len(set(values)) == 1 else "DIFFERENT bytes"
            lines.append(f"{part} {program}, {flags}: {len(values)} processes, {same}")
        if reference and (first, flags) != ("today", "pinned"):
            same = "the same bytes as" if values[0] == reference[0] else "OTHER bytes than"
            lines.append(f"{part} {program}, {flags}: {same} today's program with the pinned flags")
    return lines


def page(rows: list[Measurement]) -> str:
    """Returns the measurements as a Markdown page."""
    lines = [f"# {rows[0]['program']}", "", "```", table(rows), "```", ""]
    return "\n".join([*lines, *(f"- {line}" for line in conclusions(rows)), ""])


def device_row() -> Measurement:
    """Describes JAX and the device, from a process that ends before the first part starts."""
    code = "import jax; d = jax.devices()[0]; print(jax.__version__, d.platform, d.device_kind)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    text = result.stdout.strip() or result.stderr[-300:]
    return {"program": text, "cores": os.cpu_count(), "xla_flags": xla_flags("pinned")}


def main() -> None:
    """Runs all parts and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deadline-s", type=float, default=400, help="start no part later [400]")
    parser.add_argument("--small", action="store_true", help="shrunk, one process at a time")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="PART",
        choices=sorted({part.name for group in GROUPS for part in group}),
        help="of: learn smoke play sizes peer parts rules train iterations",
    )
    options = parser.parse_args()
    folder = Path(os.environ.get("OUT") or "out")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "accelerator.jsonl"
    path.unlink(missing_ok=True)
    wanted = [
        tuple(part for part in group if options.only is None or part.name in options.only)
        for group in GROUPS
    ]
    groups = [group for group in wanted if group]
    if options.small:  # one process at a time
        groups = [(part,) for group in groups for part in group]
    session = Session(path, options.small)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `timeout` ends it with a table
    session.record(Part("device"), device_row())
    try:
        session.run_groups(groups, options.deadline_s)
    finally:
        print("\n" + table(session.rows))
        print("\n".join(conclusions(session.rows)))
        text = page(session.rows)
        path.with_suffix(".md").write_text(text, encoding="utf-8")
        print(f"{session.elapsed:.0f} s; {path} and {path.with_suffix('.md')}")


if __name__ == "__main__":
    main()
