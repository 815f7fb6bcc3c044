"""Contrast of the page's colors, by the formula of WCAG 2."""

from __future__ import annotations

import pytest

from selfplay.serve.web.boards import HEX_COLORS
from selfplay.serve.web.palette import CARVED, DARK, LIGHT, STRONGEST, WOOD

Color = tuple[float, float, float]


def rgb(text: str) -> Color:
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def luminance(color: Color) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: Color, other: Color) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def laid_on(top: Color, ground: Color, opacity: float) -> Color:
    red, green, blue = (opacity * a + (1 - opacity) * b for a, b in zip(top, ground, strict=True))
    return red, green, blue


@pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])
def test_colors_have_the_contrast_that_the_page_promises(colors: dict[str, str]) -> None:
    of = {name: rgb(text) for name, text in colors.items()}
    for text in ("ink", "pale", "accent"):
        for ground in ("ground", "panel"):
            assert contrast(of[text], of[ground]) >= 4.5, (text, ground)
    assert contrast(of["on-accent"], of["accent"]) >= 4.5
    for disk in ("good", "bad", "accent"):
        for ground in ("hole", "panel", "board"):
            under = laid_on(of[disk], of[ground], STRONGEST)
            assert contrast(of["ink"], under) >= 4.5, (disk, ground)
        under = laid_on(of[disk], rgb(WOOD), STRONGEST)
        assert contrast(rgb(CARVED), under) >= 4.5, (disk, "wood")
    for ground in ("board", "panel"):
        assert contrast(of["grid"], of[ground]) >= 3, ground
    for piece in ("first", "second"):
        assert contrast(of[piece], of["board"]) >= 3, piece
    for color in HEX_COLORS:
        assert contrast(rgb(color), of["panel"]) >= 3, color
