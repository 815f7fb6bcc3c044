"""Results of records: in SGF's own notation, English, Chinese, Japanese and Korean.

A color has won only if the text says that it wins, or that the other one loses or resigns. The
first color in the text need not be the winner: "Black resigns", "黑贴3又3/4子 白中盘胜". Nor need
the last color before the verb: "黑贴3又3/4子 中盘胜" names Black's komi and no winner. So only the
margin, or how the game ended, may come between a color and its verb. A text that says both, or that
is in doubt ("黒 勝負なし", "Both lose", "黑胜（作废）"), gives no result.
"""

from __future__ import annotations

import re
import unicodedata

NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{1,9})?")

_DRAW = {"0", "draw", "drawn", "jigo", "tie", "=", "和", "和棋", "和局", "平局", "持碁", "ジゴ"}
_COLOR = {"b": 1, "w": -1, "黑": 1, "黒": 1, "흑": 1, "白": -1, "백": -1}  # by the first letter
_TURN = 0  # "先番", the player who moves first: no color, since in handicap games it is White
# "W", "B+R", "白+3.5", "White by 3.5": SGF's own form, and what people make of it.
_SCORE = re.compile(r"(?:b|w|black|white)(?: by [0-9].*)?|(?:b|w|black|white|[黑黒白]) ?\+.*")
_PLUS = re.compile(r"(?<![^\W\d_])(b|w|black|white|[黑黒白]) ?\+")
# The verb has no object: "Black wins the ko", "White lost 5 stones".
_ENGLISH = re.compile(
    r"\b(b|w|black|white)(?: has)? "
    r"(?:(?P<wins>wins?|won)|resign(?:s|ed)?|los(?:es?|t)|forfeit(?:s|ed)|time[sd] out)"
    r"(?=$| ?[^\w ]| (?:b|w|black|white|by|on|at|in|with|due|after|the (?:game|match))\b"
    r"|(?(wins) [0-9]|(?!)))"
)
_DECIMAL = r"[0-9]+\.[0-9]+"
_DIGITS = "0-9一二三四五六七八九十"
_CHINESE = re.compile(  # and Japanese
    r"(?<![黑黒白胜勝败敗贴貼让讓給给于])([黑黒白]|[先後后][番手])[番方棋]? ?[:のがは以]? ?"
    rf"(?:(?:{_DECIMAL}|[{_DIGITS}又分之半/. ]+[目子点點] ?半?|半[目子])"
    r"|中[盘盤]|中押し?|[时時][间間](?:切れ)?|超[时時]|判定|反[则則]|犯[规規]|[断掉][线線]"
    r"|不[计計][点點])? ?"
    r"(?:[判获獲]?(?P<wins>[胜勝赢贏])(?:[利出ちた了]|った)?"
    r"|判?[负負输輸](?:けた?|了)?|投[了子降]|(?:投[了子降])?[认認][输輸负負])"
    rf"(?=$|[\W_{_DIGITS}半黑黒白于])"
)
_KOREAN = re.compile(
    r"(?<![흑백])([흑백]|[선후](?=번))번?[이가은는]? ?"
    rf"(?:{_DECIMAL}|(?:[0-9.]+|[한두세네]) ?집 ?반?|반 ?집|불계|시간|기권|판정|반칙)? ?"
    r"(?:(?P<wins>승)리?|패배?)(?=$|[\W_흑백])"
)
# Won without counting; without komi; by an unknown margin.
_HARMLESS = re.compile(r"不[计計][点點]|コミ(?:出し)?な[しい]|\+ ?\?")
_DOUBT = re.compile(
    r"\?|\b(?:both|no|not|non?e|nobody|neither|nor|or|and|if|unless|until|void|null|annul\w*|"
    r"invalid\w*|cancel\w*|revoked|overturned|reversed|withdrawn|disputed?|contested|appeal\w*|"
    r"protest\w*|pending|provisional\w*|review|unfinished|suspended|adjourned|interrupted|"
    r"unknown|unclear|undecided|uncertain|unconfirmed|maybe|perhaps|possibl[ey]|probabl[ey]|"
    r"likely|would|could|should|might|claim\w*|tb[ad]|lost connection|vs)\b|n't\b|&|"
    r"[胜勝][负負率势勢]|승[부률]|[不未非没沒無无双雙両皆均都俱]|共(?! ?[0-9])|[两兩][负負败敗方]|"
    r"[废廢消销銷待暂暫疑争爭異议議诉訴误誤改訂封仮或如若假似估预預予对對対]|"
    r"保留|推定|可能|也[许許]|再[试試赛]|重[赛賽]|中[断斷止]|打ち?掛|"
    r"な[いくかし]|かも|らし|だろう|でしょう|もし|"
    r"없|않|아니|양|쌍|모두|취소|미[정확결완]|보류|무효|이의|논란|의심|중단|봉수|연기|예상|예정|추정|"
    r"가능|만약|만일|또는|혹은|재대국"
)


def winner(text: str) -> tuple[int | None, float | None]:
    """Reads a result.

    Args:
        text: the record's result, such as "B+3.5" or "白中盘胜".

    Returns:
        The result for Black, +1, 0 or −1, and the margin in points; None for what the record does
        not say.
    """
    text = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    if text in _DRAW:
        return 0, None
    claims = set() if _DOUBT.search(_HARMLESS.sub("", text)) else _claims(text)
    if claims not in ({1}, {-1}):
        return None, None
    points = NUMBER.search(text.partition("+")[2].replace(",", "."))
    return claims.pop(), float(points[0]) if points else None


def _claims(text: str) -> set[int]:
    """Collects the results for Black that the text names."""
    claims = {_COLOR[text[0]]} if _SCORE.fullmatch(text) else set()
    claims |= {_COLOR[match[1][0]] for match in _PLUS.finditer(text)} if claims else set()
    for pattern in (_ENGLISH, _CHINESE, _KOREAN):
        for match in pattern.finditer(text):
            color = _COLOR.get(match[1][0], _TURN)
            claims.add(color if match["wins"] else -color)
    return claims
