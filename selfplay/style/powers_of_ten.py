"""Powers of ten: in sentences, in tables, in figures and on axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Matplotlib takes most of a second to import
    from matplotlib.axis import Axis


def power(exponent: float, digits: int = 2) -> str:
    """Writes a power of ten for a sentence: ``10^11.20``; pages raise the exponent."""
    return f"10^{exponent:.{digits}f}"


def power_of_ten(value: float) -> str:
    """Writes a value, such as FLOPs, as ``10^12.3``; 0 as a dash, NaN as a question mark."""
    if math.isnan(value):
        return "?"
    return power(math.log10(value), 1) if value else "-"


def power_math(exponent: float, digits: int | None = None) -> str:
    """Writes a power of ten as a formula for Matplotlib; as many digits as needed if left out."""
    text = f"{exponent:g}" if digits is None else f"{exponent:.{digits}f}"
    return f"$10^{{{text}}}$"


def label_powers(axis: Axis) -> None:
    """Labels an axis of log10 values when all is drawn: 10^11, or 10^11.2 within two decades."""
    from matplotlib.ticker import MaxNLocator

    low, high = axis.get_view_interval()
    whole = high - low >= 2
    axis.set_major_locator(MaxNLocator(6 if whole else 4, steps=[1, 2, 5, 10], integer=whole))
    axis.set_major_formatter(lambda value, _: power_math(value))
