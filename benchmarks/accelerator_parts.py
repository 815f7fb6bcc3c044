"""The measurements of `benchmarks.accelerator`, one a process; it starts them.

A part prints JSON lines. One that is timed compiles first, prints "ready" and waits for a line, so
that parts which compile at the same time are measured one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mctx
import numpy as np

import configs
import games
from benchmarks.search_parts import Search
from games.game import Game
from selfplay.acting import segment
from selfplay.learning import loss_terms
from selfplay.learning.learner import Learner
from selfplay.learning.row_sources import RandomRows
from selfplay.model import flops, network
from selfplay.runs.digest import digest
from selfplay.search.base import SearchFn, SearchResult, evaluate_states, expansion, root_of
from selfplay.search.make import evaluations_per_move, make_search
from selfplay.training.config import TrainConfig

ROOT = Path(__file__).resolve().parent.parent
REPEATS = 3
BFLOAT16_PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # FLOP/s, dense products
RULES = ("connect_four", "go?size=9", "go?size=19", "hex?size=11&swap=true")


def say(**values: Any) -> None:
    """Prints a measurement as a JSON line."""
    print(json.dumps(values), flush=True)


def wait_for_turn() -> None:
    """Reports that everything is compiled, and waits until no other part is being timed."""
    print("ready", flush=True)
    sys.stdin.readline()


def clock(call: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Returns the shortest time of `repeats` calls, in seconds, and the last result."""
    seconds, result = [], None
    for _ in range(repeats):
        result = None  # frees its memory
        start = time.perf_counter()
        result = jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def peak_gib() -> float:
    """Returns the most memory that this process has had in use on the device so far, in GiB."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return round(statistics.get("peak_bytes_in_use", 0) / 2**30, 2)


def preset(small: bool) -> TrainConfig:
    """Returns `go_9x9_gpu`, or a tiny version of it that a CPU can run."""
    config = configs.get("go_9x9_gpu")
    if not small:
        return config
    return replace(
        config,
        network=replace(config.network, width=8, depth=1, head_width=16),
        search=replace(config.search, num_simulations=4),
        selfplay=replace(config.selfplay, batch_size=16),
        learner=replace(config.learner, batch_size=64),
    )


class MemoryRows(NamedTuple):
    """A source of rows in memory, like the replay window."""

    rows: dict[str, np.ndarray]

    @property
    def size(self) -> int:
        """Number of rows."""
        return len(self.rows["value"])

    def gather(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the rows at `indices`."""
        return {name: array[indices] for name, array in self.rows.items()}


def learn(program: str, small: bool) -> None:
    """Times gradient steps; with program "all", each by itself ("each") as well as many at once.

    "gradients" is the time of a step's gradients alone, one call per shard, with rows that are on
    the device already: what a step costs without the host's other work.
    """
    config = preset(small)
    game = games.make(config.game)
    model, learner_config = network.make(game, config.network), config.learner

    def learner(many: bool | None = None) -> Learner:
        return Learner(game, model, learner_config, 1000, config.seed, devices=1, many=many)

    today = learner()
    state = today.init(network.pseudo_random(model.init))
    stored = {f.name: f.stored(game) for f in loss_terms.batch_fields(learner_config)}
    template = {name: np.zeros((0, *s.shape), s.dtype) for name, s in stored.items()}
    rows = MemoryRows(
        RandomRows(template, 0).gather(np.arange(1024 if small else 65_536))  # as in a window
    )
    steps, shards = (2 if small else 16), learner_config.shards
    batch = rows.gather(np.arange(learner_config.batch_size))
    batch = {name: array.reshape(shards, -1, *array.shape[1:]) for name, array in batch.items()}
    batch, key, numbers = jax.device_put(
        (batch, jax.random.key(0), list(map(np.int32, range(shards))))
    )

    fits: dict[str, Callable[[], Any]] = {"today": lambda: today.fit(state, rows, 1, steps)}
    if program == "all":
        other = learner(many=not today.many)
        fits["many" if other.many else "each"] = lambda: other.fit(state, rows, 1, steps)

    def gradients() -> Any:
        return [today._gradient(state.params, batch, key, numbers[0], shard) for shard in numbers]

    seconds = {name: clock(fit, 1)[0] for name, fit in fits.items()}  # most of it compiles
    jax.block_until_ready(gradients())
    wait_for_turn()
    cost = flops.training_step(game, config.network, learner_config.batch_size) * steps
    say(program="gradients", ms=clock(gradients)[0] * 1e3)
    for name, fit in fits.items():
        best, (after, _) = clock(fit)
        again = digest(fit()[0])
        say(
            program=name,
            ms=best / steps * 1e3,
            tflops=cost / best / 1e12,
            digest=digest(after),
            repeats=again == digest(after),
            first_s=seconds[name],
            peak_gib=peak_gib(),
        )


