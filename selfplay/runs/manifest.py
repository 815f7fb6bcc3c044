"""The manifest of a run: code, packages, devices and pinned flags, one entry for each start.

Only environment variables on an allow-list are copied, because an environment holds secrets.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from selfplay.runs.codec import Json, JsonObject
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
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


def code_version(source: Path) -> JsonObject:
    """Returns the commit of the checkout with ``source``, and whether its files were changed.

    ``{"commit": …, "dirty": …}``; both are None outside git, and where git does not track
    ``source``: an environment inside the user's own repository.
    """
    if not _git(source, "ls-files", "--", "."):
        return {"commit": None, "dirty": None}
    commit = _git(source, "rev-parse", "HEAD")
    status = None if commit is None else _git(source, "status", "--porcelain")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")  # Linux only
    for line in info.read_text().splitlines() if info.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _devices() -> JsonObject:
    import jax

    devices = jax.devices()
    return {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)}


def collect(flags: Mapping[str, Json]) -> JsonObject:
    """Describes this process's code, packages, devices and machine. Starts JAX's backend.

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


def record(folder: Path, session: Mapping[str, Json]) -> None:
    """Appends ``session`` to the ``sessions`` list of ``folder/manifest.json``, atomically.

    Raises CorruptedFile if the file is not a manifest.
    """
    write_json(Path(folder) / FILE, {"sessions": [*sessions(folder), session]})


def sessions(folder: Path) -> list[JsonObject]:
    """Reads the sessions in ``folder/manifest.json``; [] if there is no such file.

    Raises CorruptedFile if the file is not a manifest.
    """
    path = Path(folder) / FILE
    document = read_json(path) if path.exists() else {"sessions": []}
    result = document.get("sessions") if isinstance(document, dict) else None
    if not isinstance(result, list):
        raise CorruptedFile(path, "it has no list of sessions")
    return result
