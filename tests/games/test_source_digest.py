"""The digest of a user's module: its own files and what they import beside it, nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from games import source_digest

FILES = {
    "my_game.py": "import json\nimport games\nimport helper\nfrom rules import scoring\n",
    "helper.py": "def late():\n    import deep\n",
    "deep.py": "x = 1\n",
    "rules/__init__.py": "from . import base\n",
    "rules/base.py": "from .parts import wall\n",
    "rules/parts/__init__.py": "",
    "rules/parts/wall.py": "from ..shared import one\n",
    "rules/shared.py": "one = 1\n",
    "rules/scoring.py": "import my_game\n",
    "other.py": "x = 1\n",
    "rules/unused.py": "x = 1\n",
    "games/__init__.py": "# in a checkout of this project\n",
    "json.txt": "no module\n",
}
OTHERS = ("games/__init__.py", "json.txt", "other.py", "rules/unused.py")
PARTS = [name for name in FILES if name not in OTHERS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def module(folder: Path, name: str = "my_game") -> ModuleType:
    """Returns a module as if it were imported; its code does not run."""
    made = ModuleType(name)
    stem = folder / name.replace(".", "/")
    made.__file__ = str(stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py"))
    return made


def digest(folder: Path, name: str = "my_game") -> str:
    return source_digest.of(f"{name}:Game", module(folder, name)).digest


@pytest.mark.parametrize("name", PARTS)
def test_digest_changes_with_each_imported_file(folder: Path, name: str) -> None:
    before = digest(folder)
    (folder / name).write_text(FILES[name] + "# changed\n")
    assert digest(folder) != before


@pytest.mark.parametrize("name", OTHERS)
def test_digest_ignores_files_that_are_not_imported(folder: Path, name: str) -> None:
    before = digest(folder)
    (folder / name).write_text("changed")
    (folder / "new.py").write_text("x = 1")
    assert digest(folder) == before


def test_digest_distinguishes_where_a_text_is(folder: Path) -> None:
    """The same bytes, but split between two files in another place."""
    before = digest(folder)
    (folder / "deep.py").write_text("")
    (folder / "helper.py").write_text(FILES["deep.py"] + FILES["helper.py"])
    assert digest(folder) != before


def test_digest_does_not_depend_on_the_folder(folder: Path, tmp_path: Path) -> None:
    before = source_digest.of("my_game:Game", module(folder))
    copy = tmp_path / "copy"
    for name in PARTS:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text(FILES[name])
    after = source_digest.of("my_game:Game", module(copy))
    assert (before.digest, before.version) == (after.digest, after.version)
    assert (before.folder, after.folder) == (str(folder.resolve()), str(copy.resolve()))


def test_digest_of_a_submodule_includes_its_packages(folder: Path) -> None:
    before = digest(folder, "rules.parts.wall")
    for name in ("rules/__init__.py", "rules/parts/__init__.py", "rules/shared.py"):
        (folder / name).write_text(FILES[name] + "# changed\n")
        changed = digest(folder, "rules.parts.wall")
        assert changed != before, name
        before = changed
    (folder / "deep.py").write_text("changed = 1")
    assert digest(folder, "rules.parts.wall") == before


def test_digest_is_the_same_in_another_process(folder: Path) -> None:
    (folder / "games_use.py").write_text("import numpy, games.game, my_game\n")
    script = (
        f"import sys; sys.path.append({str(folder)!r})\n"
        "import deep, other\n"
        "from games import source_digest\n"
        "import games_use\n"
        "print(source_digest.of('games_use:x', games_use).digest)\n"
    )
    (folder / "rules/scoring.py").write_text("")  # the module itself runs here
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == digest(folder, "games_use"), done.stderr


def test_built_in_and_installed_modules_have_a_digest() -> None:
    assert source_digest.of("sys:path", sys).folder == ""
    source = source_digest.of("pytest:fail", pytest)
    assert len(source.digest) == 64 and source.version == pytest.__version__
