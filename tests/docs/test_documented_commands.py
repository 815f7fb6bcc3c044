"""Every command of the documentation is one that its own parser accepts; nothing is run.

The rest of the suite executes every command of `launch/`, scaled down, and
`tests/docs/test_readme.py` the examples in Python.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import pkgutil
import re
import signal
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import pytest
import tyro

import configs
import games
from games import plugins
from launch import cli
from launch.__main__ import versions
from selfplay import determinism
from selfplay.runs import renamed
from selfplay.study.grid import Axis
from selfplay.training.config import TrainConfig
from tests.docs.pages import (
    ELLIPSIS,
    ROOT,
    Command,
    code_spans,
    docstring_commands,
    page_commands,
    pages,
)

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PRESET = "connect_four"
WITH_NEW_NAMES = [page for page in pages() if page.name != "CHANGELOG.md"]
MISTYPED = {"conect_four", "--serach.num-simulations"}  # shown with the error they get
RAY = {"get-auth-token", "start", "status", "stop", "up"}
RAY_OPTIONS = {"--address", "--generate", "--head", "--node-ip-address", "--num-cpus", "--num-gpus"}
EXAMPLES = ROOT / "docs" / "examples"
SHOWING = (
    "benchmarks",
    "configs",
    "docs/examples",
    "launch",
)  # folders whose docstrings show commands
OTHER_PROGRAMS = {".venv/bin/tensorboard", "gnugo", "ray", "uv"}
UV_OPTIONS = {"--fork-strategy", "--universal"}


def documented() -> list[Command]:
    """Lists the commands of the documentation, each once."""
    files = sorted(path for folder in SHOWING for path in ROOT.glob(f"{folder}/*.py"))
    commands = [command for page in pages() for command in page_commands(page)]
    files.remove(ROOT / "benchmarks" / "worker.py")  # a program for programs
    commands += [command for path in files for command in docstring_commands(path)]
    right = [command for command in commands if not MISTYPED.intersection(command.words)]
    return list({command.words: command for command in right}.values())


class Parsed(BaseException):
    """Ends a program whose parser has accepted its command line."""

    def __init__(self, options: Any) -> None:
        self.options = options


@pytest.fixture(autouse=True)
def only_parsing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets every parser end its program; this process is pinned already."""
    tyro_cli, parse_args = tyro.cli, argparse.ArgumentParser.parse_args

    def parse_with_tyro(*arguments: Any, **options: Any) -> NoReturn:
        raise Parsed(tyro_cli(*arguments, **options))

    def parse_with_argparse(parser: argparse.ArgumentParser, *arguments: Any) -> NoReturn:
        raise Parsed(parse_args(parser, *arguments))

    monkeypatch.syspath_prepend(str(EXAMPLES))  # pages tell to copy the examples
    monkeypatch.setattr(tyro, "cli", parse_with_tyro)
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_with_argparse)
    monkeypatch.setattr(cli, "configure_process", lambda: None)
    monkeypatch.setattr(determinism, "pin", lambda devices=1: None)
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def parse(module: str, arguments: Sequence[str]) -> Any:
    """Returns what a program's parser makes of a command line; for `--help`, what it prints.

    Fails with the parser's message where it refuses.
    """
    argv, sys.argv = sys.argv, [module, *arguments]
    output = io.TextIOWrapper(io.BytesIO(), "utf-8")
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            importlib.import_module(module).main()
    except Parsed as parsed:
        return parsed.options
    except SystemExit as end:
        output.seek(0)
        assert end.code == 0, output.read()
        output.seek(0)
        return output.read()
    except ValueError as error:
        pytest.fail(str(error))
    finally:
        sys.argv = argv
    raise AssertionError(f"{module} has parsed nothing")


def check_launch(name: str, arguments: Sequence[str]) -> None:
    """Fails if a command of `launch/`, or a run that it would start, is not accepted."""
    assert (ROOT / "launch" / f"{name}.py").is_file()
    if not arguments or arguments[0] == "PRESET":  # only its name is meant
        return
    options = parse(f"launch.{name}", arguments)
    for module, _, attribute in (path.partition(":") for path in plugins.typed_paths(arguments)):
        if (EXAMPLES / f"{module}.py").exists():
            assert hasattr(importlib.import_module(module), attribute)
    if isinstance(config := getattr(options, "config", None), TrainConfig):
        games.make(config.game)
    if name == "ablate" and options.name in configs.PRESETS:
        for text in (*options.grid, *options.fix):
            axis = Axis.parse(text)
            for value in axis.values:
                check_launch("train", [options.name, *axis.flags(value)])


def check_benchmark(name: str, arguments: Sequence[str]) -> None:
    """Fails if a benchmark, or a training that it would start, is not accepted."""
    assert (ROOT / "benchmarks" / f"{name}.py").is_file()
    if name == "memory":
        check_python(arguments[arguments.index("--") + 2 :])  # behind "-- python"
    elif "--" in arguments:
        preset = next((word for word in arguments if word in configs.PRESETS), PRESET)
        check_launch("train", [preset, *arguments[arguments.index("--") + 1 :]])
    if arguments:
        parse(f"benchmarks.{name}", arguments)


