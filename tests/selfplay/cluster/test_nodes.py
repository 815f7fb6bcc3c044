"""A cluster of several nodes on this machine, whole and under fire: the bytes of a quiet run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.chaos import Nodes, chaos
from selfplay.runs import metrics
from tests.small_runs import TINY, digests, finish, start, train, trained

FLAGS = (*TINY, "--iterations", "6")  # the last one counts
SECONDS = 240


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Digests of the run, in-process."""
    return trained(tmp_path_factory.mktemp("alone") / "run", *FLAGS)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with Nodes(2) as cluster:
        yield cluster


def _wait_for(folder: Path, iterations: int) -> None:
    deadline = time.monotonic() + SECONDS
    while not folder.is_dir() or len(digests(folder)) <= iterations:
        assert time.monotonic() < deadline, f"iteration {iterations} never came"
        time.sleep(0.05)


def test_run_survives_loss_of_actor_node_and_driver(
    tmp_path: Path, nodes: Nodes, undisturbed: list[dict[str, str]]
) -> None:
    folder = tmp_path / "run"
    address = ("--cluster.address", nodes.address)
    driver = start(folder, *FLAGS, *address)
    _wait_for(folder, 1)
    nodes.kill(0)
    _wait_for(folder, 2)
    deadline = time.monotonic() + SECONDS
    while not (actors := nodes.actors()):
        assert time.monotonic() < deadline, "no actor plays"
        time.sleep(0.05)
    actors[-1].kill()
    _wait_for(folder, 3)
    driver.kill()
    driver.communicate()
    before = len(digests(folder))
    assert before < len(undisturbed)
    finish(start(folder, *FLAGS, *address))
    assert digests(folder) == undisturbed
    for used in (row["pool"] for row in metrics.read(folder)[1:]):  # in every row, of its own play
        assert used["actors"] >= 1 and used["stream_seconds"] >= used["play_seconds"] > 0
        assert used["seconds"] > 0 and 0 < used["busy"] <= 1


@pytest.mark.slow
def test_three_nodes_compute_the_digests_of_one_process(
    tmp_path: Path, undisturbed: list[dict[str, str]]
) -> None:
    with Nodes(3) as cluster:
        assert train(tmp_path / "run", *FLAGS, "--cluster.address", cluster.address) == undisturbed


@pytest.mark.slow
def test_dead_head_ends_the_run_with_a_message_and_it_resumes(
    tmp_path: Path, undisturbed: list[dict[str, str]]
) -> None:
    folder = tmp_path / "run"
    rated = ("--elo.budgets", "0")  # an evaluator beside the training must not hold it up
    with Nodes(1) as cluster:
        driver = start(folder, *FLAGS, *rated, "--cluster.address", cluster.address)
        _wait_for(folder, 2)
        cluster.behead()
        said, _ = driver.communicate(timeout=45)
    assert driver.returncode == 1 and len(digests(folder)) < len(undisturbed)
    (last,) = (line for line in said.splitlines() if line.startswith("stopped ("))
    assert "(the Ray cluster's head at " in last and "The same command resumes it." in last
    assert train(folder, *FLAGS, "--cluster.actors", "0") == undisturbed


@pytest.mark.slow
def test_run_survives_five_minutes_of_random_kills(tmp_path: Path) -> None:
    said: list[str] = []
    faults, iterations, same = chaos(tmp_path, 300, (10, 30), say=said.append)
    print("\n".join(said))
    assert same and iterations > 5
    assert set(faults) == {"actor", "node", "driver"} and sum(faults.values()) >= 8
