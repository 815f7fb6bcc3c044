"""A network and a search of a third party: trained, rated and counted by their import paths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import games
from games import plugins
from selfplay.ladder.config import LadderConfig
from selfplay.ladder.ladder import Ladder
from selfplay.model import flops
from selfplay.model.config import NetworkConfig
from selfplay.players import specs
from selfplay.players.version import Version
from selfplay.runs import metrics
from selfplay.search.config import SearchConfig
from selfplay.training.config import TrainConfig
from selfplay.training.loop import train
from tests.selfplay import third_party
from tests.small_runs import PLAIN

DENSE, SAMPLED = (f"{third_party.__name__}:{name}" for name in ("dense", "sampled"))
GAME = games.make("tic_tac_toe")


def config(network: str = f"{DENSE}?hidden=4", search: str = SAMPLED) -> TrainConfig:
    return replace(
        PLAIN, iterations=1, network=NetworkConfig(network), search=SearchConfig(search, 3)
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusts_nothing: None) -> str:
    """Trains for an iteration; returns the run's folder."""
    monkeypatch.chdir(tmp_path)
    plugins.trust([DENSE, SAMPLED])
    train(config(), Path("run"))
    return "run"


def test_network_and_search_are_trained_rated_and_counted(run: str) -> None:
    (_, first), (_, second) = (metrics.read(train(config(), Path(f)).folder) for f in (run, "b"))
    assert first["digest"] == second["digest"]
    one = 2 * 4 * (18 + 10)  # FLOPs of an evaluation: 4 hidden units, 18 inputs, 10 outputs
    assert flops.evaluation(GAME, config().network) == one
    assert first["ledger"]["selfplay"] == config().selfplay.positions * 3 * one

    names = [f"{run}@1?sims=0", f"{run}@1?sims=2", f"{run}@1?sims=2&search={SAMPLED}%3Fweight%3D8"]
    players = [specs.parse(name, GAME) for name in ("random", *names)]
    assert [player.spec for player in players[1:]] == names, "canonical specs are read as written"
    assert specs.split_stored(names[2]) == (f"{run}@1", names[2].partition("?")[2])
    assert [player.flops_per_move for player in players] == [0, one, 2 * one, 2 * one]
    ladders = []
    for path in (Path("a.db"), Path("b.db")):
        settings = LadderConfig(opening_plies=2, pairs=2)
        with Ladder(path, GAME, "tic_tac_toe", players, "random", settings) as ladder:
            ladder.run_until(1.0, 20)
            ladders.append(ladder.database.games())
    assert ladders[0] == ladders[1] and len(ladders[0]) >= 20
    assert "dense?hidden=4, 112 parameters" in repr(Version.load(f"{run}@1"))


def test_player_of_a_search_that_its_key_decides_plays_by_its_key_only(run: str) -> None:
    act: Any = specs.parse(f"{run}@1?sims=2", GAME).act
    states = jax.tree.map(lambda leaf: np.repeat(leaf[None], 8, axis=0), GAME.init())
    moves = np.asarray(act(states, jax.random.split(jax.random.key(0), 8)))
    again = act(states, jax.random.split(jax.random.key(0), 8)[::-1])
    np.testing.assert_array_equal(moves, again[::-1])
    assert len({*moves.tolist()}) > 1


@pytest.mark.parametrize(
    ("part", "spec", "sentence"),
    [
        ("network", f"{DENSE}?hiden=3", r"no option 'hiden' \(did you mean 'hidden'\?\)"),
        ("network", f"{DENSE}?hidden=few", "option hidden='few' must be int, not str"),
        ("network", SAMPLED, "sampled is not a network: expected a function decorated with"),
        ("search", f"{SAMPLED}?wait=3", r"no option 'wait'"),
        ("search", DENSE, "dense is not a search: expected a function decorated with"),
        ("search", "gumbel?scale=3", "search gumbel has no option 'scale'; it has no options"),
    ],
)
def test_wrong_spec_is_rejected_before_a_folder_exists(
    part: str, spec: str, sentence: str, tmp_path: Path, trusts_nothing: None
) -> None:
    plugins.trust([DENSE, SAMPLED])
    with pytest.raises(ValueError, match=sentence):
        train(config(**{part: spec}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_import_path_that_nobody_typed_is_refused(run: str, trusts_nothing: None) -> None:
    for part in (NetworkConfig, SearchConfig):
        with pytest.raises(ValueError, match="is an import path that nobody typed"):
            part("elsewhere:make")
    plugins._Trust.paths.clear()  # as in a process where nobody typed what the run's config names
    with pytest.raises(ValueError, match="is an import path that nobody typed"):
        specs.parse(f"{run}@1?sims=0&search=gumbel", GAME)
