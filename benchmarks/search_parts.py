"""Where a simulation's time goes: the network, the rules, and the tree.

    python -m benchmarks.search_parts                             # two presets, half a minute
    python -m benchmarks.search_parts go_9x9_gpu --positions 1024    # as on an accelerator

A search of a batch of positions is timed as a whole, and again with the network replaced by a cheap
checksum of the position; the rules alone (a step, and whatever the search asks of the position
behind it) and the network alone are timed in a loop of as many turns. The tree is the search with
checksums less the rules: descending, choosing, adding a node, averaging upwards. Each is the
shortest of several times, taken in turns; parts overlap on a device, so they need not add up.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from selfplay import determinism

if __name__ == "__main__":  # otherwise who imports this has done so
    determinism.pin()

import jax
import jax.numpy as jnp
from jax import Array

import configs
import games
from benchmarks.limit import weights
from games.game import Game, State
from selfplay.acting import segment
from selfplay.model import network
from selfplay.model.architecture import Evaluate, Params, Prediction
from selfplay.search.base import ILLEGAL_LOGIT, expansion
from selfplay.search.make import evaluations_per_move, make_search
from selfplay.training.config import TrainConfig

PRESETS = ("connect_four", "go_9x9")
REPEATS = 5
PRIME = 2_654_435_761  # near 2³² divided by the golden ratio (Knuth)


@dataclass(frozen=True)
class Parts:
    """Milliseconds of a simulation on all positions."""

    whole: float
    network: float
    rules: float
    tree: float

    def row(self, name: str) -> str:
        """Returns a row of the table."""
        parts = (self.network, self.rules, self.tree)
        cells = [f"{part:.3f} ({part / self.whole:.0%})" for part in parts]
        return f"| {name} | {self.whole:.3f} | {' | '.join(cells)} |"


def checksums(game: Game) -> Evaluate:
    """Returns a stand-in for a network: predictions differ by position, and cost little."""

    def evaluate(_: Params, observations: Array) -> Prediction:
        flat = observations.reshape(len(observations), -1)
        places = jnp.arange(flat.shape[1], dtype=jnp.uint32) * jnp.uint32(PRIME)
        total = jnp.where(flat, places, 0).sum(axis=1, dtype=jnp.uint32)  # [B]
        seeds = total[:, None] + jnp.arange(1 + game.num_actions, dtype=jnp.uint32)
        numbers = jnp.sin((seeds * jnp.uint32(PRIME) >> 16).astype(jnp.float32))
        return Prediction(2 * numbers[:, 1:], numbers[:, 0])

    return evaluate


class Search:
    """A preset's search on positions after random openings, and its parts, compiled."""

    def __init__(self, config: TrainConfig, positions: int) -> None:
        """Compiles the programs."""
        game, key = games.make(config.game), jax.random.key(0)
        selfplay = replace(config.selfplay, batch_size=positions, random_opening_fraction=1.0)
        model, search = network.make(game, config.network), config.search.for_self_play()
        turns = evaluations_per_move(search)
        start = segment.make(game, model.apply, config.search, selfplay).start
        params = model.for_play(weights(config.game, config.network, key))
        self._arguments = params, jax.jit(start)(key).state, key
        self._turns, self._programs = (
            turns,
            {
                "whole": jax.jit(make_search(game, model.apply, search)),
                "no network": jax.jit(make_search(game, checksums(game), search)),
                "network": jax.jit(_evaluations(game, model.apply, turns)),
                "rules": jax.jit(_rules(game, turns)),
            },
        )
        for program in self._programs.values():
            jax.block_until_ready(program(*self._arguments))

    def measure(self) -> Parts:
        """Times the programs, in turns."""
        seconds = {name: list[float]() for name in self._programs}
        for _ in range(REPEATS):
            for name, program in self._programs.items():
                started = time.perf_counter()
                jax.block_until_ready(program(*self._arguments))
                seconds[name].append(time.perf_counter() - started)
        each = {name: 1e3 * min(times) / self._turns for name, times in seconds.items()}
        tree = max(each["no network"] - each["rules"], 0.0)
        return Parts(each["whole"], each["network"], each["rules"], tree)


def _evaluations(
    game: Game, evaluate: Evaluate, turns: int
) -> Callable[[Params, State, Array], Any]:
    def run(params: Params, states: State, _: Array) -> Array:
        def turn(_: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            observations, total = carry
            prediction = evaluate(params, observations)
            return jnp.roll(observations, 1, axis=0), total + prediction.policy_logits

        observations = jax.vmap(game.observe)(states)
        zeros = jnp.zeros((len(observations), game.num_actions))
        return jax.lax.fori_loop(0, turns, turn, (observations, zeros))[1]

    return run


def _rules(game: Game, turns: int) -> Callable[[Params, State, Array], Any]:
    expand = expansion(game, checksums(game))

    def run(params: Params, states: State, key: Array) -> Any:
        def turn(_: Any, carry: tuple[State, Array]) -> tuple[State, Array]:
            states, action = carry
            output, states = expand(params, key, action, states)
            legal = output.prior_logits > ILLEGAL_LOGIT
            return states, jnp.argmax(legal, axis=1).astype(jnp.int32)

        first = jnp.argmax(jax.vmap(game.legal_actions)(states), axis=1).astype(jnp.int32)
        return jax.lax.fori_loop(0, turns, turn, (states, first))

    return run


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="*", default=PRESETS, help="names of presets")
    parser.add_argument("--positions", type=int, default=64, help="positions of a batch (64)")
    parser.add_argument("--simulations", type=int, default=32, help="of a search (32)")
    options = parser.parse_args()
    print(f"{jax.devices()[0].device_kind}, {options.positions} positions, ms a simulation\n")
    print("| preset | whole | network | rules | tree |\n|---|---|---|---|---|")
    for name in options.presets:
        config = configs.get(name)
        search = replace(config.search, num_simulations=options.simulations)
        parts = Search(replace(config, search=search), options.positions).measure()
        print(parts.row(f"`{name}`"), flush=True)


if __name__ == "__main__":
    main()
