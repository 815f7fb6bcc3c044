"""The measurements of an accelerator, on a CPU: parts, comparisons of digests, and the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.accelerator import GROUPS, conclusions, page
from benchmarks.accelerator_parts import PARTS
from games import checkout

ROW = {"t": 1, "part": "learn", "flags": "pinned", "process": 1, "program": "today"}


def test_every_part_can_be_measured() -> None:
    assert {part.name for group in GROUPS for part in group} == set(PARTS)


def test_conclusions_name_processes_that_differ() -> None:
    rows = [ROW | {"digest": "a"}, ROW | {"process": 2, "digest": "b"}]
    assert conclusions(rows) == ["learn today, pinned: 2 processes, DIFFERENT bytes"]
    assert conclusions([rows[0], rows[0]]) == ["learn today, pinned: 2 processes, the same bytes"]


def test_page_has_the_device_and_what_failed() -> None:
    device = ROW | {"part": "device", "program": "0.10.2 gpu a card"}
    text = page([device, ROW | {"failed": "status 1: no memory"}, ROW | {"peak": 0.412}])
    assert text.startswith("# 0.10.2 gpu a card\n")
    assert "FAILED status 1: no memory" in text and "41% of the peak" in text


@pytest.mark.slow
def test_parts_are_measured_on_a_cpu(tmp_path: Path) -> None:
    parts = ["learn", "play", "sizes", "peer", "parts", "rules"]
    command = [sys.executable, "-m", "benchmarks.accelerator", "--small", "--only", *parts]
    subprocess.run(command, cwd=checkout.ROOT, env={**os.environ, "OUT": str(tmp_path)}, check=True)
    lines = (tmp_path / "accelerator.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert not [row for row in rows if "failed" in row]
    assert {row["part"] for row in rows} == {"device", *parts}
    assert "same bytes" in (tmp_path / "accelerator.md").read_text()
