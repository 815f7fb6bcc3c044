"""The README fits one page, and what it shows is what the code does."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from selfplay import determinism
from tests.docs.pages import ROOT
from tests.small_runs import TINY, trained

README = (ROOT / "README.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def python_blocks(page: str) -> list[str]:
    """Returns the examples in Python of a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)


def test_python_examples_run(tmp_path: Path) -> None:
    trained(tmp_path / "runs" / "connect_four", *TINY)
    (example,) = python_blocks("README.md")
    guide = python_blocks("docs/guide/python.md")
    assert example == guide[0]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(guide)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", **determinism.environment()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^(?:[ ()][.XO]){7}\)?$", done.stdout, re.MULTILINE)) == 6  # rows


def test_readme_fits_one_page() -> None:
    assert len(README.splitlines()) <= 120
    assert len(README.split()) <= 1000


def test_readme_counts_published_values_as_the_table_does() -> None:
    table = (ROOT / "docs/results/hex_scaling/README.md").read_text("utf-8")
    verdicts = re.findall(r"^\|.*\| (yes|no) \|$", table.partition("## Against")[2], re.MULTILINE)
    outside, total = verdicts.count("no"), len(verdicts)
    assert f"{outside} of {total} published values lie outside" in " ".join(README.split())


def test_citation_agrees_with_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
