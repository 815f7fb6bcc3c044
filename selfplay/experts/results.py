"""Who won, in the words of a record: SGF's own, English, Chinese, Japanese and Korean.

A color has won only where the text says that it wins, or that the other one loses or resigns.
Which color comes first tells nothing: "Black resigns", "黑贴3又3/4子 白中盘胜". A text that says
both, or is in doubt ("黒 勝負なし", "Both lose"), tells no result.
"""

from __future__ import annotations

import re
import unicodedata

NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?")

_DRAW = {"0", "draw", "drawn", "jigo", "tie", "=", "和", "和棋", "和局", "平局", "持碁", "ジゴ"}
_COLOR = {"b": 1, "w": -1, "黑": 1, "黒": 1, "흑": 1, "白": -1, "백": -1}  # by the first letter
# "W", "B+R", "白+3.5", "White by 3.5": SGF's own form, and what people make of it.
_SCORE = re.compile(r"(?:b|w|black|white)(?:\s+by\s+[0-9].*)?|(?:b|w|black|white|[黑黒白])\s*\+.*")
_PLUS = re.compile(r"(?<![^\W\d_])(b|w|black|white|[黑黒白])\s*\+")
_ENGLISH = re.compile(
    r"\b(b|w|black|white)(?:\s+has)?\s+"
    r"(?:(?P<wins>wins?|won)|resign(?:s|ed)?|los(?:es?|t)|forfeit(?:s|ed)|time[sd] out)\b"
)
# The last color before the verb: an earlier one may belong to the komi.
_CHINESE = re.compile(
    r"([黑黒白])[^黑黒白胜勝赢贏负負输輸认認投]*"
    r"(?:(?P<wins>[胜勝赢贏])|[负負输輸]|[认認][输輸负負]|投[了子降])"
)
_KOREAN = re.compile(r"([흑백])[^흑백승패]*(?:(?P<wins>승리?)|패배?)(?:$|\W)")
_HARMLESS = re.compile(
    r"不[计計][点點]|\+\s*\?"
)  # won without counting, or by nobody knows how much
_DOUBT = re.compile(
    r"\?|\b(?:both|no|not|non?e|nobody|neither|nor|or|and|if|void|annulled|cancel\w*|disputed|"
    r"unfinished|suspended|adjourned|unknown|undecided|lost connection)\b|n't\b|&|"
    r"[胜勝][负負率势勢]|승[부률]|[不未非没沒無无双雙両皆均都俱共]|[两兩][负負败敗方]|"
    r"な[いくかし]|없|않|아니|양|쌍|모두"
)


def winner(text: str) -> tuple[int | None, float | None]:
    """Reads a result.

    Args:
        text: the record's result, such as "B+3.5" or "白中盘胜".

    Returns:
        The result for Black, +1, 0 or −1, and the points that decided it; None for what the record
        does not tell.
    """
    text = unicodedata.normalize("NFKC", text).strip().lower()
    if text in _DRAW:
        return 0, None
    claims = set() if _DOUBT.search(_HARMLESS.sub("", text)) else _claims(text)
    if len(claims) != 1:
        return None, None
    points = NUMBER.search(text.partition("+")[2].replace(",", "."))
    return claims.pop(), float(points[0]) if points else None


def _claims(text: str) -> set[int]:
    """Collects the results for Black that the text names."""
    claims = {_COLOR[text[0]]} if _SCORE.fullmatch(text) else set()
    claims |= {_COLOR[found[1][0]] for found in _PLUS.finditer(text)} if claims else set()
    for pattern in (_ENGLISH, _CHINESE, _KOREAN):
        for found in pattern.finditer(text):
            color = _COLOR[found[1][0]]
            claims.add(color if found["wins"] else -color)
    return claims
