"""Boards as SVG: one button for each legal cell, in every game and at every stage."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

import games
from selfplay.serve.web.boards import Marks, cells, draw
from selfplay.serve.web.live_game import LiveGame

SPECS = ("connect_four", "go?size=9", "hex?size=5&swap=true", "tic_tac_toe")


def buttons(text: str) -> list[int]:
    return sorted(int(number) for number in re.findall(r'data-action="(\d+)"', text))


@pytest.mark.parametrize("spec", SPECS)
def test_legal_cells_are_buttons_after_any_moves(spec: str) -> None:
    match, draws = LiveGame(games.make(spec)), np.random.default_rng(3)
    for _ in range(12):
        if match.is_over:
            break
        text = draw(match.game, match.state, Marks(match.legal, match.last_cell))
        ElementTree.fromstring(text)
        places = cells(match.game, match.state)
        assert buttons(text) == [action for action in match.legal if action in places]
        match.play(int(draws.choice(match.legal)))


@pytest.mark.parametrize("spec", SPECS)
def test_cells_are_where_the_piece_appears(spec: str) -> None:
    match, draws = LiveGame(games.make(spec)), np.random.default_rng(4)
    for _ in range(10):
        if match.is_over:
            break
        places = cells(match.game, match.state)
        action = int(draws.choice([action for action in match.legal if action in places]))
        match.play(action)
        row, column = places[action]
        assert int(match.game.board(match.state)[row, column])
        assert match.last_cell == (row, column)


def test_thoughts_are_drawn_as_shares_values_and_words() -> None:
    game = games.make("connect_four")
    marks = Marks(shares={0: 0.25, 1: 0.001}, values={2: -0.5}, truths={3: "win"})
    text = draw(game, game.init(), marks)
    assert ">25<" in text and ">−0.50<" in text and ">win<" in text
    assert text.count("opacity=") == 3, "a share below half a per cent is not drawn"
    assert not buttons(text), "nobody may move"


def test_names_cannot_inject_markup() -> None:
    game = games.make("connect_four")
    text = draw(game, game.init(), Marks(truths={0: "<script>"}))
    assert "<script>" not in text
