"""Rules of the games, nothing learned: JAX and NumPy only. `make(name)` gives a `Game`."""

from games.game import Game
from games.registry import make, names

__all__ = ["Game", "make", "names"]
