"""Strengths of players in records: ratings, ranks of many servers, and names of programs."""

from __future__ import annotations

import math
import re

from selfplay.experts.game_record import UNKNOWN, Strength

PROFESSIONAL = 20
"""The number below 1p, which is 21; above all amateurs, whose ranks reach 12d on some servers."""

_RATING = re.compile(r"\d{1,6}(?:\.\d{1,9})?\s*\??")
_RANK = re.compile(
    r"(?P<pro>p)?\s*(?P<number>\d{1,2}|[初一二三四五六七八九十])\s*"
    r"(?P<kind>k|d|p|级|級|段|단|급)?[a-z]*\s*[?*+]?"
)
_NUMERALS = {sign: n for n, sign in enumerate("一二三四五六七八九十", start=1)} | {"初": 1}
_KYU = ("k", "级", "級", "급")
# No property tells programs from people, but names do: GoQuest's programs begin with ":".
_PROGRAM = re.compile(
    r"^:|bot|gnu ?go|leela|katago|pachi|fuego|cortexgo|minusgo|kugutsu|alphago|crazy ?stone|"
    r"mogo|many ?faces|fine ?art|golaxy|elf ?opengo",
    re.IGNORECASE,
)


def parse_strength(text: str, name: str = "") -> Strength:
    """Reads a player's rank or rating, and whether the name is a program's."""
    text = text.strip()
    bot = bool(_PROGRAM.search(name.strip()))
    if _RATING.fullmatch(text):
        return Strength(rating=float(text.rstrip("? ")), bot=bot)
    return Strength(rank=parse_rank(text), bot=bot)


def parse_rank(text: str) -> float:
    """Converts a rank such as 4k, 1d, 9p, P9, 九段 or 5級 into a number; NaN for other text.

    `Strength` describes the numbers.
    """
    match = _RANK.fullmatch(text.strip().lower())
    if not match or not (match["pro"] or match["kind"]):
        return UNKNOWN
    number = _NUMERALS.get(match["number"]) or int(match["number"])
    if match["pro"] or match["kind"] == "p":
        return float(PROFESSIONAL + number)
    return float(1 - number if match["kind"] in _KYU else number)


def rank_to_text(value: float) -> str:
    """Writes a rank such as 4k, 1d or 9p; "?" for NaN."""
    if math.isnan(value):
        return "?"
    if value > PROFESSIONAL:
        return f"{value - PROFESSIONAL:.0f}p"
    return f"{value:.0f}d" if value > 0 else f"{1 - value:.0f}k"
