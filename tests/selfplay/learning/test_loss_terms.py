"""Loss terms by name: what a spec gives, what clashes, and what a config keeps."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import games
from games import plugins
from games.game import Game
from selfplay.acting import row_schema
from selfplay.acting.row_schema import Episodes, RowField
from selfplay.learning import loss_terms
from selfplay.learning.config import LearnerConfig
from selfplay.learning.loss import _rows_loss, make_loss, unpack_batch
from selfplay.learning.loss_terms import LossTerm, LossTermFactory
from selfplay.learning.optimizer import Optimizer, Schedule, after_warmup, make_optimizer
from selfplay.model.architecture import Prediction
from selfplay.runs.codec import from_json, to_json
from selfplay.testing.planted_trees import Linear
from selfplay.training.config import TrainConfig
from tests.selfplay.learning.rows import PLAIN, table
from tests.selfplay.search.planted import quick_jit

GAME = games.make("tic_tac_toe")
MODULE = "my_loss_terms"


def finish(game: Game, episodes: Episodes) -> np.ndarray:
    return episodes.rows["lane"]


def ones(prediction: Prediction, rows: Any) -> jax.Array:
    return jnp.ones(len(rows["value"]))


MARK = RowField("mark", "", "int8", finish=finish)
plain = LossTerm("plain", ones, (MARK, row_schema.ACTION), (("b", "scalar"), ("a", "actions")))
same_name = LossTerm("plain", ones)
same_head = LossTerm("other", ones, heads=(("a", "cells"),))
main_head = LossTerm("other", ones, heads=(("value", "scalar"),))
same_field = LossTerm("other", ones, (replace(MARK, dtype="int16"),))
shares_field = LossTerm("shares", ones, (MARK,), (("c", "cells"),), weight=0.5)
policy = LossTerm("policy", ones)


@LossTermFactory
def nothing() -> Any:
    return None


@LossTermFactory
def broken() -> LossTerm:
    return LossTerm(f"{1 // 0}", ones)


@LossTermFactory
def scaled(*, factor: int = 3) -> LossTerm:
    return LossTerm("scaled", lambda prediction, rows: factor * ones(prediction, rows))


@Schedule
def halved(config: LearnerConfig, total_steps: int) -> optax.Schedule:
    return lambda step: config.learning_rate / 2


@Optimizer
def plain_sgd(config: LearnerConfig, schedule: optax.Schedule) -> Any:
    assert callable(schedule)
    rate: Any = schedule(0)
    return optax.sgd(rate)


@pytest.fixture(autouse=True)
def _module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This module under a name of its own, whose paths are trusted."""
    monkeypatch.setattr(plugins._Trust, "paths", set())  # pyright: ignore[reportPrivateUsage]
    module = ModuleType(MODULE)
    module.__dict__.update(globals())
    module.__file__ = __file__
    monkeypatch.setitem(sys.modules, MODULE, module)
    plugins.trust(spec(name) for name in globals())
    yield
    loss_terms.load_terms.cache_clear()


def spec(name: str) -> str:
    return f"{MODULE}:{name}"


def config(*names: str, **changes: Any) -> LearnerConfig:
    return replace(PLAIN, losses=tuple(map(spec, names)), **changes)


def test_terms_are_the_base_loss_and_what_specs_name() -> None:
    terms = loss_terms.terms(config("plain?weight=0.25", "scaled?factor=2", "shares_field"))
    assert list(terms) == ["policy", "value", "plain", "scaled", "shares"]
    assert [term.weight for term in terms.values()] == [1, 1, 0.25, 1, 0.5]
    losses = (spec("plain"), spec("shares_field"))
    assert loss_terms.row_fields(losses) == (MARK,)
    assert loss_terms.heads(losses) == (("a", "actions"), ("b", "scalar"), ("c", "cells"))
    assert loss_terms.heads(losses, losses[:1]) == loss_terms.heads(losses)
    names = [field.name for field in loss_terms.batch_fields(config("plain", "shares_field"))]
    assert names == ["planes", "legal", "policy", "value", "mover_outcome", "mark", "action"]
    assert loss_terms.row_fields(()) == loss_terms.heads(()) == ()


