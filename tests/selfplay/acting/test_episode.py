"""Self-play's records, replayed by slow rules in plain Python, and their way into episodes."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import games
from selfplay import rng
from selfplay.acting import episode, segment
from selfplay.acting.config import SelfPlayConfig, StreamSpec
from selfplay.acting.episode import Rows
from selfplay.acting.row_schema import BASE, unpack
from selfplay.acting.segment import PlyRecord
from selfplay.acting.stream_player import StreamPlayer
from selfplay.model import network
from selfplay.model.architecture import Params
from selfplay.model.config import NetworkConfig
from selfplay.runs.digest import digest
from selfplay.search.config import SearchConfig
from tests.selfplay.search.planted import random_params

SEGMENTS, SEED = 4, 11
NETWORK = NetworkConfig("mlp", width=4, depth=0, head_width=4)
SEARCH = SearchConfig("puct", num_simulations=0)  # its own temperature is 1
SELFPLAY = SelfPlayConfig(
    streams=2,
    batch_size=8,
    segment_length=16,
    temperature=1.0,
    temperature_plies=5,
    random_opening_plies=6,
)
GAME = games.make("tic_tac_toe")
IN_A_LINE = {"tic_tac_toe": 3, "connect_four": 4}
each_game = pytest.mark.parametrize("rules", list(IN_A_LINE))


class Played(NamedTuple):
    """What stream 1 of a game does in `SEGMENTS` iterations from 1; iteration i: version i − 1."""

    records: list[Any]  # PlyRecord, NumPy [T, B, …]
    done: list[Rows]
    pending: Rows  # after the last segment
    carries: list[str]  # digests, of the first one too


@cache
def params(rules: str) -> Params:
    return random_params(network.make(games.make(rules), NETWORK).init, seed=1)


@cache
def player(rules: str) -> StreamPlayer:
    return StreamPlayer.from_spec(StreamSpec(rules, NETWORK, SEARCH, SELFPLAY, SEED))


@cache
def played(rules: str) -> Played:
    game = games.make(rules)
    start, advance = segment.make(game, network.make(game, NETWORK).apply, SEARCH, SELFPLAY)
    lanes = jax.jit(start)(rng.key(SEED, rng.Purpose.START, 1))
    advance, records, done = jax.jit(advance), [], []
    carry = player(rules).start(1)
    carries = [digest(carry)]
    for i in range(1, SEGMENTS + 1):
        lanes, record = advance(params(rules), lanes, rng.key(SEED, rng.Purpose.PLAY, i, 1))
        records.append(jax.device_get(record))
        carry, rows = player(rules).play(params(rules), carry, i, 1, i - 1)
        done.append(rows)
        carries.append(digest(carry))
    return Played(records, done, carry.pending, carries)


def joined(records: list[Any]) -> Any:
    """One record of all segments, NumPy [Σ T, B, …]."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *records)


def has_line(board: np.ndarray, sign: int, length: int) -> bool:
    rows, columns = board.shape
    for r, c in np.argwhere(board == sign):
        for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
            cells = [(r + i * dr, c + i * dc) for i in range(length)]
            if all(0 <= y < rows and 0 <= x < columns and board[y, x] == sign for y, x in cells):
                return True
    return False


def legal(rules: str, board: np.ndarray) -> np.ndarray:
    return board[0] == 0 if rules == "connect_four" else board.reshape(-1) == 0


def put(rules: str, board: np.ndarray, action: int, sign: int) -> np.ndarray:
    after = board.copy()
    if rules == "connect_four":
        after[np.flatnonzero(board[:, action] == 0).max(), action] = sign
    else:
        after.reshape(-1)[action] = sign
    return after


@each_game
def test_recorded_plies_follow_the_rules(rules: str) -> None:
    game, record, length = games.make(rules), joined(played(rules).records), IN_A_LINE[rules]
    bits = jax.vmap(lambda row: unpack(row, game.observation_shape))(record.fields["planes"])
    planes = np.array(bits).astype(np.int8)
    mask = np.array(jax.vmap(lambda row: unpack(row, (game.num_actions,)))(record.fields["legal"]))
    games_over, openings, plies = 0, set(), record.fields["ply"]
    for lane in range(SELFPLAY.batch_size):
        board = None  # nothing is known of a game before its first recorded position
        for t in range(len(record.over)):
            sign = 1 - 2 * int(record.player[t, lane])
            seen = sign * (planes[t, lane, ..., 0] - planes[t, lane, ..., 1])
            if board is None:
                board = seen
                openings.add(int(plies[t, lane]))
                assert not has_line(board, 1, length) and not has_line(board, -1, length)
            np.testing.assert_array_equal(seen, board, f"lane {lane}, ply {t}")
            assert plies[t, lane] == np.count_nonzero(board)
            assert record.player[t, lane] == plies[t, lane] % 2
            np.testing.assert_array_equal(mask[t, lane], legal(rules, board))
            action = int(record.fields["action"][t, lane])
            assert mask[t, lane, action]
            board = put(rules, board, action, sign)
            won = has_line(board, sign, length)
            assert record.over[t, lane] == (won or np.all(board != 0))
            assert record.outcome[t, lane] == (sign if won else 0)
            if record.over[t, lane]:
                board, games_over = None, games_over + 1
    assert games_over > 20 and {0, 1} < openings <= set(range(7))
    assert {-1, 1} <= set(record.outcome[record.over])


