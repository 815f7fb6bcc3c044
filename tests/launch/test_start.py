"""How commands start: parsing without JAX, one name for all of them, from any directory."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from launch import __main__ as oomzero
from selfplay import command_line
from tests.small_runs import ROOT

NOT_FOR_PARSING = ("flax", "jax", "matplotlib", "mctx", "numpy", "optax", "orbax", "ray", "scipy")

PARSING = {
    "train": [["connect_four", "--iterations", "3"], ["--help"], ["hex_3", "--help"]],
    "ladder": [["runs/a", "--sims", "0"], ["--help"]],
    "ablate": [["hex_3", "--grid", "network.width=4,8"], ["recipes"], ["--help"]],
    "experts": [["generate", "tic_tac_toe", "--out", "x"], ["import", "--help"], ["--help"]],
    "exam": [["runs/a"], ["--help"]],
    "export": [["runs/a"], ["--help"]],
    "play": [["terminal", "runs/a"], ["gtp", "--help"], ["--help"]],
    "report": [["runs/a"], ["--help"]],
    "simulate": [["runs/a"], ["--help"]],
    "verify": [["runs/a"], ["--help"]],
    "zoo": [["list"], ["show", "connect_four"], ["--help"]],
    "serve": [["runs", "--port", "8090"], ["--help"]],
}

# Parses each command line as its command does, and stops behind the parser.
PARSE = """
import contextlib, importlib, io, json, sys, tyro
from launch import cli
class Parsed(BaseException): pass
parse = tyro.cli
def parse_and_stop(*arguments, **options):
    parse(*arguments, **options)
    raise Parsed
name, lines, heavy = json.loads(sys.argv[1])
command = importlib.import_module(f"launch.{name}")
tyro.cli = parse_and_stop
for line in lines:
    sys.argv = [name, *line]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Parsed, SystemExit):
        cli.run_command(command.main)
print([module for module in heavy if module in sys.modules])
"""


@pytest.mark.parametrize("command", oomzero.COMMANDS)
def test_parsing_a_command_line_imports_no_jax_and_no_numpy(command: str) -> None:
    argument = json.dumps([command, PARSING[command], NOT_FOR_PARSING])
    result = subprocess.run(
        [sys.executable, "-c", PARSE, argument], cwd=ROOT, capture_output=True, text=True
    )
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def run(*words: str, folder: Path) -> tuple[int, str, str]:
    """Runs a program as in a checkout that is not installed; returns status, output, errors."""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    return result.returncode, result.stdout, result.stderr


def test_script_uses_its_own_checkout_from_any_directory(tmp_path: Path) -> None:
    script = "import runpy, sys; sys.argv = sys.argv[1:]\n"
    script += "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    script += "finally:\n    print(sys.modules['launch.cli'].__file__)"
    file = str(ROOT / "launch" / "verify.py")
    status, output, _ = run("-c", script, file, "--help", folder=tmp_path)
    assert status == 0
    assert output.splitlines()[-1] == str(ROOT / "launch" / "cli.py")


def test_oomzero_lists_the_commands_with_a_line_each() -> None:
    status, output, _ = run("-m", "launch", "--help", folder=ROOT)
    assert status == 0
    commands = [line.split()[0] for line in output.splitlines() if line.startswith("  ")]
    assert commands == list(oomzero.COMMANDS)
    files = {path.stem for path in (ROOT / "launch").glob("*.py")}
    assert {*oomzero.COMMANDS} <= files
    assert run("-m", "launch", folder=ROOT) == (2, output, "")


def test_oomzero_does_what_the_script_does() -> None:
    words = ("hex_33", "--seed", "3")
    expected = run("launch/train.py", *words, folder=ROOT)
    assert expected[0] == 2 and "did you mean 'hex_3'?" in expected[2]
    assert run("-m", "launch", "train", *words, folder=ROOT) == expected
    status, output, _ = run("-m", "launch", "verify", "--help", folder=ROOT)
    script_status, script_output, _ = run("launch/verify.py", "--help", folder=ROOT)
    assert (status, script_status) == (0, 0)
    assert output.startswith("usage: oomzero verify ")
    assert script_output.startswith("usage: launch/verify.py ")
    examples = "python launch/verify.py", "oomzero verify"  # of another length in their box
    assert examples[0] in script_output and examples[1] in output
    texts = (output.replace(examples[1], examples[0]), script_output)
    first, second = (" ".join(text.partition("\n")[2].split()) for text in texts)
    assert first == second


def test_oomzero_suggests_commands_as_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "oomzero"), "runs/a"])
    monkeypatch.chdir(tmp_path)
    assert command_line.command("exam", "a b").endswith("launch/exam.py 'a b'")
    (tmp_path / "oomzero").touch(0o755)
    monkeypatch.setenv("PATH", "")
    assert command_line.command("exam", "a b") == "oomzero exam 'a b'"
    monkeypatch.chdir(ROOT)
    words = shlex.split(command_line.command("exam", "a b"))
    assert Path(words[0]).samefile(tmp_path / "oomzero") and words[1:] == ["exam", "a b"]
    monkeypatch.setattr(sys, "argv", ["launch/train.py", "runs/a"])
    assert command_line.command("exam").endswith("launch/exam.py")


def test_oomzero_prints_versions_without_importing_jax() -> None:
    script = "import runpy, sys; sys.argv[1:] = ['--version']\n"
    script += "runpy.run_module('launch', run_name='__main__')\n"
    script += "print([m for m in ('jax', 'numpy') if m in sys.modules])"
    status, output, _ = run("-c", script, folder=ROOT)
    version, imported = output.splitlines()
    assert status == 0 and imported == "[]"
    assert re.fullmatch(r"oomzero [\d.]+ \(Python [\d.]+(, [a-z-]+ [\d.]+){8}\)", version)
    assert f"jax {importlib.metadata.version('jax')}," in version


def test_oomzero_proposes_a_command_for_a_typo() -> None:
    status, output, errors = run("-m", "launch", "trian", folder=ROOT)
    assert (status, output) == (2, "")
    assert errors.startswith("error: unknown command 'trian' (did you mean 'train'?)")


def test_installation_has_the_console_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["oomzero"].partition(":")
    assert getattr(sys.modules[module], function) is oomzero.main
