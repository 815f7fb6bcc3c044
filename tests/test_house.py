"""The house holds its order: who may import whom, and what an import may do.

Everything is read from the source with `ast`, imports inside functions included.
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("games", "selfplay", "configs", "launch")
MAX_LINES = 500

# The contract, foundations first: a module imports only modules that stand on lines above its own.
# A new file takes a line here; one that fits on no line holds two ideas. A package's name stands
# for its `__init__.py`.
ORDER = """
games.game games.spelling games.extras
games.go_board
games.connect_four games.go games.hex games.pgx_adapter games.tic_tac_toe
games.symmetry
games.notation
games.registry
games
selfplay selfplay.store selfplay.experts selfplay.cluster selfplay.arena selfplay.scaling
selfplay.pins selfplay.phase selfplay.command_line
selfplay.keys selfplay.any_komi
selfplay.network
selfplay.flops
selfplay.search
selfplay.segment
selfplay.episode
selfplay.store.failpoints
selfplay.store.tree
selfplay.store.digest
selfplay.store.files
selfplay.store.codec
selfplay.store.manifest
selfplay.store.metrics
selfplay.store.window
selfplay.store.snapshots
selfplay.store.replay
selfplay.store.checkpoint
selfplay.store.commits
selfplay.store.run
selfplay.experts.record
selfplay.experts.charset
selfplay.experts.scan
selfplay.experts.sources
selfplay.experts.strength selfplay.experts.results
selfplay.experts.sgf selfplay.experts.filters selfplay.experts.canonical
selfplay.experts.replay
selfplay.experts.archive
selfplay.experts.writer
selfplay.experts.selection
selfplay.experts.building
selfplay.experts.summary
selfplay.experts.plot
selfplay.batches
selfplay.learner selfplay.mixture
selfplay.held_out
selfplay.lessons
selfplay.imitation
selfplay.version
selfplay.stream
selfplay.cluster.config
selfplay.cluster.plan
selfplay.cluster.simulator
selfplay.cluster.failures selfplay.cluster.usage
selfplay.cluster.connection
selfplay.cluster.actor
selfplay.cluster.crew
selfplay.cluster.ray_pool
selfplay.cluster.pool
selfplay.cluster.beside
selfplay.arena.questions
selfplay.arena.exam
selfplay.arena.grader
selfplay.arena.perfect
selfplay.arena.make_exam
selfplay.arena.rollouts
selfplay.arena.guardian
selfplay.arena.process
selfplay.arena.gtp_engine
selfplay.arena.player
selfplay.arena.openings
selfplay.experts.teacher
selfplay.experts.journal
selfplay.experts.importing
selfplay.arena.match
selfplay.arena.records
selfplay.arena.bradley_terry
selfplay.arena.design
selfplay.arena.elo
selfplay.arena.misfit selfplay.arena.pairing
selfplay.arena.ladder
selfplay.arena.report
selfplay.arena.evaluator
selfplay.scaling.estimate
selfplay.scaling.points
selfplay.scaling.at_training
selfplay.scaling.regression
selfplay.scaling.factors selfplay.scaling.at_compute
selfplay.scaling.slopes selfplay.scaling.incline
selfplay.scaling.multiplier selfplay.scaling.best_size selfplay.scaling.threshold
selfplay.scaling.frontier selfplay.scaling.extrapolation
selfplay.scaling.plateau selfplay.scaling.exchange
selfplay.scaling.comparison
selfplay.scaling.conventions
selfplay.scaling.reading
selfplay.scaling.figures
selfplay.scaling.map_figure
selfplay.scaling.maps
selfplay.scaling.findings
selfplay.scaling.comparison_report
selfplay.scaling.page
selfplay.serve
selfplay.serve.rules
selfplay.serve.analysis
selfplay.serve.goban
selfplay.serve.handicap
selfplay.serve.protocol
selfplay.serve.gtp
selfplay.config
selfplay.examination selfplay.origin selfplay.trainer
selfplay.train
selfplay.verify
selfplay.study
selfplay.study.grid selfplay.study.jobs selfplay.study.timing
selfplay.study.estimate
selfplay.study.folder selfplay.study.provenance
selfplay.study.rated_runs
selfplay.study.report
configs.connect_four configs.go configs.hex configs.studies
configs
launch
launch.cli
launch.progress launch.terminal
launch.ladder_progress launch.plan
launch.exam launch.experts launch.export launch.ladder launch.play launch.train launch.verify
launch.timing
launch.ablate launch.report launch.simulate
"""

# Libraries that have one room; the rest of the house does not know that they exist.
ROOMS = {
    "flax": "selfplay.network",
    "mctx": "selfplay.search",
    "optax": "selfplay.learner",
    "ray": "selfplay.cluster",
    "orbax": "selfplay.store",
    "tensorboardX": "selfplay.store",
    "safetensors": "selfplay.version",
    "tyro": "launch",
}

RANK = {name: i for i, line in enumerate(ORDER.split("\n")) for name in line.split()}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
each_module = pytest.mark.parametrize("module", sorted(FILES))


@cache
def imports_of(source: str, modules: frozenset[str]) -> frozenset[str]:
    """Full names of what a source text imports; a name that is a module counts as that module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write the full name"
            base = node.module or ""
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add(full if full in modules else base)
    return frozenset(found)


def imports(module: str) -> frozenset[str]:
    return imports_of(FILES[module].read_text(), frozenset(FILES))


def upward(module: str, names: frozenset[str]) -> list[str]:
    """The imports of our own that do not stand above `module`."""
    ours = (name for name in names if name.split(".")[0] in PACKAGES)
    return sorted(name for name in ours if RANK[name] >= RANK[module])


def test_every_file_has_its_line_and_every_line_its_file() -> None:
    assert len(RANK) == len(ORDER.split()), "a module stands on two lines of ORDER"
    assert set(FILES) - set(RANK) == set(), "new files: give each its line in ORDER"
    assert set(RANK) - set(FILES) == set(), "lines of ORDER without a file"


@each_module
def test_imports_go_one_way(module: str) -> None:
    assert upward(module, imports(module)) == []


def test_an_upward_import_would_be_found() -> None:
    source = "def f():\n    from selfplay import flops, train\n    import games.registry"
    found = imports_of(source, frozenset(FILES))
    assert upward("selfplay.search", found) == ["selfplay.train"]
    assert upward("games.symmetry", found) == ["games.registry", "selfplay.flops", "selfplay.train"]


@each_module
def test_libraries_stay_in_their_rooms(module: str) -> None:
    for name in imports(module):
        room = ROOMS.get(name.split(".")[0])
        assert room is None or f"{module}.".startswith(f"{room}."), f"{name} belongs to {room}"


@pytest.mark.parametrize("module", sorted(name for name in FILES if name.startswith("games")))
def test_rules_need_jax_and_numpy_only(module: str) -> None:
    roots = {name.split(".")[0] for name in imports(module)}
    assert roots - sys.stdlib_module_names <= {"jax", "numpy", "games"}


@each_module
def test_files_are_rooms_not_halls(module: str) -> None:
    lines = len(FILES[module].read_text().splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: it holds two ideas; split it"
    assert "util" not in module.split(".")[-1], "say what it is for"


def test_no_import_touches_a_device() -> None:
    modules = sorted(name for name in FILES if not name.startswith("launch"))
    script = (
        "import importlib, sys\n"
        "from jax._src import xla_bridge\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not xla_bridge.backends_are_initialized(), name\n"
    )
    command = [sys.executable, "-W", "error::UserWarning", "-c", script, *modules]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
