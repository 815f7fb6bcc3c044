"""What a run ran on: code, packages, devices, pinned flags. One entry for each start.

Environment variables are copied from an allow-list and nowhere else: an environment holds secrets.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.runs.files import CorruptedFile, read_json, write_json

FILE = "manifest.json"
PACKAGES = (
    "oomzero", "jax", "jaxlib", "flax", "optax", "mctx", "numpy", "ray", "orbax-checkpoint",
    "ml_dtypes", "tensorstore", "scipy", "jax-cuda13-plugin", "jax-cuda12-plugin", "libtpu",
)  # fmt: skip
ENVIRONMENT = (
    "XLA_FLAGS", "NPROC", "JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_THREEFRY_PARTITIONABLE", "JAX_DEFAULT_PRNG_IMPL", "JAX_NUM_CPU_DEVICES",
    "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE", "TF_CUDNN_DETERMINISTIC", "LIBTPU_INIT_ARGS",
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
)  # fmt: skip


def _git(source: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(source), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def code_version(source: Path) -> dict[str, Any]:
    """Commit of the checkout that holds ``source``, and whether files differ from it.

    Both are None outside git.
    """
    commit = _git(source, "rev-parse", "HEAD")
    status = None if commit is None else _git(source, "status", "--porcelain")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")  # Linux only
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _devices() -> dict[str, Any]:
    import jax

    devices = jax.devices()
    return {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)}


def collect(flags: Mapping[str, Any]) -> dict[str, Any]:
    """This process's code, packages, devices and machine, as JSON values. Starts JAX's backend.

    ``flags`` are the pinned settings that the caller applied before JAX started.
    """
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git": code_version(Path(__file__).resolve().parent),
        "python": sys.version.split()[0],
        "packages": _versions(),
        "devices": _devices(),
        "flags": dict(flags),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "host": {"cores": os.cpu_count(), "cpu": _cpu_model(), "os": platform.platform()},
    }


def record(folder: Path, session: Mapping[str, Any]) -> None:
    """Appends ``session`` to the ``sessions`` list of ``folder/manifest.json``, atomically.

    Raises CorruptedFile when what is there is no manifest.
    """
    path = Path(folder) / FILE
    document = read_json(path) if path.exists() else {"sessions": []}
    sessions = document.get("sessions") if isinstance(document, dict) else None
    if not isinstance(sessions, list):
        raise CorruptedFile(path, "it lists no sessions")
    write_json(path, {"sessions": [*sessions, session]})
