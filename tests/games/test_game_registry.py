"""The registry: names make games, and an invalid name or option is rejected with the choices."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import games


def test_name_makes_the_game_of_that_name() -> None:
    assert {"connect_four", "tic_tac_toe"} <= set(games.names())
    assert list(games.names()) == sorted(games.names())
    for name in games.names():
        assert games.make(name).name == name


def test_keyword_options_reach_the_game() -> None:
    assert games.make("connect_four", rows=5, columns=8).observation_shape == (5, 8, 2)
    assert games.make("connect_four") == games.make("connect_four", rows=6, columns=7)


def test_options_in_the_name_reach_the_game() -> None:
    assert games.make("go?size=5&komi=7") == games.make("go", size=5, komi=7)
    assert games.make("hex?swap=True") == games.make("hex", swap=True)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("dice", {}, "unknown game 'dice'; choose from connect_four, go, hex, tic_tac_toe, pgx:"),
        ("chess", {}, r"unknown game 'chess' \(did you mean 'pgx:chess'\?\)"),
        ("othelo", {}, r"\(did you mean 'pgx:othello'\?\)"),
        ("pgx:othelo", {}, r"\(did you mean 'pgx:othello'\?\)"),
        ("conect_four", {}, r"\(did you mean 'connect_four'\?\)"),
        ("Hex", {}, r"\(did you mean 'hex'\?\)"),
        ("go_9x9", {}, r"\(did you mean 'go\?size=9'\?\)"),
        ("go13x13", {}, r"\(did you mean 'go\?size=13'\?\)"),
        ("hex_5", {}, r"\(did you mean 'hex\?size=5'\?\)"),
        ("conect4", {}, r"unknown game 'conect4' \(did you mean 'connect_four'\?\); choose"),
        ("connect_four", {"cols": 7}, "no option 'cols'.*choose from rows, columns"),
        ("connect_four", {"column": 7}, r"'column' \(did you mean 'columns'\?\)"),
        ("connect_four", {"rows": 6.0}, "option rows=6.0 must be int, not float"),
        ("connect_four", {"rows": "6"}, "option rows='6' must be int, not str"),
        ("connect_four", {"rows": True}, "option rows=True must be int, not bool"),
        ("connect_four", {"columns": 3}, r"columns=3 is out of range; choose 4\.\.16"),
        ("tic_tac_toe", {"size": 3}, "tic_tac_toe has no option 'size'; it has no options"),
        ("go?komi=nan", {}, "go: option komi='nan' must be float, not str"),
        ("go?size=5.5", {}, "go: option size=5.5 must be int, not float"),
        ("hex?swap=yes", {}, "hex: option swap='yes' must be bool, not str"),
        ("go?size=5&size=7", {}, "go: an option is repeated: size, size"),
        ("go?size=5", {"size": 7}, "go: an option is repeated: size, size"),
        (
            "go?size",
            {},
            r"go: 'size' is not a list of options; write NAME\?option=value&option=value",
        ),
    ],
)
def test_invalid_name_or_option_is_rejected_with_the_choices(
    name: str, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        games.make(name, **options)


def test_imports_between_modules_go_one_way() -> None:
    """The order: game, symmetry, notation, the games, registry; no outside imports."""
    folder = Path(games.__file__).parent
    names = (
        "spelling",
        "source_digest",
        "options",
        "plugins",
        "game",
        "extras",
        "symmetry",
        "notation",
        "go_board",
        "",
        "registry",
        "__init__",
    )
    order = {name: rank for rank, name in enumerate(names)}  # "": any other file, a game
    for path in folder.glob("*.py"):
        rank = order.get(path.stem, order[""])
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            for module in modules:
                assert module.split(".")[0] not in {"selfplay", "configs", "launch"}, path
                if module.startswith("games."):
                    assert order.get(module.split(".")[1], order[""]) < rank, (
                        f"{path.name} <- {module}"
                    )
