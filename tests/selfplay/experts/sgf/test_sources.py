"""Files, folders and archives: every game in them, or why it is rejected."""

from __future__ import annotations

import gzip
import os
import random
import warnings
import zipfile
from pathlib import Path

import pytest

from selfplay.experts.sgf import sources
from tests.selfplay.experts.records import sgf, write

ONE, TWO, THREE = (sgf(moves) for moves in ([0, 1], [2, 3], [4, 5]))


def test_games_in_reads_files_collections_and_gzip(tmp_path: Path) -> None:
    assert list(sources.games_in(write(tmp_path / "one.sgf", ONE))) == [ONE]
    many = write(tmp_path / "many.sgf", b"; a comment (of sorts)", ONE + TWO, b"", THREE)
    assert list(sources.games_in(many)) == [ONE, TWO, THREE]
    packed = tmp_path / "games.sgf.gz"
    packed.write_bytes(gzip.compress(many.read_bytes()))
    assert list(sources.games_in(packed)) == [ONE, TWO, THREE]
    odd = tmp_path / "games without an ending"  # a file that is named is read
    odd.write_bytes(packed.read_bytes())
    assert list(sources.games_in(odd)) == [ONE, TWO, THREE]


def test_games_in_reads_zip_archives(tmp_path: Path) -> None:
    path = tmp_path / "games.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b/two.SGF", TWO)
        archive.writestr("a/one.sgf.gz", gzip.compress(ONE))
        archive.writestr("README.txt", "(;GM[1]SZ[5];B[aa])")
        archive.writestr("c/empty.sgf", "nothing")
    assert list(sources.games_in(path)) == [ONE, TWO, sources.NO_GAME]


def test_find_lists_each_file_of_a_folder_once(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    files = [write(inner / "one.sgf", ONE), write(tmp_path / "two.SGF", TWO)]
    write(tmp_path / "notes.txt", THREE)
    assert sources.find([tmp_path, inner, files[0]]) == sorted(files)
    assert sources.find([tmp_path / "notes.txt"]) == [tmp_path / "notes.txt"]


def test_paths_without_records_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere does not exist; name SGF files"):
        sources.find([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match=r"holds no file that ends in \.sgf, \.gz, \.zip"):
        sources.find([tmp_path])
    os.mkfifo(tmp_path / "pipe.sgf")
    with pytest.raises(ValueError, match="is not a file; name SGF files"):
        sources.find([tmp_path / "pipe.sgf"])


def test_zip_entries_with_one_name_are_both_read(tmp_path: Path) -> None:
    path = tmp_path / "games.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("one.sgf", ONE)
        archive.writestr("one.sgf", TWO)
    assert list(sources.games_in(path)) == [ONE, TWO]


PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@pytest.mark.parametrize("packing", PACKINGS)
def test_damaged_zip_archives_raise_nothing(tmp_path: Path, packing: int) -> None:
    path = tmp_path / "games.zip"
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("é.sgf", ONE * 9)
        archive.writestr("two.sgf.gz", gzip.compress(TWO))
    whole, draw = path.read_bytes(), random.Random(packing)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            damaged[draw.randrange(4, len(whole))] = draw.randrange(256)
        path.write_bytes(damaged)
        assert list(sources.games_in(path))


def test_damage_is_counted_and_intact_games_are_read(tmp_path: Path) -> None:
    packed = gzip.compress(b"\n".join([ONE] * 400_00), compresslevel=0)
    cut = write(tmp_path / "cut.sgf.gz", packed[: len(packed) // 2])
    lines = list(sources.games_in(cut))
    assert lines.count(ONE) > 10_000 and lines[-1] == sources.DAMAGED
    path = tmp_path / "games.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.sgf", ONE)
        archive.writestr("two.sgf", TWO)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(ONE, ONE.replace(b"B+R", b"W+R")))  # a wrong checksum
    assert list(sources.games_in(path))[-2:] == [sources.DAMAGED, TWO]
    path.write_bytes(whole[:40] + bytes(40) + whole[80:])
    assert sources.DAMAGED in list(sources.games_in(path))
    assert list(sources.games_in(write(tmp_path / "no.zip", whole[:50]))) == [sources.DAMAGED]


def test_limit_ends_a_stream_without_a_game(tmp_path: Path) -> None:
    bomb = gzip.compress(b"x" * (8 * sources.BLOCK))
    assert list(sources.games_in(write(tmp_path / "x.sgf", bomb))) == [sources.NO_GAME]
    for data in (bomb, b"x" * (8 * sources.BLOCK)):
        path = write(tmp_path / "x.sgf", data)
        assert list(sources.games_in(path, max_bytes=4 * sources.BLOCK)) == [sources.DAMAGED]
        assert list(sources.games_in(path, max_bytes=8 * sources.BLOCK)) == [sources.NO_GAME]


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 1000, b"\x1f\x8b", b"PK\x05\x06" + bytes(18), b"("]
)
def test_file_without_a_game_is_counted(tmp_path: Path, data: bytes) -> None:
    (line,) = sources.games_in(write(tmp_path / "x.sgf", data))
    assert line in (sources.NO_GAME, sources.DAMAGED)


@pytest.mark.parametrize(
    ("encoding", "declared", "name"),
    [
        ("shift_jis", "Shift_JIS", "表ソ能"),  # whose second bytes are backslashes
        ("gb18030", "GB2312", "乗俓"),  # brackets, backslashes
        ("big5", "Big5", "功許"),
        ("utf-16", "UTF-16", "表ソ能"),
        ("utf-8", "UTF-8", "表ソ能"),
        ("utf-8", "GB2312", "表ソ能"),  # a wrong declaration
        ("latin-1", "ISO-8859-1", "José"),
        ("latin-1", "no-such-thing", "José"),
    ],
)
def test_letters_may_contain_the_byte_of_a_bracket(
    tmp_path: Path, encoding: str, declared: str, name: str
) -> None:
    text = f"(;GM[1]SZ[5]CA[{declared}]PB[{name}]PW[{name}];B[aa])"
    path = write(tmp_path / "x.sgf", text.encode(encoding))
    (line,) = sources.games_in(path)
    assert isinstance(line, bytes) and line.endswith(b";B[aa])")
    if encoding != "latin-1":
        assert f"PB[{name}]PW[{name}]" in line.decode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_byte_order_marks_select_wide_encodings(tmp_path: Path, encoding: str) -> None:
    text = "(;GM[1]SZ[5]CA[GB2312]PB[表ソ能];B[aa];W[bb])"
    path = write(tmp_path / "x.sgf", (text + "\n" + text).encode(encoding))
    assert list(sources.games_in(path)) == [text.encode()] * 2


def test_games_of_a_file_may_differ_in_encoding(tmp_path: Path) -> None:
    chinese = "(;GM[1]SZ[5]CA[GB2312]PB[张三];B[aa])"
    japanese = "(;GM[1]SZ[5]PB[表];B[aa];W[bb])"
    filler = [ONE] * (sources.BLOCK // len(ONE) + 1)  # the second encoding is in the second block
    path = write(tmp_path / "x.sgf", chinese.encode("gb2312"), *filler, japanese.encode("cp932"))
    first, *_, last = sources.games_in(path)
    assert first == chinese.encode()
    assert isinstance(last, bytes) and last.endswith(b"];B[aa];W[bb])")
