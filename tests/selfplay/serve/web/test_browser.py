"""The page in a real browser, Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt

from games import checkout
from selfplay.ladder import database
from selfplay.ladder.database import LadderDatabase, Pairing
from selfplay.ladder.match import GameResult
from selfplay.players.specs import Player
from selfplay.runs.files import save_arrays
from selfplay.runs.renamed import disk_names
from selfplay.runs.replay import shard_path
from tests.selfplay.serve.web.untrained import export

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="the browser's driver is missing")
pytest.importorskip("nicegui", reason="the web extra is missing")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium to test the page in")

PATIENCE = 60_000  # ms, because searches compile at their first use


@dataclass
class Page:
    """A page in the browser, and what its console said."""

    page: Any
    address: str
    errors: list[str]

    def open(self, path: str = "/") -> None:
        self.page.goto(self.address + path)

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_label(label, exact=True).click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def cell(self, action: int) -> None:
        self.page.locator(f'[data-action="{action}"]').press("Enter")

    def wait_for_status(self, text: str) -> None:
        status = self.page.locator('[role="status"]')
        playwright.expect(status).to_contain_text(text, timeout=PATIENCE)

    def wait_for_moves(self, text: str) -> None:
        playwright.expect(self.page.locator(".page")).to_contain_text(text, timeout=PATIENCE)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def serve(*arguments: object) -> tuple[subprocess.Popen[str], str]:
    """Starts the command; returns its process and the address that it announces."""
    command = [sys.executable, "launch/serve.py", "--port", str(free_port()), *map(str, arguments)]
    # NiceGUI would take a process that pytest started for a test of its own.
    environment = {key: value for key, value in os.environ.items() if "PYTEST" not in key}
    process = subprocess.Popen(
        command, cwd=checkout.ROOT, env=environment, text=True, stdout=subprocess.PIPE
    )
    assert process.stdout
    address = process.stdout.readline().strip()
    for _ in range(300):
        with socket.socket() as client:
            host, port = address.partition("//")[2].partition("/")[0].split(":")
            if client.connect_ex((host, int(port))) == 0:
                return process, address
        time.sleep(0.1)
    stop(process)
    raise AssertionError(f"{address} does not answer")


def stop(process: subprocess.Popen[str]) -> None:
    """Ends the command, and closes what it wrote to."""
    process.terminate()
    process.communicate()


def make_ladder(folder: Path) -> None:
    """Makes a ladder with one game: the first player stacks four in the first column."""
    folder.mkdir(parents=True)
    path = folder / database.FILE
    with closing(LadderDatabase(path, {"game": "connect_four"}, "solver")) as base:
        one, two = base.enter([Player("random", None), Player("solver", None)])
        pairing = Pairing(1, 0, one.id, two.id, 0, 1)
        base.begin_round([pairing])
        moves = (0, 1, 0, 1, 0, 1, 0)
        results = [
            GameResult(0, False, (), moves, 1, ""),
            GameResult(0, True, (), moves, 1, ""),
        ]
        base.finish(pairing, results, 0)


def make_rows(folder: Path) -> None:
    """Writes rows of self-play: a game that began with random moves, and one that did not."""
    plies = np.array([4, 5, 0, 1, 2, 3, 4, 5, 6], np.int16)
    rows = {
        "action": np.array([0, 1, 0, 1, 0, 1, 0, 1, 0], np.int16),
        "ply": plies,
        "last": np.isin(np.arange(9), (1, 8)),
        "version": np.full(9, 3, np.int32),
        "mover_outcome": np.where(plies % 2 == 0, 1, -1).astype(np.int8),
    }
    save_arrays(shard_path(folder, 4), disk_names(rows))


def make_study(folder: Path) -> None:
    """Makes a study without runs, whose report was not written by our command."""
    (folder / "report").mkdir(parents=True)
    study = {"format_version": 1, "commands": [], "cells": []}
    (folder / "study.json").write_text(json.dumps(study))
    html = "<script>document.title = 'taken'</script><b>bold</b>"
    figure = "![title :alt=document.title='taken' \\](figure.png)"
    lines = ("# A report", html, figure, "![x](http://elsewhere.example/x.png)", "p \\< 0.001")
    (folder / "report" / "report.md").write_text("\n\n".join((*lines, "[x](javascript:x)")))
    plt.imsave(folder / "report" / "figure.png", np.zeros((2, 2)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The page's address, with three untrained networks and a run that a test may extend."""
    folder = tmp_path_factory.mktemp("site")
    games = {"four": "connect_four", "go": "go?size=5", "hex": "hex?size=5&swap=true"}
    files = [export(game, folder / f"{name}.safetensors") for name, game in games.items()]
    run = folder / "runs" / "growing"
    run.mkdir(parents=True)
    config = {"game": "connect_four", "iterations": 9}
    (run / "config.json").write_text(json.dumps({"format_version": 2, "config": config}))
    make_rows(run)
    make_ladder(folder / "runs" / "ladder")
    make_study(folder / "runs" / "study")
    process, address = serve(*files, folder / "runs")
    yield address.rstrip("/"), run
    stop(process)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(site: tuple[str, Path], browser: Any) -> Iterator[Page]:
    """A fresh visitor; at the end, the console must have been silent."""
    context = browser.new_context()
    made = Page(context.new_page(), site[0], [])

    def note(message: Any) -> None:
        if message.type == "error":
            made.errors.append(message.text)

    made.page.on("console", note)
    made.page.on("pageerror", lambda error: made.errors.append(str(error)))
    made.page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((site[0], "data:", "blob:"))
            else made.errors.append(f"asked another host: {request.url}")
        ),
    )
    yield made
    context.close()
    assert not made.errors


