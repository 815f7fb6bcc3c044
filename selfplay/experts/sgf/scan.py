"""Bytes → the main line of every SGF game in them: one pass, bounded memory, whatever they are.

A game's main line is what stands before its first closing parenthesis (outside of values), less
the opening ones: the first variation is chosen wherever there are several. So nothing is nested
any more in what the SGF library gets, and it gets no more than `LIMIT` bytes.

Each game is read in the encoding that fits it, whatever it declares. A wrong encoding takes closing
brackets for parts of letters. So of the encodings in which a game is well-formed the right one is
the one that sees every closing bracket that any of the others sees; if there is none, the game is
left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from selfplay.experts.sgf import charset
from selfplay.experts.sgf.charset import BYTES, Charset

LIMIT = 1 << 20  # bytes of one main line
KEPT = 1 << 19  # bytes of a game that are kept to read it in other encodings
MARGIN = 64  # bytes in which the beginning of a game is recognized

TRUNCATED = "truncated"
TOO_LONG = f"a main line of more than {LIMIT:,} bytes"
AMBIGUOUS = "encodings disagree about the moves"
HEADLESS = "moves outside of a game"

# A game begins with a node. Some servers leave out the semicolon of the first one.
_START = re.compile(rb"\(\s*(?:;|[A-Z]{1,2}\s*\[)")
_NODE = re.compile(rb"\s*;")
_STRAY = re.compile(rb";\s*[BW]\s*\[")
# Text and short values.
_PLAIN = re.compile(rb"(?:[^\[\]()]++|\[[^\\\]~\x00-\x1f\x80-\xff]{0,4}\])*+")
# Root properties: where one begins a node behind "(;", a game begins, and the one before it has
# no end. That is found between values, and at the end of a value that swallowed it.
_ROOT_NODE = rb"\(\s*(?:;\s*(?:FF|GM|SZ|CA|AP)|(?:FF|GM|SZ|CA|AP|TE|RD))\s*\["
_ROOT = re.compile(_ROOT_NODE)
_SWALLOWED = re.compile(_ROOT_NODE + rb"[^\\\[\]]*\Z")
_WELL_FORMED = re.compile(
    rb"\((?:\s*;\s*(?:[A-Za-z]{1,64}\s*(?:%b\s*)++)*+)++\)" % BYTES.values.pattern, re.DOTALL
)


def main_lines(blocks: Iterable[bytes]) -> Iterator[bytes | str]:
    """Yields the main line of every game in a stream, ``b"(;…)"``, or the reason why it has none.

    The main line is in UTF-8, unless its encoding is not known; then it is as it stands in the
    stream. What stands between games is passed over, but moves there count as one game.
    """
    stream = _Stream(blocks)
    while _find_start(stream):
        if stream.stray:
            yield HEADLESS
        line, end = _read(stream)
        yield line
        stream.begin(end)
    if stream.stray:
        yield HEADLESS


class _Stream:
    """A stream of blocks, kept from the beginning of a game on.

    Attributes:
        data: the bytes that are kept.
        start: where the game begins in them.
        stray: True = moves were found since the last game.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self.data = b""
        self.start = 0
        self.stray = False

    def more(self) -> bool:
        """Appends a block; False at the end of the stream."""
        block = next((block for block in self._blocks if block), b"")
        self.data += block
        return bool(block)

    def begin(self, start: int) -> None:
        """Moves behind a game."""
        self.start, self.stray = start, False
        if start > KEPT:
            self.forget(start)

    def forget(self, count: int) -> None:
        """Drops bytes from the front; what is left begins the game."""
        self.data, self.start = self.data[count:], 0


@dataclass(frozen=True)
class _Reading:
    """A game in one encoding.

    Attributes:
        line: the main line, or the reason why it has none.
        end: where the game ends in the stream's data.
        whole: True = all bytes of the game are still in the stream's data.
        charset: the encoding.
    """

    line: bytes | str
    end: int
    whole: bool
    charset: Charset


def _find_start(stream: _Stream) -> bool:
    """Moves to the next game; False if there is none."""
    while True:
        found = _START.search(stream.data, stream.start)
        until = found.start() if found else len(stream.data)
        stream.stray |= bool(_STRAY.search(stream.data, stream.start, until))
        if found:
            stream.start = until
            return True
        stream.forget(max(stream.start, len(stream.data) - MARGIN))
        if not stream.more():
            return False


