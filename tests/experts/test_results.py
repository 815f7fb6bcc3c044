"""Who won: the words of records in four languages, and those that tell nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.experts.results import winner

BLACK = """
B+R|B+Resign|B+3.5|b+0.5|B+|B+?|Black+3.5|B + T|Ｂ＋Ｒ|B+F|B|Black
Black wins|B won by 3.5|Black wins by resignation|White resigns|White resigned.|W lost on time
White forfeits|White has resigned|White times out|Black by 3.5|Black wins, White resigns
black wins by white's resignation
黑中盘胜|黑胜2又3/4子|黑胜|黑贏|黑棋获胜|白中盘负|白负|白认输|白投子|白超时判负|黑+R|黑不计点胜|黑胜白|白输半目
白贴3又3/4子 黑中盘胜|黑胜，白负|黑方胜(白方超时)
黒中押し勝ち|黒番6目半勝|黒5目半勝|黒の勝ち|白投了|白時間切れ負け|白番中押し負け
互先 白番コミ6目半 黒番3目勝|黒不計点勝
흑 불계승|흑 2집반승|흑승|흑 시간승|흑승리|백 시간패|백 불계패|덤 6집반 흑 반집승|흑 기권승
""".replace("\n", "|").strip("|")
DRAW = "0|Draw|jigo|Tie|=|和|和棋|平局|持碁|ジゴ"
NOBODY = """
|?|Void|Unfinished|No result|Both lose|Both lost|Black and White lose
B+R or W+R|Black resigns, White resigns
Black won, no, White won|B+R (void)|Won by B|Winner: B|Black lost connection
Black 3.5|Black didn't win
Black to win|Black by resignation|Black's turn|D+J|Komi 6.5|resigned|If Black wins
黒 勝負なし|無勝負|无胜负|胜负未定|双方负|黑白双负|黑不胜|黑败|白優勢|白胜率60%
黑|黒 打ち掛け|両者負け|白超时|黑先
무승부|승부 없음|흑 3패빅|백 기권|양패|쌍방 패|흑번
""".replace("\n", "|")
SWAP = {"b": "w", "w": "b", "B": "W", "W": "B", "black": "white", "white": "black",
        "Black": "White", "White": "Black", "黑": "白", "黒": "白", "白": "黒", "흑": "백",
        "백": "흑", "Ｂ": "Ｗ", "Ｗ": "Ｂ"}  # fmt: skip
COLOR = re.compile(r"[Bb]lack|[Ww]hite|\b[BbWwＢＷ]\b|[黑黒白흑백]")


def swapped(text: str) -> str:
    """The text with its colors exchanged."""
    return COLOR.sub(lambda found: SWAP[found[0]], text)


@pytest.mark.parametrize("text", BLACK.split("|"))
def test_a_color_wins_where_the_text_says_so(text: str) -> None:
    assert winner(text)[0] == 1
    assert winner(swapped(text))[0] == -1


@pytest.mark.parametrize("text", NOBODY.split("|"))
def test_a_text_that_names_no_winner_tells_nothing(text: str) -> None:
    assert winner(text) == winner(swapped(text)) == (None, None)


@pytest.mark.parametrize("text", DRAW.split("|"))
def test_a_draw_is_named(text: str) -> None:
    assert winner(text) == winner(f" {text.upper()} ") == (0, None)


def test_the_margin_is_behind_the_plus() -> None:
    assert winner("B+3.5") == winner("B+3,5 (after counting)") == (1, 3.5)
    assert winner("White+0.5 points") == (-1, 0.5)
    assert winner("W+R") == (-1, None)


PARTS = st.sampled_from(f"{BLACK}|{NOBODY}|{DRAW}".split("|"))
PIECES = st.sampled_from(" ,(+) and not no wins lost resigns 胜 負 勝負 负 승 패".split(" "))


@settings(deadline=None, derandomize=True)
@given(st.lists(PARTS | PIECES | st.text(max_size=3), max_size=4).map(" ".join))
def test_whoever_is_named_the_other_color_would_do(text: str) -> None:
    result, margin = winner(text)
    other, other_margin = winner(swapped(text))
    assert (other, other_margin) == (None if result is None else -result, margin)
