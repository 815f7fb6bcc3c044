"""Suggests the intended name for a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def did_you_mean(word: str, choices: Iterable[str], write: Callable[[str], str] = str) -> str:
    """Returns a suggestion for an error message, `` (did you mean 'go'?)``; "" if none is close.

    Args:
        word: the mistyped name; case does not matter.
        choices: the valid names.
        write: formats the suggested name.
    """
    names = {name.lower(): name for name in choices}
    close = difflib.get_close_matches(word.lower(), names, n=1)
    return f" (did you mean {write(names[close[0]])!r}?)" if close else ""
