"""Every command of the documentation is one that its own parser accepts; nothing is run.

Commands that work are executed elsewhere, scaled down: `tests/launch/` runs every command of
`launch/`, and `tests/docs/test_readme.py` the examples in Python.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, get_type_hints

import pytest
import tyro

import configs
from launch import cli, train
from selfplay import determinism
from selfplay.study.grid import Axis
from selfplay.training.config import TrainConfig
from tests.docs.pages import (
    ROOT,
    Command,
    code_spans,
    docstring_commands,
    page_commands,
    pages,
)

DOCSTRINGS = [*ROOT.glob("configs/*.py"), *ROOT.glob("launch/*.py")]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
RAY = {"start": "ray start", "status": "ray status", "stop": "ray stop", "up": "ray up"}


class Parsed(BaseException):
    """Stops a program once its parser has accepted the command line."""

    def __init__(self, options: Any) -> None:
        self.options = options


def documented() -> list[Command]:
    """Lists the commands of the documentation, each once."""
    commands = [command for page in pages() for command in page_commands(page)]
    commands += [command for path in sorted(DOCSTRINGS) for command in docstring_commands(path)]
    return list({command.words: command for command in reversed(commands)}.values())[::-1]


@pytest.fixture(autouse=True)
def only_parsing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets parsers end their programs; this process is pinned already."""
    tyro_cli, parse_args = tyro.cli, argparse.ArgumentParser.parse_args

    def parse_with_tyro(*arguments: Any, **options: Any) -> NoReturn:
        raise Parsed(tyro_cli(*arguments, **options))

    def parse_with_argparse(parser: argparse.ArgumentParser, *arguments: Any) -> NoReturn:
        raise Parsed(parse_args(parser, *arguments))

    monkeypatch.setattr(tyro, "cli", parse_with_tyro)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_with_argparse)
    monkeypatch.setattr(cli, "prepare", lambda: None)
    monkeypatch.setattr(determinism, "pin", lambda devices=1: None)