def play(program: str, small: bool) -> None:
    """Times plies of self-play.

    The parameters decide how deep the trees grow, the positions how long Go's loops run. Fresh
    parameters give the flattest trees. The pseudo-random ones put all of the policy on one move, so
    that simulations follow chains: their mean depth is 4.7 (32 games, float32, on a CPU). With 16
    moves to choose from and 64 simulations, sequential halving allows at most 5.1, so a trained
    network searches hardly deeper.
    """
    config = preset(small)
    game, plies = games.make(config.game), 2 if small else 4
    model, lanes = network.make(game, config.network), config.selfplay.batch_size
    selfplay = replace(config.selfplay, segment_length=plies)
    parts = segment.make(game, model.apply, config.search, selfplay)
    later = replace(selfplay, random_opening_fraction=1.0, random_opening_plies=80)
    start_later = segment.make(game, model.apply, config.search, later).start
    advance = jax.jit(lambda params, *rest: parts.advance(model.for_play(params), *rest))
    key = jax.random.key(0)
    opening, middle = jax.jit(parts.start)(key), jax.jit(start_later)(key)
    flat = jax.jit(model.init)(key)
    deep = jax.device_put(network.pseudo_random(model.init))
    cases = {
        "opening, flat trees": (flat, opening, key),
        "opening, deep trees": (deep, opening, key),
        "1 to 80 plies, deep trees": (deep, middle, key),
    }
    first_s, _ = clock(lambda: advance(deep, opening, key), 1)
    wait_for_turn()
    evaluations = evaluations_per_move(config.search)
    cost = flops.move(game, config.network, evaluations) * lanes * plies
    for name, case in cases.items():
        best, result = clock(lambda case=case: advance(*case))
        again = digest(advance(*case))
        say(
            program=f"{program}, {name}",
            ms=best / plies * 1e3,
            per_second=lanes * plies / best,
            tflops=cost / best / 1e12,
            digest=digest(result),
            repeats=again == digest(result),
            first_s=first_s,
            peak_gib=peak_gib(),
        )


def parts(program: str, small: bool) -> None:
    """Times a simulation of `go_9x9_gpu` by part, see `benchmarks.search_parts`."""
    config = preset(small)
    search = Search(config, config.selfplay.batch_size)
    wait_for_turn()
    for name, value in asdict(search.measure()).items():
        say(program=f"a simulation: {name}", ms=value)


def sizes(program: str, small: bool) -> None:
    """Times gradient steps on Go 9×9 for three sizes of network, as a share of the card's peak."""
    config = preset(small)
    game, peak = games.make(config.game), _peak()
    towers = ((8, 1),) if small else ((64, 6), (128, 10), (256, 20))
    learner_config, steps = config.learner, 2 if small else 16
    fits = {}
    for width, depth in towers:
        net = replace(config.network, width=width, depth=depth)
        model = network.make(game, net)
        learner = Learner(game, model, learner_config, 1000, config.seed, devices=1)
        state = learner.init(network.pseudo_random(model.init))
        stored = {f.name: f.stored(game) for f in loss_terms.batch_fields(learner_config)}
        template = {name: np.zeros((0, *s.shape), s.dtype) for name, s in stored.items()}
        rows = MemoryRows(RandomRows(template, 0).gather(np.arange(8192)))
        fits[net] = lambda fit=learner.fit, state=state, rows=rows: fit(state, rows, 1, steps)
        jax.block_until_ready(fits[net]())
    wait_for_turn()
    for net, fit in fits.items():
        best, _ = clock(fit)
        cost = flops.training_step(game, net, learner_config.batch_size) * steps
        share = {"peak": cost / best / peak} if peak else {}
        name = f"{net.width} channels, {net.depth} blocks"
        say(program=name, ms=best / steps * 1e3, tflops=cost / best / 1e12, **share)


def _peak() -> float:
    """Returns the card's FLOP/s of dense bfloat16 products, as its maker gives them; 0 unknown."""
    kind = jax.devices()[0].device_kind
    return next((peak for name, peak in BFLOAT16_PEAKS.items() if name in kind), 0.0)


