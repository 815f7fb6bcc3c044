"""The promise: the same config and seed give the same bytes with any actors and after any crash.

Each run is the real command; one that is killed or has actors runs in its own process. What is
compared is the digest of the whole learner state, of the new replay rows and of the carries, at
every iteration. A tiny config serves the everyday suite; the full matrix on
``connect_four_smoke`` is marked slow.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import games
from selfplay.experts.building import GameSource, build
from selfplay.experts.filters import Filters
from selfplay.experts.game_record import ExpertGame
from selfplay.experts.selection import SourceStats
from selfplay.imitation.imitate import FOLDER
from tests.small_runs import ROOT, TINY, digests, finish, start, train, trained

COMMIT_POINTS = ("shard", "checkpoint", "snapshot", "point", "metrics", "prune")
DRIVER_POINTS = (
    "train.play",
    "train.learn",
    "train.learned",
    *(f"commit.{name}" for name in COMMIT_POINTS),
)
IN_PROCESS = ("--cluster.actors", "0")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """Trains the tiny run in one process; returns its digests."""
    return trained(tmp_path_factory.mktemp("tiny") / "run", *TINY)


def test_digests_differ_between_iterations(undisturbed: list[dict[str, str]]) -> None:
    assert len(undisturbed) == 4
    for before, after in itertools.pairwise(undisturbed[1:]):
        assert all(before[name] != after[name] for name in ("state", "rows", "carries"))


@pytest.mark.slow  # tests/selfplay/cluster/test_nodes.py has two, and kills one
def test_two_ray_actors_give_the_same_bytes_as_none(
    tmp_path: Path, undisturbed: list[dict[str, str]]
) -> None:
    assert train(tmp_path / "run", *TINY, "--cluster.actors", "2") == undisturbed


def test_other_seed_gives_other_bytes(tmp_path: Path, undisturbed: list[dict[str, str]]) -> None:
    other = trained(tmp_path / "run", *TINY, "--seed", "1")
    assert all(a["state"] != b["state"] for a, b in zip(other, undisturbed, strict=True))


@pytest.mark.slow  # tests/selfplay/cluster/test_nodes.py kills a driver every time
@pytest.mark.parametrize("point", ["commit.point@2"])  # all of them are in the matrix
def test_killed_driver_resumes_to_the_same_bytes(
    tmp_path: Path, undisturbed: list[dict[str, str]], point: str
) -> None:
    killed = train(tmp_path / "run", *TINY, *IN_PROCESS, failpoint=point)
    assert len(killed) < len(undisturbed)
    assert train(tmp_path / "run", *TINY, *IN_PROCESS) == undisturbed


@pytest.mark.slow
def test_policy_lag_depends_on_the_plan_not_on_timing(
    tmp_path: Path, undisturbed: list[dict[str, str]]
) -> None:
    lagging = (*TINY, "--policy-lag", "1")
    alone = train(tmp_path / "alone", *lagging, *IN_PROCESS)
    assert alone != undisturbed
    train(tmp_path / "killed", *lagging, *IN_PROCESS, failpoint="commit.checkpoint@2")
    assert train(tmp_path / "killed", *lagging, "--cluster.actors", "2") == alone


TECHNIQUES = {  # sets of switches that are off by default
    "targets": (
        "--learner.losses reply soft_policy td_value?horizon=4 moves_left lambda_return "
        "value_entropy "
        "--learner.value-weight 0.5 --learner.root-value-weight 0 --learner.optimizer muon "
        "--network.kind attention"
    ),
    "playout cap": (
        "--selfplay.full-search-fraction 0.25 --selfplay.fast-simulations 1 "
        "--selfplay.no-fast-rows "
        "--selfplay.archive-fraction 0.3 --network.kind nested "
        "--learner.losses reply owner --search.algorithm puct --search.puct.stdev-scale 0.85"
    ),
    "positions": (
        "--learner.surprise-weight 0.5 --network.kind conv?pooled=1 --search.gumbel.prove "
        "--selfplay.archive-fraction 0.5 --selfplay.archive-by-regret "
        "--selfplay.first-simulations 1 --selfplay.doubling-iterations 1"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TECHNIQUES)
def test_techniques_keep_the_promise(
    tmp_path: Path, undisturbed: list[dict[str, str]], name: str
) -> None:
    """The same bytes with 0, 1 and 2 actors, and after a killed driver; and other ones than off."""
    flags = (*TINY, *TECHNIQUES[name].split())
    alone = train(tmp_path / "alone", *flags, *IN_PROCESS)
    assert alone != undisturbed
    for actors in ("1", "2"):
        assert train(tmp_path / actors, *flags, "--cluster.actors", actors) == alone
    train(tmp_path / "killed", *flags, *IN_PROCESS, failpoint="commit.checkpoint@2")
    assert train(tmp_path / "killed", *flags, "--cluster.actors", "2") == alone
    verified = subprocess.run(
        [sys.executable, ROOT / "launch/verify.py", tmp_path / "alone"],
        text=True,
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 0 and "identical" in verified.stdout


@pytest.fixture(scope="module")
def imitating(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Returns flags for imitating random games in three parts, and mixing them in afterwards."""
    data = tmp_path_factory.mktemp("experts") / "random"
    game, rng = games.make("connect_four"), np.random.default_rng(0)
    played = [ExpertGame(rng.permutation(42).astype(np.int16)[:7] % 7, 1) for _ in range(80)]
    source = GameSource(SourceStats("random"), lambda: played)
    build(data, "connect_four", game, [source], {}, 0.2, Filters(), lambda *a: None)
    values = {
        "dataset": data,
        "epochs": 1,
        "positions-per-iteration": 150,
        "expert-fraction": 0.5,
        "learner.batch-size": 32,
    }
    return tuple(text for n, v in values.items() for text in (f"--imitation.{n}", str(v)))


