"""Solved positions in the UCI layout: rows with a value target and no policy target."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import games
from selfplay.experts.archive import ExpertArchive
from selfplay.generated import importing
from selfplay.learning.config import LearnerConfig
from selfplay.learning.loss import make_loss
from selfplay.model.architecture import Prediction

EMPTY = ["b"] * 42


def line(stones: str, result: str = "win") -> str:
    """Writes a line of the UCI's layout with stones such as "d1x d2o"."""
    cells = list(EMPTY)
    for stone in stones.split():
        cells["abcdefg".index(stone[0]) * 6 + int(stone[1]) - 1] = stone[2]
    return ",".join([*cells, result])


def test_solved_positions_have_only_value_targets(tmp_path: Path) -> None:
    lines = [
        line("d1x d2o"), line("d1x d2o a1x g1o", "loss"), line("d1x d2o a1o g1x", "loss"),
        line("c1x c2o", "draw"), line("d1x"), line("d2x d1o d4x a1o"), line("a1x a2o", "won"),
        line("a1x b1x c1x d1x a2o b2o c2o e1o"), "x,o",
    ]  # fmt: skip
    path = tmp_path / "values.csv.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    game = games.make("connect_four")
    manifest, _ = importing.import_positions(
        tmp_path / "out", "connect_four", game, path, 0, lambda *a: None
    )
    assert manifest["files"][0]["games"] == 9 and manifest["kept"] == 3
    assert manifest["left_out"] == {
        "a stone above an empty cell": 1, "duplicate": 1,
        "not 42 cells x, o or b and then win, loss or draw": 2, "the game is over": 1,
        "x is not to move": 1,
    }  # fmt: skip
    experts = ExpertArchive(tmp_path / "out")
    rows = experts.gather(np.arange(experts.size))
    value_by_ply = dict(zip(rows["ply"].tolist(), rows["value"].tolist(), strict=True))
    assert sorted(rows["value"].tolist()) == [-1, 0, 1] and value_by_ply[4] == -1
    assert (rows["mover_outcome"] == rows["value"]).all()
    assert not rows["policy"].any() and (rows["action"] == -1).all() and rows["last"].all()
    at = int(np.flatnonzero(rows["value"] == 1)[0])
    state = game.step(game.step(game.init(), 3), 3)
    np.testing.assert_array_equal(
        rows["planes"][at], np.packbits(np.asarray(game.observe(state)).reshape(-1))
    )
    np.testing.assert_array_equal(rows["legal"][at], np.packbits(game.legal_actions(state)))


def test_row_without_a_policy_has_no_policy_loss() -> None:
    game = games.make("tic_tac_toe")
    state = game.init()
    rows = {
        "planes": np.packbits(np.asarray(game.observe(state)).reshape(1, -1), axis=1),
        "legal": np.packbits(np.ones((1, 9), bool), axis=1),
        "policy": np.zeros((1, 9), np.float16),
        "value": np.ones(1, np.float16),
        "mover_outcome": np.ones(1, np.int8),
    }

    def evaluate(params: jax.Array, observation: jax.Array) -> Prediction:
        logits = jnp.broadcast_to(params[:9], (observation.shape[0], 9))
        return Prediction(logits, jnp.broadcast_to(params[9], observation.shape[:1]))

    loss: Any = make_loss(game, evaluate, LearnerConfig())  # pyright: ignore
    graded = jax.jit(jax.grad(loss, has_aux=True))
    gradient, metrics = graded(jnp.arange(10.0), rows, jax.random.key(0))
    assert metrics["policy_loss"] == 0 and np.isfinite(gradient).all()
    assert not gradient[:9].any() and gradient[9] != 0
