"""Encodings: a game is read with all its moves, or left out with a reason, whatever it declares."""

from __future__ import annotations

import codecs
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from games.notation import action_to_text
from selfplay.experts import charset, sgf
from selfplay.experts.record import LeftOut
from selfplay.experts.scan import AMBIGUOUS, KEPT, LIMIT, main_lines
from tests.experts.records import GAME, point, random_moves

# Encodings in which a letter may hold the byte of a bracket or backslash, and their usual names.
WIDE = {
    "cp932": "Shift_JIS", "gb18030": "GB2312", "gbk": "gbk", "big5hkscs": "BIG5", "johab": "Johab",
    "iso2022_jp": "ISO-2022-JP", "hz": "HZ-GB-2312",
}  # fmt: skip
SAFE = {
    "utf-8": "UTF-8", "utf-8-sig": "utf8", "cp949": "CP949", "euc_kr": "EUC-KR", "euc_jp": "EUC-JP",
    "latin-1": "ISO-8859-1", "cp1251": "windows-1251", "koi8-r": "KOI8-R",
}  # fmt: skip
ENCODINGS = WIDE | SAFE
NAMES = ("PB", "PW", "EV", "RO", "C")
WRONG = ("UTF-8", "Shift_JIS", "GB2312", "big5", "ISO-8859-1", "utf-16", "no-such", "base64", "UTF8?")


@cache
def letters(codec: str) -> tuple[str, str]:
    """(Letters whose bytes hold a bracket or backslash, other letters) of an encoding."""
    hiding, other = [], []
    for number in [*range(0xC0, 0x180), *range(0x400, 0x460), *range(0x3041, 0x9FA6, 7),
                   *range(0xAC00, 0xD7A4, 23), *map(ord, "表ソ能乗俓功許王镺")]:  # fmt: skip
        try:
            encoded = chr(number).encode(codec)
        except UnicodeEncodeError:
            continue
        (hiding if any(byte in b"[\\]" for byte in encoded) else other).append(chr(number))
    return "".join(hiding), "".join(other)


@st.composite
def names(draw: st.DrawFn, codec: str) -> str:
    """A name in an encoding, as SGF writes it; its last letter hides the bracket if one can."""
    hiding, other = letters(codec)
    middle = draw(st.text(st.sampled_from(f"{other}{hiding}a1 "), max_size=5))
    escaped = draw(st.sampled_from(["", "", "\\]", "\\\\", "[x\\]"]))
    return middle + escaped + draw(st.sampled_from(hiding or other))


@st.composite
def records(draw: st.DrawFn, declare: st.SearchStrategy[str | None]) -> tuple[bytes, str, list[int]]:
    """A record, its encoding, its moves; `declare` draws what it declares, None for the truth."""
    codec = draw(st.sampled_from(sorted(ENCODINGS)))
    moves = random_moves(draw(st.integers(0, 9)), most=6, passes=0)
    named = draw(declare)
    properties = [f"{name}[{draw(names(codec))}]" for name in NAMES if draw(st.booleans())]
    declaration = f"CA[{ENCODINGS[codec] if named is None else named}]" if named != "" else ""
    properties.insert(draw(st.integers(0, len(properties))), declaration)
    nodes = "".join(f";{'BW'[ply % 2]}[{point(move)}]" for ply, move in enumerate(moves))
    last = f"C[{draw(names(codec))}]" if draw(st.booleans()) else ""
    text = f"(;GM[1]SZ[5]{''.join(properties)}{nodes}{last})"
    return text.encode(codec), codec, moves


def moves_of(line: bytes | str) -> list[int] | str:
    """The moves of a main line, or the reason why there are none."""
    try:
        return line if isinstance(line, str) else [move for _, move in sgf.parse(line, 5).moves]
    except LeftOut as reason:
        return str(reason)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(records(st.none()), min_size=1, max_size=3))
def test_a_declared_encoding_is_read(games: list[tuple[bytes, str, list[int]]]) -> None:
    lines = list(main_lines([b"\n".join(data for data, _, _ in games)]))
    assert [moves_of(line) for line in lines] == [moves for _, _, moves in games]


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.lists(records(st.sampled_from(["", *WRONG])), min_size=1, max_size=3))
def test_without_a_true_declaration_no_move_is_lost(
    games: list[tuple[bytes, str, list[int]]],
) -> None:
    lines = list(main_lines([b"\n".join(data for data, _, _ in games)]))
    assert len(lines) == len(games)
    for line, (_, _, moves) in zip(lines, games, strict=True):
        found = moves_of(line)
        assert found == moves or isinstance(found, str)
