"""Actors and the modules of a user: they follow what the driver followed, and nothing else."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import games
from games import plugins
from games.plugins import NotTrusted
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.stream_player import StreamPlayer
from selfplay.cluster import plan
from selfplay.cluster.actor import StreamActor
from selfplay.cluster.background import BackgroundActor
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.ray_errors import PoolFailed
from selfplay.cluster.ray_pool import RayPool
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.runs.digest import digest
from selfplay.search.config import SearchConfig
from tests.selfplay.cluster.fake_ray import FakeRay
from tests.selfplay.search.planted import random_params

pytestmark = pytest.mark.usefixtures("trusts_nothing")

PATH = "users_game:UsersGame"
SPEC = StreamSpec(
    PATH,
    NetworkConfig("mlp", width=4, depth=0, head_width=4),
    SearchConfig("puct", num_simulations=0),
    SelfPlayConfig(streams=2, batch_size=8, segment_length=16),
    seed=7,
)
GAME = """
from dataclasses import dataclass

from games.tic_tac_toe import TicTacToe
from users_rules import NAME


@dataclass(frozen=True)
class UsersGame(TicTacToe):
    name = NAME
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a game in two modules that nobody has typed yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users_game.py").write_text(GAME)
    (tmp_path / "users_rules.py").write_text("NAME = 'users'\n")
    return tmp_path


def start_actor(monkeypatch: pytest.MonkeyPatch, *sources: Any) -> StreamActor:
    monkeypatch.setattr(StreamPlayer, "from_spec", lambda spec, fields: games.make(spec.game))
    return StreamActor(SPEC, {}, sources)


def test_stream_spec_alone_imports_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if the module is on the path, as that of another run's driver may be."""
    monkeypatch.syspath_prepend(folder)
    for spec in (SPEC, replace(SPEC, game="os:system")):
        with pytest.raises(NotTrusted, match=f"game '{spec.game}' is an import path that nobody"):
            StreamActor(spec, {})
    assert "users_game" not in sys.modules


def test_actor_with_the_sources_of_the_driver_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.trust([PATH])
    games.make(PATH)
    (source,) = plugins.followed()
    assert source.path == PATH and source.folder == str(folder)
    assert isinstance(start_actor(monkeypatch, source)._player, sys.modules["users_game"].UsersGame)


def test_actor_with_other_sources_names_module_and_digests(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.trust([PATH])
    games.make(PATH)
    (source,) = plugins.followed()
    with pytest.raises(
        RuntimeError, match=rf"{PATH} has the digest {source.digest[:12]} on .*ffff"
    ):
        start_actor(monkeypatch, source._replace(digest="f" * 64))
    # A module that only the driver needs, such as an optimizer, is not compared.
    start_actor(monkeypatch, source, source._replace(path="users_other:make", digest="f" * 64))


def test_digest_is_of_the_source_that_was_imported(folder: Path) -> None:
    plugins.trust([PATH])
    games.make(PATH)
    (before,) = plugins.followed()
    (folder / "users_rules.py").write_text("NAME = 'changed while this process runs'\n")
    games.make(PATH)
    assert plugins.followed() == (before,)


def test_manager_gives_actors_the_modules_that_the_driver_followed(
    folder: Path, fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugins.trust([PATH])
    games.make(PATH)
    received: list[Any] = []
    start = fake.start
    monkeypatch.setattr(fake, "start", lambda *args: (received.append(args), start(*args))[1])
    RayPool(SPEC, ClusterConfig(actors=1)).close()
    ((spec, _, sources),) = received
    assert spec == SPEC and sources == plugins.followed() and len(sources) == 1


@pytest.mark.slow
def test_ray_actors_play_a_game_from_the_working_directory(folder: Path) -> None:
    plugins.trust([PATH])
    player = StreamPlayer.from_spec(SPEC)
    params = random_params(network.make(games.make(PATH), SPEC.network).init)
    carries = [player.start(stream) for stream in range(2)]
    expected = [digest(player.play(params, carry, 3, s, 2)) for s, carry in enumerate(carries)]
    announced: list[str] = []
    config = ClusterConfig(actors=2, object_store_mb=80)
    workers = RayPool(SPEC, config, announce=announced.append)
    background = BackgroundActor(games.make, "__repr__", (PATH,), config)
    try:
        workers.submit(plan.Work(iteration=3, version=2, streams=2), params, carries)
        assert [digest(result) for result in workers.collect()] == expected
        assert workers.usage()["actors"] == 2 and announced == []
        background.submit()
        assert background.drain() == ["UsersGame()"], background.failure
        # An actor that starts after the source was changed computes something else: it is refused.
        (folder / "users_rules.py").write_text("NAME = 'changed'\n")
        import ray

        for entry in list(workers._idle):
            os.kill(ray.get(entry.actor.pid.remote()), signal.SIGKILL)
        workers.submit(plan.Work(iteration=3, version=2, streams=2), params, carries)
        with pytest.raises(PoolFailed, match="no actor is left"):
            workers.collect()
        assert f"the source of {PATH} has the digest" in announced[-1]
        assert announced[-1].startswith("refused: an actor could not start: ")
    finally:
        background.close()
        workers.close()
