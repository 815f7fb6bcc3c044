"""The architecture: which layer may import which, and what an import may do.

Everything is read from the source with `ast`, imports inside functions included.
"""

import ast
import subprocess
import sys
from collections.abc import Mapping, Set
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("games", "selfplay", "configs", "launch")
MAX_LINES = 500

# The layers, foundations first. A module imports modules of its own layer and of layers on earlier
# lines. Layers on one line do not import each other. Inside a layer every order without a cycle is
# allowed. `selfplay` is the public face, selfplay/__init__.py.
LAYERS = """
games
selfplay.determinism selfplay.rng selfplay.ranges selfplay.command_line selfplay.phase
selfplay.device_memory
selfplay.style
selfplay.runs
selfplay.tracking
selfplay.model
selfplay.search
selfplay.acting
selfplay.learning
selfplay.experts
selfplay.imitation
selfplay.cluster selfplay.process selfplay.ratings selfplay.solved
selfplay.zoo
selfplay.players
selfplay.ladder
selfplay.generated
selfplay.training
selfplay.testing
selfplay.scaling
selfplay.study
selfplay.report
selfplay.serve
selfplay
configs
launch
"""

# Libraries that only one package may import.
LIBRARIES = {
    "flax": "selfplay.model",
    "mctx": "selfplay.search",
    "optax": "selfplay.learning",
    "ray": "selfplay.cluster",
    "orbax": "selfplay.runs",
    "tensorboardX": "selfplay.tracking",
    "wandb": "selfplay.tracking",
    "trackio": "selfplay.tracking",
    "safetensors": "selfplay.players",
    "nicegui": "selfplay.serve",
    "tyro": "launch",
}

RANK = {name: i for i, line in enumerate(LAYERS.split("\n")) for name in line.split()}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
each_module = pytest.mark.parametrize("module", sorted(FILES))


def layer_of(module: str) -> str:
    """Returns the layer of a module: "selfplay.runs" for "selfplay.runs.files"."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "selfplay" else parts[0]


@cache
def imports_of(source: str, modules: frozenset[str]) -> frozenset[str]:
    """Full names of what a source text imports; a name that is a module counts as that module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write the full name"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                names.add(full if full in modules else base)
    return frozenset(names)


def imports(module: str) -> frozenset[str]:
    return imports_of(FILES[module].read_text(), frozenset(FILES))


def forbidden(module: str, names: Set[str]) -> list[str]:
    """Returns the imports that cross from `module` to a later layer, or to one on its own line."""
    mine = layer_of(module)
    others = (name for name in names if name.split(".")[0] in PACKAGES and layer_of(name) != mine)
    return sorted(name for name in others if RANK[layer_of(name)] >= RANK[mine])


def cycle(graph: Mapping[str, Set[str]]) -> list[str]:
    """Returns the modules of an import cycle, or [] if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_folder_is_a_layer_and_every_layer_exists() -> None:
    assert len(RANK) == len(LAYERS.split()), "a layer is listed twice"
    assert {layer_of(module) for module in FILES} == set(RANK)


@each_module
def test_module_imports_only_its_own_and_earlier_layers(module: str) -> None:
    assert forbidden(module, imports(module)) == []


def test_forbidden_import_is_reported() -> None:
    source = "def f():\n    from selfplay.training import loop\n    from games import go"
    names = imports_of(source, frozenset(FILES))
    assert names == {"selfplay.training.loop", "games.go"}
    assert forbidden("selfplay.search.gumbel", names) == ["selfplay.training.loop"]
    assert forbidden("games.symmetry", names) == ["selfplay.training.loop"]
    assert forbidden("selfplay.training.verify", names) == []
    assert forbidden("selfplay.ratings.elo", {"selfplay.solved.exam"}) == ["selfplay.solved.exam"]


def test_imports_have_no_cycle() -> None:
    assert cycle({module: imports(module) & set(FILES) - {module} for module in FILES}) == []


def test_import_cycle_is_reported() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@each_module
def test_library_is_imported_by_one_package_only(module: str) -> None:
    for name in imports(module):
        package = LIBRARIES.get(name.split(".")[0])
        allowed = package is None or f"{module}.".startswith(f"{package}.")
        assert allowed, f"{name} may be imported only by {package}"


@pytest.mark.parametrize("module", sorted(name for name in FILES if name.startswith("games")))
def test_rules_import_jax_and_numpy_only(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(module)}
    assert roots - sys.stdlib_module_names <= {"jax", "numpy", "games"}


@each_module
def test_file_is_short_and_named_for_its_content(module: str) -> None:
    lines = len(FILES[module].read_text().splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: split it where it holds two ideas"
    assert "util" not in module.split(".")[-1], "say what it is for"


def test_module_names_are_unique_within_selfplay() -> None:
    names = [m.split(".")[-1] for m in FILES if m.startswith("selfplay.") and layer_of(m) != m]
    repeated = {name for name in names if names.count(name) > 1}
    assert repeated <= {"config"}  # each package's settings


def test_import_touches_no_device() -> None:
    modules = sorted(name for name in FILES if not name.startswith("launch"))
    script = (
        "import importlib, sys\n"
        "from jax._src import xla_bridge\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not xla_bridge.backends_are_initialized(), name\n"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", script, *modules]
    result = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr
