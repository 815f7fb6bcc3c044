"""Encodings: whatever a game declares, all its moves are read, or it is rejected."""

from __future__ import annotations

import codecs
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.experts.game_record import Rejected
from selfplay.experts.sgf import charset, reader
from selfplay.experts.sgf.scan import AMBIGUOUS, KEPT, LIMIT, TRUNCATED, main_lines
from tests.selfplay.experts.records import point, random_moves

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
DAMAGE = ("", "", "", "XX", " x ", "]", "[y]")
WRONG = (
    "UTF-8",
    "Shift_JIS",
    "GB2312",
    "big5",
    "ISO-8859-1",
    "utf-16",
    "no-such",
    "base64",
    "UTF8?",
)


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


@cache
def random_game(seed: int) -> list[int]:
    """The moves of a short game."""
    return random_moves(seed, most=6, passes=0)


@cache
def names(codec: str, escapes: bool) -> st.SearchStrategy[str]:
    """Names in an encoding, as SGF writes them; the last letter hides the bracket if one can."""
    hiding, other = letters(codec)
    middle = st.lists(st.sampled_from([*other, *hiding, "a", " "]), max_size=5).map("".join)
    escaped = st.sampled_from(["", "\\]", "\\\\", "[x\\]"] if escapes else [""])
    last = st.sampled_from([*(hiding or other)])
    return st.tuples(middle, escaped, last).map("".join)


@st.composite
def records(draw: st.DrawFn, truly: bool) -> tuple[bytes, list[int]]:
    """A record that declares its encoding, or nothing, or another one; and its moves."""
    codec = draw(st.sampled_from(sorted(ENCODINGS)))
    moves = random_game(draw(st.integers(0, 9)))
    named = ENCODINGS[codec] if truly else draw(st.sampled_from(["", *WRONG]))
    text = names(codec, escapes=not truly)
    properties = [f"{name}[{draw(text)}]" for name in NAMES if draw(st.booleans())]
    properties.insert(draw(st.integers(0, len(properties))), f"CA[{named}]" if named else "")
    if not truly:  # no grammar
        properties.insert(draw(st.integers(0, len(properties))), draw(st.sampled_from(DAMAGE)))
    nodes = "".join(f";{'BW'[ply % 2]}[{point(move)}]" for ply, move in enumerate(moves))
    last = f"C[{draw(text)}]" if draw(st.booleans()) else ""
    return f"(;GM[1]SZ[5]{''.join(properties)}{nodes}{last})".encode(codec), moves


def moves_of(line: bytes | Rejected) -> list[int] | Rejected:
    """Reads the moves of a main line, or why it is rejected."""
    try:
        return line if isinstance(line, Rejected) else [m for _, m in reader.parse(line, 5).moves]
    except reader.InvalidRecord as error:
        return Rejected(str(error))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(records(truly=True), min_size=1, max_size=3))
def test_declared_encoding_is_read(games: list[tuple[bytes, list[int]]]) -> None:
    lines = list(main_lines([b"\n".join(data for data, _ in games)]))
    assert [moves_of(line) for line in lines] == [moves for _, moves in games]


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(records(truly=False), min_size=1, max_size=3))
def test_wrong_declaration_loses_no_move(games: list[tuple[bytes, list[int]]]) -> None:
    lines = list(main_lines([b"\n".join(data for data, _ in games)]))
    assert len(lines) == len(games)
    for line, (_, moves) in zip(lines, games, strict=True):
        assert moves_of(line) in (moves, AMBIGUOUS, TRUNCATED, Rejected("not readable as SGF"))


GAME_TEXT = "(;GM[1]SZ[5]{before}PB[{name}]{after};B[aa];W[bb];B[cc])"
PLAYED = [0, 6, 12]


