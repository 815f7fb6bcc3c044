"""What commands share: pins before JAX, one clear sentence for bad input, a version's spec."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, from anywhere

from selfplay import pins

BAD_INPUT = 2


def refuse(message: object) -> NoReturn:
    """Say one sentence and leave with status 2; nothing was done."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)


def prepare() -> None:
    """Pin the process, with one virtual CPU device per core for the learner."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    pins.pin(devices=1 << (min(cores, 8).bit_length() - 1))  # a power of two divides the shards


def guarded(main: Callable[[], None]) -> None:
    """Run a command; errors that name a bad input become one sentence and status 2."""
    from selfplay.store.files import CorruptedFile

    try:
        main()
    except (ValueError, ConnectionError, CorruptedFile) as error:
        if os.environ.get("OOMZERO_TRACEBACK"):
            raise
        refuse(error)


def read_spec(spec: str, sims: int | None = None) -> tuple[str, int]:
    """``(where, num_simulations)`` of a version's spec such as ``runs/a@40?sims=64``.

    Raises:
        ValueError: something else than "?sims=N" follows the version, or `sims` says otherwise.
    """
    from selfplay.search import SearchConfig  # here, because it imports JAX

    where, mark, text = spec.partition("?")
    found = re.fullmatch("sims=([0-9]{1,6})", text)
    if not where or (mark and not found):
        raise ValueError(f"cannot read {spec!r}: expected RUN, RUN@VERSION or RUN@VERSION?sims=N")
    if found and sims is not None and sims != int(found[1]):
        raise ValueError(f"{spec!r} and --sims {sims} say different things; leave one of them out")
    budget = int(found[1]) if found else 64 if sims is None else sims
    return where, SearchConfig(num_simulations=budget).num_simulations
