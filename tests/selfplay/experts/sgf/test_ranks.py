"""Ranks and ratings of many servers, and names of programs."""

import math

import pytest

from selfplay.experts.sgf.ranks import parse_rank, parse_strength, rank_to_text


@pytest.mark.parametrize(
    ("text", "value"),
    {
        "1k": 0, "15k": -14, "30 kyu": -29, "1d": 1, "9d": 9, "12d?": 12, "3 dan": 3, "9p": 29,
        "P9": 29, "P9段": 29, "1 pro": 21, "9段": 9, "初段": 1, "九段": 9, "5级": -4, "五級": -4,
        "3D": 3, "2단": 2,
    }.items(),
)  # fmt: skip
def test_ranks_are_numbers(text: str, value: float) -> None:
    assert parse_rank(text) == value


@pytest.mark.parametrize("text", ["", "?", "9", "strong", "kd", "100d", "1d 2k", "-3k"])
def test_other_text_is_not_a_rank(text: str) -> None:
    assert math.isnan(parse_rank(text))


@pytest.mark.parametrize("text", ["30k", "1k", "1d", "9d", "1p", "9p"])
def test_rank_to_text_inverts_parse_rank(text: str) -> None:
    assert rank_to_text(parse_rank(text)) == text


def test_numbers_are_ratings() -> None:
    assert parse_strength("2710").rating == 2710 and math.isnan(parse_strength("2710").rank)
    assert parse_strength("1834.5 ?").rating == 1834.5
    assert math.isnan(parse_strength("9" * 60).rating)  # plots have no room for it
    assert parse_strength("1d").rank == 1 and math.isnan(parse_strength("1d").rating)


@pytest.mark.parametrize("name", [":AyaXBot", "kata-bot", "GnuGo", "Leela Zero", "dead_robot"])
def test_programs_are_recognized_by_name(name: str) -> None:
    assert parse_strength("1d", name).bot


@pytest.mark.parametrize("name", ["", "Lee Sedol", "shusaku", "a:b"])
def test_people_are_not_taken_for_programs(name: str) -> None:
    assert not parse_strength("1d", name).bot
