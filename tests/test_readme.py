"""The README's Python example runs as it stands, on a tiny run."""

import re
import subprocess
import sys
from pathlib import Path

from tests.runs import ROOT, TINY, train


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