@pytest.mark.parametrize("name", ["表", "ソ", "能", "表ソ能"])
@pytest.mark.parametrize(
    "declaration", ["", "CA[UTF-8]", "CA[Shift_JIS]", "CA[shift_jis]", "CA[sjs]"]
)
@pytest.mark.parametrize("behind", [False, True])
def test_letter_that_ends_in_a_backslash_hides_no_move(
    name: str, declaration: str, behind: bool
) -> None:
    places = (
        {"before": "", "after": declaration} if behind else {"before": declaration, "after": ""}
    )
    data = GAME_TEXT.format(name=name, **places).encode("cp932")
    (line,) = main_lines([data])
    assert moves_of(line) == PLAYED


def test_each_game_of_a_file_has_its_own_encoding() -> None:
    games = [("gb18030", "张三镺", "GB2312"), ("utf-8", "王五六", "UTF-8"), ("cp932", "表", "sjis"),
             ("latin-1", "José", "ISO-8859-1"), ("euc_kr", "이창호", "EUC-KR")] * 3  # fmt: skip
    data = [GAME_TEXT.format(name=name, before=f"CA[{named}]", after="").encode(codec)
            for codec, name, named in games]  # fmt: skip
    lines = list(main_lines([(b" " * 5000).join(data)]))
    for line, (_, name, _) in zip(lines, games, strict=True):
        assert isinstance(line, bytes) and f"PB[{name}]" in line.decode()
        assert moves_of(line) == PLAYED


def test_unfinished_letter_does_not_affect_later_games() -> None:
    tilde = b"(;GM[1]SZ[5]C[~{];B[aa])"  # as HZ, this has no end
    hidden = GAME_TEXT.format(name="表", before="", after="").encode("cp932")
    blocks = [tilde + hidden, *[b"x" * (1 << 18)] * 8]
    first, second = main_lines(blocks)
    assert first == tilde and moves_of(second) == PLAYED


def test_utf8_is_recognized_whatever_is_declared() -> None:
    for declaration in ("", "CA[GB2312]", "CA[Shift_JIS]", "CA[ISO-8859-1]"):
        data = GAME_TEXT.format(name="王", before=declaration, after="").encode()
        assert list(main_lines([data])) == [data]


def test_grammar_error_is_not_hidden_in_a_letter() -> None:
    data = "(;GM[1]SZ[5]PB[José]XX;B[aa];W[bb])".encode("latin-1")  # "é]" is a letter of GB18030
    (line,) = main_lines([data])
    assert moves_of(line) == Rejected("not readable as SGF")
    shifted = b"(;GM[1]SZ[5]PB[\x0e0\\];B[aa];W[bb])"  # ISO-2022-KR
    assert list(main_lines([shifted])) == [AMBIGUOUS]


def test_unknown_encoding_that_may_hide_a_move_is_rejected() -> None:
    hidden = b"(;GM[1]SZ[5]PB[\xff\xff\\];B[aa];W[bb])"  # 0xff begins no letter of any encoding
    assert list(main_lines([hidden])) == [AMBIGUOUS]
    shown = b"(;GM[1]SZ[5]PB[\xff\xff];B[aa];W[bb])"
    assert list(main_lines([shown])) == [shown]
    comment = b"(;GM[1]SZ[5]C[" + b"x" * KEPT + b"\x83\\];B[aa];W[bb])"  # too long to try others
    assert list(main_lines([comment])) == [AMBIGUOUS] and len(comment) < LIMIT


@pytest.mark.parametrize(
    ("declaration", "codec"),
    {
        b"CA[Shift_JIS]": "cp932", b"CA[SHIFT-JIS]": "cp932", b"CA [ gbk ]": "gb18030",
        b"CA[gb2312]": "gb18030", b"CA[Big5]": "big5hkscs", b"CA[ISO-8859-1]": "iso8859_1",
        b"CA[UTF-8]": "", b"CA[utf-7]": "", b"CA[base64]": "", b"CA[unicode_escape]": "",
        b"CA[idna]": "", b"CA[cp037]": "", b"CA[cp875]": "", b"CA[none]": "", b"PB[x]": "",
    }.items(),
)  # fmt: skip
def test_declared_accepts_only_encodings_that_keep_ascii(declaration: bytes, codec: str) -> None:
    assert charset.declared(b"(;GM[1]" + declaration) == codec
    if codec:
        assert codecs.lookup(codec)
