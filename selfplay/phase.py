"""The step that training is at, for progress displays."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Phase(NamedTuple):
    """A step of training that takes time.

    Attributes:
        what: "compiling self-play", "playing", "learning", …
        iteration: the iteration that it is a part of; None outside of iterations.
    """

    what: str
    iteration: int | None = None

    def __str__(self) -> str:
        """Returns "iteration 3: playing", or "compiling self-play"."""
        return self.what if self.iteration is None else f"iteration {self.iteration}: {self.what}"


Enter = Callable[[Phase], None]
"""``enter(phase)`` is called as each phase begins; the phase before it has ended."""


def unwatched(phase: Phase) -> None:
    """Ignores a phase."""
