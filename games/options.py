"""Options behind a name, as in "go?size=9&komi=7.5": of games and of players."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl

from games.spelling import did_you_mean


def parse_options(owner: str, text: str, known: Collection[str] | None = None) -> dict[str, str]:
    """Parses "size=9&komi=7.5" into values by option.

    Args:
        owner: whose options these are, for error messages.
        text: what follows the "?"; may be empty.
        known: the valid options; None: whoever uses the values checks their names.

    Raises:
        ValueError: the text is not a list of options, or an option is repeated or unknown.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise ValueError(
            f"{owner}: {text!r} is not a list of options; write NAME?option=value&option=value"
        ) from None
    check_unique(owner, [option for option, _ in pairs])
    if known is not None:
        check_known(owner, dict(pairs), known)
    return dict(pairs)


def check_unique(owner: str, options: Collection[str]) -> None:
    """Raises ValueError if an option is repeated."""
    if len(set(options)) < len(options):
        raise ValueError(f"{owner}: an option is repeated: {', '.join(options)}")


def check_known(owner: str, options: Iterable[str], known: Collection[str]) -> None:
    """Raises ValueError if an option is not among the known ones; suggests a similar one."""
    for option in options:
        if option not in known:
            choices = f"choose from {', '.join(known)}" if known else "it has no options"
            raise ValueError(
                f"{owner} has no option {option!r}{did_you_mean(option, known)}; {choices}"
            )
