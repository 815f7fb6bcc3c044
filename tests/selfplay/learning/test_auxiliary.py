"""The loss terms that come with oomzero: targets and losses of games worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.row_schema import BASE, Episodes, row_bytes, unpack
from selfplay.acting.stream_player import StreamPlayer
from selfplay.learning import loss_terms
from selfplay.learning.auxiliary import BUILT_IN
from selfplay.learning.auxiliary_fields import MOVES_LEFT, OWNER, REPLY, return_field
from selfplay.learning.config import LOSS, LearnerConfig
from selfplay.learning.loss import make_loss
from selfplay.model import network
from selfplay.model.architecture import Prediction
from selfplay.model.config import NetworkConfig
from selfplay.search.config import SearchConfig
from tests.selfplay.learning.rows import PLAIN, table

GAME = games.make("tic_tac_toe")
POLICIES = np.eye(9)[[0, 1, 2, 3, 4]]


def two_games() -> Episodes:
    """A game of three moves that player 0 wins, and one of two moves that player 1 wins."""
    rows = {
        "player": np.array([0, 1, 0, 1, 0], np.int8),
        "value": np.array([0.5, -0.25, 1.0, 0.0, 0.5], np.float16),
        "policy": POLICIES.astype(np.float16),
    }
    return Episodes(rows, np.array([2, 2, 2, 4, 4]), np.array([1, 1, 1, -1, -1], np.int8))


def test_reply_is_the_next_policy_of_the_same_game() -> None:
    reply = REPLY.at_end(GAME, two_games())
    np.testing.assert_array_equal(reply[[0, 1, 3]], POLICIES[[1, 2, 4]])
    assert not reply[[2, 4]].any()


def test_moves_left_count_the_move_of_the_position() -> None:
    assert MOVES_LEFT.at_end(GAME, two_games()).tolist() == [3, 2, 1, 2, 1]


def test_lambda_return_mixes_later_root_values_for_the_player_to_move() -> None:
    """Values for player 0 are 0.5, 0.25, 1 and the result 1; then 0, 0.5 and the result −1."""
    third = 0.5 * 1 + 0.5 * 1
    second = 0.5 * 0.25 + 0.5 * third
    first = 0.5 * 0.5 + 0.5 * second
    fifth = 0.5 * 0.5 + 0.5 * -1
    fourth = 0.5 * 0 + 0.5 * fifth
    expected = [first, -second, third, -fourth, fifth]
    np.testing.assert_allclose(return_field(0.5).at_end(GAME, two_games()), expected, atol=1e-3)


@pytest.mark.parametrize(("decay", "expected"), [(0.0, "value"), (1.0, "outcome")])
def test_lambda_return_lies_between_root_value_and_result(decay: float, expected: str) -> None:
    episodes = two_games()
    sign = 1 - 2 * episodes.rows["player"]
    ends = {"value": episodes.rows["value"], "outcome": sign * episodes.outcome}
    np.testing.assert_array_equal(return_field(decay).at_end(GAME, episodes), ends[expected])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.floats(0, 1))
def test_lambda_return_is_the_sum_of_its_definition(lengths: list[int], decay: float) -> None:
    """(1 − λ) Σ λ^k V(t + k) over the turns that are left, plus λ^(turns left) · result."""
    rng, size = np.random.default_rng(sum(lengths)), sum(lengths)
    ends = np.repeat(np.cumsum(lengths) - 1, lengths)
    player = np.concatenate([np.arange(n) % 2 for n in lengths])
    outcome = np.repeat(rng.integers(-1, 2, len(lengths)), lengths)
    value = rng.uniform(-1, 1, size).astype(np.float16)
    sign = np.where(player == 0, 1, -1)
    expected = []
    for t in range(size):
        later = np.arange(t, ends[t] + 1)
        weights = (1 - decay) * decay ** (later - t)
        total = weights @ (sign * value)[later] + decay ** len(later) * outcome[t]
        expected.append(sign[t] * total)
    episodes = Episodes({"player": player, "value": value}, ends, outcome)
    actual = return_field(decay).at_end(GAME, episodes)
    np.testing.assert_allclose(actual, expected, atol=1e-3)


def test_owner_is_the_final_board_as_each_player_sees_it() -> None:
    """On two cells the first player ends with the left one and the second with the right one."""
    rows = {
        "player": np.array([0, 1], np.int8),
        "owners_after": np.array([[[0, 0]], [[1, -1]]], np.int8),
        "view": np.array([[[0, 1]], [[1, 0]]], np.int16),  # the second player sees it mirrored
    }
    episodes = Episodes(rows, np.array([1, 1]), np.array([1, 1], np.int8))
    assert OWNER.finish
    line = cast("Any", SimpleNamespace(observation_shape=(1, 2, 2)))
    np.testing.assert_array_equal(OWNER.finish(line, episodes), [[[1, -1]], [[1, -1]]])


@pytest.mark.parametrize("spec", ["hex?size=3&swap=true", "connect_four", "go?size=3&komi=0.5"])
def test_owner_and_score_are_those_of_the_last_position(spec: str) -> None:
    """Pieces of Hex and Connect Four stay; in Go, points add up to the score."""
    game = games.make(spec)
    is_go = game.score(game.init()) is not None
    losses = ("owner", "score") if is_go else ("owner",)
    config = SelfPlayConfig(batch_size=8, segment_length=2 * game.max_plies)
    raw = SearchConfig(num_simulations=0)
    spec_of_stream = StreamSpec(
        spec, NetworkConfig("mlp", width=4, depth=1, head_width=2), raw, config, 0, losses
    )
    fields = loss_terms.row_fields(losses)
    player = StreamPlayer.from_spec(spec_of_stream, fields)
    params = network.pseudo_random(network.make(game, spec_of_stream.network).init)
    _, rows = player.play(params, player.start(0), 1, 0, 0)
    assert rows["last"].sum() >= 8 and set(rows) == {f.name for f in (*BASE, *fields)}
    owner, outcome = rows["owner"], rows["mover_outcome"]
    if is_go:
        lead = owner.sum(axis=(1, 2), dtype=int) - rows["score"]
        np.testing.assert_array_equal(abs(lead), 0.5)
        np.testing.assert_array_equal(np.sign(rows["score"]), outcome)
        return
    planes = np.array(unpack(jnp.array(rows["planes"]), game.observation_shape))
    pieces = planes[..., 0].astype(int) - planes[..., 1]
    settled = rows["ply"] >= 2 if "hex" in spec else rows["ply"] >= 0  # a swap exchanges colors
    stay = (pieces == 0) | (pieces == owner)
    assert stay[settled].all()
    last = rows["last"]
    won = owner[last].sum(axis=(1, 2), dtype=int) - pieces[last].sum(axis=(1, 2))
    np.testing.assert_array_equal(won, 1)  # the last move adds one piece of the mover


def test_segment_in_which_no_game_ends_gives_no_rows() -> None:
    game = games.make("go?size=3&komi=0.5")
    losses = ("owner", "score", "reply", "td_value", "moves_left", "lambda_return", "soft_policy")
    spec = StreamSpec(
        "go?size=3&komi=0.5",
        NetworkConfig("mlp", width=4, depth=1, head_width=2),
        SearchConfig(num_simulations=0),
        SelfPlayConfig(batch_size=4, segment_length=1, random_opening_fraction=0.0),
        0,
        losses,
    )
    player = StreamPlayer.from_spec(spec, loss_terms.row_fields(losses, surprise=True))
    params = network.pseudo_random(network.make(game, spec.network).init)
    _, rows = player.play(params, player.start(0), 1, 0, 0)
    assert {"owner", "score", "reply"} <= set(rows)
    assert {len(array) for array in rows.values()} == {0}


def loss_of(spec: str, prediction: Prediction, **rows: Any) -> np.ndarray:
    (term,) = loss_terms.load_terms((spec,))
    return np.array(term.function(prediction, {name: jnp.array(x) for name, x in rows.items()}))


def heads(**outputs: Any) -> Prediction:
    values = {name: jnp.array(x, jnp.float32) for name, x in outputs.items()}
    return Prediction(jnp.zeros((2, 3)), jnp.array([0.5, 0.5]), values)


def test_soft_policy_learns_the_root_of_the_policy() -> None:
    """0.81 : 0.16 : 0 to the power 1/2 is 9 : 4 : 0; an unsure head loses log 2 over two moves."""
    rows = {"policy": [[0.81, 0.16, 0.0], [0.0, 0.0, 0.0]], "legal": [[True, True, False]] * 2}
    logits = [[np.log(9.0), np.log(4.0), 5.0], [1.0, 2.0, 3.0]]
    entropy = -(9 / 13 * np.log(9 / 13) + 4 / 13 * np.log(4 / 13))
    loss = loss_of("soft_policy?temperature=2", heads(soft_policy=logits), **rows)
    np.testing.assert_allclose(loss, [entropy, 0], rtol=1e-5)
    loss = loss_of("soft_policy?temperature=2", heads(soft_policy=np.zeros((2, 3))), **rows)
    np.testing.assert_allclose(loss, [np.log(2), 0], rtol=1e-5)


def test_reply_loses_nothing_where_there_is_none() -> None:
    rows = {"reply": [[0.0, 0.5, 0.5], [0.0, 0.0, 0.0]]}
    loss = loss_of("reply", heads(reply=np.zeros((2, 3))), **rows)
    np.testing.assert_allclose(loss, [np.log(3), 0], rtol=1e-5)


def test_moves_left_are_scaled_and_far_errors_count_linearly() -> None:
    """10 moves for 14: (4 / 20)² / 2; 40 moves for 20: half the scale times 1 − 1 / 4."""
    loss = loss_of("moves_left", heads(moves_left=[0.5, 2.0]), moves_left=[14.0, 20.0])
    np.testing.assert_allclose(loss, [0.02, 0.5 * 0.75], rtol=1e-5)
    assert loss_of("moves_left", heads(moves_left=[0.5, 2.0]), moves_left=[0.0, 0.0]).sum() == 0


def test_owner_is_a_cross_entropy_over_cells_and_score_a_huber_loss() -> None:
    """Odds of 3 to 1 for one's own cell lose log 4/3; for the opponent's log 4; else their mean."""
    logits = np.full((2, 1, 3), np.log(3))
    loss = loss_of("owner", heads(owner=logits), owner=[[[1, -1, 0]], [[2, 2, 2]]])
    expected = (np.log(4 / 3) + np.log(4) + (np.log(4 / 3) + np.log(4)) / 2) / 3
    np.testing.assert_allclose(loss, [expected, 0], rtol=1e-5)
    loss = loss_of("score", heads(score=[0.5, 3.0]), score=[10.0, 10.0])
    np.testing.assert_allclose(loss, [0.125, 1.5], rtol=1e-5)
    assert loss_of("score", heads(score=[0.5, 3.0]), score=[np.nan, np.nan]).sum() == 0


def test_td_value_compares_its_own_head_and_lambda_return_the_value_head() -> None:
    field = return_field(6 / 7).name
    target = {field: [0.25, np.nan]}
    loss = loss_of("td_value?horizon=6", heads(td_value_6=[np.arctanh(0.75), 9.0]), **target)
    np.testing.assert_allclose(loss, [0.25, 0], rtol=1e-5)
    target = {return_field(0.8).name: [0.25, np.nan]}
    np.testing.assert_allclose(loss_of("lambda_return", heads(), **target), [0.0625, 0], rtol=1e-5)


def test_value_entropy_is_the_divergence_from_the_value_target() -> None:
    """The targets are 1, 0 and −0.5: a sure win, an even game, a quarter of a win."""
    rows = {"mover_outcome": [1.0, 0.0, -1.0, 1.0], "value": [1.0, 0.0, 0.0, np.nan]}
    prediction = heads()._replace(value=jnp.array([0.0, 0.5, 0.0, 0.3]))
    quarter = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    expected = [np.log(2), (np.log(0.5 / 0.75) + np.log(0.5 / 0.25)) / 2, quarter, 0]
    loss = loss_of("value_entropy", prediction, **rows)
    np.testing.assert_allclose(loss, 2 * np.array(expected), rtol=1e-5)


@pytest.mark.parametrize("s", [-4.0, -0.5, 0.0, 2.0])
@pytest.mark.parametrize("target", [-1.0, 0.25, 1.0])
def test_gradient_of_value_entropy_is_twice_the_error_in_the_network_s_own_scale(
    s: float, target: float
) -> None:
    """For a lost game and s = 2 it is 3.93; that of squares is 0.28."""
    (term,) = loss_terms.load_terms(("value_entropy?root_value_weight=0",))

    def loss(s: jax.Array) -> jax.Array:
        prediction = heads()._replace(value=jnp.tanh(s)[None])
        rows = {"mover_outcome": jnp.array([target]), "value": jnp.zeros(1)}
        return term.function(prediction, rows)[0]

    slope = jax.grad(loss)(jnp.float32(s))
    np.testing.assert_allclose(slope, 2 * (np.tanh(s) - target), atol=2e-3)


def test_lambda_of_zero_has_the_gradient_of_the_mixed_value_target() -> None:
    """Today's target, half outcome and half root value, is the λ-return's with λ = 0."""
    rows = dict(table("tic_tac_toe").rows)
    rows[return_field(0.0).name] = rows["value"]
    mixed = replace(PLAIN, root_value_weight=0.5)
    apart = replace(
        PLAIN,
        value_weight=0.5,
        root_value_weight=0.0,
        losses=("lambda_return?decay=0&weight=0.5",),
    )
    model = network.make(GAME, NetworkConfig(kind="mlp", width=8, depth=1), ())
    params = network.pseudo_random(model.init)

    def gradient(config: LearnerConfig) -> Any:
        loss = make_loss(GAME, model.apply, config)
        return jax.grad(lambda params: loss(params, rows, jax.random.key(0))[0])(params)

    for ours, theirs in zip(*map(jax.tree.leaves, (gradient(mixed), gradient(apart))), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_gradients_are_finite_where_targets_are_missing() -> None:
    """Rows of expert games: no policy of the search, no root values, no length."""
    names = tuple(name for name in BUILT_IN if name != "score")
    config = replace(PLAIN, losses=names)
    rows = dict(table("tic_tac_toe").rows)
    count = len(rows["value"])
    for field in loss_terms.row_fields(names):
        rows[field.name] = field.absent(GAME, count)
    rows["policy"] = np.zeros_like(rows["policy"])
    rows["value"] = np.full_like(rows["value"], np.nan)
    model = network.make(GAME, NetworkConfig(kind="mlp", width=8, depth=1), loss_terms.heads(names))
    params = network.pseudo_random(model.init)
    loss = make_loss(GAME, model.apply, config)
    gradient = jax.grad(lambda params: loss(params, rows, jax.random.key(0))[0])(params)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    metrics = loss(params, rows, jax.random.key(0))[1]
    assert all(metrics[f"{term.name}_loss"] == 0 for term in loss_terms.load_terms(names))


def test_names_of_the_config_are_those_that_exist() -> None:
    assert tuple(BUILT_IN) == LOSS.builtin
    assert return_field(0.8) is return_field(0.8)
    with pytest.raises(ValueError, match=r"unknown loss term 'replay'.*did you mean 'reply'"):
        LearnerConfig(losses=("replay",))


def test_score_is_refused_by_name_for_a_game_without_points() -> None:
    with pytest.raises(ValueError, match=r"score: points do not decide tic_tac_toe"):
        row_bytes(GAME, loss_terms.row_fields(("score",)))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("soft_policy?temperature=0", "temperature must be above 0, got 0"),
        ("td_value?horizon=0", "horizon must be at least 1, got 0"),
        ("lambda_return?decay=1.5", "decay must be from 0 to 1, got 1.5"),
        ("reply?scale=2", "loss reply has no option 'scale'"),
    ],
)
def test_options_out_of_range_are_rejected(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss_terms.load_terms((spec,))


def test_two_horizons_may_be_learned_together() -> None:
    specs = ("td_value?horizon=4", "td_value?horizon=16&weight=0.1")
    assert [term.weight for term in loss_terms.load_terms(specs)] == [0.6, 0.1]
    assert [name for name, _ in loss_terms.heads(specs)] == ["td_value_16", "td_value_4"]
