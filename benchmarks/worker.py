"""Runs the peer in a separate process, with XLA's default settings.

The project's programs pin JAX to one thread per process before they import it. The peer's example
does not, so it must not share a process with them or inherit their environment. This file is both
ends of the connection: `Peer` starts the module as a program, and requests and answers are one JSON
value per line.

    python -m benchmarks.worker speed CONFIG    # plays once per request, answers the seconds
    python -m benchmarks.worker train REQUEST   # trains once, and saves models along the way

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
    "JAX_COMPILATION_CACHE_DIR",  # it holds programs compiled under other flags
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "JAX_NUM_CPU_DEVICES",
    "OMP_NUM_THREADS",
)


def default_environment() -> dict[str, str]:
    """Returns this process's environment without settings of XLA's programs or threads."""
    return {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}


class Peer:
    """A worker process that plays on request; a context manager."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Starts the process and waits until it has compiled; `facts` holds its parameter count."""
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
        """Plays one segment of the peer's self-play; returns ``{"moves": …, "seconds": …}``."""
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
    """Encodes the argument of the role ``train``, which fills `folder` as :func:`_train` says."""
    request = {"folder": str(folder), "config": dict(config), "seconds": seconds}
    return json.dumps({**request, "eval_at": list(eval_at)})


def _speed(config: Mapping[str, Any], requests: TextIO, reply: Callable[[Any], None]) -> None:
    """Compiles the peer, then plays once per request."""
    import jax

    from benchmarks import peer

    settings = peer.PeerConfig(**config)
    init_model, selfplay = peer.make_selfplay(settings)
    model = init_model(jax.random.key(settings.seed))
    jax.block_until_ready(selfplay(model, jax.random.key(0)))
    reply({"parameters": sum(leaf.size for leaf in jax.tree.leaves(model.params))})
    for line in requests:
        key = jax.random.key(1 + json.loads(line)["index"])
        start = time.perf_counter()
        jax.block_until_ready(selfplay(model, key))
        seconds = time.perf_counter() - start
        reply({"moves": settings.lanes * settings.steps, "seconds": seconds})


def _train(request: Mapping[str, Any]) -> None:
    """Trains the peer, saves ``models/MILLISECONDS.npz`` on the way and ``done.json`` at the end.

    MILLISECONDS are of training, as in ``models/000600123.npz``.
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
    """Takes the role that the command line names."""
    role, argument = sys.argv[1:]
    if role == "train":
        _train(json.loads(argument))
        return
    # Only answers go to the real stdout; whatever a library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(value: Any) -> None:
        print(json.dumps(value), file=answers, flush=True)

    _speed(json.loads(argument), sys.stdin, reply)


if __name__ == "__main__":
    main()
