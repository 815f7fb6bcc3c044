"""The plan is pure arithmetic; a pool, even of Ray actors that die, changes no bit of it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import games
from selfplay import determinism
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.stream_player import StreamPlayer
from selfplay.cluster import connection, plan, pool
from selfplay.cluster.actor import StreamActor
from selfplay.cluster.config import ClusterConfig
from selfplay.cluster.ray_pool import RayPool
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from selfplay.runs.digest import digest
from selfplay.search.config import SearchConfig
from selfplay.training.loop import train
from tests.selfplay.search.planted import random_params
from tests.small_runs import PLAIN

STREAMS = 3
NETWORK = NetworkConfig("mlp", width=4, depth=0, head_width=4)
SPEC = StreamSpec(
    "tic_tac_toe",
    NETWORK,
    SearchConfig("puct", num_simulations=0),
    SelfPlayConfig(streams=STREAMS, batch_size=8, segment_length=16, random_opening_plies=6),
    7,
)
WORK = plan.Work(iteration=3, version=2, streams=STREAMS)


@given(
    first=st.integers(1, 50),
    count=st.integers(0, 20),
    streams=st.integers(1, 9),
    lag=st.integers(0, 1),
)
def test_plan_assigns_versions_by_policy_lag(
    first: int, count: int, streams: int, lag: int
) -> None:
    found = list(plan.iterations(first, first + count - 1, streams, lag))
    assert [work.iteration for work in found] == list(range(first, first + count))
    for work in found:
        assert work.streams == streams
        # Iteration i makes version i: what plays it must exist while the one before is learned.
        assert work.version == max(work.iteration - 1 - lag, 0)
        assert work == plan.work(work.iteration, streams, lag)


@given(resumed=st.integers(1, 30), lag=st.integers(0, 1))
def test_resumed_plan_is_the_rest_of_the_whole_plan(resumed: int, lag: int) -> None:
    whole = list(plan.iterations(1, 30, 4, lag))
    assert list(plan.iterations(resumed, 30, 4, lag)) == whole[resumed - 1 :]


@cache
def player() -> StreamPlayer:
    return StreamPlayer.from_spec(SPEC)


@cache
def started() -> tuple[Any, list[Any]]:
    """Parameters, and one carry per stream."""
    params = random_params(network.make(games.make("tic_tac_toe"), NETWORK).init)
    return params, [player().start(stream) for stream in range(STREAMS)]


@cache
def expected() -> list[str]:
    """Digests of every stream's result, in stream order, played directly."""
    params, carries = started()
    results = [player().play(params, carry, 3, s, 2) for s, carry in enumerate(carries)]
    assert len({digest(result) for result in results}) == STREAMS
    return [digest(result) for result in results]


def digests_from(workers: pool.Pool) -> list[str]:
    return [digest(result) for result in workers.collect()]


def test_in_process_pool_plays_each_stream_in_order() -> None:
    workers = pool.make(SPEC, ClusterConfig(actors=0))
    assert isinstance(workers, pool.InProcess)
    assert workers.fingerprint == player().fingerprint()
    params, carries = started()
    handed = list(carries)
    before = digest(handed)
    workers.submit(WORK, params, handed)
    handed.reverse()  # what was submitted stays what it was
    assert digests_from(workers) == expected()
    assert digest(handed[::-1]) == before
    workers.submit(WORK, params, carries)
    assert digests_from(workers) == expected()
    assert workers.losses == 0
    workers.close()


