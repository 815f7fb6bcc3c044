"""Rules of the games, in JAX and NumPy only. `make(name)` returns a `Game`.

Importing the package does not import JAX; the first use of a name does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from games.game import Game
    from games.registry import make, names

__all__ = ["Game", "make", "names"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "games.registry" if name in ("make", "names") else "games.game"
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value
