"""How strong a player is, as records write it: ratings, ranks of many servers, and programs."""

from __future__ import annotations

import math
import re

from selfplay.experts.game_record import UNKNOWN, Strength

PROFESSIONAL = 20
"""Above every amateur rank: 1p is 21. Some servers have amateurs of 12 dan."""

_RATING = re.compile(r"\d{1,6}(?:\.\d{1,9})?\s*\??")
_RANK = re.compile(
    r"(?P<pro>p)?\s*(?P<number>\d{1,2}|[初一二三四五六七八九十])\s*"
    r"(?P<kind>k|d|p|级|級|段|단|급)?[a-z]*\s*[?*+]?"
)
_NUMERALS = {sign: n for n, sign in enumerate("一二三四五六七八九十", start=1)} | {"初": 1}
_KYU = ("k", "级", "級", "급")
# No record says who is a program; names do: GoQuest's begin with ":", most others say it.
_PROGRAM = re.compile(
    r"^:|bot|gnu ?go|leela|katago|pachi|fuego|cortexgo|minusgo|kugutsu|alphago|crazy ?stone|"
    r"mogo|many ?faces|fine ?art|golaxy|elf ?opengo",
    re.IGNORECASE,
)


def strength(text: str, name: str = "") -> Strength:
    """What a record's rank (or rating) and name say of a player."""
    text = text.strip()
    bot = bool(_PROGRAM.search(name.strip()))
    if _RATING.fullmatch(text):
        return Strength(rating=float(text.rstrip("? ")), bot=bot)
    return Strength(rank=rank(text), bot=bot)


def rank(text: str) -> float:
    """A rank such as 4k, 1d, 9p, P9, 九段 or 5級 as a number (see `Strength`); NaN for no rank."""
    found = _RANK.fullmatch(text.strip().lower())
    if not found or not (found["pro"] or found["kind"]):
        return UNKNOWN
    number = _NUMERALS.get(found["number"]) or int(found["number"])
    if found["pro"] or found["kind"] == "p":
        return float(PROFESSIONAL + number)
    return float(1 - number if found["kind"] in _KYU else number)


def rank_to_text(value: float) -> str:
    """The rank's name, such as 4k, 1d or 9p; "?" for NaN."""
    if math.isnan(value):
        return "?"
    if value > PROFESSIONAL:
        return f"{value - PROFESSIONAL:.0f}p"
    return f"{value:.0f}d" if value > 0 else f"{1 - value:.0f}k"
