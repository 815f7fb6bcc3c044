"""Ranks and ratings of many servers, and names of programs."""

import math

import pytest

from selfplay.experts.sgf.ranks import rank, rank_to_text, strength


@pytest.mark.parametrize(
    ("text", "value"),
    {
        "1k": 0, "15k": -14, "30 kyu": -29, "1d": 1, "9d": 9, "12d?": 12, "3 dan": 3, "9p": 29,
        "P9": 29, "P9段": 29, "1 pro": 21, "9段": 9, "初段": 1, "九段": 9, "5级": -4, "五級": -4,
        "3D": 3, "2단": 2,
    }.items(),
)  # fmt: skip
def test_ranks(text: str, value: float) -> None:
    assert rank(text) == value


@pytest.mark.parametrize("text", ["", "?", "9", "strong", "kd", "100d", "1d 2k", "-3k"])
def test_what_is_no_rank(text: str) -> None:
    assert math.isnan(rank(text))


@pytest.mark.parametrize("text", ["30k", "1k", "1d", "9d", "1p", "9p"])
def test_ranks_are_written_as_they_are_read(text: str) -> None:
    assert rank_to_text(rank(text)) == text


def test_numbers_are_ratings() -> None:
    assert strength("2710").rating == 2710 and math.isnan(strength("2710").rank)
    assert strength("1834.5 ?").rating == 1834.5
    assert math.isnan(strength("9" * 60).rating)  # plots have no room for it
    assert strength("1d").rank == 1 and math.isnan(strength("1d").rating)


@pytest.mark.parametrize("name", [":AyaXBot", "kata-bot", "GnuGo", "Leela Zero", "dead_robot"])
def test_names_of_programs(name: str) -> None:
    assert strength("1d", name).bot


@pytest.mark.parametrize("name", ["", "Lee Sedol", "shusaku", "a:b"])
def test_names_of_people(name: str) -> None:
    assert not strength("1d", name).bot
