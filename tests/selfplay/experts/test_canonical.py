"""Keys: equal for all images of a game or of a position, different otherwise."""

from __future__ import annotations

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import games
from selfplay.experts import canonical
from selfplay.experts.game_record import ExpertGame, Start
from tests.selfplay.experts.records import GAME, PASS, random_moves

CELLS, ACTIONS = GAME.symmetries().cells, GAME.symmetries().actions
GOLDEN = [788585211, 3130216149]


def image(game: ExpertGame, s: int) -> ExpertGame:
    """Transforms a game by a symmetry, move by move as `games.symmetry` says."""
    moves = [int(np.flatnonzero(ACTIONS[s] == move)[0]) for move in game.moves]
    start = game.start and Start(
        game.start.board.reshape(-1)[CELLS[s]].reshape(5, 5), game.start.player
    )
    return ExpertGame(np.array(moves, np.int16), game.outcome, start=start)


def played(seed: int, start: Start | None = None) -> ExpertGame:
    return ExpertGame(np.array(random_moves(seed), np.int16), 1, start=start)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("set_up", [False, True])
def test_game_key_is_equal_for_all_images(seed: int, set_up: bool) -> None:
    board = np.random.default_rng(seed).integers(-1, 2, (5, 5)).astype(np.int8)
    game = played(seed, Start(board, 1) if set_up else None)
    keys = {canonical.key(GAME, image(game, s)) for s in range(8)}
    assert len(keys) == 1
    assert keys == {canonical.key(GAME, game)}


def test_key_opening_is_that_of_the_smallest_image() -> None:
    game = ExpertGame(np.array([24, 0, 12, PASS, 1], np.int16), 1)
    assert canonical.key(GAME, game).opening == (0, 24, 12, PASS)
    assert canonical.key(GAME, ExpertGame(np.array([14, 9], np.int16), 1)).opening == (2, 1)


def test_game_key_ignores_only_final_passes() -> None:
    def key(*moves: int, start: Start | None = None) -> bytes:
        return canonical.key(GAME, ExpertGame(np.array(moves, np.int16), 1, start=start)).digest

    empty = np.zeros((5, 5), np.int8)
    assert key(1, 2) == key(1, 2, PASS) == key(1, 2, PASS, PASS)
    different = [
        key(1, 2), key(2, 1), key(PASS, 1, 2), key(1, PASS, 2), key(1, 2, 3), key(1),
        key(1, 2, start=Start(empty, 1)), key(PASS), key(1, 2, start=Start(empty + 1, 0)),
    ]  # fmt: skip
    assert len(set(different)) == len(different)
    # Positions without a known move differ by their boards.
    unknown = [key(-1, start=Start(np.eye(5, k=k, dtype=np.int8), 0)) for k in range(3)]
    assert len(set(unknown)) == 3


def test_game_keys_differ_between_games_and_sizes() -> None:
    moves = ExpertGame(np.array([0, 1], np.int16), 1)
    others = [games.make(name) for name in ("go?size=6", "tic_tac_toe", "hex?size=3")]
    assert len({canonical.key(game, moves).digest for game in (GAME, *others)}) == 4


@pytest.mark.parametrize("name", ["go?size=5", "tic_tac_toe", "connect_four"])
def test_position_key_is_equal_for_all_images(name: str) -> None:
    game = games.make(name)
    height, width, _ = game.observation_shape
    cells = game.symmetries().cells
    boards = np.random.default_rng(0).integers(-1, 2, (200, height * width)).astype(np.int8)
    images = boards[:, cells].reshape(-1, height, width)  # [200 · S, H, W]
    key = jax.jit(jax.vmap(lambda board, who: canonical.position(game, board, who), (0, None)))
    keys = np.asarray(key(images, jnp.int32(0))).reshape(200, len(cells), 2)
    assert (keys == keys[:, :1]).all()
    smallest = {min(b[c].tobytes() for c in cells) for b in boards}
    assert len(np.unique(keys[:, 0], axis=0)) == len(smallest)
    swapped = np.asarray(key(images, jnp.int32(1))).reshape(200, len(cells), 2)
    assert not (swapped == keys).all(axis=2).any()
    mirrored = np.asarray(key(-images, jnp.int32(0))).reshape(200, len(cells), 2)
    assert not (mirrored == keys)[boards.any(axis=1)].all(axis=2).any()


def test_keys_are_the_recorded_ones() -> None:
    """They decide what is held out: a change would exchange games between the sides."""
    game = ExpertGame(np.array([12, 11, 7], np.int16), 1)
    smallest = b"".join(move.to_bytes(2, "big") for move in (12, 7, 11))
    assert canonical.key(GAME, game).digest == hashlib.sha256(b"go (5, 5) :" + smallest).digest()
    board = np.zeros((5, 5), np.int8)
    board[1, 2] = 1
    key = canonical.position(GAME, jnp.asarray(board), jnp.int32(1))
    assert np.asarray(key).tolist() == GOLDEN
