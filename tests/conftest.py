"""What every test starts from: pinned arithmetic, eight virtual CPU devices, strict JAX."""

import os

from selfplay import determinism

# Two workers and many commands compile the same small programs: share them.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
# Before any import of JAX. Pytest loads this file before it collects the tests beside it.
determinism.pin(8)

from collections.abc import Iterator  # noqa: E402

import jax  # noqa: E402
import pytest  # noqa: E402

# Arrays of different rank never meet by accident: a missing axis is an error, not a broadcast.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module")
def keys_used_once() -> Iterator[None]:
    """Using one PRNG key twice is an error in this module.

    Not for modules that search: inside mctx, JAX's check takes a batched `cond` over keys for a
    reuse (mctx 0.0.71, JAX 0.10.2), so it cannot be on for every test.
    """
    with jax.debug_key_reuse(True):
        yield
