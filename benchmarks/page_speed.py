"""How fast the page answers: alone, and with 20 visitors of whom five play.

    python -m benchmarks.page_speed                               # two minutes, on an idle machine

Starts `launch/serve.py`, opens it in Chromium (which shares the machine with it), and plays
Connect Four against the zoo with 64 simulations. An answer is the time from a key on a column to
the network's reply on the board. Prints the start of the command until the page answers, the first
move of the first visitor, the median of later moves alone, and the median and 95th percentile while
five visitors play at once and fifteen others watch.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).resolve().parent.parent
PLAYING, WATCHING, MOVES = 5, 15, 6
COLUMNS = (3, 2, 4, 1, 5, 0, 6)
SETTLED = (
    """() => /your move|wins|draw/.test(document.querySelector('[role="status"]').innerText)"""
)


def start() -> tuple[subprocess.Popen[bytes], str, float]:
    """Starts the page; returns its process, its address, and the seconds until it answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "launch/serve.py", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    while True:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return process, f"http://127.0.0.1:{port}/", time.perf_counter() - began
        time.sleep(0.05)


async def visit(browser: Browser, address: str) -> Page:
    """Opens the page as a new visitor."""
    page = await (await browser.new_context()).new_page()
    await page.goto(address)
    await page.locator("[data-action]").first.wait_for()
    return page


async def play(page: Page, moves: int) -> list[float]:
    """Plays moves, beginning a new game where one ends; returns the seconds of each answer."""
    seconds = list[float]()
    while len(seconds) < moves:
        status = await page.locator('[role="status"]').inner_text()
        if "your move" not in status:
            await page.get_by_role("button", name="New game", exact=True).click()
            await page.wait_for_timeout(200)
            continue
        legal = page.locator("[data-action]")
        number = COLUMNS[len(seconds) % len(COLUMNS)] % await legal.count()
        before = await page.locator("svg.board").inner_html()
        began = time.perf_counter()
        await legal.nth(number).focus()
        await page.keyboard.press("Enter")
        await page.wait_for_function(
            "old => document.querySelector('svg.board').innerHTML !== old", arg=before
        )
        await page.wait_for_function(SETTLED, timeout=60_000)
        seconds.append(time.perf_counter() - began)
    return seconds


async def measure(address: str, started: float) -> None:
    """Plays, and prints the times."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        began = time.perf_counter()
        first = await visit(browser, address)
        (answer,) = await play(first, 1)
        print(f"page answers {started:.1f} s after the command")
        print(f"first answer {time.perf_counter() - began:.1f} s after opening it ({answer:.1f} s)")
        await asyncio.sleep(60)  # the other budgets compile in the background
        alone = await play(first, 2 * MOVES)
        print(f"alone: median {np.median(alone) * 1e3:.0f} ms, most {max(alone) * 1e3:.0f} ms")
        players = [await visit(browser, address) for _ in range(PLAYING)]
        for _ in range(WATCHING):
            await visit(browser, address)
        played = await asyncio.gather(*(play(page, 2 * MOVES) for page in players))
        times = np.concatenate(played)
        print(
            f"{PLAYING} of {PLAYING + WATCHING} visitors play: median {np.median(times) * 1e3:.0f} "
            f"ms, 95th percentile {np.percentile(times, 95) * 1e3:.0f} ms, {len(times)} answers"
        )
        await browser.close()


def main() -> None:
    """Starts the page and measures."""
    process, address, started = start()
    try:
        asyncio.run(measure(address, started))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
