"""A server on a small board, for the tests of what it answers."""

import pytest

import games
from selfplay.serve.gtp import Server
from tests.selfplay.serve.controller import ask
from tests.selfplay.serve.thinkers import FirstLegal


@pytest.fixture(scope="session")
def shared() -> Server:
    return Server(FirstLegal(games.make("go", size=5, komi=0.5)), 4, "test")


@pytest.fixture
def server(shared: Server) -> Server:
    """A 5×5 board, empty, komi ½; the opponent plays the first legal point, A5, B5, …"""
    shared.ended = False
    shared.close()
    ask(shared, "komi 0.5", "clear_board")
    return shared
