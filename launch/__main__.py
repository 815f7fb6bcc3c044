"""All commands under one name: ``oomzero train …`` does what ``python launch/train.py …`` does."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from importlib import import_module

from games.spelling import did_you_mean
from launch import cli

COMMANDS = (
    *("train", "ladder", "ablate", "report", "play", "exam"),
    *("experts", "export", "verify", "simulate", "zoo", "serve"),
)
REPORTED_PACKAGES = ("jax", "jaxlib", "flax", "optax", "mctx", "numpy", "ray", "orbax-checkpoint")
"""Packages whose versions `--version` prints."""


def main() -> None:
    """Runs the command that the first argument names."""
    cli.run_command(run)


def run() -> None:
    """Runs the command that the first argument names; without one, lists the commands.

    ``--version`` prints the versions instead.

    Raises:
        ValueError: there is no such command.
    """
    name, arguments = (sys.argv[1] if len(sys.argv) > 1 else ""), sys.argv[2:]
    if name in ("", "-h", "--help"):
        print(overview())
        raise SystemExit(0 if name else cli.BAD_INPUT)
    if name == "--version":
        print(versions())
        return
    if name not in COMMANDS:
        raise ValueError(
            f"unknown command {name!r}{did_you_mean(name, COMMANDS)}; "
            f"choose from {', '.join(COMMANDS)}"
        )
    sys.argv[1:] = arguments
    command: Callable[[], None] = import_module(f"launch.{name}").main
    command()


def overview() -> str:
    """Returns the list of commands, with the first line of each command's description."""
    lines = ["usage: oomzero COMMAND [OPTIONS]", "", "commands:"]
    for name in COMMANDS:
        text = import_module(f"launch.{name}").__doc__ or ""
        lines.append(f"  {name:10}{text.splitlines()[0]}")
    ends = (
        "`oomzero COMMAND --help` lists a command's options.",
        "`oomzero --version` prints the versions.",
    )
    return "\n".join([*lines, "", *ends])


def versions() -> str:
    """Returns the version of oomzero, and those of Python and the packages that compute."""
    python = f"Python {sys.version.split()[0]}"
    others = ", ".join([python, *(f"{name} {_version(name)}" for name in REPORTED_PACKAGES)])
    return f"oomzero {_version('oomzero')} ({others})"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    main()
