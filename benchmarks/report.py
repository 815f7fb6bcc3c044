"""What the speed benchmarks print: the machine, and rows of medians against targets."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import jax
from rich.table import Table


def columns(table: Table, count: int) -> None:
    """The columns that :func:`row` fills, for so many measurements."""
    for name in ("", f"median of {count}", "min – max", "target", ""):
        table.add_column(name, justify="left" if not name else "right")


def row(table: Table, name: str, values: Sequence[float], form: str, target: float = 0) -> None:
    """Median and range; against a target where there is one."""
    middle = median(values)
    verdict = ("[green]pass" if middle >= target else "[red]fail") if target else ""
    wanted = f"≥ {target:{form}}" if target else ""
    spread = f"{min(values):{form}} – {max(values):{form}}"
    table.add_row(name, f"{middle:{form}}", spread, wanted, verdict)


def machine() -> str:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    return f"{cores()} cores of {model}; JAX {jax.__version__} on {jax.default_backend()}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
