"""Compiles the presets' programs for an H100 on a machine without one, and says what came out.

    python -m pip install --no-deps jax-cuda13-plugin==VERSION jax-cuda13-pjrt==VERSION
    python -m benchmarks.accelerator_compile                      # all, three minutes on one core
    python -m benchmarks.accelerator_compile connect_four_gpu

VERSION is that of the installed JAX; a virtual environment of its own is best. A line is a program:
the bytes of its temporary arrays, by XLA's analysis and by `selfplay/device_memory.py`, the kernels
of one simulation with each loop inside counted once, and the seconds that compiling took. More
kernels or more memory than before are a change for the worse that shows without a card. No program
is run. `h100.txtpb` describes the card to XLA.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"  # compiling needs no driver and no cuDNN

from selfplay import determinism

determinism.pin()

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import configs
from benchmarks.accelerator_presets import PRESETS
from selfplay.device_memory import Program
from selfplay.training.memory import in_words, programs

TARGET = Path(__file__).with_name("h100.txtpb")
KERNELS = ("fusion", "custom-call", "copy", "sort", "reduce", "scatter", "select-and-scatter")
INSTRUCTION = re.compile(r" = .*?\)? ([a-z][a-z0-9-]*)\(")
CALLED = re.compile(r"(?:body|condition)=%([\w.-]+)")
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclass(frozen=True)
class Compiled:
    """A program that was compiled for the card."""

    temporary: int  # bytes, by XLA
    estimated: int  # bytes
    text: str  # the optimized program
    seconds: float

    def kernels(self, turns: int) -> int:
        """Counts the kernels of a loop with that many turns; 0 if there is none."""
        bodies = _computations(self.text)
        for lines in bodies.values():
            for line in lines:
                trips = TRIPS.search(line)
                if " while(" in line and trips and int(trips[1]) == turns:
                    return sum(_kernels(name, bodies) for name in CALLED.findall(line))
        return 0


def compile_for_card(program: Program) -> Compiled:
    """Compiles a program for the H100."""
    card = topologies.get_topology_desc(
        platform="cuda", target_config=TARGET.read_text(), topology="1x1x1"
    ).devices[0]
    whole = NamedSharding(Mesh(np.array([card]), ("card",)), PartitionSpec())

    def placed(array: Any) -> Any:
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=whole)

    started = time.perf_counter()
    traced = jax.jit(program.function).trace(*jax.tree.map(placed, program.arguments))
    compiled: Any = traced.lower(lowering_platforms=("cuda",)).compile()
    return Compiled(
        compiled.memory_analysis().temp_size_in_bytes,
        program.memory().temporary,
        compiled.as_text(),
        time.perf_counter() - started,
    )


def of_preset(name: str) -> dict[str, Program]:
    """Returns the large programs of a preset as one card would run them."""
    config = configs.get(name)
    config = replace(
        config,
        network=config.network.resolved("gpu"),
        cluster=replace(config.cluster, actors=0, learner_devices=1),
    )
    named = programs(config)
    return {key: named[key] for key in ("advance", "gradient")}


def _computations(text: str) -> dict[str, list[str]]:
    """Splits a program's text into its computations, by name."""
    found, lines = dict[str, list[str]](), list[str]()
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith(" "):
            name = line.removeprefix("ENTRY ").split(" ")[0].lstrip("%")
            lines = found.setdefault(name, [])
        else:
            lines.append(line)
    return found


def _kernels(name: str, computations: dict[str, list[str]]) -> int:
    """Counts the kernels of a computation and of the loops in it."""
    total = 0
    for line in computations[name]:
        found = INSTRUCTION.search(line)
        if found and found[1] in KERNELS:
            total += 1
        elif found and found[1] == "while":
            total += sum(_kernels(inner, computations) for inner in CALLED.findall(line))
    return total


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="*", default=PRESETS, help="names of presets")
    print(f"JAX {jax.__version__}\n")
    print("| program | temporary, XLA | estimated | kernels a simulation | compiled in |")
    print("|---|---|---|---|---|")
    for name in parser.parse_args().presets:
        budget = configs.get(name).search.num_simulations
        for key, program in of_preset(name).items():
            made = compile_for_card(program)
            kernels = made.kernels(budget) if key == "advance" else "-"
            print(
                f"| `{name}`, {key} | {in_words(made.temporary)} | {in_words(made.estimated)} "
                f"| {kernels} | {made.seconds:.0f} s |",
                flush=True,
            )


if __name__ == "__main__":
    main()
