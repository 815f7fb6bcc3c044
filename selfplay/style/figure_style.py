"""What all figures share: colors, markers and dashes, and names shown literally.

Colors are safe for the color-blind and differ in lightness, so that they survive black-and-white
print. Everything that carries data has a contrast of at least 3:1 with white paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

Dash: TypeAlias = Literal["-"] | tuple[float, Sequence[float]]
"""A line style of Matplotlib: solid, or an offset and lengths on and off."""

# Okabe and Ito, darker, and two more.
HUES: Final = (
    "#0072b2", "#c75000", "#00805c", "#a8508a", "#8a6d00", "#3a3a3a", "#4b4fb0", "#a31621"
)  # fmt: skip
MARKERS: Final = "os^DvPX*"
DASHES: Final[tuple[Dash, ...]] = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5)))
INK, PALE = "#222222", "#767676"  # contrast with white: 16 and 4.5


def plain(text: str) -> str:
    """Escapes a name so that Matplotlib shows it as it is, in legends as well."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")
