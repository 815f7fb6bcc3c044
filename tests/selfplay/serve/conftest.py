"""A server on a small board."""

import pytest

import games
from selfplay.serve.gtp import Server
from tests.selfplay.serve.analysts import FirstLegal
from tests.selfplay.serve.controller import send


@pytest.fixture(scope="session")
def shared() -> Server:
    return Server(FirstLegal(games.make("go", size=5, komi=0.5)), 4, "test")


@pytest.fixture
def server(shared: Server) -> Server:
    """Returns a server with an empty 5×5 board and komi ½; it plays the first legal point."""
    shared.ended = False
    shared.close()
    send(shared, "komi 0.5", "clear_board")
    return shared
