"""Counting kernels in compiled programs, and compiling for a card that is not there."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

from benchmarks.accelerator_compile import Compiled
from games import checkout

TEXT = """\
HloModule jit_advance

%fused (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %add.1 = f32[4]{0} add(%p, %p)
}

%inner_body.1 (t: (f32[4])) -> (f32[4]) {
  %t = (f32[4]{0}) parameter(0)
  %x.1 = f32[4]{0} get-tuple-element(%t), index=0
  %descend = f32[4]{0} fusion(%x.1), kind=kLoop, calls=%fused
  ROOT %tuple.1 = (f32[4]{0}) tuple(%descend)
}

%inner_condition.1 (t.2: (f32[4])) -> pred[] {
  %t.2 = (f32[4]{0}) parameter(0)
  ROOT %any = pred[] fusion(%t.2), kind=kInput, calls=%fused
}

%simulation.2 (s: (f32[4])) -> (f32[4]) {
  %s = (f32[4]{0}) parameter(0)
  %while.1 = (f32[4]{0}) while(%s), condition=%inner_condition.1, body=%inner_body.1
  %y = f32[4]{0} get-tuple-element(%while.1), index=0
  %conv = (bf16[4]{0}, u8[0]{0}) custom-call(%y), custom_call_target="__cudnn$conv"
  ROOT %copy.1 = f32[4]{0} copy(%y)
}

%enough.2 (s.3: (f32[4])) -> pred[] {
  %s.3 = (f32[4]{0}) parameter(0)
  ROOT %less = pred[] fusion(%s.3), kind=kLoop, calls=%fused
}

ENTRY %main (a: f32[4]) -> (f32[4]) {
  %a = f32[4]{0} parameter(0)
  %all = (f32[4]{0}) tuple(%a)
  ROOT %while.2 = (f32[4]{0}) while(%all), condition=%enough.2, body=%simulation.2, \
backend_config={"known_trip_count":{"n":"64"}}
}
"""


def test_kernels_of_a_simulation_are_counted_with_those_of_loops_inside() -> None:
    compiled = Compiled(0, 0, TEXT, 0.0)
    assert compiled.kernels(64) == 5
    assert compiled.kernels(32) == 0


@pytest.mark.slow
def test_programs_compile_for_a_card_that_is_not_there() -> None:
    if importlib.util.find_spec("jax_plugins.xla_cuda13") is None:
        pytest.skip("jax-cuda13-plugin is not installed; see benchmarks/accelerator_compile.py")
    command = [sys.executable, "-m", "benchmarks.accelerator_compile", "connect_four_gpu"]
    output = subprocess.run(
        command, cwd=checkout.ROOT, capture_output=True, text=True, check=True
    ).stdout
    rows = re.findall(r"\| `\w+`, (\w+) \| (\d+) MB \| (\d+) MB \| (\S+) ", output)
    kernels = {name: count for name, _, _, count in rows}
    assert int(kernels["advance"]) <= 72, "more kernels than in November 2026"
    for _, analyzed, estimated, _ in rows:
        assert float(estimated) == pytest.approx(float(analyzed), rel=0.15)