def test_whole_game_of_connect_four_against_a_network(page: Page) -> None:
    page.open()
    status = page.page.locator('[role="status"]')
    settled = re.compile("your move|wins|draw")
    for _ in range(21):
        playwright.expect(status).to_contain_text(settled, timeout=PATIENCE)
        if "your move" not in status.inner_text():
            break
        page.page.locator("[data-action]").first.click(force=True)
        page.page.wait_for_timeout(100)  # until the click has arrived
    assert any(word in status.inner_text() for word in ("wins", "draw"))
    page.press("Undo")
    page.press("New game")
    page.wait_for_status("your move")


def test_capture_in_go_and_superko_is_refused(page: Page) -> None:
    page.open()
    page.choose("network", "go")
    page.choose("sides", "you move for both")
    page.wait_for_status("Black to move")
    cells = {"b3": 11, "e3": 14, "c4": 7, "d4": 8, "c2": 17, "d2": 18, "a1": 20, "c3": 12, "d3": 13}
    for number, action in enumerate(cells.values()):
        page.cell(action)
        page.wait_for_status("White to move" if number % 2 == 0 else "Black to move")
    assert page.page.locator('[data-action="12"]').count() == 0, "taking back the ko at once"
    assert page.page.locator('[data-action="0"]').count() == 1
    page.press("Pass")
    page.wait_for_status("Black to move")
    page.press("Pass")
    page.wait_for_status("wins by")


def test_komi_is_chosen(page: Page) -> None:
    page.open()
    page.choose("network", "go")
    page.choose("sides", "you move for both")
    page.wait_for_status("Black to move")
    page.page.get_by_label("komi", exact=True).fill("99")
    page.page.get_by_text("must be a whole or half number within ±25").wait_for(timeout=PATIENCE)
    page.page.get_by_label("komi", exact=True).fill("-3")
    page.page.wait_for_timeout(1000)  # until the field is sure that nothing follows
    for name in ("White", "Black"):
        page.press("Pass")
        if name == "White":
            page.wait_for_status("White to move")
    page.wait_for_status("Black wins by 3")


def test_swap_in_hex(page: Page) -> None:
    page.open()
    page.choose("network", "hex")
    page.choose("sides", "you move for both")
    page.cell(12)
    page.press("Swap")
    page.wait_for_moves("c3 swap")