@each_game
def test_record_holds_the_searchs_policy_value_and_move(rules: str) -> None:
    game, record = games.make(rules), joined(played(rules).records).fields
    planes = np.unpackbits(record["planes"], axis=-1, count=int(np.prod(game.observation_shape)))
    mask = np.unpackbits(record["legal"], axis=-1, count=game.num_actions).astype(bool)
    seen = planes.reshape(-1, *game.observation_shape).astype(bool)
    logits, value, _ = network.make(game, NETWORK).apply(params(rules), jax.device_put(seen))
    weights = np.exp(np.array(logits)).reshape(mask.shape) * mask
    policy = weights / weights.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(record["policy"], policy, atol=1e-3)
    np.testing.assert_allclose(record["value"], np.array(value).reshape(mask.shape[:2]), atol=1e-3)
    assert record["policy"].dtype == record["value"].dtype == np.float16
    assert np.ptp(record["value"]) > 0.05
    late = record["ply"] >= SELFPLAY.temperature_plies
    # The temperature is the segment's alone: a PUCT search plays its best move.
    chosen = np.take_along_axis(record["policy"], record["action"][..., None].astype(int), axis=-1)
    is_best = chosen[..., 0] == record["policy"].max(axis=-1)
    assert is_best[late].all() and not is_best[~late].all()


Waiting = list[list[tuple[int, int, int]]]
"""Of each lane, the plies of its unfinished game: (segment, t, version)."""


def finish_episodes_slowly(
    waiting: Waiting, records: list[Any], index: int, version: int
) -> list[tuple[int, int, int, int, int, bool]]:
    """Finished (segment, t, version, lane, outcome for the player to move, last), in order."""
    record, done = records[index], []
    for lane, game in enumerate(waiting):
        for t in range(len(record.over)):
            game.append((index, t, version))
            if record.over[t, lane]:
                for s, u, v in game:
                    sign = 1 - 2 * int(records[s].player[u, lane])
                    result = sign * int(record.outcome[t, lane])
                    done.append((s, u, v, lane, result, (s, u) == (index, t)))
                game.clear()
    return done


def assert_assembled(records: list[Any], versions: list[int], done: list[Rows], left: Rows) -> None:
    """`done` after each segment and `left` at the end are what the slow reference says."""
    waiting: Waiting = [[] for _ in range(records[0].over.shape[1])]
    for index, (version, rows) in enumerate(zip(versions, done, strict=True)):
        expected = finish_episodes_slowly(waiting, records, index, version)
        assert list(rows) == [field.name for field in BASE]
        for name in ("planes", "legal", "policy", "value", "action", "ply"):
            wanted = [records[s].fields[name][t, lane] for s, t, _, lane, _, _ in expected]
            assert len(rows[name]) == len(wanted)
            np.testing.assert_array_equal(rows[name], np.array(wanted).reshape(rows[name].shape))
        for name, column in (("version", 2), ("mover_outcome", 4), ("last", 5)):
            np.testing.assert_array_equal(rows[name], [row[column] for row in expected])
        for field in BASE:
            assert rows[field.name].dtype == ("uint8" if field.packed else field.dtype), field.name
    still = sorted((s, t, lane, v) for lane, game in enumerate(waiting) for s, t, v in game)
    assert len(left["lane"]) == len(still)
    for name in ("planes", "legal", "policy", "value", "action", "ply", "player"):
        wanted = [
            (records[s].player if name == "player" else records[s].fields[name])[t, lane]
            for s, t, lane, _ in still
        ]
        np.testing.assert_array_equal(left[name], np.array(wanted).reshape(left[name].shape))
    np.testing.assert_array_equal(left["lane"], [lane for _, _, lane, _ in still])
    np.testing.assert_array_equal(left["version"], [version for *_, version in still])