def test_loss_is_the_weighted_sum_and_every_term_has_a_metric() -> None:
    rows = table("tic_tac_toe").rows
    linear = Linear(GAME, seed=1)
    total, metrics = quick_jit(
        make_loss(GAME, linear, config("scaled?factor=2&weight=0.5", value_weight=3.0))
    )({}, rows, jax.random.key(0))
    assert metrics["scaled_loss"] == 2.0
    expected = metrics["policy_loss"] + 3 * metrics["value_loss"] + 0.5 * 2
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_symmetries_move_cells_actions_and_numbers_of_actions() -> None:
    rng, count, group = np.random.default_rng(0), 64, GAME.symmetries()

    def field(name: str, *shape: int, **changes: Any) -> RowField:
        return RowField(name, "", "int16", lambda game: shape, finish=finish, **changes)

    fields = (
        row_schema.PLANES,
        field("grid", 3, 3, symmetry="cells"),
        field("layers", 3, 3, 2, symmetry="cells"),
        field("flat", 9, symmetry="actions"),
        field("move", symmetry="action"),
        field("count"),
    )
    shapes = {f.name: (count, *f.shape(GAME)) for f in fields}
    rows: Any = {name: rng.integers(0, 99, shape, np.int16) for name, shape in shapes.items()}
    rows["planes"] = rng.integers(0, 256, (count, 3)).astype(np.uint8)
    rows["move"] = np.where(np.arange(count) % 5, rng.integers(0, 9, count), -1).astype(np.int16)
    key = jax.random.key(3)
    batch = jax.device_get(unpack_batch(GAME, fields, rows, key))
    index = np.array(jax.random.randint(key, (count,), 0, 8))
    for i, s in enumerate(index):
        to = group.cells[s]  # of tic-tac-toe, actions are cells
        np.testing.assert_array_equal(batch["grid"][i].ravel(), rows["grid"][i].ravel()[to])
        np.testing.assert_array_equal(
            batch["layers"][i].reshape(9, 2), rows["layers"][i].reshape(9, 2)[to]
        )
        np.testing.assert_array_equal(batch["flat"][i], rows["flat"][i][to])
        move = rows["move"][i]
        assert batch["move"][i] == (-1 if move < 0 else np.flatnonzero(to == move)[0])
    np.testing.assert_array_equal(batch["count"], rows["count"])
    still = unpack_batch(GAME, fields, rows, None)
    np.testing.assert_array_equal(still["grid"], rows["grid"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["plain", "same_name"], r"learner\.losses: 'plain' is the name of a loss term twice"),
        (["policy"], r"'policy' is the name of a loss term twice"),
        (["plain", "same_head"], r"'a' is the name of a head twice"),
        (["main_head"], r"'value' is the name of a head twice"),
        (["plain", "same_field"], r"'mark' is the name of a row field twice"),
        (["plain?factor=2"], r"loss my_loss_terms:plain has no option 'factor'"),
        (["nothing"], "loss term 'my_loss_terms:nothing' returned None, expected LossTerm"),
        (["broken"], "'my_loss_terms:broken' failed with ZeroDivisionError: integer"),
        (["plain?weight=-1"], r"loss term plain: weight must be at least 0 and finite, got -1"),
        (
            ["finish"],
            r"my_loss_terms:finish is not a loss term: expected a LossTerm, or a function",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_clashing_or_wrong_terms_are_rejected(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss_terms.terms(config(*names))


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (
            lambda prediction, rows: prediction.value.mean(),
            r"returns float32\[\], expected .*\[4\]",
        ),
        (
            lambda prediction, rows: rows["legal"].argmax(-1),
            r"returns int32\[4\], expected a number",
        ),
        (lambda prediction, rows: rows["mark"], "reads 'mark', which is in neither its fields nor"),
        (lambda prediction, rows: prediction.auxiliary["a"], "reads 'a', which is in neither"),
    ],
)
def test_function_that_is_no_loss_of_each_row_is_rejected(function: Any, sentence: str) -> None:
    prediction = Prediction(jnp.zeros((4, 9)), jnp.zeros(4))
    batch = {"legal": jnp.ones((4, 9), bool)}
    with pytest.raises(ValueError, match=f"loss term wrong {sentence}"):
        _rows_loss(LossTerm("wrong", function), prediction, batch)


def test_bad_declaration_is_rejected() -> None:
    with pytest.raises(ValueError, match="'my-term'"):
        LossTerm("my-term", ones)
    kind: Any = "planes"
    with pytest.raises(ValueError, match="kind of head a is 'planes', expected one of actions"):
        LossTerm("plain", ones, heads=(("a", kind),))


@pytest.mark.parametrize(
    "changes", [{"losses": ("os:system",)}, {"optimizer": "os:system"}, {"schedule": "os:system"}]
)
def test_import_path_that_nobody_typed_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="os:system' is an import path that nobody typed"):
        LearnerConfig(**changes)


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(ValueError, match=r"unknown loss term 'winner'.*choose from reply, soft"):
        LearnerConfig(losses=("winner?weight=2",))
    with pytest.raises(ValueError, match=r"unknown optimizer 'adam' \(did you mean 'adamw'\?\)"):
        LearnerConfig(optimizer="adam")
    with pytest.raises(ValueError, match=r"schedule 'cosine'.*choose from warmup_cosine, warmup_"):
        LearnerConfig(schedule="cosine")


