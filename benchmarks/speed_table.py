"""The table of the speed benchmarks: the machine, and rows of medians against targets."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import jax
from rich.table import Table


def columns(table: Table, count: int) -> None:
    """Adds the columns that :func:`row` fills, for `count` measurements."""
    for name in ("", f"median of {count}", "min – max", "target", ""):
        table.add_column(name, justify="left" if not name else "right")


def row(table: Table, name: str, values: Sequence[float], form: str, target: float = 0) -> None:
    """Adds a row with median and range; a `target` of 0 means none."""
    middle = median(values)
    verdict = ("[green]pass" if middle >= target else "[red]fail") if target else ""
    wanted = f"≥ {target:{form}}" if target else ""
    spread = f"{min(values):{form}} – {max(values):{form}}"
    table.add_row(name, f"{middle:{form}}", spread, wanted, verdict)


def machine() -> str:
    """Describes the machine: cores, processor, and JAX with its backend."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{cores()} cores of {model}; JAX {jax.__version__} on {jax.default_backend()}"


def cores() -> int:
    """Counts the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
