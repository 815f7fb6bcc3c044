"""What every test starts from: pinned arithmetic, eight virtual CPU devices, strict JAX."""

from selfplay import pins

# Before any import of JAX. Pytest loads this file before it collects the tests beside it.
pins.pin(8)

import jax  # noqa: E402
import pytest  # noqa: E402

# Arrays of different rank never meet by accident: a missing axis is an error, not a broadcast.
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def no_key_reuse():
    """Using one PRNG key twice is an error inside this test."""
    with jax.debug_key_reuse(True):
        yield