def test_config_stores_added_fields_only_where_they_are_used() -> None:
    """In the section `imitation.learner` as well, whose other defaults differ."""
    stored = to_json(TrainConfig())
    added = {"losses", "optimizer", "schedule", "surprise_weight"}
    assert not added & {*stored["learner"], *stored["imitation"]["learner"]}
    assert from_json(TrainConfig, stored) == TrainConfig()
    run = TrainConfig()
    learner = replace(run.imitation.learner, losses=(spec("plain"),), optimizer="sgd?momentum=0.5")
    run = replace(run, imitation=replace(run.imitation, learner=learner))
    stored = to_json(run)
    assert stored["imitation"]["learner"]["losses"] == [spec("plain")]
    assert not added & {*stored["learner"]}
    assert from_json(TrainConfig, stored) == run
    assert run.losses_by_learner() == ((), ())  # nothing is imitated
    imitating = replace(run, imitation=replace(run.imitation, dataset="experts"))
    assert imitating.losses_by_learner() == ((), (spec("plain"),))


START = {"w": np.array([3.0, -2.0], np.float32)}


def updates(config: LearnerConfig, steps: int, state: Any = None) -> list[np.ndarray]:
    """The updates that answer a gradient of 1."""
    optimizer: Any = make_optimizer(config, 20)
    state, result = optimizer.init(START) if state is None else state, []
    for _ in range(steps):
        change, state = optimizer.update({"w": np.ones(2, np.float32)}, state, START)
        result.append(np.array(change["w"]))
    return result


def test_sgd_has_momentum_and_decoupled_weight_decay() -> None:
    flat = {"warmup_steps": 0, "gradient_clip": 1e9, "learning_rate": 0.1}
    sgd = LearnerConfig(
        optimizer="sgd?momentum=0.5", schedule="warmup_constant", weight_decay=0.2, **flat
    )
    for change, velocity in zip(updates(sgd, 3), (1, 1.5, 1.75), strict=True):
        np.testing.assert_allclose(change, -0.1 * (velocity + 0.2 * START["w"]), rtol=1e-5)


def test_warmup_constant_never_falls() -> None:
    rising = LearnerConfig(
        optimizer="sgd?momentum=0.0", schedule="warmup_constant", warmup_steps=4,
        gradient_clip=1e9, learning_rate=0.1, weight_decay=0.0,
    )  # fmt: skip
    rates = [-change[0] for change in updates(rising, 30)]
    np.testing.assert_allclose(rates[:5], [0, 0.025, 0.05, 0.075, 0.1], rtol=1e-5)
    np.testing.assert_allclose(rates[5:], 0.1, rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", spec("plain_sgd")])
@pytest.mark.parametrize("schedule", ["warmup_cosine", "warmup_constant", spec("halved")])
def test_after_warmup_the_first_update_moves(optimizer: str, schedule: str) -> None:
    if optimizer == spec("plain_sgd") and schedule != spec("halved"):
        pytest.skip("takes the rate of step 0, so it has no warm-up")
    config = LearnerConfig(optimizer=optimizer, schedule=schedule, warmup_steps=7)
    fresh = make_optimizer(config, 20).init(START)
    (change,) = updates(config, 1, after_warmup(fresh, config))
    assert (np.abs(change) > 1e-4).all()
