"""Files, folders and archives of SGF → the main lines of the games in them.

No content of a file is an error: a file that cannot be read counts as one rejected record. Only a
path that does not exist, or is not a file or folder, raises an error.
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

from selfplay.experts.game_record import Rejected
from selfplay.experts.sgf.scan import main_lines
from selfplay.runs.files import describe

BLOCK = 1 << 18  # bytes read at a time
ENDINGS = (".sgf", ".gz", ".zip")
NO_GAME = Rejected("a file without a game")
DAMAGED = Rejected("a damaged file")

# Raised by zipfile and gzip for damaged files: RuntimeError for a password, its subclass
# NotImplementedError for an unknown compression, ValueError for a name that is not UTF-8 or an
# offset before the file.
_DAMAGE = (
    OSError, EOFError, RuntimeError, ValueError, struct.error, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile,
)  # fmt: skip
# Encodings of two or four bytes a character, by the marks with which texts in them begin.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    b"(\0": "utf-16-le",  # files without a mark begin with a parenthesis
    b"\0(": "utf-16-be",
}


def find(paths: Iterable[Path]) -> list[Path]:
    """Lists the files among `paths` and in folders among them, each once, in alphabetical order.

    Raises:
        ValueError: a path that does not exist or is not a file, or a folder without records.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"{path} does not exist; name SGF files, folders, .zip or .gz")
        inside = [path]
        if path.is_dir():
            inside = [p for p in path.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file()]
            if not inside:
                raise ValueError(f"{path} holds no file that ends in {', '.join(ENDINGS)}")
        elif not path.is_file():  # a pipe can be read only once, and a device is endless
            raise ValueError(f"{path} is not a file; name SGF files, folders, .zip or .gz")
        files += inside
    return sorted({file.resolve(): file for file in sorted(files)}.values())


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hex.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"records cannot be read: {describe(error)}") from None


def games_in(path: Path, max_bytes: float = math.inf) -> Iterator[bytes | Rejected]:
    """Yields the main line of every game in a file, or why it has none.

    A file, or a member of a zip archive, counts as damaged after `max_bytes` unpacked bytes.
    """
    try:
        for open_member in _members(path):
            count = 0
            try:
                for line in main_lines(_in_bytes(_blocks(open_member, max_bytes))):
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
    """Yields functions that open the file, or each record of a zip archive."""
    with path.open("rb") as handle:
        is_zip = handle.read(4) == b"PK\3\4"
    if not is_zip:
        yield lambda: path.open("rb")
        return
    with zipfile.ZipFile(path) as archive:
        # By entry, since of two entries with one name, the name opens the last one.
        members = [m for m in archive.infolist() if m.filename.lower().endswith(ENDINGS)]
        if not members:
            raise zipfile.BadZipFile
        for member in sorted(members, key=lambda m: m.filename):
            yield lambda member=member: archive.open(member)


def _blocks(open_member: Callable[[], IO[bytes]], max_bytes: float) -> Iterator[bytes]:
    """Yields the stream's bytes, unpacked if they are gzip's.

    Raises:
        EOFError: there are more than `max_bytes`.
    """
    with open_member() as packed:
        start = packed.read(2)
        packed.seek(0)
        stream = gzip.GzipFile(fileobj=packed) if start == b"\x1f\x8b" else packed
        size = 0
        while block := stream.read(BLOCK):
            if (size := size + len(block)) > max_bytes:
                raise EOFError
            yield block


def _in_bytes(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Turns UTF-16 and UTF-32 into UTF-8; leaves all other text unchanged."""
    first = next(blocks, b"")
    encoding = next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)
    if not encoding:
        yield from chain((first,), blocks)
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for block in chain((first,), blocks):
        yield decoder.decode(block).encode("utf-8", "replace")