def check_python(words: Sequence[str]) -> None:
    """Fails if a command line of Python, without the interpreter, is not accepted."""
    match words:
        case ["-m", "pip", "install", *arguments]:
            extras = re.findall(r"\[(\w+)\]", " ".join(arguments))
            assert {*extras} <= {*PROJECT["optional-dependencies"]}
        case ["-m", "pytest", *arguments]:
            assert all((ROOT / path).exists() for path in arguments if path.startswith("tests"))
        case ["-m", "benchmarks.NAME"] | ["COMMAND..."]:
            pass
        case ["-m", module, *arguments] if module.startswith("benchmarks."):
            check_benchmark(module.removeprefix("benchmarks."), arguments)
        case ["-m", "launch", name, *arguments]:
            check_launch(name, arguments)
        case ["-m", module, *arguments]:
            assert importlib.util.find_spec(module) and not arguments
        case [script, *_] if script.startswith("docs/examples/"):
            assert (ROOT / script).is_file()
        case ["docs/screenshots.py", *folders]:
            assert folders
        case [script, *arguments] if script.startswith("launch/"):
            check_launch(script.removeprefix("launch/").removesuffix(".py"), arguments)
        case _:
            pytest.fail(f"no check for python {words}")


@pytest.mark.parametrize("command", documented(), ids=lambda command: command.place)
def test_documented_command_is_accepted_by_its_parser(command: Command) -> None:
    match command.words:
        case ["make", target]:
            assert re.search(rf"^({re.escape(target)}|\$\(VENV\)/ready):", MAKEFILE, re.MULTILINE)
        case ["ray", subcommand, *arguments]:
            assert subcommand in RAY
            assert {word for word in arguments if word.startswith("--")} <= RAY_OPTIONS
        case ["oomzero", "--version"]:
            assert versions().startswith("oomzero ")
        case ["oomzero", name, *arguments]:
            check_launch(name, arguments)
        case [_, *arguments]:
            check_python(arguments)


@functools.cache
def options() -> frozenset[str]:
    """Returns the options of all commands and benchmarks, as in "--search.num-simulations"."""
    names = {"--help", *RAY_OPTIONS, *UV_OPTIONS}
    for path in ROOT.glob("benchmarks/*.py"):
        names.update(re.findall(r'"(--[a-z-]+)"', path.read_text("utf-8")))
    for path in ROOT.glob("launch/*.py"):
        if "python launch/" in (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""):
            module, words = f"launch.{path.stem}", [PRESET] if path.stem == "train" else []
            shown = parse(module, [*words, "--help"])
            subcommands = re.findall(r"• (\w+)", shown)
            shown += "".join(parse(module, [name, "--help"]) for name in subcommands)
            names.update(re.findall(r"(?<!\S)--[a-z][a-z.-]+", shown))
    return frozenset(names)


def fields(config: type, prefix: str = "") -> Iterator[str]:
    """Yields the dotted names of a config's fields, those of its parts included."""
    types = get_type_hints(config)
    for field in dataclasses.fields(config):
        name, part = f"{prefix}{field.name}", types[field.name]
        yield name
        if isinstance(part, type) and dataclasses.is_dataclass(part):
            yield from fields(part, f"{name}.")


def is_python_name(text: str) -> bool:
    """Tells whether a dotted name is a module of the package, or something in one."""
    try:
        pkgutil.resolve_name(text)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", WITH_NEW_NAMES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_and_fields_in_text_exist(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    known = {*options(), *fields(TrainConfig)}
    if {"decisions", "results"} & {*page.parts}:  # history: may name what was renamed
        known |= {*renamed.FIELDS}.union(*renamed.OPTIONS.values())
    sections = {name.split(".")[0] for name in fields(TrainConfig) if "." in name}
    unknown = []
    for line, span in code_spans(page.read_text("utf-8")):
        of_others = span.split()[0] in OTHER_PROGRAMS
        names = [] if of_others else re.findall(r"(?<![\w-])--(?!xla_)[a-z][\w.…-]*", span)
        if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", span) and span.split(".")[0] in sections:
            names += [] if is_python_name(span) or span.endswith(".py") else [span]
        for name in names:
            start = name.removesuffix(ELLIPSIS)
            exists = name in known or (start < name and any(n.startswith(start) for n in known))
            unknown += [] if exists else [f"line {line}: {name}"]
    assert not unknown


def test_changelog_lists_every_renamed_field() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    table = dict(re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", changelog, re.MULTILINE))
    same_as_learner = "imitation.learner."
    assert table == {
        old: new for old, new in renamed.FIELDS.items() if not old.startswith(same_as_learner)
    }
