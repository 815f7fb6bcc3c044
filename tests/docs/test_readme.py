"""The README's Python example runs as it stands, on a tiny run."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from configs import PRESETS
from tests.small_runs import ROOT, TINY, train


def test_the_python_example_runs(tmp_path: Path) -> None:
    train(tmp_path / "runs" / "connect_four", *TINY, "--cluster.actors", "0")
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    done = subprocess.run(
        [sys.executable, "-c", example[1]],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "X" in done.stdout or "x" in done.stdout, done.stdout


def test_it_counts_the_published_values_as_the_table_does() -> None:
    table = (ROOT / "docs/results/hex_scaling/README.md").read_text().partition("## Against")[2]
    verdicts = re.findall(r"^\|.*\| (yes|no) \|$", table, re.MULTILINE)
    outside, total = verdicts.count("no"), len(verdicts)
    text = " ".join((ROOT / "README.md").read_text().split())
    assert f"{outside} of {total} published values lie outside" in text


def test_it_names_what_an_accelerator_needs() -> None:
    text = (ROOT / "README.md").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in ("cuda", "tpu"):
        assert extra in extras["optional-dependencies"] and f"'.[{extra}]'" in text
    for preset in (name for name in PRESETS if name.endswith("_gpu")):
        assert preset in text
