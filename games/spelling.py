"""Proposes what a mistyped name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def did_you_mean(word: str, choices: Iterable[str], write: Callable[[str], str] = str) -> str:
    """Text for an error message, `` (did you mean 'go'?)``; empty if no choice is close.

    Args:
        word: what was typed; upper and lower case count as equal.
        choices: the names there are.
        write: how to write the one that is proposed.
    """
    names = {name.lower(): name for name in choices}
    close = difflib.get_close_matches(word.lower(), names, n=1)
    return f" (did you mean {write(names[close[0]])!r}?)" if close else ""
