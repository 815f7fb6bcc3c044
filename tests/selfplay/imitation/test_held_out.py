"""Evaluation on held-out games, against a slow computation."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from games.registry import make
from selfplay.experts.archive import ExpertArchive
from selfplay.experts.filters import Filters
from selfplay.generated import importing
from selfplay.imitation import held_out
from selfplay.imitation.held_out import PHASES, HeldOutEvaluator
from selfplay.model import network
from selfplay.model.config import NetworkConfig
from tests.selfplay.experts.records import GAME, NAME, random_moves, sgf, write

SHAPE = NetworkConfig(kind="mlp", width=8, depth=0, head_width=4)


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> ExpertArchive:
    path = tmp_path_factory.mktemp("archive")
    games = [
        sgf([12, *(m for m in random_moves(seed, 20) if m != 12)], result="BW?"[seed % 3] + "+R")
        for seed in range(60)
    ]
    importing.import_sgf(
        path / "out", NAME, GAME, [write(path / "a.sgf", *games)], Filters(), 0.3, lambda *a: None
    )
    return ExpertArchive(path / "out")


@pytest.fixture(scope="module")
def params() -> Any:
    """Random parameters with a policy that is not uniform."""
    leaves, tree = jax.tree.flatten(network.make(GAME, SHAPE).init(jax.random.key(0)))
    keys = jax.random.split(jax.random.key(1), len(leaves))
    pairs = zip(leaves, keys, strict=True)
    return jax.tree.unflatten(tree, [jax.random.normal(k, leaf.shape) for leaf, k in pairs])


def slow(experts: ExpertArchive, params: Any, places: np.ndarray) -> list[dict[str, float]]:
    """Computes the measures position by position."""
    evaluate = network.make(GAME, SHAPE).apply
    view, training = experts.held_out, experts.train
    table, seen = experts.games, set(experts.fields["position"][training.rows].tolist())
    known = [g for g in training.games if table["known"][g]]
    share = np.mean([table["outcome"][g] > 0 for g in known])
    found = []
    for place in places:
        row = view.gather(np.array([place]))
        at = view.rows[place]
        game = next(
            g for g in view.games if table["start"][g] <= at < table["start"][g] + table["rows"][g]
        )
        planes = np.unpackbits(row["planes"], axis=1, count=int(np.prod(GAME.observation_shape)))
        logits, value, _ = evaluate(
            params, jnp.asarray(planes.reshape(1, *GAME.observation_shape), bool)
        )
        legal = np.unpackbits(row["legal"][0], count=GAME.num_actions).astype(bool)
        logits = np.where(legal, np.asarray(logits[0], np.float64), -np.inf)
        logs = logits - np.log(np.exp(logits).sum())
        action, colour = int(row["action"][0]), 1 if row["ply"][0] % 2 == 0 else -1
        wins = share if colour > 0 else 1 - share
        outcome = float(row["mover_outcome"][0])
        found.append(
            {
                "rank": float((logs > logs[action]).sum()),
                "loss": -logs[action],
                "unseen": experts.fields["position"][at] not in seen,
                "phase": min(2, 3 * int(row["ply"][0]) // int(table["plies"][game])),
                "taught": bool(table["known"][game]),
                "square": (float(value[0]) - outcome) ** 2,
                "log": -np.log(np.clip((1 + outcome * float(value[0])) / 2, 1e-3, 1 - 1e-3)),
                "usual": -np.log(wins if outcome > 0 else 1 - wins),
            }
        )
    return found


def test_measures_agree_with_a_slow_computation(experts: ExpertArchive, params: Any) -> None:
    evaluate = network.make(GAME, SHAPE).apply
    view = experts.held_out
    order = np.random.default_rng(0).permutation(view.size)
    count = min(150, view.size - 3)
    report = HeldOutEvaluator(GAME, evaluate, experts.train, view, order)(params, count)
    expected = slow(experts, params, order[:count])
    groups: dict[str, list[dict[str, float]]] = {"": expected}
    groups["unseen"] = [one for one in expected if one["unseen"]]
    groups |= {n: [o for o in expected if o["phase"] == i] for i, n in enumerate(PHASES)}
    assert 0 < len(groups["unseen"]) < count
    for name, group in groups.items():
        part = report[name] if name else report
        assert part["positions"] == len(group) > 0
        assert part["policy_loss"] == pytest.approx(np.mean([o["loss"] for o in group]), rel=1e-4)
        for top in (1, 3, 5):
            share = np.mean([o["rank"] < top for o in group])
            assert part[f"top{top}"] == pytest.approx(share)
    taught = [one for one in expected if one["taught"]]
    assert 0 < len(taught) < count
    for name, key in [
        ("value_loss", "square"),
        ("value_log_loss", "log"),
        ("colour_log_loss", "usual"),
    ]:
        assert report[name] == pytest.approx(np.mean([o[key] for o in taught]), rel=1e-4)


def test_measures_do_not_depend_on_the_batch_size(
    experts: ExpertArchive, params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = network.make(GAME, SHAPE).apply
    order = np.arange(experts.held_out.size)
    build = partial(HeldOutEvaluator, GAME, evaluate, experts.train, experts.held_out, order)
    whole = build()(params, len(order))
    monkeypatch.setattr(held_out, "BATCH", 16)
    split = build()(params, len(order))
    assert whole["top1"] == split["top1"]
    assert whole["unseen"]["positions"] == split["unseen"]["positions"]
    assert whole["policy_loss"] == pytest.approx(split["policy_loss"], rel=1e-5)


def test_measures_without_data_are_nan(tmp_path: Path) -> None:
    """Solved positions have no moves to predict."""
    game = make("connect_four")
    lines = [
        ",".join([*"bbbbbb" * (column), *"xobbbb", *"bbbbbb" * (6 - column), result])
        for column, result in zip(range(7), ("win", "loss", "draw") * 3, strict=False)
    ]
    (tmp_path / "values.csv").write_text("\n".join(lines))
    importing.import_positions(
        tmp_path / "out", "connect_four", game, tmp_path / "values.csv", 0.5, lambda *a: None
    )
    experts = ExpertArchive(tmp_path / "out")
    model = network.make(game, SHAPE)
    order = np.arange(experts.held_out.size)
    evaluate_held_out = HeldOutEvaluator(game, model.apply, experts.train, experts.held_out, order)
    report = evaluate_held_out(model.init(jax.random.key(0)), len(order))
    assert report["positions"] == 0 and np.isnan([report["top1"], report["policy_loss"]]).all()
    assert report["value_loss"] > 0
