"""The public names of `selfplay` and `games`: each resolves, and importing them starts no JAX."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import games
import selfplay
from tests.small_runs import ROOT

HEAVY = ("jax", "flax", "matplotlib", "orbax", "ray", "numpy")


@pytest.mark.parametrize("name", selfplay.__all__)
def test_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(selfplay, name)
    assert value.__name__ == name
    assert value.__module__.startswith(("selfplay.", "games."))
    assert len(inspect.getdoc(value) or "") > 20
    assert name in (selfplay.__doc__ or "") and name in dir(selfplay)


@pytest.mark.parametrize("package", [selfplay, games])
def test_checkers_see_the_names_that_are_exported(package: object) -> None:
    tree = ast.parse(inspect.getsource(package))  # type: ignore[arg-type]
    imported = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(imported) == sorted(package.__all__)  # type: ignore[attr-defined]
    for name, module in imported.items():
        assert getattr(package, name) is getattr(sys.modules[module or ""], name)


@pytest.mark.parametrize("package", [selfplay, games])
def test_unknown_name_is_an_attribute_error(package: object) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name  # type: ignore[attr-defined]


def test_importing_the_packages_starts_no_jax() -> None:
    script = f"import sys, selfplay, games; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
