"""Rules of the games, in JAX and NumPy only. `make(name)` returns a `Game`."""

from games.game import Game
from games.registry import make, names

__all__ = ["Game", "make", "names"]
