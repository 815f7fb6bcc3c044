"""Write one version's parameters and config to a single file that loads without the run.

python launch/export.py runs/connect_four@last --out connect_four.safetensors
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli

cli.prepare()

from dataclasses import dataclass
from typing import Annotated

import tyro

from selfplay.model import network
from selfplay.players.version import SUFFIX, Version


@dataclass(frozen=True)
class Options:
    """What to export and where to."""

    version: Annotated[str, tyro.conf.Positional]
    """RUN, RUN@VERSION, RUN@last or RUN@best."""
    out: Path | None = None
    """File to write, ending in .safetensors; named after the run and version when left out."""


def main() -> None:
    """Load, write, and say how to load it again."""
    options = tyro.cli(Options, prog="launch/export.py", description=cli.laid_out(__doc__))
    version = Version.load(options.version)
    out = options.out or Path(Path(options.version).name.replace("@", "-") + SUFFIX)
    if out.suffix != SUFFIX:
        raise ValueError(f"the exported file must end in {SUFFIX}, got {out}")
    version.export(out)
    count = network.num_parameters(version.params)
    print(f"{out}: {count:,} parameters of {version.name}; Version.load({str(out)!r}) reads it")


if __name__ == "__main__":
    cli.guarded(main)
