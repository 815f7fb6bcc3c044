"""The scanner: main lines of any bytes, in one pass and little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.experts.sgf.scan import (
    AMBIGUOUS,
    HEADLESS,
    LIMIT,
    TOO_LONG,
    TRUNCATED,
    main_lines,
)

Tree = tuple[list[bytes], list["Tree"]]  # nodes, then variations

values = st.text(alphabet="ab\\]([);:;G\n é", max_size=8).map(
    lambda text: text.replace("\\", "\\\\").replace("]", "\\]").encode()
)
nodes = st.builds(
    lambda name, value: b";" + name + b"[" + value + b"]",
    st.sampled_from([b"B", b"C", b"GN"]),
    values,
)
trees = st.recursive(
    st.tuples(st.lists(nodes, min_size=1, max_size=3), st.just([])),
    lambda inner: st.tuples(st.lists(nodes, min_size=1, max_size=3), st.lists(inner, max_size=3)),
    max_leaves=6,
)


def text(tree: Tree) -> bytes:
    return b"(" + b"".join(tree[0]) + b" ".join(map(text, tree[1])) + b")"


def main_line(tree: Tree) -> bytes:
    return b"".join(tree[0]) + (main_line(tree[1][0]) if tree[1] else b"")


def split(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


@settings(deadline=None, derandomize=True)
@given(st.lists(trees, max_size=4), st.lists(st.integers(0, 90), max_size=20))
def test_main_lines_are_first_variations_however_the_bytes_arrive(
    games: list[Tree], sizes: list[int]
) -> None:
    data = b"junk ]) " + b" and ( more\n".join(map(text, games))
    expected = [b"(" + main_line(game) + b")" for game in games]
    assert list(main_lines(split(data, sizes))) == expected


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=300) | st.text("(;)[]\\BGM1 ", max_size=300).map(str.encode), st.data())
def test_main_lines_do_not_depend_on_block_sizes(data: bytes, draw: st.DataObject) -> None:
    whole = list(main_lines([data]))
    sizes = draw.draw(st.lists(st.integers(0, 40), max_size=12))
    assert list(main_lines(split(data, sizes))) == whole
    for line in whole:
        reasons = (TRUNCATED, HEADLESS, AMBIGUOUS)
        assert line in reasons or (isinstance(line, bytes) and line.startswith(b"(;"))


GOOD = b"(;GM[1]SZ[5];B[aa];W[bb])"


@pytest.mark.parametrize(
    "cut",
    [
        b"(;GM[1]SZ[5];B[aa];W[b",  # within a value, which swallows what follows
        b"(;GM[1]SZ[5];B[aa]C[so long\\",
        b"(;GM[1]SZ[5];B[aa];W",
        b"(;GM[1]SZ[5](;B[aa];W[bb])(;B[cc]",
        b"(",
        b"(;",
    ],
)
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_truncated_game_does_not_swallow_the_next_one(cut: bytes, block: int) -> None:
    data = GOOD + b"\n" + cut + b"\n" + GOOD + b"\n" + GOOD
    lines = list(main_lines(data[at : at + block] for at in range(0, len(data), block)))
    expected = [GOOD, GOOD, GOOD] if cut == b"(" else [GOOD, TRUNCATED, GOOD, GOOD]
    assert lines == expected
    assert list(main_lines([GOOD, cut]))[1:] == ([] if cut == b"(" else [TRUNCATED])


@pytest.mark.parametrize("first", [b"CA[UTF-8]", b"AP[CGoban:3]", b"SZ[19:19]", b" GM [1    ]"])
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_first_property_of_a_game_does_not_begin_another(first: bytes, block: int) -> None:
    game = b"(;" + first + b"GM[1];B[aa])"
    data = game + b"(;GM[1]C[cut " + game + game
    lines = main_lines(data[at : at + block] for at in range(0, len(data), block))
    assert list(islice(lines, 9)) == [game, TRUNCATED, game, game]


def test_game_inside_a_comment_is_ignored() -> None:
    data = b"(;GM[1]C[see (;GM[1\\];B[aa\\])];B[cc])"
    assert list(main_lines([data])) == [data]


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_game_without_its_first_semicolon_is_read(block: int) -> None:
    game = b"(\r\nTE[cup]\r\nSZ[5]\r\n;B[aa];W[bb]\r\n)"
    data = b"\r\n".join([game, GOOD, b"(SZ[5];B[aa])", b"(B[3d])", b"(see below)", GOOD, game])
    lines = list(main_lines(data[at : at + block] for at in range(0, len(data), block)))
    sina = b"(;" + game[1:]
    assert lines == [sina, GOOD, b"(;SZ[5];B[aa])", b"(;B[3d])", GOOD, sina]
    cut = b"(;GM[1];B[aa]C[cut " + game
    assert list(main_lines([cut])) == [TRUNCATED, sina]


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_moves_outside_of_a_game_are_rejected(block: int) -> None:
    headless = (
        b"GM[1]SZ[5];B[aa];W[bb])"  # the beginning is missing, or an early ")" ended the game
    )
    for data, expected in (
        (headless + GOOD, [HEADLESS, GOOD]),
        (GOOD + headless * 2 + GOOD, [GOOD, HEADLESS, GOOD]),
        (GOOD + b" W [bb] is meant, " + headless, [GOOD, HEADLESS]),
    ):
        blocks = (data[at : at + block] for at in range(0, len(data), block))
        assert list(main_lines(blocks)) == expected


def test_nested_variations_take_no_stack() -> None:
    depth = 100_000
    data = b"(;GM[1]" + b"(;B[aa]" * depth + b")" * depth + b")" + GOOD
    deep, good = main_lines([data])
    assert deep == b"(;GM[1]" + b";B[aa]" * depth + b")" and good == GOOD
    siblings = b"(;GM[1]" + b"(;B[aa])" * depth + b")"
    assert list(main_lines([siblings])) == [b"(;GM[1];B[aa])"]


def test_huge_value_is_not_kept_in_memory() -> None:
    block = b"x" * (1 << 18)

    def huge(end: bytes) -> Iterator[bytes]:
        yield b"(;GM[1]C["
        for _ in range(400):
            yield block
        yield end + GOOD

    began = time.monotonic()
    tracemalloc.start()
    assert list(main_lines(huge(b"];B[aa])"))) == [TOO_LONG, GOOD]
    assert list(main_lines(huge(b"\n"))) == [TRUNCATED, GOOD]
    assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    tracemalloc.stop()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("mark", [b"(", b"[", b"]", b"\\", b"(;", b"(;[", b"[\\", b"(;GM["])
def test_repeated_marks_take_linear_time(mark: bytes) -> None:
    began = time.monotonic()
    list(main_lines([b"(;GM[1]" + mark * 100_000]))
    assert time.monotonic() - began < 5