def peer(program: str, small: bool) -> None:
    """Times plies of Go 9×9 with our rules and search, and with pgx's rules and mctx, in turns."""
    try:
        theirs = games.make("pgx:go_9x9")
    except ValueError as error:
        say(program="pgx + mctx", note=str(error))
        return
    config = preset(small)
    game, plies = games.make(config.game), 2
    lanes, budget = config.selfplay.batch_size, config.search.num_simulations
    runs = {}
    for name, rules, search in (
        ("ours", game, make_search(game, network.make(game, config.network).apply, config.search)),
        ("pgx + mctx", theirs, _mctx(theirs, config)),
    ):
        model = network.make(rules, config.network)
        params = model.for_play(jax.jit(model.init)(jax.random.key(0)))
        states = jax.vmap(lambda _, rules=rules: rules.init())(jnp.arange(lanes))
        runs[name] = partial(_plies(rules, search, plies), params, states, jax.random.key(1))
        jax.block_until_ready(runs[name]())
    wait_for_turn()
    seconds = {name: list[float]() for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            seconds[name].append(clock(run, 1)[0])
    for name, times in seconds.items():
        ratio = min(seconds["pgx + mctx"]) / min(times)
        say(
            program=f"{name}, {budget} simulations",
            ms=min(times) / plies * 1e3,
            per_second=lanes * plies / min(times),
            note=f"{ratio:.2f} times the peer's speed",
        )


def _mctx(game: Game, config: TrainConfig) -> SearchFn:
    """Builds mctx's own Gumbel search, with its own simulation."""
    evaluate = network.make(game, config.network).apply
    expand, gumbel = expansion(game, evaluate), config.search.gumbel

    def search(params: Any, states: Any, key: Any) -> SearchResult:
        leaves = evaluate_states(game, evaluate, params, states)
        result: Any = mctx.gumbel_muzero_policy(
            params,
            key,
            root_of(leaves, states),
            expand,
            config.search.num_simulations,
            invalid_actions=~leaves.legal,
            max_num_considered_actions=gumbel.max_considered_actions,
        )
        return SearchResult(result.action, result.action_weights, leaves.value)

    return search


def _plies(game: Game, search: SearchFn, plies: int) -> Callable[..., Any]:
    """Returns a program that plays `plies` moves of every game."""

    def play(params: Any, states: Any, key: Any) -> Any:
        def ply(states: Any, key: Any) -> tuple[Any, Any]:
            action = search(params, states, key).action
            return jax.vmap(game.step)(states, action), action

        return jax.lax.scan(ply, states, jax.random.split(key, plies))

    return jax.jit(play)


def train(program: str, small: bool) -> None:
    """Trains Connect Four for three minutes, and grades its last version with 64 simulations."""
    folder = Path(tempfile.mkdtemp())
    name, iterations = ("connect_four_smoke", 2) if small else ("connect_four_gpu", 22)
    start = time.perf_counter()
    if status := _train(name, folder / "run", ["--iterations", iterations]).wait():
        raise SystemExit(f"training ended with status {status}")
    row = _metrics(folder / "run")[-1]
    spent = {"seconds": row["seconds"]["total"], "whole_s": time.perf_counter() - start}
    for budget, scores in row["exam"].items():
        say(program=f"{name}, {iterations} iterations, {budget}", kept=scores["kept"], **spent)


def rules(program: str, small: bool) -> None:
    """Compares random games on the device with the same games on the CPU."""
    devices = jax.devices("cpu")[0], jax.devices()[0]
    for name in RULES:
        game = games.make(name)

        def observe_all(state: Any, action: Any, game: Any = game) -> Any:
            after = game.step(state, action)
            return after, game.legal_actions(after), game.observe(after), game.outcome(after)

        step = jax.jit(jax.vmap(observe_all))
        digests = []
        for device in devices:
            state = jax.vmap(lambda _, game=game: game.init())(jnp.arange(64))
            state = jax.device_put(state, device)
            legal = jax.jit(jax.vmap(game.legal_actions))(state)
            random, device_digests = np.random.default_rng(0), []
            for _ in range(10 if small else 100):
                scores = np.where(np.asarray(legal), random.random(legal.shape), -1)
                action = np.argmax(scores, axis=1).astype(np.int32)
                output = step(state, jax.device_put(action, device))
                state, legal = output[:2]
                device_digests.append(digest(output))
            digests.append(device_digests)
        say(program=name, equal=digests[0] == digests[1], digest=digests[1][-1])


def smoke(program: str, small: bool) -> None:
    """Trains `connect_four_smoke` twice, compares all rows, and recomputes the first training."""
    folder = Path(tempfile.mkdtemp())
    extra = ["--iterations", "2"] if small else []
    start, runs = time.perf_counter(), []
    for name in "ab":
        runs.append(_train("connect_four_smoke", folder / name, extra))
        if small:  # one process at a time
            runs[-1].wait()
    codes = [run.wait() for run in runs]
    if any(codes):
        raise SystemExit(f"training ended with status {codes}")
    rows = [_metrics(folder / name) for name in "ab"]
    digests = [[row.get("digest") for row in training] for training in rows]
    say(
        program="two trainings",
        equal=digests[0] == digests[1],
        rows=len(rows[0]),
        fingerprints=[training[0].get("probe") for training in rows],
        digest=rows[0][-1]["digest"]["state"],
        seconds=time.perf_counter() - start,
    )
    command = [sys.executable, "launch/verify.py", str(folder / "a"), "--iterations", "1:2"]
    start, cached = time.perf_counter(), _cached(folder / "a")
    result = subprocess.run(command, cwd=ROOT, env=cached, capture_output=True, text=True)
    last = (result.stdout.strip().splitlines() or [result.stderr[-200:]])[-1]
    say(program="verify 1:2", equal=last == "identical", seconds=time.perf_counter() - start)


def iterations(program: str, small: bool) -> None:
    """Trains `go_9x9_gpu` for two iterations in one process, and reports where the time is spent.

    An iteration's steps follow its new rows, and only finished games give rows. Few games of Go end
    in the first plies, so an iteration may have no steps. A row's `commit_s` is of the commit
    before it (0 in the first row), and its `total_s` counts play and learning since the start.
    """
    config, folder = preset(small), Path(tempfile.mkdtemp())
    extra = ["--iterations", "2"]
    if small:
        net, selfplay = config.network, config.selfplay
        extra += ["--network.width", net.width, "--network.depth", net.depth]
        extra += ["--network.head-width", net.head_width, "--selfplay.batch-size"]
        extra += [selfplay.batch_size, "--search.num-simulations", config.search.num_simulations]
        extra += ["--learner.batch-size", config.learner.batch_size]
    start = time.perf_counter()
    if status := _train("go_9x9_gpu", folder / "go", extra).wait():
        raise SystemExit(f"training ended with status {status}")
    say(program="whole command", seconds=time.perf_counter() - start)
    for row in _metrics(folder / "go")[1:]:
        seconds = row["seconds"]
        learn_ms = seconds["learn"] / row["steps"] * 1e3 if row["steps"] else None
        say(
            program=f"iteration {row['version']}",
            per_second=config.selfplay.positions / seconds["play"],
            steps=row["steps"],
            ms=learn_ms,
            digest=row["digest"]["state"],
            **{f"{name}_s": seconds[name] for name in ("play", "learn", "commit", "total")},
        )


def _train(name: str, folder: Path, extra: list[Any]) -> subprocess.Popen[bytes]:
    """Starts a training in a process with a compile cache of its own; its output is on stderr."""
    command = [sys.executable, "launch/train.py", name, "--out", folder, *extra]
    command += ["--cluster.actors", "0", "--plain"]
    environment = _cached(folder)
    if name == "go_9x9_gpu":  # which has the device to itself
        del environment["XLA_PYTHON_CLIENT_PREALLOCATE"]
    return subprocess.Popen(
        [str(word) for word in command], cwd=ROOT, env=environment, stdout=sys.stderr
    )


def _cached(folder: Path) -> dict[str, str]:
    """Returns an environment where programs are cached: beside a run, or where they are already."""
    if os.environ["JAX_ENABLE_COMPILATION_CACHE"] == "true":  # with --small
        return dict(os.environ)
    cache = {"JAX_COMPILATION_CACHE_DIR": f"{folder}_cache"}
    return {**os.environ, **cache, "JAX_ENABLE_COMPILATION_CACHE": "true"}


def _metrics(folder: Path) -> list[dict[str, Any]]:
    """Returns the rows of a run's metrics.jsonl."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


PARTS = {
    "learn": learn,
    "play": play,
    "sizes": sizes,
    "peer": peer,
    "parts": parts,
    "train": train,
    "rules": rules,
    "smoke": smoke,
    "iterations": iterations,
}


def main() -> None:
    """Runs one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--program", default="today", help="learn: today, all")
    parser.add_argument("--small", action="store_true", help="shrunk, for a CPU")
    options = parser.parse_args()
    PARTS[options.part](options.program, options.small)


if __name__ == "__main__":
    main()
