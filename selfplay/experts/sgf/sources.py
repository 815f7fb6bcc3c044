"""Files, folders and archives → the main lines of the games in them.

Nothing that stands in a file is an error here: what cannot be read is counted like a game that
cannot, by its reason. Only a path that does not exist is refused.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import lzma
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO

from selfplay.experts.sgf.scan import main_lines
from selfplay.runs.files import describe

BLOCK = 1 << 18  # bytes read at a time
ENDINGS = (".sgf", ".gz", ".zip")
NO_GAME = "a file without a game"
DAMAGED = "a damaged file"

# What zipfile and gzip raise for damage: RuntimeError for a password, its NotImplementedError for
# an unknown compression, ValueError for a name that is no UTF-8 or a place before the file.
_DAMAGE = (
    OSError, EOFError, RuntimeError, ValueError, struct.error, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile,
)  # fmt: skip
# Encodings of two or four bytes a character, by the marks at their beginning.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # first: it begins like UTF-16's
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"(\0": "utf-16-le",  # files without a mark begin with a parenthesis
    b"\0(": "utf-16-be",
}


def find(paths: Iterable[Path]) -> list[Path]:
    """The files among `paths` and in folders among them, each once, in alphabetical order.

    Raises:
        ValueError: a path that does not exist or is no file, or a folder without records.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path} does not exist; name SGF files, folders, .zip or .gz")
        inside = [path]
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file()]
            if not inside:
                raise ValueError(f"{path} holds no file that ends in {', '.join(ENDINGS)}")
        elif not path.is_file():  # a pipe can be read once only, and a device has no end
            raise ValueError(f"{path} is no file; name SGF files, folders, .zip or .gz")
        found += inside
    return sorted({file.resolve(): file for file in sorted(found)}.values())


def sha256(path: Path) -> str:
    """Of the file's bytes.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"records cannot be read: {describe(error)}") from None


def games_in(path: Path, most: float = math.inf) -> Iterator[bytes | str]:
    """Yields for every game in the file its main line, or the reason why it has none.

    A file, or a record of an archive, is damaged behind its first `most` bytes, unpacked.
    """
    try:
        for opened in _members(path):
            count = 0
            try:
                for line in main_lines(_in_bytes(_blocks(opened, most))):
                    count += 1
                    yield line
            except _DAMAGE:
                count += 1
                yield DAMAGED
            if not count:
                yield NO_GAME
    except _DAMAGE:
        yield DAMAGED


def _members(path: Path) -> Iterator[Callable[[], IO[bytes]]]:
    """What opens the file, or each record of a zip archive."""
    with path.open("rb") as handle:
        packed = handle.read(4) == b"PK\3\4"
    if not packed:
        yield lambda: path.open("rb")
        return
    with zipfile.ZipFile(path) as archive:
        # By entry: of two with one name, the name would open the last one twice.
        members = [m for m in archive.infolist() if m.filename.lower().endswith(ENDINGS)]
        if not members:
            raise zipfile.BadZipFile
        for member in sorted(members, key=lambda m: m.filename):
            yield lambda member=member: archive.open(member)


def _blocks(opened: Callable[[], IO[bytes]], most: float) -> Iterator[bytes]:
    """Yields the stream's bytes, unpacked if they are gzip's; EOFError if there are too many."""
    with opened() as packed:
        start = packed.read(2)
        packed.seek(0)
        stream = gzip.GzipFile(fileobj=packed) if start == b"\x1f\x8b" else packed
        size = 0
        while block := stream.read(BLOCK):
            if (size := size + len(block)) > most:
                raise EOFError
            yield block


def _in_bytes(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Turns UTF-16 and UTF-32 into UTF-8; every other text stays as it is."""
    first = next(blocks, b"")
    encoding = next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)
    if not encoding:
        yield from chain((first,), blocks)
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for block in chain((first,), blocks):
        yield decoder.decode(block).encode("utf-8", "replace")