@pytest.mark.slow
def test_run_killed_in_imitation_resumes_to_the_same_bytes(
    tmp_path: Path, imitating: tuple[str, ...], undisturbed: list[dict[str, str]]
) -> None:
    whole = train(tmp_path / "whole", *TINY, *imitating, *IN_PROCESS)
    assert whole[0] != undisturbed[0]
    killed = train(tmp_path / "run", *TINY, *imitating, *IN_PROCESS, failpoint="commit.point@2")
    learned = digests(tmp_path / "whole" / FOLDER)
    assert not killed and digests(tmp_path / "run" / FOLDER) == learned[:2] != learned
    assert train(tmp_path / "run", *TINY, *imitating, "--cluster.actors", "2") == whole
    assert digests(tmp_path / "run" / FOLDER) == learned


# The full matrix, on the smoke preset.


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, str]]]:
    """Trains ``connect_four_smoke`` in one process; returns its digests by policy lag."""
    folder = tmp_path_factory.mktemp("smoke")
    return {lag: train(folder / f"{lag}", *IN_PROCESS, "--policy-lag", f"{lag}") for lag in (0, 1)}


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("actors", [0, 1, 2, 3])
def test_smoke_run_is_the_same_with_any_number_of_actors(
    tmp_path: Path, smoke: dict[int, list[dict[str, str]]], actors: int, lag: int
) -> None:
    flags = ("--cluster.actors", f"{actors}", "--policy-lag", f"{lag}")
    assert train(tmp_path / "run", *flags) == smoke[lag]


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("point", DRIVER_POINTS)
def test_smoke_run_killed_at_any_point_resumes_to_the_same_bytes(
    tmp_path: Path, smoke: dict[int, list[dict[str, str]]], point: str, lag: int
) -> None:
    flags = (*IN_PROCESS, "--policy-lag", f"{lag}")
    assert train(tmp_path / "run", *flags, failpoint=f"{point}@3") != smoke[lag]
    assert train(tmp_path / "run", *flags) == smoke[lag]


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0, 1])
def test_smoke_run_with_an_actor_killed_in_mid_segment_is_the_same(
    tmp_path: Path, smoke: dict[int, list[dict[str, str]]], lag: int
) -> None:
    process = start(tmp_path / "run", "--cluster.actors", "2", "--policy-lag", f"{lag}")
    victim = _playing_descendant(process.pid)
    os.kill(victim, signal.SIGKILL)
    output = finish(process)
    assert "1 actor was replaced" in output
    assert digests(tmp_path / "run") == smoke[lag]


def _playing_descendant(pid: int, seconds: float = 300) -> int:
    """Returns the first descendant of `pid` that plays a segment, according to Ray."""
    import psutil

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children(recursive=True):
            try:
                if " ".join(child.cmdline()).startswith("ray::StreamActor.play"):
                    return child.pid
            except psutil.Error:
                continue
        time.sleep(0.002)
    raise AssertionError("no actor was ever seen playing")
