"""The examples in docs/examples do what they say; each of them is executed by a test.

The contracts of `selfplay.testing` are what a third party would run on code of its own. The whole
story of a game of one's own is in `test_own_game.py`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

import games
from games import plugins
from selfplay import determinism
from selfplay.learning.config import LearnerConfig
from selfplay.learning.optimizer import make_optimizer
from selfplay.model.config import NetworkConfig
from selfplay.runs.metrics import read
from selfplay.testing.game_contract import check_game
from selfplay.testing.network_contract import check_architecture
from selfplay.testing.search_reference import check_contract
from tests.docs.pages import ROOT

EXAMPLES = ROOT / "docs" / "examples"
PAGE = (ROOT / "docs/guide/extend.md").read_text("utf-8")
FILES = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb"))
LINES = {"self_play_loop": 110, "gomoku": 99, "my_network": 65, "my_search": 50}  # at most


@pytest.fixture(autouse=True)
def _in_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    before = {*sys.modules}
    yield
    for name in {path.stem for path in FILES} & ({*sys.modules} - before):
        del sys.modules[name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_example_is_executed_by_a_test(path: Path) -> None:
    sources = "".join(test.read_text("utf-8") for test in (ROOT / "tests").rglob("test_*.py"))
    imported = rf"^ *(?:import|from) {path.stem}\b|import_module\(\"{path.stem}\"\)"
    run = rf"\"(?:docs/examples/)?{re.escape(path.name)}\"|\"{path.stem}:\w"
    assert re.search(f"{imported}|{run}", sources, re.MULTILINE)


@pytest.mark.parametrize("name", LINES)
def test_example_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) <= LINES[name]


def loop_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], games: int, rounds: int
) -> list[int]:
    """Runs the self-play loop; returns the percentages of games that its network lost."""
    monkeypatch.setattr(determinism, "pin", lambda: None)  # this process is pinned already
    loop = importlib.import_module("self_play_loop")
    monkeypatch.setattr(loop, "B", games)
    loop.main(rounds)
    return [int(percent) for percent in re.findall(r"lost +(\d+)%", capsys.readouterr().out)]


def test_self_play_loop_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = loop_output(monkeypatch, capsys, games=16, rounds=1)
    assert first != second


@pytest.mark.slow
def test_self_play_loop_learns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = loop_output(monkeypatch, capsys, games=256, rounds=15)
    assert len(lost) == 16
    assert lost[0] > 30 and max(lost[-5:]) <= 3


def test_gomoku_keeps_the_contract() -> None:
    check_game(importlib.import_module("gomoku").Gomoku(size=5, line=4))


def test_gomoku_finds_lines_as_a_loop_over_cells_does() -> None:
    has_line = importlib.import_module("gomoku").has_line
    random = np.random.default_rng(0)
    boards = random.random((60, 5, 5)) < random.uniform(0.3, 0.8, (60, 1, 1))

    def slowly(stones: np.ndarray) -> bool:
        padded = np.pad(stones, 3)
        starts = [(r, c) for r in range(3, 8) for c in range(3, 8)]
        steps = ((0, 1), (1, 0), (1, 1), (1, -1))
        return any(
            all(padded[r + i * down, c + i * right] for i in range(4))
            for r, c in starts
            for down, right in steps
        )

    expected = [slowly(board) for board in boards]
    assert 10 < sum(expected) < 50
    assert [bool(has_line(board, 4)) for board in boards] == expected


def test_gomoku_rejects_a_line_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="from 2 to size=5, got 6"):
        importlib.import_module("gomoku").Gomoku(size=5, line=6)


def test_own_network_keeps_the_contract() -> None:
    """Its FLOPs leave out what XLA counts of normalization, softmax and GELU, below 10 %."""
    architecture = importlib.import_module("my_network").transformer
    config = NetworkConfig(width=32, depth=1)
    check_architecture(architecture, games.make("tic_tac_toe"), config, surplus=0.1)


def test_own_search_keeps_the_contract() -> None:
    check_contract(importlib.import_module("my_search").lines)


def test_own_optimizer_is_built_by_its_spec(trusts_nothing: None) -> None:
    spec = "my_optimizer:lion?b2=0.9"
    plugins.trust([spec])
    config = LearnerConfig(optimizer=spec)
    params = {"w": np.ones(3, np.float32)}
    built = make_optimizer(config, total_steps=10)
    updates, _ = built.update(params, built.init(params), params)  # pyright: ignore
    assert np.shape(jax.tree.leaves(updates)[0]) == (3,)


BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_page_shows_what_the_examples_hold() -> None:
    files = [path.read_text("utf-8") for path in FILES]
    shown = [block for block in BLOCKS if "selfplay.testing" not in block]
    assert len(shown) >= 5
    for block in shown:
        assert any(block in text for text in files), block


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in BLOCKS if "selfplay.testing" in block])
def test_contract_on_the_page_holds(block: str) -> None:
    exec(block, {})


def test_page_lists_every_group_of_entry_points() -> None:
    files = [*(ROOT / "selfplay").rglob("*.py"), *(ROOT / "games").glob("*.py")]
    kind = re.compile(r"\bKind\(\s*\"[^\"]+\",\s*\"([\w.]+)\"")
    groups = {group for path in files for group in kind.findall(path.read_text("utf-8"))}
    listed = re.findall(r"`(oomzero\.\w+)`", PAGE)
    assert len(groups) > 5 and {*listed} == groups


@pytest.mark.slow
def test_notebook_trains_draws_a_curve_and_plays(tmp_path: Path) -> None:
    """The notebook itself, in a kernel of its own; it takes two minutes of one core."""
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    environment |= {"XLA_FLAGS": "", "NPROC": ""}  # the notebook pins them itself
    client.NotebookClient(notebook, timeout=1500, resources=resources).execute(env=environment)
    *_, curve, game = (cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    assert any("image/png" in output.get("data", {}) for output in curve)
    assert re.search(r"value for the player to move: [+-]\d\.\d\d", "".join(o.text for o in game))
    rows = read(tmp_path / "runs/quickstart")
    kept = [row["exam"]["sims0"]["kept"] for row in rows[2::2]]
    assert len(kept) == 20 and max(kept[:3]) < min(kept[-3:])
