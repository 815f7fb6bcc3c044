"""The peer in a process of its own, with XLA as it comes.

Our programs pin JAX to one thread a process before they import it; the peer's example does no
such thing, so it must not share a process with them, nor inherit their environment. This file is
both ends: `Peer` starts itself as a program, asks and reads answers (one JSON value a line).

    python -m benchmarks.worker speed CONFIG    # a request, a line: play once; answers seconds
    python -m benchmarks.worker train REQUEST   # trains once, saves models on the way

CONFIG holds fields of `peer.PeerConfig`; REQUEST is what :func:`train_request` makes.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from selfplay import determinism

ROOT = Path(__file__).resolve().parent.parent

NOT_INHERITED = (
    *determinism.NAMES,
    "JAX_COMPILATION_CACHE_DIR",  # programs compiled under other flags lie there
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_NUM_CPU_DEVICES",
    "OMP_NUM_THREADS",
)


def default_environment() -> dict[str, str]:
    """This process's environment without anything that shapes XLA's programs or its threads."""
    return {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}


class Peer:
    """A worker that plays when asked and otherwise sleeps; a context manager."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Start it, and wait until it has compiled; `facts` is what it says about itself."""
        command = [sys.executable, "-m", "benchmarks.worker", "speed", json.dumps(dict(config))]
        self._process = subprocess.Popen(
            command,
            env=default_environment(),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.facts = self._read()

    def play(self, index: int) -> dict[str, Any]:
        """One call of the peer's self-play: ``{"moves": …, "seconds": …}``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"index": index}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer's process ended with status {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # the end of its requests
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def train_request(
    folder: Path, config: Mapping[str, Any], seconds: float, eval_at: Sequence[float]
) -> str:
    """The argument of ``worker.py train``, which fills `folder` as :func:`_train` says."""
    request = {"folder": str(folder), "config": dict(config), "seconds": seconds}
    return json.dumps({**request, "eval_at": list(eval_at)})


def _speed(config: Mapping[str, Any], requests: TextIO, reply: Callable[[Any], None]) -> None:
    import jax

    from benchmarks import peer

    settings = peer.PeerConfig(**config)
    initialise, selfplay = peer.make_selfplay(settings)
    model = initialise(jax.random.key(settings.seed))
    jax.block_until_ready(selfplay(model, jax.random.key(0)))
    reply({"parameters": sum(leaf.size for leaf in jax.tree.leaves(model.params))})
    for line in requests:
        key = jax.random.key(1 + json.loads(line)["index"])
        start = time.perf_counter()
        jax.block_until_ready(selfplay(model, key))
        seconds = time.perf_counter() - start
        reply({"moves": settings.lanes * settings.steps, "seconds": seconds})


def _train(request: Mapping[str, Any]) -> None:
    """Trains; each model asked for becomes ``models/SECONDS.npz``, and the end ``done.json``.

    SECONDS are of training, in milliseconds: ``models/000600123.npz``.
    """
    from benchmarks import peer
    from selfplay.runs.files import save_arrays, write_json
    from selfplay.runs.tree import flatten

    folder, seconds = Path(request["folder"]), request["seconds"]
    peer.check_orientation()
    shown = 0.0

    def on_eval(now: float, model: peer.Model) -> None:
        save_arrays(folder / "models" / f"{round(1000 * now):09d}.npz", flatten(model._asdict()))

    def on_iteration(p: peer.Progress) -> None:
        nonlocal shown
        if p.seconds - shown >= 15 or p.seconds >= seconds:
            shown = p.seconds
            losses = f"policy {p.policy_loss:.3f}  value {p.value_loss:.3f}"
            print(f"  {p.seconds:7.1f} s  {p.plies:9,d} plies  {losses}", flush=True)

    config = peer.PeerConfig(**request["config"])
    peer.train(config, seconds, on_eval, request["eval_at"], on_iteration)
    write_json(folder / "done.json", request)


def main() -> None:
    """Take the role that the command line names."""
    role, argument = sys.argv[1:]
    if role == "train":
        _train(json.loads(argument))
        return
    # Answers go out by the real stdout alone; whatever a library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(value: Any) -> None:
        print(json.dumps(value), file=answers, flush=True)

    _speed(json.loads(argument), sys.stdin, reply)


if __name__ == "__main__":
    main()
