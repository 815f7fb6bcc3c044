"""The example of a loss term: its row field, its loss, and a run that learns it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest

import games
from games import plugins
from selfplay.acting import episode
from selfplay.acting.row_schema import Rows
from selfplay.acting.segment import PlyRecord
from selfplay.imitation.imitate import FOLDER
from selfplay.learning.learner import Learner
from selfplay.learning.loss import make_loss
from selfplay.model import flops, network
from selfplay.model.config import NetworkConfig
from selfplay.players.version import Version
from selfplay.runs import metrics
from selfplay.runs.files import load_arrays
from selfplay.runs.replay import shard_path
from selfplay.runs.run import load_version
from selfplay.training.config import StoreConfig, TrainConfig
from selfplay.training.loop import train
from selfplay.training.verify import verify
from tests import small_runs
from tests.golden import recording
from tests.selfplay.learning.rows import PLAIN, Table, table
from tests.selfplay.search.planted import quick_jit, random_params
from tests.small_runs import ROOT

EXAMPLES = ROOT / "docs" / "examples"
SPEC = "opponent_reply:term?weight=0.15"
GAME = games.make("tic_tac_toe")
MLP = NetworkConfig("mlp", width=4, depth=1, head_width=4)
WITHOUT = replace(
    small_runs.PLAIN, iterations=2, network=MLP, store=StoreConfig(keep_for_verify=True)
)


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """The example's module, trusted in this file only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins._Trust, "paths", set())  # pyright: ignore[reportPrivateUsage]
        patch.syspath_prepend(str(EXAMPLES))
        plugins.trust([SPEC])
        import opponent_reply  # pyright: ignore[reportMissingImports]

        yield opponent_reply


@pytest.fixture(scope="module")
def config(example: ModuleType) -> TrainConfig:
    return replace(WITHOUT, learner=replace(WITHOUT.learner, losses=(SPEC,)))


