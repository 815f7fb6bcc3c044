"""Bytes → the main line of every SGF game in them: one pass, bounded memory, whatever they are.

A game's main line is what stands before its first closing parenthesis (outside of values), less
the opening ones: the first variation is chosen wherever there are several. So nothing is nested
any more in what the SGF library gets, and it gets no more than `LIMIT` bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

LIMIT = 1 << 20  # bytes of one main line
MARGIN = 64  # bytes in which the beginning of a game is recognised

TRUNCATED = "truncated"
TOO_LONG = f"a main line of more than {LIMIT:,} bytes"

_START = re.compile(rb"\(\s*;")
_PLAIN = re.compile(rb"(?:[^\[\]()]++|\[[^\\\]]{0,4}\])*+")  # text and short values
_VALUE = re.compile(rb"[^\\\]]*+(?:\\.[^\\\]]*+)*+", re.DOTALL)  # what is left of a value
# Root properties: where one begins a node behind "(;", a game begins, and the one before it has
# no end. That is found between values, and at the end of a value that swallowed it.
_ROOT = re.compile(rb"\(\s*;\s*(?:FF|GM|SZ|CA|AP)\s*\[")
_SWALLOWED = re.compile(rb"\(\s*;\s*(?:FF|GM|SZ|CA|AP)\s*\[[^\\\[\]]*\Z")


def main_lines(blocks: Iterable[bytes]) -> Iterator[bytes | str]:
    """For every game in a stream, its main line as ``b"(;…)"``, or the reason why it has none.

    What stands between games is passed over.
    """
    scanner = _Scanner()
    for block in blocks:
        yield from scanner.feed(block)
    yield from scanner.feed(b"", last=True)


class _Scanner:
    """Where the scan stands between two blocks."""

    def __init__(self) -> None:
        self.data = b""
        self.at = 0  # next byte to look at
        self.kept = 0  # next byte of the main line to keep
        self.value = 0  # where the value begins that is looked at; negative if that is gone
        self.depth = 0  # of parentheses; 0 between games
        self.in_value = False
        self.on_main_line = False
        self.line: list[bytes] = []
        self.length = 0

    def feed(self, block: bytes, last: bool = False) -> Iterator[bytes | str]:
        """The games that end in `block`, and the one without an end if it is the last."""
        self.data += block
        while True:
            if self.depth == 0:
                found = _START.search(self.data, self.at)
                if not found:
                    self.at = max(self.at, len(self.data) - MARGIN)
                    break
                self._begin(found.start())
            if self.in_value:
                self.at = _VALUE.match(self.data, self.at).end()  # pyright: ignore
                if self.data[self.at : self.at + 1] != b"]":
                    break
                begin = max(0, self.value, self.at - MARGIN)
                swallowed = _SWALLOWED.search(self.data, begin, self.at)
                self.in_value = False
                self.at += 1
                if swallowed:
                    yield TRUNCATED
                    self.depth, self.at = 0, swallowed.start()
                continue
            self.at = _PLAIN.match(self.data, self.at).end()  # pyright: ignore
            if self.at == len(self.data) or (len(self.data) - self.at < MARGIN and not last):
                break
            mark = self.data[self.at : self.at + 1]
            if mark == b"(" and _ROOT.match(self.data, self.at):
                yield TRUNCATED
                self.depth = 0
                continue
            self.in_value = mark == b"["
            if mark in b"()":
                self._keep()
                self.kept += 1
                self.depth += 1 if mark == b"(" else -1
                self.on_main_line &= mark == b"("
            self.at += 1
            self.value = self.at
            if self.depth == 0:
                yield self._main_line()
        if last and self.depth:
            yield TRUNCATED
        self._keep()
        gone = max(0, self.at - MARGIN)
        self.data, self.at = self.data[gone:], self.at - gone
        self.kept, self.value = self.kept - gone, self.value - gone

    def _begin(self, at: int) -> None:
        self.at = self.kept = at + 1
        self.depth, self.in_value, self.on_main_line = 1, False, True
        self.line, self.length = [], 0

    def _keep(self) -> None:
        """Put what was passed since the last call behind the main line."""
        if self.depth and self.on_main_line:
            self.length += self.at - self.kept
            if self.length > LIMIT:
                self.line.clear()
            elif self.at > self.kept:
                self.line.append(self.data[self.kept : self.at])
        self.kept = self.at

    def _main_line(self) -> bytes | str:
        if self.length > LIMIT:
            return TOO_LONG
        return b"".join((b"(", *self.line, b")"))