def _read(stream: _Stream) -> tuple[bytes | str, int]:
    """Reads the game at the stream's start: its main line, or why it has none; and its end."""
    first = _scan(stream, BYTES)
    line = first.line
    if not first.whole:
        unsure = isinstance(line, bytes) and charset.hides(line)
        return (AMBIGUOUS if unsure else line), first.end
    game = stream.data[stream.start : first.end]
    named = charset.declared(game)
    others = charset.candidates(game)
    if not others:
        text = isinstance(line, bytes) and charset.to_utf8(line, BYTES, named)
        return text or line, first.end
    readings = [first, *(_scan(stream, other) for other in others)]
    readings = [reading for other in readings if (reading := _as_utf8(other, named))]
    if not readings:
        unsure = isinstance(line, bytes) and charset.hides(line, named)
        return (AMBIGUOUS if unsure else line), first.end
    # Of readings with the same moves the first is taken: one that a mark in the text asks for, then
    # the bytes as they are, as text that can be UTF-8 seldom is anything else.
    readings.sort(
        key=lambda one: (
            not one.charset.marker,
            one.charset is not BYTES,
            one.charset.codec != named,
        )
    )
    for best in readings:
        seen = _closings(stream, best, best.end)
        if all(_closings(stream, other, best.end) <= seen for other in readings):
            unsure = best.charset is BYTES and charset.hides(game, named)
            return (AMBIGUOUS if unsure else best.line), best.end
    return AMBIGUOUS, min(reading.end for reading in readings)


def _as_utf8(reading: _Reading, named: str) -> _Reading | None:
    """Decodes a reading's main line into UTF-8; None if it is not well-formed in its encoding."""
    if isinstance(reading.line, str) or not reading.whole:
        return None
    if reading.charset is BYTES and not _WELL_FORMED.fullmatch(reading.line):
        return None
    line = charset.to_utf8(reading.line, reading.charset, named)
    if line is None or not _WELL_FORMED.fullmatch(line):
        return None
    return replace(reading, line=line)


def _closings(stream: _Stream, reading: _Reading, end: int) -> set[int]:
    """Collects the places where values end, up to `end`."""
    values = reading.charset.values.finditer(stream.data, stream.start, end)
    return {value.end() for value in values}


def _scan(stream: _Stream, how: Charset) -> _Reading:
    """Reads the game at the stream's start in an encoding.

    Only if `how` is `BYTES` are bytes of a long game dropped from the stream. Other encodings take
    a game as truncated where it has no end in the bytes that are kept.
    """
    line: list[bytes] = [b"("]
    length = 0  # of the main line
    depth = 1  # of parentheses
    at = kept = value = stream.start + 1  # to look at; to keep; where the value begins
    in_value, on_main_line, whole = False, True, True
    if not _NODE.match(stream.data, at):
        line.append(b";")

    def keep() -> None:
        nonlocal length, kept
        if on_main_line:
            length += at - kept
            if length > LIMIT:
                line.clear()
            elif at > kept:
                line.append(stream.data[kept:at])
        kept = at

    def more() -> bool:
        return (how is BYTES or len(stream.data) - stream.start < 2 * KEPT) and stream.more()

    while True:
        if at - stream.start > KEPT and how is BYTES:
            keep()
            gone = at - MARGIN
            stream.forget(gone)
            at, kept, value, whole = at - gone, kept - gone, max(0, value - gone), False
        if in_value:
            at = how.value.match(stream.data, at).end()  # pyright: ignore
            if stream.data[at : at + 1] != b"]":
                if more():
                    continue
                return _Reading(TRUNCATED, len(stream.data), whole, how)
            swallowed = _SWALLOWED.search(stream.data, max(value, at - MARGIN), at)
            if swallowed:
                return _Reading(TRUNCATED, swallowed.start(), whole, how)
            in_value = False
            at += 1
            continue
        at = _PLAIN.match(stream.data, at).end()  # pyright: ignore
        if len(stream.data) - at < MARGIN and more():
            continue
        if at == len(stream.data):
            return _Reading(TRUNCATED, at, whole, how)
        mark = stream.data[at : at + 1]
        if mark == b"(" and _ROOT.match(stream.data, at):
            return _Reading(TRUNCATED, at, whole, how)
        in_value = mark == b"["
        if mark in b"()":
            keep()
            kept += 1
            depth += 1 if mark == b"(" else -1
            on_main_line &= mark == b"("
        at += 1
        value = at
        if depth == 0:
            text = TOO_LONG if length > LIMIT else b"".join((*line, b")"))
            return _Reading(text, at, whole, how)
