"""Open a page to play against networks, and to watch runs, ladders and studies.

python launch/serve.py                                   # the zoo, on this machine only
python launch/serve.py runs studies --port 8080
python launch/serve.py --host 0.0.0.0 --token random     # other machines may visit, with the token

It needs the `web` extra: pip install 'oomzero[web]'.
"""

from __future__ import annotations

import importlib.util
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

if __name__ == "__main__":  # a checkout need not be installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from games import extras
from launch import cli


@dataclass(frozen=True)
class Options(cli.Trust):
    """What the page shows, and who may see it."""

    folders: Annotated[tuple[Path, ...], cli.Positional] = ()
    """Folders with runs, ladders or studies, and exported networks; the page sees nothing else."""
    host: str = "127.0.0.1"
    """The address to listen on; the default is this machine alone. Another one needs a token."""
    port: int = 8080
    """The port."""
    token: str = ""
    """What visitors must bring with the address; "random" makes one."""
    show: bool = False
    """Open a browser."""


def main() -> None:
    """Serves the page until Ctrl-C."""
    options = cli.parse(Options, "serve", __doc__)
    if not 0 < options.port < 65536:
        raise ValueError(f"--port must be between 1 and 65535, got {options.port}")
    if importlib.util.find_spec("nicegui") is None:
        raise ValueError(f"the page needs NiceGUI: {extras.install('web')}")

    from selfplay.serve.web import site

    token = secrets.token_urlsafe(12) if options.token == "random" else options.token
    site.serve(
        options.folders,
        host=options.host,
        port=options.port,
        token=token,
        show=options.show,
        announce=lambda text: print(text, flush=True),
    )


if __name__ in {"__main__", "__mp_main__"}:
    cli.run_command(main)
