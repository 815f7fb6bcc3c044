"""Scanner of SGF: bytes → the main line of every game in them, in one pass and bounded memory.

A game's main line is everything before its first closing parenthesis outside of values, without
the opening ones: wherever there are variations, the first one is chosen. So the SGF library gets
no nested text, and never more than `LIMIT` bytes.

Each game is read in the encoding that fits it, whatever it declares. A wrong encoding takes closing
brackets for parts of letters. So of all encodings in which a game is well-formed, the right one
sees every closing bracket that any other one sees. A game without such an encoding is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from selfplay.experts.game_record import Rejected
from selfplay.experts.sgf import charset
from selfplay.experts.sgf.charset import BYTES, Charset

LIMIT = 1 << 20  # bytes of one main line
KEPT = 1 << 19  # bytes of a game that are kept in memory to read it in other encodings
MARGIN = 64  # bytes in which the beginning of a game is recognized

TRUNCATED = Rejected("truncated")
TOO_LONG = Rejected(f"a main line of more than {LIMIT:,} bytes")
AMBIGUOUS = Rejected("encodings disagree about the moves")
HEADLESS = Rejected("moves outside of a game")

# A game begins with a node. Some servers omit the semicolon of the first one.
_START = re.compile(rb"\(\s*(?:;|[A-Z]{1,2}\s*\[)")
_NODE = re.compile(rb"\s*;")
_STRAY = re.compile(rb";\s*[BW]\s*\[")
# Text and short values.
_PLAIN = re.compile(rb"(?:[^\[\]()]++|\[[^\\\]~\x00-\x1f\x80-\xff]{0,4}\])*+")
# Root properties. If one begins a node after "(;", a new game begins, and the previous game has no
# end. This is checked between values, and at the end of a value that may have swallowed the game.
_ROOT_NODE = rb"\(\s*(?:;\s*(?:FF|GM|SZ|CA|AP)|(?:FF|GM|SZ|CA|AP|TE|RD))\s*\["
_ROOT = re.compile(_ROOT_NODE)
_SWALLOWED = re.compile(_ROOT_NODE + rb"[^\\\[\]]*\Z")
_WELL_FORMED = re.compile(
    rb"\((?:\s*;\s*(?:[A-Za-z]{1,64}\s*(?:%b\s*)++)*+)++\)" % BYTES.values.pattern, re.DOTALL
)


def main_lines(blocks: Iterable[bytes]) -> Iterator[bytes | Rejected]:
    """Yields the main line of every game in a stream, ``b"(;…)"``, or why it has none.

    Main lines are in UTF-8, except if their encoding is unknown: then they are left as they are.
    Text between games is skipped, but moves in it count as one rejected game.
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
    """A stream of blocks, buffered from the beginning of the current game.

    Attributes:
        data: the buffered bytes.
        start: index of the game's first byte in them.
        stray: True = moves were found since the last game.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self.data = b""
        self.start = 0
        self.stray = False

    def read_more(self) -> bool:
        """Appends a block; returns False at the end of the stream."""
        block = next((block for block in self._blocks if block), b"")
        self.data += block
        return bool(block)

    def begin(self, start: int) -> None:
        """Moves to the end of a game."""
        self.start, self.stray = start, False
        if start > KEPT:
            self.drop(start)

    def drop(self, count: int) -> None:
        """Drops bytes from the front; the remaining ones begin the game."""
        self.data, self.start = self.data[count:], 0


@dataclass(frozen=True)
class _Reading:
    """A game, read in one encoding.

    Attributes:
        line: the main line, or why it has none.
        end: index of the game's end in the stream's data.
        whole: True = all bytes of the game are still in the stream's data.
        charset: the encoding.
    """

    line: bytes | Rejected
    end: int
    whole: bool
    charset: Charset


def _find_start(stream: _Stream) -> bool:
    """Moves to the next game; returns False at the end of the stream."""
    while True:
        match = _START.search(stream.data, stream.start)
        until = match.start() if match else len(stream.data)
        stream.stray |= bool(_STRAY.search(stream.data, stream.start, until))
        if match:
            stream.start = until
            return True
        stream.drop(max(stream.start, len(stream.data) - MARGIN))
        if not stream.read_more():
            return False


def _read(stream: _Stream) -> tuple[bytes | Rejected, int]:
    """Reads the game at the stream's start; returns its main line, or why it has none; its end."""
    first = _Scanner(stream, BYTES).read()
    if not first.whole:
        return _checked(first.line), first.end
    game = stream.data[stream.start : first.end]
    declared = charset.declared(game)
    others = charset.candidates(game)
    if not others:
        text = isinstance(first.line, bytes) and charset.to_utf8(first.line, BYTES, declared)
        return text or first.line, first.end
    scanned = [first, *(_Scanner(stream, other).read() for other in others)]
    readings = [reading for other in scanned if (reading := _as_utf8(other, declared))]
    if not readings:
        return _checked(first.line, declared), first.end

    # Of readings with the same moves the first is chosen: one that a mark in the text asks for,
    # then the bytes as they are, since text that can be UTF-8 is seldom anything else.
    def rank(reading: _Reading) -> tuple[bool, bool, bool]:
        encoding = reading.charset
        return (not encoding.marker, encoding is not BYTES, encoding.codec != declared)

    readings.sort(key=rank)
    for best in readings:
        closings = _closings(stream, best, best.end)
        if all(_closings(stream, other, best.end) <= closings for other in readings):
            unsure = best.charset is BYTES and charset.hides(game, declared)
            return (AMBIGUOUS if unsure else best.line), best.end
    return AMBIGUOUS, min(reading.end for reading in readings)


