"""Write one version's parameters and config to a single file that loads without the run.

python launch/export.py runs/connect_four@last --out connect_four.safetensors
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launch import cli


@dataclass(frozen=True)
class Options(cli.Trust):
    """Which version is exported, and to which file."""

    version: Annotated[str, cli.Positional]
    """RUN, RUN@VERSION, RUN@last or RUN@best."""
    out: Path | None = None
    """File to write, ending in .safetensors; named after the run and version if left out."""


def main() -> None:
    """Exports a version and prints how to load it."""
    options = cli.parse(Options, "export", __doc__)

    from selfplay.model import network
    from selfplay.players.version import SUFFIX, Version

    version = Version.load(options.version)
    out = options.out or Path(Path(options.version).name.replace("@", "-") + SUFFIX)
    if out.suffix != SUFFIX:
        raise ValueError(f"the exported file must end in {SUFFIX}, got {out}")
    version.export(out)
    count = network.num_parameters(version.params)
    print(f"{out}: {count:,} parameters of {version.name}; Version.load({str(out)!r}) reads it")


if __name__ == "__main__":
    cli.run_command(main)
