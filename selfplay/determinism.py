"""The flags that floating-point results depend on, set in one place before JAX starts.

The kernels of XLA's CPU backend depend on the number of threads it sees: weight gradients changed
with the host's core count. Here every program runs on one thread (``NPROC=1``). Parallelism comes
from processes (one actor per core) and from virtual CPU devices (the learner's shards). Their
number is the same on every machine, because it changes gradients. The instruction set is AVX2,
which every x86-64 host of the last decade has. On GPU, XLA uses deterministic kernels and not
Triton's matrix products: from JAX 0.11 on, no network compiles with both, because only autotuning
finds tiles for the products, and deterministic kernels exclude autotuning.

A process calls :func:`pin` before it imports JAX, so this module must not import JAX.
"""

import os
import re
import sys
from pathlib import Path

from games import checkout

NAMES = ("NPROC", "XLA_FLAGS")
DEVICES = "OOMZERO_CPU_DEVICES"
"""Environment variable: see :func:`cpu_devices`."""
LATE = """\
JAX was imported before selfplay.determinism.pin() could set the flags that fix its results.
In a script, call it above every import of JAX. In a notebook, restart the kernel and make this the
first cell:

    from selfplay import determinism
    determinism.pin()
"""


def cache_folder() -> Path | None:
    """Returns the folder for compiled programs, or None if nothing can be written there.

    In a checkout it is beside the code, otherwise in the user's cache folder.
    """
    folder = checkout.ROOT / ".jax_cache"
    if not checkout.is_checkout():
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = named if os.path.isabs(named) else os.path.expanduser("~/.cache")
        folder = Path(base, "oomzero")
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    return folder if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK) else None


def environment(devices: int = 1) -> dict[str, str]:
    """Returns the pinned variables for a process with `devices` virtual CPU devices.

    Other flags in the user's ``XLA_FLAGS`` stay, in front: actors compute as their driver does.
    """
    flags = [
        "--xla_cpu_multi_thread_eigen=false",
        "--xla_cpu_max_isa=AVX2",
        "--xla_gpu_deterministic_ops=true",
        "--xla_gpu_enable_triton_gemm=false",
        f"--xla_force_host_platform_device_count={devices}",
    ]
    names = {flag.split("=")[0] for flag in flags}
    inherited = os.environ.get("XLA_FLAGS", "").split()
    others = [flag for flag in inherited if flag.split("=")[0] not in names]
    return {"NPROC": "1", "XLA_FLAGS": " ".join([*others, *flags])}


def cpu_devices() -> int:
    """Returns the number of virtual CPU devices of a process that learns, on every machine.

    XLA's pool has as many threads as devices, and a gradient's bits depend on it: 1, 2 and 4
    devices differ. The environment variable `DEVICES` is for runs that were started with fewer.

    Raises:
        ValueError: the variable is not a number from 1 on.
    """
    text = os.environ.get(DEVICES, "8")
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{DEVICES} must be a number of devices from 1 on, got {text!r}")
    return int(text)


def pin(devices: int | None = None) -> None:
    """Sets the pinned variables in this process; see :func:`environment`.

    `devices` is the number of virtual CPU devices, that of :func:`cpu_devices` if left out.
    A second call does nothing, so that the first cell of a notebook may run twice.

    Raises:
        RuntimeError: JAX was imported before, so the flags could come too late, or the process is
            pinned for another number of devices.
    """
    devices = devices or cpu_devices()
    wanted = environment(devices)
    if "jax" in sys.modules:
        if pinned() == wanted:
            return
        count = re.search(r"device_count=(\d+)", pinned()["XLA_FLAGS"])
        if count and pinned() == environment(int(count[1])):
            raise RuntimeError(
                f"this process is pinned already, for {count[1]} virtual CPU devices instead of "
                f"{devices}; call pin() once"
            )
        raise RuntimeError(LATE)
    os.environ.update(wanted)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if folder := cache_folder():
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def check_fingerprint(actual: str, recorded: str | None, whose: str, folder: Path) -> None:
    """Compares a fingerprint of this machine with the one that a run was started with.

    Args:
        actual: this machine's fingerprint.
        recorded: the run's; None in runs that are older than this fingerprint.
        whose: what the fingerprint is of, as a message begins: "self-play's".
        folder: the run's folder.

    Raises:
        ValueError: they differ.
    """
    if recorded not in (actual, None):
        raise ValueError(
            f"{whose} fingerprint is {actual[:12]} on this machine, {recorded[:12]} in the run: "
            "this processor, these flags or packages compute other bits than the run was started "
            f"with; see {folder / 'manifest.json'}. If its flags have another device_count, set "
            f"{DEVICES} to that number"
        )


def pinned() -> dict[str, str]:
    """Returns the pinned variables as this process has them, for the manifest."""
    return {name: os.environ.get(name, "") for name in NAMES}