@pytest.fixture(scope="module")
def run(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reply") / "run"
    train(config, folder)
    return folder


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Random rows, a third of them without a reply."""
    fixed, rng = dict(table("tic_tac_toe").rows), np.random.default_rng(4)
    reply = rng.exponential(size=fixed["policy"].shape) ** 3
    reply /= reply.sum(axis=1, keepdims=True)
    reply[::3] = 0
    return fixed | {"reply": reply.astype(np.float16)}


def test_reply_is_the_next_policy_of_the_same_game(example: ModuleType) -> None:
    over = np.array([[0, 0], [1, 0], [0, 1], [0, 0], [1, 0]], bool)  # [T, B]
    policy = np.arange(1, 11, dtype=np.float16).reshape(5, 2, 1) * np.ones(9, np.float16)
    zeros: Any = np.zeros((5, 2), np.int8)
    fields: Any = {name: zeros for name in ("planes", "legal", "value", "action", "ply")}
    record = PlyRecord(fields | {"policy": policy}, zeros, over, zeros)  # pyright: ignore
    lanes: Any = None
    extra = (example.reply,)
    parts = [
        jax.tree.map(lambda leaf, part=part: leaf[part], record) for part in ([0, 1, 2], [3, 4])
    ]
    pending, done = episode.empty_carry(lanes, record, extra).pending, []
    finished: Rows = {}
    assert "reply" not in pending
    for part in parts:
        pending, finished = episode.finish_episodes(GAME, pending, part, 0, extra)
        assert list(finished)[-1] == "reply"
        done += list(zip(finished["policy"][:, 4], finished["reply"][:, 4], strict=True))
    # Lane 0 plays policies 1 3 | 5 7 9, lane 1 plays 2 4 6 | 8 10 and has not finished the last.
    assert done == [(1, 3), (3, 0), (2, 4), (4, 6), (6, 0), (5, 7), (7, 9), (9, 0)]
    assert finished["reply"].dtype == np.float16 and finished["reply"].shape == (3, 9)


def test_loss_of_the_reply_falls_and_rows_without_one_are_not_learned(
    example: ModuleType, rows: Rows
) -> None:
    config = replace(PLAIN, losses=(SPEC,), learning_rate=0.02, batch_size=48)
    model = network.make(GAME, MLP, example.term.heads)
    learner = Learner(GAME, model, config, 100, 0, devices=1)
    state, first = learner.fit(learner.init(), Table(rows), 1, 1)
    state, _ = learner.fit(state, Table(rows), 2, 40)
    _, last = learner.fit(state, Table(rows), 3, 1)
    assert np.isclose(first["reply_loss"], np.log(9) * 2 / 3, rtol=1e-3)  # uniform at first
    assert last["reply_loss"] < first["reply_loss"] - 0.1
    others = first["policy_loss"] + first["value_loss"]
    assert np.isclose(first["loss"], others + 0.15 * first["reply_loss"], rtol=1e-5)

    loss = make_loss(GAME, model.apply, config)
    silent = {name: array[::3] for name, array in rows.items()}
    params = state.params
    gradient: Any = quick_jit(jax.grad(lambda p: loss(p, silent, jax.random.key(0))[0]))(params)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient["reply_head"]))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient["policy"]))


def test_symmetry_moves_the_reply_with_the_position(example: ModuleType, rows: Rows) -> None:
    """The loss that draws symmetries is the plain loss of rows that were transformed by hand."""
    model, group = network.make(GAME, MLP, example.term.heads), GAME.symmetries()
    params = random_params(model.init, seed=3)
    config = replace(PLAIN, losses=(SPEC,))
    plain = quick_jit(make_loss(GAME, model.apply, config))
    drawing = quick_jit(make_loss(GAME, model.apply, replace(config, symmetries=True)))
    planes = np.unpackbits(rows["planes"], axis=-1, count=18).reshape(-1, 9, 2)
    legal = np.unpackbits(rows["legal"], axis=-1, count=9)
    for seed in range(4):
        key = jax.random.key(seed)
        index = np.array(jax.random.randint(key, (len(planes),), 0, len(group)))
        cells, actions = group.cells[index], group.actions[index]
        moved = np.take_along_axis(planes, cells[..., None], axis=1).reshape(len(planes), -1)
        by_hand = {
            **rows,
            "planes": np.packbits(moved, axis=-1),
            "legal": np.packbits(np.take_along_axis(legal, actions, axis=1), axis=-1),
            "policy": np.take_along_axis(rows["policy"], actions, axis=1),
            "reply": np.take_along_axis(rows["reply"], actions, axis=1),
        }
        drawn, expected = drawing(params, rows, key)[1], plain(params, by_hand, key)[1]
        for name in ("reply_loss", "policy_loss", "loss"):
            np.testing.assert_allclose(drawn[name], expected[name], rtol=1e-6, err_msg=name)
        still = plain(params, {**by_hand, "reply": rows["reply"]}, key)[1]
        assert abs(drawn["reply_loss"] - still["reply_loss"]) > 1e-3


def test_run_learns_the_reply_and_verifies(config: TrainConfig, run: Path) -> None:
    *_, last = metrics.read(run)
    assert last["learner"]["reply_loss"] > 0
    assert verify(run, 1, 2) is None
    stored = load_arrays(shard_path(run, 1))
    follows = ~stored["last"]
    np.testing.assert_array_equal(
        stored["reply"][:-1][follows[:-1]], stored["policy"][1:][follows[:-1]]
    )
    assert not stored["reply"][stored["last"]].any()
    steps = sum(row.get("steps", 0) for row in metrics.read(run))
    assert steps and last["ledger"]["learning"] == steps * flops.training_step(
        GAME, MLP, config.learner.batch_size, (("reply", "actions"),)
    )


def test_run_stopped_and_resumed_has_the_same_digests(
    config: TrainConfig, run: Path, tmp_path: Path
) -> None:
    train(config, tmp_path / "again", lambda row: row.iteration == 1)
    train(config, tmp_path / "again")
    assert small_runs.digests(tmp_path / "again") == small_runs.digests(run)


def test_run_without_the_term_plays_the_same_first_games(run: Path, tmp_path: Path) -> None:
    """Version 0 is the same network but for the head, so the base fields are the same bytes."""
    train(WITHOUT, tmp_path / "without", lambda row: row.iteration == 1)
    rows, others = (load_arrays(shard_path(f, 1)) for f in (run, tmp_path / "without"))
    assert set(rows) - set(others) == {"reply"}
    for name, array in others.items():
        np.testing.assert_array_equal(rows[name], array)
    assert (
        small_runs.digests(run)[1]["carries"]
        == small_runs.digests(tmp_path / "without")[1]["carries"]
    )


def test_version_with_a_head_plays_exports_and_starts_a_run(
    config: TrainConfig, run: Path, tmp_path: Path
) -> None:
    version = Version.load(f"{run}@2")
    assert "reply_head" in version.params
    version.export(tmp_path / "v.safetensors")
    state = GAME.init()
    prediction = Version.load(tmp_path / "v.safetensors").evaluate(state)
    assert prediction.auxiliary == {}
    np.testing.assert_array_equal(prediction.policy_logits, version.evaluate(state).policy_logits)
    start = replace(config, init_from=f"{run}@1", iterations=1)
    train(start, tmp_path / "more")
    assert "reply_head" in load_version(tmp_path / "more", 0).params
    with pytest.raises(ValueError, match=r"learner\.losses is \['opponent.*there and \[\] here"):
        train(replace(start, learner=WITHOUT.learner), tmp_path / "other")


@pytest.mark.slow
def test_two_actors_play_the_same_rows(tmp_path: Path) -> None:
    for name, actors in (("none", "0"), ("two", "2")):
        command = [sys.executable, str(ROOT / "launch" / "train.py"), "connect_four_smoke"]
        flags = [*small_runs.TINY, "--iterations", "2", "--cluster.actors", actors]
        flags += ["--learner.losses", SPEC]
        out = ["--out", str(tmp_path / name)]
        subprocess.run([*command, *flags, *out], cwd=EXAMPLES, check=True, capture_output=True)
    assert small_runs.digests(tmp_path / "two") == small_runs.digests(tmp_path / "none")


@pytest.mark.slow
def test_imitation_has_no_replies_and_self_play_learns_them(
    example: ModuleType, tmp_path: Path
) -> None:
    """Expert rows have the value that means "missing", in imitation and in self-play's windows."""
    recording.expert_archive(tmp_path / "experts")
    learner = replace(recording.BASE.learner, losses=(SPEC,))
    imitation = replace(
        recording.IMITATION, dataset=str(tmp_path / "experts"), learner=learner, epochs=1
    )
    config = replace(
        recording.BASE, network=MLP, iterations=1, learner=learner, imitation=imitation
    )
    train(config, tmp_path / "run")
    imitated = metrics.read(tmp_path / "run" / FOLDER)[1:]
    assert imitated and all(row["learner"]["reply_loss"] == 0 for row in imitated)
    assert 0 < metrics.read(tmp_path / "run")[1]["learner"]["reply_loss"] < np.log(7)
    assert verify(tmp_path / "run", 1, 1) is None
    assert verify(tmp_path / "run" / FOLDER, 1, len(imitated)) is None
