"""The command of the zoo: what it prints, and which networks it refuses to take."""

from __future__ import annotations

from typing import Any

import pytest

from launch import zoo
from selfplay.zoo import cards


def test_list_and_show_say_what_the_cards_say(capsys: pytest.CaptureFixture[str]) -> None:
    zoo.list_networks()
    listed = capsys.readouterr().out
    for name in cards.names():
        card = cards.card(name)
        assert f"zoo:{name}" in listed
        zoo.show(f"zoo:{name}")
        shown = capsys.readouterr().out
        assert card.commands[0] in shown and card.sha256 in shown and card.strength in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "../four"}, r"'\.\./four' cannot be a name"),
        ({"elo": ("64=120:35",)}, "--elo needs --anchor"),
        ({"anchor": "random"}, "--elo needs --anchor"),
        ({"elo": ("64=120",), "anchor": "random"}, "--elo '64=120' is not SIMS=ELO:STDERR"),
        ({"license": "CC0"}, "--license needs --sources"),
    ],
)
def test_card_that_would_be_wrong_is_refused_before_anything_is_read(
    options: dict[str, Any], message: str
) -> None:
    complete = {"name": "four", "title": "Four", "commands": ("python launch/train.py",)}
    with pytest.raises(ValueError, match=message):
        zoo.add(zoo.Add("absent@1", **complete | options))