@pytest.mark.parametrize("devices", [2, 4])
def test_in_process_pool_plays_the_same_on_several_devices(
    devices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = set[int]()
    begin = StreamPlayer.begin

    def noted(player: StreamPlayer, params: Any, *rest: Any) -> Any:
        segment = begin(player, params, *rest)
        used.update(device.id for device in segment.lanes.ply.devices())
        return segment

    monkeypatch.setattr(StreamPlayer, "begin", noted)
    workers = pool.InProcess(SPEC, devices)
    workers.submit(WORK, *started())
    assert digests_from(workers) == expected()
    assert len(used) == min(devices, STREAMS)


def test_in_process_pool_plays_ahead_where_it_has_accelerators(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = list[int]()
    begin = StreamPlayer.begin

    def noted(player: StreamPlayer, params: Any, carry: Any, iteration: int, stream: int) -> Any:
        begun.append(stream)
        return begin(player, params, carry, iteration, stream)

    monkeypatch.setattr(StreamPlayer, "begin", noted)
    workers = pool.InProcess(SPEC, 1, ahead=True)
    workers.submit(WORK, *started())
    assert begun == [0, 1]
    assert digests_from(workers) == expected()
    assert begun == list(range(STREAMS))
    with pytest.raises(RuntimeError, match="submit"):
        workers.collect()


@pytest.fixture(scope="module")
def one_actor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayPool]:
    """A Ray pool with a single actor, made in a stranger's folder, of which nothing is imported."""
    folder = tmp_path_factory.mktemp("stranger")
    for name in ("jax", "selfplay", "numpy"):
        (folder / f"{name}.py").write_text("raise ImportError('imported from where we are')\n")
    with chdir(folder):
        workers = RayPool(SPEC, ClusterConfig(actors=1, object_store_mb=80))
        assert Path.cwd() == folder
    yield workers
    workers.close()


@pytest.mark.slow
def test_actor_computes_the_digests_of_this_process(one_actor: RayPool) -> None:
    params, carries = started()
    one_actor.submit(WORK, params, carries)
    assert digests_from(one_actor) == expected()
    assert one_actor.fingerprint == player().fingerprint() and one_actor.losses == 0


def test_work_of_killed_actor_is_repeated_with_equal_digests(one_actor: RayPool) -> None:
    import ray

    params, carries = started()
    victim: Any = ray.get(one_actor._idle[0].actor.pid.remote())
    os.kill(victim, signal.SIGSTOP)  # it can take work but finish none
    one_actor.submit(WORK, params, carries)
    os.kill(victim, signal.SIGKILL)
    assert digests_from(one_actor) == expected()
    assert one_actor.losses == 1
    assert ray.get(one_actor._idle[0].actor.pid.remote()) != victim


def test_local_cluster_listens_on_loopback_only(one_actor: RayPool) -> None:
    import psutil

    ours = psutil.Process().children(recursive=True)
    assert {p.name().partition(":")[0] for p in ours} >= {"raylet", "gcs_server"}
    found = [
        c.laddr.ip
        for process in [psutil.Process(), *ours]
        for c in process.net_connections("inet")
        if c.status == psutil.CONN_LISTEN
    ]
    assert len(found) > 3
    assert {ip.removeprefix("::ffff:") for ip in found} <= {"127.0.0.1", "::1"}
    assert one_actor.losses >= 0  # it is there


def test_resources_decide_devices_and_capacity() -> None:
    cpu = ClusterConfig()
    assert cpu.actor_environment() == {"JAX_PLATFORMS": "cpu"}
    node = {"CPU": 6.5, "GPU": 1.0}
    assert cpu.target_actors([node], 9) == 6 and cpu.target_actors([{"memory": 1.0}], 9) == 1
    assert (
        cpu.target_actors([node, node], 99) == 12 and cpu.target_actors([node, node], 4) == 4
    )  # no half ones
    assert ClusterConfig(actors=8).target_actors([node], 4) == 8  # the user's word
    assert cpu.learner_environment() == {}
    third = ClusterConfig(address="auto", cpus_per_actor=0.5, gpus_per_actor=0.3)
    assert third.actor_environment() == {
        "JAX_PLATFORMS": "",
        "XLA_CLIENT_MEM_FRACTION": "0.270",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "true",
    }
    assert third.target_actors([{"CPU": 16.0, "GPU": 2.0}], 99) == 6
    assert third.learner_environment() == {}  # its cards are its own
    here = ClusterConfig(gpus_per_actor=0.3)
    assert here.learner_environment() == {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    whole = ClusterConfig(gpus_per_actor=1)  # Ray's cards are the ones that the driver sees
    assert whole.learner_environment() == {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    cards = ClusterConfig(address="auto", gpus_per_actor=0.4)  # two a card, not five on two
    assert cards.target_actors([{"CPU": 16.0, "GPU": 2.0}], 99) == 4
    slice_ = ClusterConfig(actors=3, actor_resources=("TPU=4", "pod=0.1"))
    assert slice_.actor_environment() == {"JAX_PLATFORMS": ""} and slice_.resources_per_actor == {
        "CPU": 1,
        "TPU": 4,
        "pod": 0.1,
    }
    assert slice_.capacity([{"CPU": 96.0, "TPU": 16.0, "pod": 1.0}]) == 4
    assert (
        slice_.target_actors([{"CPU": 96.0, "TPU": 4.0}], 99) == 3
    )  # what was asked for; some have to wait


@pytest.mark.parametrize(
    ("platform", "config", "remedy"),
    [
        ("gpu", ClusterConfig(), "--cluster.actors 0 "),
        ("tpu", ClusterConfig(actors=2), "--cluster.actors 0 "),
        ("gpu", ClusterConfig(address="auto"), "--cluster.gpus-per-actor 1 "),
        ("tpu", ClusterConfig(address="auto"), "--cluster.actor-resources TPU=1 "),
        ("cpu", ClusterConfig(), None),
        ("gpu", ClusterConfig(actors=0), None),
        ("gpu", ClusterConfig(gpus_per_actor=0.25), None),
        ("tpu", ClusterConfig(actor_resources=("TPU=1",)), None),
    ],
)
def test_actors_on_cpus_beside_an_accelerator_are_announced(
    platform: str, config: ClusterConfig, remedy: str | None
) -> None:
    text = config.idle_accelerator(platform, "a kind of device")
    assert (f"{remedy}" in text and "a kind of device" in text) if remedy else text == ""


def test_training_warns_of_an_idle_accelerator_before_it_starts_actors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started(Exception):
        pass

    def make(*_: Any) -> Any:
        raise Started

    device = SimpleNamespace(platform="gpu", device_kind="NVIDIA H100 80GB HBM3")
    monkeypatch.setattr("jax.devices", lambda: [device])
    monkeypatch.setattr("selfplay.cluster.pool.make", make)
    said: list[str] = []
    config = replace(PLAIN, cluster=ClusterConfig(actors=1))
    with pytest.raises(Started):
        train(config, tmp_path / "run", announce=said.append)
    assert config.cluster.idle_accelerator(device.platform, device.device_kind) in said


def test_unreachable_address_is_named_in_the_error() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            connection.check_reachable(ClusterConfig(address=address))
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        config = ClusterConfig(address=address, connect_seconds=5)
        for call in (
            connection.check_reachable,
            lambda c: connection.connect(c, 1),
            lambda c: pool.make(SPEC, c),
        ):
            with pytest.raises(ConnectionError, match=rf"cluster\.address '{address}'.*ray start"):
                call(config)


@pytest.mark.parametrize("address", [None, "auto"])
def test_address_without_a_port_is_left_to_ray(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("socket.create_connection", lambda *a, **k: asked.append(a))
    connection.check_reachable(ClusterConfig(address=address))
    assert asked == []


def test_rejected_connection_differs_from_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody listens there."""

    def init(**_: Any) -> None:
        raise ConnectionError("ray client connection timeout")

    monkeypatch.setattr("ray.init", init)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
        with pytest.raises(ConnectionError, match=rf"the Ray cluster at .*'{address}' rejected"):
            connection.connect(ClusterConfig(address=address), 1)


def test_actor_chooses_its_own_compilation_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax

    before = jax.config.values["jax_compilation_cache_dir"]
    try:
        own = determinism.cache_folder()
        for said, folder, kept in (
            (None, own, str(own)),
            ("/somewhere", own, "/somewhere"),
            (None, None, None),
        ):
            monkeypatch.setattr(determinism, "cache_folder", lambda folder=folder: folder)
            jax.config.update("jax_compilation_cache_dir", said)
            StreamActor(SPEC, {})
            assert jax.config.values["jax_compilation_cache_dir"] == kept
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"address": "127.0.0.1"}, r"cluster\.address '127\.0\.0\.1' has no port: HOST:PORT"),
        ({"actors": -2}, r"cluster\.actors .*got -2"),
        ({"actors": 0, "address": "auto"}, r"cluster\.address 'auto' needs actors"),
        ({"object_store_mb": 79}, r"cluster\.object-store-mb .*got 79"),
        ({"gpus_per_actor": 1.5}, r"cluster\.gpus-per-actor .*got 1\.5"),
        ({"cpus_per_actor": 0}, r"must be above 0, all of them are 0"),
        ({"actor_resources": ("TPU",)}, r"'TPU' is not NAME=AMOUNT"),
        ({"actor_resources": ("GPU=1",)}, r"'GPU=1' is not NAME=AMOUNT.*options of their own"),
    ],
    ids=[
        "port",
        "actors",
        "address",
        "object-store",
        "fraction",
        "nothing",
        "amount",
        "own option",
    ],
)
def test_impossible_cluster_config_is_rejected_with_its_value(
    bad: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ClusterConfig(**bad)
