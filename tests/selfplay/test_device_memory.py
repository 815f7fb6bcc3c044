"""The estimate of device memory, against hand-made programs and XLA's analysis of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import configs
from selfplay.device_memory import Program, ProgramMemory, array_bytes
from selfplay.training import memory
from selfplay.training.config import TrainConfig

TOLERANCE = 0.15
FLOAT = 4  # bytes
SIDE = 64
MATRIX = jax.ShapeDtypeStruct((SIDE, SIDE), jnp.float32)
BYTES = SIDE * SIDE * FLOAT
COUNTER = 4  # bytes, of a loop


def estimate(function: Callable[..., Any], *arguments: Any) -> ProgramMemory:
    return Program(function, arguments).memory()


def test_arguments_and_results_are_counted() -> None:
    estimated = estimate(lambda x, y: (x @ y, x > 0), MATRIX, MATRIX)
    assert estimated == ProgramMemory(2 * BYTES, BYTES + SIDE * SIDE, 0, 0)


def test_elementwise_operations_take_no_memory_of_their_own() -> None:
    assert estimate(lambda x: jnp.sin(x) + jnp.cos(x) * x, MATRIX).temporary == 0


def test_a_chain_of_products_holds_two_arrays_at_a_time() -> None:
    def chain(x: jax.Array) -> jax.Array:
        for _ in range(5):
            x = jnp.tanh(x @ x)
        return x

    assert estimate(chain, MATRIX).temporary == 2 * BYTES


def test_the_backward_pass_keeps_what_it_needs() -> None:
    def loss(x: jax.Array, depth: int) -> jax.Array:
        for _ in range(depth):
            x = jnp.sin(x @ x)
        return x.sum()

    def kept(depth: int) -> int:
        return estimate(jax.grad(lambda x: loss(x, depth)), MATRIX).temporary

    assert kept(12) - kept(8) == 2 * (kept(10) - kept(8)) > 0


def test_a_loop_overwrites_what_it_carries() -> None:
    def filled(x: jax.Array) -> jax.Array:
        def put(row: Any, table: jax.Array) -> jax.Array:
            return table.at[row].set(jnp.float32(row))

        return jax.lax.fori_loop(0, SIDE, put, x * 2)[0]

    estimated = estimate(filled, MATRIX)
    assert (estimated.carried, estimated.working) == (BYTES + COUNTER, 0)


def test_a_loop_copies_what_is_read_later() -> None:
    def filled(x: jax.Array) -> jax.Array:
        table = x @ x
        after = jax.lax.fori_loop(0, SIDE, lambda row, t: t.at[row].set(0.0), table)
        return after[0] + table[1]

    assert estimate(filled, MATRIX).temporary == 2 * BYTES + COUNTER


def test_keys_and_plain_numbers_have_a_size() -> None:
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 3))
    assert array_bytes({"keys": keys, "step": jnp.int32(1)}) == 3 * 8 + 4


@pytest.mark.parametrize("preset", ["connect_four", "hex_5", "go_5x5"])
def test_the_estimate_is_close_to_the_analysis_of_xla(preset: str) -> None:
    config = configs.get(preset)
    programs = memory.programs(config)
    play = config.selfplay
    # XLA keeps the memory in which start states are drawn, a number for each game and position of
    # the archive, beside that of the search; the estimate lets them share it.
    drawn = 4 * play.batch_size * play.archive_size if play.archive_fraction else 0
    for name, apart in (("advance", drawn), ("gradient", 0)):
        program = programs[name]
        estimated = program.memory()
        compiled = jax.jit(program.function).lower(*program.arguments).compile()
        analyzed: Any = compiled.memory_analysis()
        expected = pytest.approx(analyzed.temp_size_in_bytes, rel=TOLERANCE)
        assert estimated.temporary == expected or estimated.temporary + apart == expected
        assert estimated.arguments == pytest.approx(analyzed.argument_size_in_bytes, rel=0.01)
        assert estimated.results == pytest.approx(analyzed.output_size_in_bytes, rel=0.01)


def in_process(preset: str = "connect_four_smoke") -> TrainConfig:
    config = configs.get(preset)
    return replace(config, cluster=replace(config.cluster, actors=0))


def test_search_trees_grow_with_games_and_simulations() -> None:
    config = in_process()
    once = memory.estimate(config)
    selfplay = replace(config.selfplay, batch_size=2 * config.selfplay.batch_size)
    twice = memory.estimate(replace(config, selfplay=selfplay))
    assert twice.trees == pytest.approx(2 * once.trees, rel=0.02)
    assert twice.learning == once.learning


def test_self_play_of_actors_is_not_counted() -> None:
    config = in_process()
    remote = replace(config, cluster=replace(config.cluster, actors=2))
    assert (memory.estimate(remote).trees, memory.estimate(remote).playing) == (0, 0)


def test_a_run_that_fits_is_not_refused() -> None:
    config = in_process()
    needed = memory.estimate(config)
    memory.check(config, needed, needed.most, "a card")


@pytest.mark.parametrize(
    ("play", "learn", "advice"),
    [
        (0.3, 1.0, "--learner.shards"),
        (1.0, 0.3, "--selfplay.batch-size"),
    ],
)
def test_a_run_that_does_not_fit_names_an_option_that_does(
    play: float, learn: float, advice: str
) -> None:
    config = in_process()
    games, rows = int(512 * play), int(4096 * learn)
    config = replace(
        config,
        selfplay=replace(config.selfplay, batch_size=games),
        learner=replace(config.learner, batch_size=rows // 8 * 8, shards=8),
    )
    needed = memory.estimate(config)
    available = needed.parameters + int(0.6 * (needed.most - needed.parameters))
    with pytest.raises(ValueError, match=rf"of a card.*; {advice} \d+ would fit"):
        memory.check(config, needed, available, "a card")


def test_a_network_that_cannot_fit_is_refused() -> None:
    config = in_process()
    with pytest.raises(ValueError, match=r"use a smaller network \(--network.width\)"):
        memory.check(config, memory.estimate(config), 1000, "a card")


def test_an_accelerator_is_announced_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(
        platform="gpu", device_kind="a card", memory_stats=lambda: {"bytes_limit": 10**9}
    )
    monkeypatch.setattr(memory.jax, "local_devices", lambda: [card])
    said = list[str]()
    config = in_process()
    monkeypatch.setattr(memory, "estimate", lambda _: memory.DeviceMemory(1, 2, 3, 4))
    memory.check_device(config, said.append)
    assert said == [
        "memory on a card, estimated: 0.0 MB (search trees 0.0 MB, other arrays of self-play "
        "0.0 MB, gradients 0.0 MB, parameters 0.0 MB)"
    ]


@pytest.mark.parametrize(
    ("size", "text"), [(1.94e9, "1.9 GB"), (3.5e8, "350 MB"), (3.6e5, "0.4 MB")]
)
def test_bytes_are_written_in_words(size: float, text: str) -> None:
    assert memory.in_words(size) == text


def test_a_type_is_resolved_once_for_play_and_learning() -> None:
    config = in_process()
    assert config.resolved("gpu").network.dtype == "bfloat16"
    on_cpus = replace(config, cluster=replace(config.cluster, actors=2))
    assert on_cpus.resolved("gpu").network.dtype == "float32"
    cards = replace(on_cpus, cluster=replace(on_cpus.cluster, gpus_per_actor=1))
    assert cards.resolved("gpu").network.dtype == "bfloat16"
