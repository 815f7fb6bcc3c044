r"""Encodings of SGF in which a part of a letter looks like a bracket or a backslash.

SGF is read byte by byte, but in Shift_JIS the letter "ソ" is 0x83 0x5C, and 0x5C is a backslash:
read as bytes, ``PB[ソ]`` has no end, and the next move becomes part of the name. The declaration
(``CA``) is often missing or wrong, so a game is read in every encoding that its bytes allow.
"""

from __future__ import annotations

import codecs
import contextlib
import re
from dataclasses import dataclass, field

_DECLARED = re.compile(rb"CA\s*\[\s*([\w.:-]{2,30})\s*\]")
# Bytes from which on two encodings may disagree about the end of a value.
_HIDING = re.compile(rb"[\x80-\xff][\[\\\]]|\x1b\$|\x0e|~\{")
# Read as bytes, a value with one of these may hide its closing bracket.
_ESCAPED = re.compile(rb"[\x80-\xff]\\\]")
_SHIFTED = re.compile(rb"\x1b\$|\x0e")
# A letter's half that looks like the end of a value, with a whole property behind it.
_PROPERTY = re.compile(rb"[\x80-\xff]\][^\]]*(?<![\x80-\xff])\[")


@dataclass(frozen=True)
class Charset:
    """Patterns that find the end of a value, for encodings that build letters in the same way.

    Attributes:
        codec: Python's name of the encoding; empty for plain bytes: ASCII, UTF-8, Latin-1, EUC and
            all others in which the second byte of a letter is 0x80 or above, or is neither
            bracket nor backslash (CP949).
        lead: bytes that may begin a letter of several bytes, as in a regular expression's class.
        letter: such a letter, as a pattern.
        alone: pattern of a lead byte that does not begin a letter; may be empty.
        marker: bytes without which a text is not in this encoding.
        value: matches the rest of a value, without its closing bracket.
        values: matches a whole value.
    """

    codec: str = ""
    lead: bytes = b""
    letter: bytes = b""
    alone: bytes = b""
    marker: bytes = b""
    value: re.Pattern[bytes] = field(init=False)
    values: re.Pattern[bytes] = field(init=False)

    def __post_init__(self) -> None:
        value = rb"[^\\\]]*+(?:\\.[^\\\]]*+)*+"
        if self.letter:
            escaped = rb"\\[^%b]|\\?(?:%b|%b)" % (self.lead, self.letter, self.alone)
            value = rb"(?:[^\\\]%b]++|%b)*+" % (self.lead, escaped)
        object.__setattr__(self, "value", re.compile(value, re.DOTALL))
        object.__setattr__(self, "values", re.compile(rb"\[(?:%b)\]" % value, re.DOTALL))


def _pairs(codec: str, lead: bytes, trail: bytes) -> Charset:
    """Describes an encoding with letters of two bytes."""
    return Charset(codec, lead, rb"[%b][%b]" % (lead, trail), rb"[%b](?=.)" % lead)


BYTES = Charset()
_WIDE = (
    _pairs("gb18030", rb"\x81-\xfe", rb"\x40-\x7e\x80-\xfe"),
    _pairs("cp932", rb"\x81-\x9f\xe0-\xfc", rb"\x40-\x7e\x80-\xfc"),
    _pairs("big5hkscs", rb"\x81-\xfe", rb"\x40-\x7e\xa1-\xfe"),
    _pairs("johab", rb"\x84-\xd3\xd8-\xde\xe0-\xf9", rb"\x31-\x7e\x81-\xfe"),
    Charset(
        "iso2022_jp_2", rb"\x1b", rb"(?:\x1b\$[^\x1b]*+)++\x1b\([A-Z]", rb"\x1b(?=[^$])", b"\x1b$"
    ),
    Charset("hz", rb"~", rb"~\{(?:[\x21-\x77][\x21-\x7e])*+~\}", rb"~(?=[^{])", b"~{"),
)
_NAMES = {
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "shift_jis_2004": "cp932",
    "shift_jisx0213": "cp932", "big5": "big5hkscs", "cp950": "big5hkscs",
    "iso2022_jp": "iso2022_jp_2", "iso2022_jp_1": "iso2022_jp_2",
}  # fmt: skip
# Encodings in which ASCII is ASCII, and no bracket is part of a letter.
_SAFE = re.compile(
    r"iso8859_\d+|cp125\d|cp8[56]\d|cp874|cp437|koi8_\w|mac_\w+|euc_\w+|cp949|ascii|tis_620"
)


def declared(game: bytes) -> str:
    """Finds the encoding that a game declares, by Python's name; empty if it is unknown."""
    match = _DECLARED.search(game)
    if not match:
        return ""
    try:
        name = codecs.lookup(match[1].decode()).name.replace("-", "_")
    except LookupError:
        return ""
    name = _NAMES.get(name, name)
    known = any(name == charset.codec for charset in _WIDE) or is_safe(name)
    return name if known else ""


def is_safe(name: str) -> bool:
    """Tells whether no letter of this encoding contains the byte of a bracket or backslash."""
    return bool(_SAFE.fullmatch(name))


def candidates(game: bytes) -> list[Charset]:
    """Lists the encodings in which this game may end elsewhere than if read as `BYTES`."""
    if not _HIDING.search(game):
        return []
    return [charset for charset in _WIDE if charset.marker in game]


def hides(line: bytes, declared: str = "") -> bool:
    """Tells whether a main line read as `BYTES` may lack moves.

    `declared` is the encoding that the game declares.
    """
    if _SHIFTED.search(line):
        return True
    return bool(_ESCAPED.search(line)) and not is_utf8(line) and not is_safe(declared)


def to_utf8(line: bytes, charset: Charset, declared: str) -> bytes | None:
    """Decodes a main line into UTF-8.

    Args:
        line: the bytes of the main line.
        charset: the encoding in which it was read.
        declared: the encoding that the game declares.

    Returns:
        None if the line is not text of this encoding, or if one of its letters seems to hide a
        whole property. A line read as `BYTES` in an unknown encoding is returned unchanged.
    """
    codec = charset.codec or declared
    if charset is BYTES and (not codec or is_utf8(line)):
        return line
    values = charset.values.findall(line)
    errors = "replace" if charset.codec == declared else "strict"
    if charset is BYTES or not any(_PROPERTY.search(value, 1) for value in values):
        with contextlib.suppress(UnicodeDecodeError):
            encoded = line.decode(codec, errors).encode()
            if len(BYTES.values.findall(encoded)) == len(values):
                return encoded
    return line if charset is BYTES else None


def is_utf8(line: bytes) -> bool:
    """Tells whether the bytes are UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