def test_hint_and_overlays_show_what_the_network_thinks(page: Page) -> None:
    page.open()
    page.choose("show on the board", "values of moves")
    playwright.expect(page.page.locator("svg.board text.on")).to_have_count(7, timeout=PATIENCE)
    page.press("Hint")
    page.wait_for_moves("expects")


def test_curve_of_a_run_grows_while_it_is_watched(page: Page, site: tuple[str, Path]) -> None:
    def commit(iteration: int) -> None:
        row = {
            "iteration": iteration,
            "version": iteration,
            "played_by": iteration - 1,
            "digest": {},
            "ledger": {"ooms": 10.0 + iteration},
            "learner": {"policy_loss": 2.0 / iteration, "value_loss": 0.5},
            "selfplay": {"positions": 100},
            "seconds": {"play": 1.0, "total": float(iteration)},
        }
        with (site[1] / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    commit(1)
    page.open("/runs/runs/growing")
    page.wait_for_moves("iteration 1 of 9")
    commit(2)
    page.wait_for_moves("iteration 2 of 9")


def test_game_of_a_ladder_is_replayed(page: Page) -> None:
    page.open("/ladders")
    page.page.get_by_role("link", name="runs/ladder").click()
    page.wait_for_moves("1 pairings")
    page.page.get_by_role("link", name="random").click()
    status = page.page.locator('[role="status"]')
    playwright.expect(status).to_contain_text("move 7 of 7: 1", timeout=PATIENCE)
    page.press("Back")
    playwright.expect(status).to_contain_text("move 6 of 7: 2")


def test_game_of_self_play_is_replayed(page: Page) -> None:
    page.open("/runs/runs/growing")
    page.page.get_by_role("link", name="games of self-play").click()
    page.wait_for_moves("1 games of iteration 4")
    page.wait_for_moves("version 3: 1–0")
    page.wait_for_moves("move 7 of 7: 1")


def test_html_in_a_report_is_shown_as_text(page: Page) -> None:
    page.open("/studies/runs/study")
    page.wait_for_moves("<b>bold</b>")
    assert page.page.title() == "oomzero · Studies"
    assert page.page.locator("b, [href^=javascript]").count() == 0
    page.wait_for_moves("p < 0.001")
    assert page.page.locator(".q-img").count() == 1
    assert page.errors and all("elsewhere.example" in error for error in page.errors)
    page.errors.clear()  # the browser refuses the picture, and says so


@pytest.mark.parametrize("path", ["/runs", "/ladders", "/studies"])
def test_other_pages_answer(page: Page, path: str) -> None:
    page.open(path)
    playwright.expect(page.page.get_by_role("heading", level=1)).to_be_visible()


def test_unknown_names_are_refused(page: Page) -> None:
    page.open("/runs/..%2F..%2Fetc")
    page.wait_for_moves("there is no")


def test_page_is_usable_at_the_width_of_a_phone(page: Page) -> None:
    page.page.set_viewport_size({"width": 390, "height": 844})
    page.open()
    page.page.locator("[data-action]").first.wait_for()
    width = page.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390, "nothing to scroll to sideways"


def test_wrong_token_is_refused(tmp_path: Path, browser: Any) -> None:
    network = export("connect_four", tmp_path / "four.safetensors")
    process, address = serve(network, "--token", "right")
    bare = address.partition("?")[0]
    try:
        context = browser.new_context()
        page = context.new_page()
        for query in ("", "?token=wrong"):
            assert page.goto(bare + query).status == 401
        assert page.goto(address).status == 200
        assert "token" not in page.url
        page.locator("[data-action]").first.wait_for()
        context.close()
    finally:
        stop(process)


def test_other_hosts_need_a_token() -> None:
    command = [sys.executable, "launch/serve.py", "--host", "0.0.0.0"]
    result = subprocess.run(
        command, cwd=checkout.ROOT, capture_output=True, text=True, env=dict(os.environ)
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: --host 0.0.0.0 lets other machines in")
