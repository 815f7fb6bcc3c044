"""Checks in every module here that random keys are used once."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _keys_used_once(keys_used_once: None) -> None:
    """Switches the check on."""
