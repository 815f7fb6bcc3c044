"""What every test starts from: pinned arithmetic, eight virtual CPU devices, strict JAX."""

import ctypes
import gc
import os
import sys

from games import plugins
from selfplay import determinism

# Two workers and many commands compile the same small programs: share them.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
# Before any import of JAX. Pytest loads this file before it collects the tests beside it.
determinism.pin()

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import psutil  # noqa: E402
import pytest  # noqa: E402

# Arrays of different rank never meet by accident: a missing axis is an error, not a broadcast.
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_collection_finish() -> None:
    """Spares the garbage collector the modules, which live as long as the process."""
    gc.freeze()


MUCH = 1_600 * 2**20  # bytes: every small program that JAX keeps takes over a megabyte
PROCESS = psutil.Process()
TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's


@pytest.fixture(autouse=True)
def _memory_is_bounded() -> Iterator[None]:
    """Drops all compiled programs, and gives their memory back, where a worker has grown large."""
    yield
    if TRIM and PROCESS.memory_info().rss > MUCH:
        jax.clear_caches()
        gc.collect()
        TRIM(0)


@pytest.fixture(scope="module", autouse=True)
def _caches_are_dropped(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drops what a module's own functions have cached: arrays of many games, mostly."""
    yield
    for value in list(vars(request.module).values()):
        if hasattr(value, "cache_clear") and value.__module__ == request.module.__name__:
            value.cache_clear()


@pytest.fixture
def trusts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begins a test as a new process: it trusts no import path and has followed none.

    Afterwards, forgets the trust of the test and the modules that it imported from `tmp_path`.
    """
    for name, value in (("paths", set()), ("folders", set()), ("followed", {})):
        monkeypatch.setattr(plugins._Trust, name, value)
    monkeypatch.setattr(plugins._Trust, "everything", False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", None)).startswith(f"{tmp_path}/"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def keys_used_once() -> Iterator[None]:
    """Using one PRNG key twice is an error in this module.

    Not for modules that search: inside mctx, JAX's check takes a batched `cond` over keys for a
    reuse (mctx 0.0.71, JAX 0.10.2), so it cannot be on for every test.
    """
    with jax.debug_key_reuse(True):
        yield
