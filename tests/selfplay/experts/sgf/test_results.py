"""Who won: the words of records in four languages, and those that tell nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.experts.sgf.results import winner

BLACK = """
B+R|B+Resign|B+3.5|b+0.5|B+|B+?|Black+3.5|B + T|Ｂ＋Ｒ|B+F|B|Black
Black wins|B won by 3.5|Black wins by resignation|White resigns|White resigned.|W lost on time
White forfeits|White has resigned|White times out|Black by 3.5|Black wins, White resigns
black wins by white's resignation
黑中盘胜|黑胜2又3/4子|黑胜|黑贏|黑棋获胜|白中盘负|白负|白认输|白投子|白超时判负|黑+R|黑不计点胜|黑胜白|白输半目
白贴3又3/4子 黑中盘胜|黑胜，白负|黑方胜(白方超时)
黒中押し勝ち|黒番6目半勝|黒5目半勝|黒の勝ち|白投了|白時間切れ負け|白番中押し負け
互先 白番コミ6目半 黒番3目勝|黒不計点勝|先番コミ5目半 黒3目勝|先番黒 3目勝|黒番四目半勝
黒時間切れ勝ち|黑中盘胜(共193手)|黑胜 共 193 手|黒勝ち(コミなし)|黒3目勝 コミ出しなし
黑方以3子获胜|黑：胜|黑 3.5 胜|黑贴3又3/4子 中盘胜 白负|白投子认输|白掉线判负|黑胜白3又1/2子
흑 불계승|흑 2집반승|흑승|흑 시간승|흑승리|백 시간패|백 불계패|덤 6집반 흑 반집승|흑 기권승
백 덤 6집반 흑 불계승|흑이 불계승|흑번 반집승|흑불계승, 백불계패|흑 3.5집승|흑 두집반승
White lost the game|White resigned after 120 moves|Black won 3.5|W resigned; B wins
""".replace("\n", "|").strip("|")
DRAW = "0|Draw|jigo|Tie|=|和|和棋|平局|持碁|ジゴ"
NOBODY = """
|?|Void|Unfinished|No result|Both lose|Both lost|Black and White lose
B+R or W+R|Black resigns, White resigns
Black won, no, White won|B+R (void)|Won by B|Winner: B|Black lost connection
Black 3.5|Black didn't win
Black to win|Black by resignation|Black's turn|D+J|Komi 6.5|resigned|If Black wins
黒 勝負なし|無勝負|无胜负|胜负未定|双方负|黑白双负|黑不胜|黑败|黑白共负|白優勢|白胜率60%
黑|黒 打ち掛け|両者負け|白超时|黑先
무승부|승부 없음|흑 3패빅|백 기권|양패|쌍방 패|흑번
"""
UNCLAIMED = """
黑贴3又3/4子 中盘胜|黑贴3又3/4子中盘胜|黑貼3目半，中盤勝|黑贴目 胜|黑让先 中盘胜|黑让二子 胜
黑受三子 中盘胜|黑 3又3/4子 中盘胜|黑还3又3/4子 负|黑倒贴2目半 胜|贴黑3又3/4子 胜|黑贴白3目 胜
黒コミ5目半 中押し勝ち|黒コミ出し 3目勝|黒込み6目半勝|黒5目半 3目勝|黒6目半コミ 負け
흑 덤 6집반 불계승|흑 6집반 공제 불계승|흑 6집반 불계승|흑이 덤을 내고 승|흑 3패
白コミ5目半 先番3目勝|先番3目勝|先手胜|后手胜|後番中押し勝ち|黒先番3目勝|선번 불계승|후번 패
先番勝ち、黒投了|黑对白 胜|黑白中盘胜|黑 vs 白 胜|黑胜机|黒勝ちそう|黑3胜2负
Black wins the ko|White loses 5 stones|White lost a group|Black komi 5.5 wins
""".replace("\n", "|")
DOUBTS = """
作废|作廢|取消|待定|争议|爭議|有争议|存疑|暂定|改判|误判|申诉中|重赛|中断|封棋|可能
取り消し|取消|保留|仮|未定|異議あり|中断|打掛|かもしれない
취소|미정|보류|무효|이의|중단|봉수|예상|미확정
void|cancelled|annulled|disputed|under appeal|pending|provisional|under review
TBD|if confirmed|maybe
""".replace("\n", "|")
SWAP = {"b": "w", "w": "b", "B": "W", "W": "B", "black": "white", "white": "black",
        "Black": "White", "White": "Black", "黑": "白", "黒": "白", "白": "黒", "흑": "백",
        "백": "흑", "Ｂ": "Ｗ", "Ｗ": "Ｂ"}  # fmt: skip
COLOR = re.compile(r"[Bb]lack|[Ww]hite|\b[BbWwＢＷ]\b|[黑黒白흑백]")


def swapped(text: str) -> str:
    """Exchanges the colors of a text."""
    return COLOR.sub(lambda match: SWAP[match[0]], text)


@pytest.mark.parametrize("text", BLACK.split("|"))
def test_winner_is_the_color_that_the_text_names(text: str) -> None:
    assert winner(text)[0] == 1
    assert winner(swapped(text))[0] == -1


@pytest.mark.parametrize("text", NOBODY.split("|"))
def test_text_without_a_winner_gives_no_result(text: str) -> None:
    assert winner(text) == winner(swapped(text)) == (None, None)


@pytest.mark.parametrize("text", UNCLAIMED.strip("|").split("|"))
def test_verb_is_not_bound_to_a_color_of_another_clause(text: str) -> None:
    assert winner(text) == winner(swapped(text)) == (None, None)


@pytest.mark.parametrize("doubt", DOUBTS.strip("|").split("|"))
def test_doubt_removes_a_result(doubt: str) -> None:
    for text in ("B+R", "Black wins", "黑胜", "黒中押し勝ち", "흑 불계승"):
        assert winner(text)[0] == 1
        for form in ("{} ({})", "{}（{}）", "{} {}", "{}、{}"):
            assert winner(form.format(text, doubt)) == (None, None)


@pytest.mark.parametrize("text", DRAW.split("|"))
def test_draws_are_recognized(text: str) -> None:
    assert winner(text) == winner(f" {text.upper()} ") == (0, None)


def test_margin_follows_the_plus() -> None:
    assert winner("B+3.5") == winner("B+3,5 (after counting)") == (1, 3.5)
    assert winner("White+0.5 points") == (-1, 0.5)
    assert winner("W+R") == (-1, None)


PARTS = st.sampled_from(f"{BLACK}|{NOBODY}|{UNCLAIMED}|{DRAW}".split("|"))
PIECES = st.sampled_from(" ,(+) and not no wins lost resigns 胜 負 勝負 负 승 패".split(" "))


@settings(deadline=None, derandomize=True)
@given(st.lists(PARTS | PIECES | st.text(max_size=3), max_size=4).map(" ".join))
def test_swapping_colors_swaps_the_result(text: str) -> None:
    result, margin = winner(text)
    other, other_margin = winner(swapped(text))
    assert (other, other_margin) == (None if result is None else -result, margin)
