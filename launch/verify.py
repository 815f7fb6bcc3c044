"""Recompute iterations of a run and compare every digest with the recorded ones.

    python launch/verify.py runs/connect_four --iterations 5:8

Prints "identical" and exits with status 0, or the first difference and status 1.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import tyro

from selfplay.training.verify import newest, verifiable, verify


@dataclass(frozen=True)
class Options:
    """What to recompute."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    iterations: str | None = None
    """FIRST:LAST, both included, or one number; if left out, the newest that can be, at most 3."""


def main() -> None:
    """Recompute, compare, say so."""
    options = tyro.cli(Options, prog="launch/verify.py", description=cli.laid_out(__doc__))
    if options.iterations is None:
        kept = newest(verifiable(options.run))
        if not kept:
            raise ValueError(
                f"{options.run} keeps no two checkpoints in a row, so no iteration can be "
                "recomputed; train with --store.keep 2 or more, or with --store.keep-for-verify"
            )
        first, last = kept[0], kept[-1]
    else:
        first_text, _, last_text = options.iterations.partition(":")
        last_text = last_text or first_text
        if not (first_text.isdigit() and last_text.isdigit()):
            raise ValueError(
                f"--iterations must look like 5:8 or 5 (counted from 1), got {options.iterations!r}"
            )
        first, last = int(first_text), int(last_text)

    def print_digests(iteration: int, digests: Mapping[str, str]) -> None:
        print(f"iteration {iteration}: " + "  ".join(f"{k} {v[:16]}" for k, v in digests.items()))

    difference = verify(options.run, first, last, print_digests)
    if difference:
        print(f"different: {difference}")
        raise SystemExit(1)
    print("identical")


if __name__ == "__main__":
    cli.guarded(main)
