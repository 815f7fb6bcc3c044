"""Recompute iterations of a run and compare every digest with the recorded ones.

    python launch/verify.py runs/connect_four --iterations 5:8

Prints "identical" and exits with status 0, or the first difference and status 1.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli


@dataclass(frozen=True)
class Options(cli.Trust):
    """What is recomputed."""

    run: Annotated[Path, cli.Positional]
    """The run folder."""
    iterations: str | None = None
    """FIRST:LAST, both included, or one number; if left out, the newest possible, at most 3."""


def main() -> None:
    """Recomputes iterations and prints whether their digests are the recorded ones."""
    options = cli.parse(Options, "verify", __doc__)
    iterations = None if options.iterations is None else parse_iterations(options.iterations)

    from selfplay.training.verify import newest, verifiable, verify

    if iterations is None:
        iterations = newest(verifiable(options.run))
        if not iterations:
            raise ValueError(
                f"{options.run} keeps no two checkpoints in a row, so no iteration can be "
                "recomputed; train with --store.keep 2 or more, or with --store.keep-for-verify"
            )

    def print_digests(iteration: int, digests: Mapping[str, str]) -> None:
        text = "  ".join(f"{name} {digest[:16]}" for name, digest in digests.items())
        print(f"iteration {iteration}: {text}")

    first, last = iterations[0], iterations[-1]
    difference = verify(options.run, first, last, print_digests, print)
    if difference:
        print(f"different: {difference}")
        raise SystemExit(1)
    print("identical")


def parse_iterations(text: str) -> tuple[int, int]:
    """Returns the first and the last iteration of "5:8" or "5"; ValueError for other texts."""
    first, _, last = text.partition(":")
    last = last or first
    if not (first.isdigit() and last.isdigit()):
        raise ValueError(f"--iterations must look like 5:8 or 5 (counted from 1), got {text!r}")
    if int(first) > int(last):
        raise ValueError(f"--iterations {text}: the first must not be after the last")
    return int(first), int(last)


if __name__ == "__main__":
    cli.run_command(main)