def _checked(line: bytes | Rejected, declared: str = "") -> bytes | Rejected:
    """Rejects a main line, read as `BYTES`, that may lack moves."""
    unsure = isinstance(line, bytes) and charset.hides(line, declared)
    return AMBIGUOUS if unsure else line


def _as_utf8(reading: _Reading, declared: str) -> _Reading | None:
    """Decodes a reading's main line into UTF-8; None if it is not well-formed in its encoding."""
    if isinstance(reading.line, Rejected) or not reading.whole:
        return None
    if reading.charset is BYTES and not _WELL_FORMED.fullmatch(reading.line):
        return None
    line = charset.to_utf8(reading.line, reading.charset, declared)
    if line is None or not _WELL_FORMED.fullmatch(line):
        return None
    return replace(reading, line=line)


def _closings(stream: _Stream, reading: _Reading, end: int) -> set[int]:
    """Collects the indices at which values end, up to `end`."""
    values = reading.charset.values.finditer(stream.data, stream.start, end)
    return {value.end() for value in values}


class _Scanner:
    """A scan of the game at the stream's start, in one encoding.

    Only the scan in `BYTES` drops bytes of a long game from the stream. In other encodings a game
    is truncated if it does not end in the buffered bytes.
    """

    def __init__(self, stream: _Stream, encoding: Charset) -> None:
        self._stream, self._encoding = stream, encoding
        self._at = stream.start + 1  # the next byte to read
        self._copied = self._at  # bytes before it are in the line, or not on the main line
        self._value = self._at  # where the current value begins
        self._in_value = False
        self._whole = True
        self._depth = 1  # of parentheses
        self._on_main_line = True
        self._line = [b"("]
        self._length = 0  # bytes of the main line
        if not _NODE.match(stream.data, self._at):
            self._line.append(b";")

    def read(self) -> _Reading:
        """Reads to the end of the game."""
        while self._depth:
            self._drop_read_bytes()
            cut = self._read_value() if self._in_value else self._read_between_values()
            if cut is not None:
                return _Reading(TRUNCATED, cut, self._whole, self._encoding)
        line = TOO_LONG if self._length > LIMIT else b"".join((*self._line, b")"))
        return _Reading(line, self._at, self._whole, self._encoding)

    def _read_value(self) -> int | None:
        """Reads to the end of a value; returns the end of the game if it is truncated there."""
        stream = self._stream
        self._at = self._encoding.value.match(stream.data, self._at).end()  # pyright: ignore
        if stream.data[self._at : self._at + 1] != b"]":
            return None if self._read_more() else len(stream.data)
        begin = max(self._value, self._at - MARGIN)
        swallowed = _SWALLOWED.search(stream.data, begin, self._at)
        if swallowed:
            return swallowed.start()
        self._in_value = False
        self._at += 1
        return None

    def _read_between_values(self) -> int | None:
        """Reads to a mark and past it; returns the end of the game if it is truncated there."""
        stream = self._stream
        self._at = _PLAIN.match(stream.data, self._at).end()  # pyright: ignore
        if len(stream.data) - self._at < MARGIN and self._read_more():
            return None
        mark = stream.data[self._at : self._at + 1]
        if not mark or (mark == b"(" and _ROOT.match(stream.data, self._at)):
            return self._at
        self._in_value = mark == b"["
        if mark in b"()":
            self._copy()
            self._copied += 1
            self._depth += 1 if mark == b"(" else -1
            self._on_main_line &= mark == b"("
        self._at += 1
        self._value = self._at
        return None

    def _copy(self) -> None:
        """Copies the bytes read to the main line, unless they are on another line."""
        if self._on_main_line:
            self._length += self._at - self._copied
            if self._length > LIMIT:
                self._line.clear()
            elif self._at > self._copied:
                self._line.append(self._stream.data[self._copied : self._at])
        self._copied = self._at

    def _read_more(self) -> bool:
        """Appends a block to the stream's data, if the encoding may; False if it got none."""
        buffered = len(self._stream.data) - self._stream.start
        return (self._encoding is BYTES or buffered < 2 * KEPT) and self._stream.read_more()

    def _drop_read_bytes(self) -> None:
        """Drops the bytes that were read of a long game, except for a margin."""
        if self._at - self._stream.start <= KEPT or self._encoding is not BYTES:
            return
        self._copy()
        count = self._at - MARGIN
        self._stream.drop(count)
        self._at, self._copied = self._at - count, self._copied - count
        self._value, self._whole = max(0, self._value - count), False
