"""A cluster's head that goes away is noticed, wherever the driver waits, and not too soon."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest

from selfplay.cluster import background, connection
from selfplay.cluster.background import BackgroundActor
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.connection import Head


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT_S", 0.02)
    monkeypatch.setattr(background, "HEARTBEAT_S", 0.02)


def listening() -> tuple[socket.socket, str]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, "{}:{}".format(*server.getsockname())


def test_silence_counts_from_first_failed_ping_of_latest_series() -> None:
    """A learner may learn for hours between two looks at the head."""
    server, address = listening()
    head = Head(address, patience=0.2)
    time.sleep(0.3)  # nobody knocked for longer than it may be silent
    server.close()
    for _ in range(2):
        assert head.is_alive() and not head.is_gone
        time.sleep(0.3)  # nor now: it may have been there again
    assert head.is_alive() and not head.wait_until_alive()


def test_successful_ping_ends_silence() -> None:
    server, address = listening()
    head = Head(address, patience=0.2)
    server.close()
    assert head.is_alive()
    host, port = address.split(":")
    with socket.create_server((host, int(port))):
        assert head.wait_until_alive()
    assert head.is_alive()  # silent again, but not for long


def test_wait_until_alive_waits_until_head_answers_or_is_gone() -> None:
    server, address = listening()
    head = Head(address, patience=0.2)
    assert head.wait_until_alive()
    server.close()
    began = time.monotonic()
    assert not head.wait_until_alive() and head.is_gone and 0.2 < time.monotonic() - began < 5


def test_background_actor_does_not_wait_for_a_lost_head(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, address = listening()
    killed: list[Any] = []
    answer = SimpleNamespace(call=SimpleNamespace(remote=lambda *_: "an answer that never comes"))
    ray = SimpleNamespace(
        wait=lambda asked, timeout: time.sleep(timeout) or ([], asked), kill=killed.append
    )
    monkeypatch.setattr(background, "_ray", lambda: ray)

    def start(self: BackgroundActor) -> Any:
        self._head = Head(address, patience=0.2)
        return answer

    monkeypatch.setattr(BackgroundActor, "_start", start)
    work = BackgroundActor(dict, "get", (), ClusterConfig(actors=1))
    work.submit("a question")
    work.close()
    assert killed == [answer]
    work = BackgroundActor(dict, "get", (), ClusterConfig(actors=1))
    work.submit("a question")
    server.close()
    assert work.drain() == [] and f"the head at {address} is gone" in work.failure
    work.close()
    assert killed == [answer]  # Ray is not asked for anything any more
