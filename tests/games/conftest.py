"""Rules draw nothing; the tests that play random games use each key once."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _keys_used_once(keys_used_once: None) -> None:
    """Switch the check on for every module here."""
