"""Installed use: what a wheel contains, and the commands outside the checkout."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from selfplay.runs.files import read_json
from selfplay.solved import suite
from tests.small_runs import ROOT, TINY

PACKAGES = ("configs", "games", "launch", "selfplay")
NOT_PYTHON = ("launch/cluster/",)  # read by podman, kubectl and ray up, in a checkout
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout, built from a copy."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "tests").mkdir()
    (source / "tests" / "__init__.py").touch()
    command = [sys.executable, "-W", "ignore", "-c", BUILD, str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.splitlines()[-1]


def test_wheel_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == {name for name in files if not name.startswith(NOT_PYTHON)}
    assert {str(path.relative_to(ROOT)) for path in suite.FILES.values()} <= packed


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel and this environment's packages."""
    environment = tmp_path_factory.mktemp("installed") / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    programs = environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True)
    paths = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    return programs


@pytest.mark.slow
def test_installed_commands_work_in_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    cache, folder = tmp_path / "cache", tmp_path / "empty"
    folder.mkdir()
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("JAX_", "PYTHON"))}
    environment |= {"XDG_CACHE_HOME": str(cache), "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(*words: str, stdin: str = "") -> str:
        done = subprocess.run(
            ["oomzero", *words],
            cwd=folder,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert str(programs.parent) not in done.stdout + done.stderr
        assert str(ROOT) not in done.stdout + done.stderr
        return done.stdout

    def suggested(output: str, purpose: str) -> list[str]:
        """The words behind ``oomzero`` of the command that is suggested for this purpose."""
        (line,) = re.findall(rf"^ *{purpose}: +oomzero (.*)$", output, re.MULTILINE)
        return shlex.split(line)

    assert run("--version").startswith("oomzero ")
    run("train", "connect_four_smoke", *TINY, "--cluster.actors", "0", "--max-seconds", "0")
    output = run("train", "connect_four_smoke", *TINY, "--cluster.actors", "0")
    assert "resuming after iteration 1" in output
    assert "complete: version 3 in runs/connect_four_smoke" in output
    play = (*suggested(output, "play against it"), "--sims", "4")
    played = run(*play, stdin="y\n4\nquit\n")
    assert re.search(r"^│.{8}X", played, re.MULTILINE)  # in the center column
    assert run(*suggested(output, "prove it")).endswith("identical\n")
    assert "keep the result" in run(*suggested(output, "grade it"), "--positions", "20")
    ladder = "ladder runs/connect_four_smoke --sims 0 --players random --until-stderr 400 --out l"
    report = suggested(run(*ladder.split()), "report")
    assert report == ["report", "l"]
    run(*report)
    assert (folder / "l" / "report" / "index.html").exists()
    assert {path.name for path in folder.iterdir()} == {"runs", "l"}
    assert [*(cache / "oomzero").glob("jit_*")]
    manifest = read_json(folder / "runs" / "connect_four_smoke" / "manifest.json")
    assert manifest["sessions"][0]["git"] == {"commit": None, "dirty": None}
