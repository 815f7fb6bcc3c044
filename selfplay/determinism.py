"""What floating-point results depend on, pinned in one place before JAX starts.

XLA's CPU backend lets the number of threads it sees shape its kernels: weight gradients changed
with the host's core count. Here every program runs on one thread (``NPROC=1``), and parallelism
comes from processes (one actor per core) and from virtual CPU devices (the learner's shards);
neither touches a program's arithmetic. The instruction set is pinned to AVX2, which every
x86-64 host of the last decade has. On GPU, XLA's deterministic kernels are asked for, and Triton's
matrix products are switched off: from JAX 0.11 on, no network compiles with both, because only
autotuning finds tiles for the products, and deterministic kernels do without autotuning.

This module must not import JAX: whoever starts a process calls :func:`pin` first.
"""

import os
import re
import sys
from pathlib import Path

NAMES = ("NPROC", "XLA_FLAGS")
LATE = """\
JAX was imported before selfplay.determinism.pin() could set the flags that fix its results.
In a script, call it above every import of JAX. In a notebook, restart the kernel and make this the
first cell:

    from selfplay import determinism
    determinism.pin()
"""
CACHE = Path(__file__).resolve().parent.parent / ".jax_cache"  # of programs, beside the code


def environment(devices: int = 1) -> dict[str, str]:
    """The pinned variables of a process started from here, with `devices` virtual CPU devices.

    What the user's own ``XLA_FLAGS`` add stays in front: actors compute as their driver does.
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
    own = [flag for flag in inherited if flag.split("=")[0] not in names]
    return {"NPROC": "1", "XLA_FLAGS": " ".join([*own, *flags])}


def pin(devices: int = 1) -> None:
    """Pin this process; the user's own ``XLA_FLAGS`` stay, see :func:`environment`.

    Calling it again does nothing, as when a notebook's first cell runs twice.

    Raises:
        RuntimeError: JAX was imported before, so the flags could come too late, or the process is
            pinned for another number of devices.
    """
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
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def check_fingerprint(here: str, run: str | None, whose: str, folder: Path) -> None:
    """ValueError if the run in `folder` was begun with another fingerprint; None: with none."""
    if run not in (here, None):
        raise ValueError(
            f"{whose} fingerprint is {here[:12]} on this machine, and {run[:12]} in the run: "
            "its processor, flags or packages give other bits than those that the run was started "
            f"with; see {folder / 'manifest.json'}"
        )


def pinned() -> dict[str, str]:
    """The pinned variables as this process has them, for the manifest."""
    return {name: os.environ.get(name, "") for name in NAMES}
