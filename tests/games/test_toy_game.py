"""A third party's game: what it inherits works, and a broken one fails a law that is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from jax.core import Tracer

import games
from games import plugins
from games.game import Notation, Symmetries
from games.notation import action_to_text, board_to_text, cell_notation, text_to_action
from games.symmetry import SQUARE, cell_symmetries
from selfplay.testing import game_contract
from tests.games.toy_games import Stones, ThreeInARow

SMALL = ThreeInARow(3)


def test_small_game_keeps_the_contract() -> None:
    game_contract.check_game(ThreeInARow())


def test_small_game_has_texts() -> None:
    state = SMALL.step(SMALL.init(), 4)
    assert (SMALL.name, SMALL.version) == ("three_in_a_row", 1)
    assert board_to_text(SMALL, state, 4) == (
        "  1 2 3\n"
        "1 . . .\n"
        "2 . X .\n"
        "3 . . .\n"
        "O to move; last move: 5\n"
    )  # fmt: skip
    assert action_to_text(SMALL, 4) == "5" and text_to_action(SMALL, "5") == 4


def test_small_game_has_the_capabilities_of_none() -> None:
    assert (SMALL.komi, SMALL.pass_action, SMALL.score(SMALL.init())) == (None, None, None)
    assert not SMALL.can_start_from_board
    with pytest.raises(ValueError, match="three_in_a_row cannot start from a board"):
        SMALL.from_board(np.zeros((3, 3), np.int8), 0)
    assert len(SMALL.symmetries()) == 1


def test_small_game_is_made_by_its_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins._Trust, "paths", set())
    path = f"{ThreeInARow.__module__}:ThreeInARow"
    with pytest.raises(ValueError, match="nobody typed"):
        games.make(path)
    plugins.trust([path])
    made = games.make(f"{path}?size=5")
    assert made == ThreeInARow(5) and type(made) is ThreeInARow
    for options, sentence in (
        ("size=five", "option size='five' must be int, not str"),
        ("rows=5", "has no option 'rows'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            games.make(f"{path}?{options}")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Incomplete", "does not define init, is_terminal, legal_actions, max_plies, observation_"),
        ("Required", r"needs the option 'width': .*:Required\?width=VALUE"),
        ("Stones", "is not a game: expected a dataclass that inherits games.Game, got"),
        ("Game", "is not a game: expected a dataclass"),
    ],
)
def test_import_path_of_no_complete_game_is_rejected(
    monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.setattr(plugins._Trust, "paths", set())
    path = f"{ThreeInARow.__module__}:{name}"
    plugins.trust([path])
    with pytest.raises(ValueError, match=sentence):
        games.make(path)


@dataclass(frozen=True)
class Set(ThreeInARow):
    """With all capabilities, right: the base of the broken games."""

    size: int = 3

    @property
    def is_positional(self) -> bool:
        return True

    def from_board(self, board: Any, player: Any) -> Stones:
        if np.shape(board) != (self.size, self.size):
            raise ValueError(f"the board has shape {np.shape(board)}")
        cells = jnp.asarray(board, jnp.int8).reshape(-1)
        return Stones(cells, jnp.asarray(player, jnp.int32))

    def symmetries(self) -> Symmetries:
        return cell_symmetries(self.size, self.size, (SQUARE[0], np.fliplr))

    def notation(self) -> Notation:
        return cell_notation(self.size, self.size)


def test_game_with_all_capabilities_keeps_the_contract() -> None:
    game_contract.check_game(Set())
    assert game_contract.colors_are_interchangeable(Set())


class Chosen:
    """Changes of `Set`, each of which breaks one law."""

    @staticmethod
    def moves_twice(game: Set, state: Stones, action: Any) -> Stones:
        after = Set.step(game, state, action)
        third = (after.cells != 0).sum() == 3
        return after._replace(player=jnp.where(third, state.player, after.player))

    @staticmethod
    def goes_on(game: Set, state: Stones, action: Any) -> Stones:
        return Set.step(game, state, action)._replace(player=1 - state.player)

    @staticmethod
    def observes_absolutely(game: Set, state: Stones) -> Array:
        board = state.cells.reshape(game.size, -1)
        return jnp.stack([board > 0, board < 0], axis=-1)

    @staticmethod
    def board(game: Set, state: Stones) -> Array:
        return state.cells.reshape(game.size, -1)

    @staticmethod
    def wins_for_the_mover(game: Set, state: Stones) -> Array:
        return jnp.abs(Set.outcome(game, state))


def broken(**members: Any) -> Set:
    """Makes a game that differs from `Set` in some members."""
    return dataclass(frozen=True)(type("Broken", (Set,), members))()


def fixed(value: object) -> Any:
    return property(lambda game: value)


BROKEN: dict[str, Callable[[], Any]] = {
    "game is a hashable value": lambda: broken(max_plies=fixed(0)),
    "capabilities have documented types": lambda: broken(version=fixed("1")),
    "arrays have documented shapes and dtypes": lambda: broken(
        outcome=lambda game, state: Set.outcome(game, state).astype(jnp.int32)
    ),
    "player 0 moves first": lambda: broken(
        init=lambda game: Set.init(game)._replace(player=jnp.int32(1))
    ),
    "games end within max plies": lambda: broken(max_plies=fixed(5)),
    "terminal states stay unchanged": lambda: broken(step=Chosen.goes_on),
    "state is terminal exactly if no action is legal": lambda: broken(
        legal_actions=lambda game, state: state.cells == 0
    ),
    "outcome is a sign and zero while the game runs": lambda: broken(
        outcome=Chosen.wins_for_the_mover
    ),
    "players alternate": lambda: broken(step=Chosen.moves_twice),
    "observation is the movers view": lambda: broken(
        observe=Chosen.observes_absolutely, board=Chosen.board
    ),
    "owners and view fit the board": lambda: broken(
        owners=lambda game, state: 2 * Set.board(game, state)
    ),
    "view arranges the board as the observation does": lambda: broken(
        view=lambda game, state, grid: grid.T
    ),
    "from board inverts board": lambda: broken(
        from_board=lambda game, board, player: Set.from_board(game, board.T, player)
    ),
    "from board rejects a wrong shape": lambda: broken(
        from_board=lambda game, board, player: game.init()._replace(
            cells=jnp.asarray(board).reshape(-1), player=jnp.asarray(player, jnp.int32)
        )
    ),
    "eager and single agree with jit and vmap": lambda: broken(
        observe=lambda game, state: Set.observe(game, state) & isinstance(state.cells, Tracer)
    ),
    "symmetries are a group with the identity first": lambda: broken(
        symmetries=lambda game: cell_symmetries(3, 3, (SQUARE[0], SQUARE[1]))
    ),
    "symmetries commute with the rules": lambda: broken(
        symmetries=lambda game: cell_symmetries(3, 3, SQUARE)
    ),
    "action names are unique and invert": lambda: broken(
        notation=lambda game: cell_notation(3, 3, ("pass",))
    ),
    "board text is read as printed": lambda: broken(
        notation=lambda game: replace(cell_notation(3, 3), find_cell=lambda state, action: (0, 0))
    ),
    "score has the sign of the outcome": lambda: broken(komi=fixed(0.5)),
    "positional game fills cells until one wins": lambda: broken(from_board=games.Game.from_board),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_game_fails_the_law(name: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(f"breaks the law “{name}”: ")):
        game_contract.check_game(BROKEN[name]())


def test_every_law_has_a_broken_game() -> None:
    assert list(BROKEN) == [law.__name__.replace("_", " ") for law in game_contract.LAWS]
