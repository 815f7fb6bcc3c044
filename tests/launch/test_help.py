"""What ``--help`` says: a text for every option of every command, and examples to copy."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import configs
from launch import cli
from launch.__main__ import COMMANDS


@pytest.fixture(autouse=True)
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is pinned already, and no terminal's width counts."""
    monkeypatch.setattr(cli, "configure_process", lambda: None)
    monkeypatch.setenv("COLUMNS", "100")


def ask_for_help(command: str, arguments: Sequence[str], monkeypatch: Any) -> str:
    """What a command prints on a UTF-8 terminal when it is asked for help."""
    module = importlib.import_module(f"launch.{command}")
    monkeypatch.setattr(sys, "argv", [command, *arguments, "--help"])
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
    out.seek(0)
    return out.read()


def options(shown: str) -> Iterator[tuple[str, str]]:
    """Name and text of every option in the boxes that tyro draws, without its default."""
    for box in re.findall(r"^╭.*?^╰", shown, re.MULTILINE | re.DOTALL):
        lines = [line[2:-1].rstrip() for line in box.splitlines()[1:-1]]
        rules = [i for i, line in enumerate(lines) if line.startswith("──")]
        entries: list[list[str]] = []
        for line in lines[rules[0] + 1 if rules else 0 :]:  # below the section's own text
            if line.startswith(" ") or not line:
                entries[-1].append(line.strip())
            else:
                entries.append([*re.split(r" {2,}", line, maxsplit=1)])
        for name, *words in entries:
            yield name, re.sub(r"\((default:.*|required)\)$", "", " ".join(words)).strip()


def subcommands(shown: str) -> list[str]:
    return re.findall(r"• (\w+)", shown)


def test_help_covers_every_command() -> None:
    assert {"ablate", "exam", "experts", "ladder", "play", "report", "train"} <= {*COMMANDS}


EVERY = [(command, ()) for command in COMMANDS if command != "train"]
EVERY += [("train", (preset,)) for preset in configs.PRESETS]


@pytest.mark.parametrize(("command", "arguments"), EVERY)
def test_every_option_has_a_description(
    command: str, arguments: tuple[str, ...], monkeypatch: Any
) -> None:
    shown = ask_for_help(command, arguments, monkeypatch)
    pages = [ask_for_help(command, (name,), monkeypatch) for name in subcommands(shown)]
    count = 0
    for name, text in (one for page in pages or [shown] for one in options(page)):
        count += 1
        assert len(text) > 8 and " " in text, f"{name} has no text"
        assert not text.startswith("…") and not text.endswith("…"), f"{name}: {text}"
    assert count > (90 if command == "train" else 1)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_prints_examples_on_lines_of_their_own(command: str, monkeypatch: Any) -> None:
    shown = ask_for_help(command, (), monkeypatch).splitlines()
    text = importlib.import_module(f"launch.{command}").__doc__ or ""
    examples = [line.strip() for line in text.splitlines() if "python launch/" in line]
    assert examples and all(f"    {line}" in shown for line in examples)


def test_format_description_separates_paragraphs_and_examples() -> None:
    text = """Does a thing.

    Of several words
    on two lines:

        python launch/a.py \\
            --more

    Ends.

    python launch/b.py
    """
    assert cli.format_description(text).split("\n\n") == [
        "Does a thing.",
        "Of several words\non two lines:\n    python launch/a.py \\\n        --more",
        "Ends.",
        "Examples:\n    python launch/b.py",
    ]