@each_game
def test_episodes_of_a_stream_are_whole_and_keep_every_ply_once(rules: str) -> None:
    output = played(rules)
    assert_assembled(output.records, list(range(SEGMENTS)), output.done, output.pending)
    total = sum(len(rows["last"]) for rows in output.done) + len(output.pending["lane"])
    assert total == SEGMENTS * SELFPLAY.segment_length * SELFPLAY.batch_size
    finished = sum(int(record.over.sum()) for record in output.records)
    assert sum(int(rows["last"].sum()) for rows in output.done) == finished
    for rows in output.done:  # within an episode plies follow each other
        steps = np.diff(rows["ply"].astype(int))
        np.testing.assert_array_equal(steps[~rows["last"][:-1]], 1)
        assert rows["last"][-1]
    assert any(len(np.unique(rows["version"])) > 1 for rows in output.done)


def random_record(over: Any, seed: int, first: int) -> Any:
    """A PlyRecord [T, B] whose games end where `over` says; actions count from `first`."""
    generator, shape = np.random.default_rng(seed), over.shape
    fields: dict[str, Any] = {
        "planes": generator.integers(0, 256, (*shape, 3)).astype(np.uint8),
        "legal": generator.integers(0, 256, (*shape, 1)).astype(np.uint8),
        "policy": generator.random((*shape, 5)).astype(np.float16),
        "value": generator.random(shape).astype(np.float16),
        "action": (first + np.arange(over.size).reshape(shape)).astype(np.int16),
        "ply": generator.integers(0, 9, shape).astype(np.int16),
    }
    player: Any = generator.integers(0, 2, shape).astype(np.int8)
    outcome: Any = (generator.integers(-1, 2, shape) * over).astype(np.int8)
    return PlyRecord(fields, player, over, outcome)


patterns = st.tuples(st.integers(1, 4), st.lists(st.integers(1, 6), min_size=1, max_size=4))


@settings(max_examples=60, deadline=None)
@given(sizes=patterns, share=st.sampled_from([0.0, 0.1, 0.4, 1.0]), seed=st.integers(0, 999))
def test_finish_episodes_equals_a_slow_reference(
    sizes: tuple[int, list[int]], share: float, seed: int
) -> None:
    lanes, lengths = sizes
    generator, first, records, done = np.random.default_rng(seed), 0, [], []
    for i, plies in enumerate(lengths):
        records.append(random_record(generator.random((plies, lanes)) < share, seed + i, first))
        first += plies * lanes
    no_lanes: Any = None
    pending = episode.empty_carry(no_lanes, records[0]).pending
    for i, record in enumerate(records):
        pending, rows = episode.finish_episodes(GAME, pending, record, 7 * i)
        done.append(rows)
    assert_assembled(records, [7 * i for i in range(len(records))], done, pending)

    # However play is cut into segments, the same plies finish with the same results.
    whole = joined(records)
    nothing = episode.empty_carry(no_lanes, whole).pending
    left, at_once = episode.finish_episodes(GAME, nothing, whole, 0)
    np.testing.assert_array_equal(left["action"], pending["action"])
    by_parts = {n: np.concatenate([rows[n] for rows in done]) for n in ("action", "mover_outcome")}
    a, b = np.argsort(at_once["action"]), np.argsort(by_parts["action"])
    for name, array in by_parts.items():
        np.testing.assert_array_equal(at_once[name][a], array[b])
    everything = np.concatenate([left["action"], at_once["action"]])
    np.testing.assert_array_equal(np.sort(everything), np.arange(first))


@each_game
def test_play_is_a_pure_function(rules: str) -> None:
    first = player(rules).start(1)
    assert digest(first) == played(rules).carries[0]
    again, rows = player(rules).play(params(rules), first, 1, 1, 0)
    assert digest(again) == played(rules).carries[1]
    assert digest(rows) == digest(played(rules).done[0])
    assert digest(first) == played(rules).carries[0], "the carry was changed in place"


def test_play_depends_on_iteration_stream_and_seed_and_only_records_the_version() -> None:
    rules, here = "tic_tac_toe", player("tic_tac_toe")
    spec = StreamSpec("tic_tac_toe", NETWORK, SEARCH, SELFPLAY, SEED + 1)
    carry, other = here.start(0), StreamPlayer.from_spec(spec)
    assert len({digest(carry), digest(here.start(1)), digest(other.start(0))}) == 3
    calls = [(here, 1, 0), (here, 2, 0), (here, 1, 1), (other, 1, 0)]
    results = [who.play(params(rules), carry, i, s, 0) for who, i, s in calls]
    assert len({digest(result) for result in results}) == len(calls)
    stamped, rows = here.play(params(rules), carry, 1, 0, 5)
    assert set(rows["version"]) == set(stamped.pending["version"]) == {5}
    rows["version"] = np.zeros_like(rows["version"])
    assert digest(rows) == digest(results[0][1])
