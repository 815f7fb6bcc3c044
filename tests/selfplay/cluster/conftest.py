"""What tests of the pool share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from selfplay.cluster import ray_pool
from tests.selfplay.cluster.fake_ray import FakeRay


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRay]:
    ray = FakeRay()
    monkeypatch.setattr(ray_pool, "connect", lambda config, actors: ray)
    monkeypatch.setattr(ray_pool, "POLL_S", 0.0)
    yield ray
