"""Takes the pictures of the page's guide: every page in light, in dark, and as wide as a phone.

    python docs/screenshots.py studies runs

The folders are those of ``launch/serve.py``; the first run, study and ladder with its own games are
shown. It takes a Chromium of the system, and Playwright and Pillow of the `dev` extra.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

HERE = Path(__file__).resolve().parent
OUT = HERE / "guide" / "web"
SIZES = {"light": (1200, 860), "dark": (1200, 860), "phone": (390, 844)}
PATIENCE = 180_000  # ms, because searches compile and large ladders are rated
QUALITY = 72  # of WebP


def play(page: Page) -> None:
    """Plays a few moves, with the values of the next ones on the board."""
    page.locator("[data-action]").first.wait_for(timeout=PATIENCE)
    for action in (3, 3, 2):
        your_move(page)
        page.locator(f'[data-action="{action}"]').first.click(force=True)
        page.wait_for_timeout(300)
    your_move(page)
    page.get_by_label("show on the board", exact=True).click()
    page.get_by_role("option", name="values of moves", exact=True).click()
    page.locator("svg.board text.on").first.wait_for(timeout=PATIENCE)
    page.mouse.move(0, 0)


def your_move(page: Page) -> None:
    """Waits until the visitor is to move."""
    page.locator('[role="status"]', has_text="your move").wait_for(timeout=PATIENCE)


def ladder(page: Page) -> None:
    """Waits until the players are rated and the pairings are tested."""
    page.get_by_text("Rows and columns are ranks").wait_for(timeout=PATIENCE)


def games(page: Page) -> None:
    """Opens the games of the ladder's first player."""
    page.locator("td a").first.click()
    page.locator("svg.board").wait_for(timeout=PATIENCE)


def first(links: Locator, containing: str = "") -> Any:
    """Returns where the first link goes whose text contains a word."""
    return links.filter(has_text=containing).first.get_attribute("href", timeout=PATIENCE)


def take(page: Page, name: str, look: str) -> None:
    """Saves what is in the window."""
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1500)  # charts are drawn after their data have come
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").save(OUT / f"{name}_{look}.webp", quality=QUALITY, method=6)
    print(f"{name}_{look}.webp", flush=True)


def take_all(page: Page, address: str, look: str) -> None:
    """Visits every page."""

    def go(path: str) -> None:
        page.goto(address + path)
        page.wait_for_load_state("networkidle")

    go("/")
    play(page)
    take(page, "play", look)
    links = page.locator(".page a")
    for name, one, word in (
        ("runs", "run", ""),
        ("studies", "study", ""),
        ("ladders", "ladder", "ladder"),
    ):
        go(f"/{name}")
        take(page, name, look)
        go(first(links, word))
        if one == "ladder":
            ladder(page)
        take(page, one, look)
    games(page)
    take(page, "games", look)


def main(folders: list[str]) -> None:
    """Serves the folders, and takes all pictures."""
    command = [sys.executable, "launch/serve.py", "--port", "8099", *folders]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    OUT.mkdir(exist_ok=True)
    with subprocess.Popen(command, cwd=HERE.parent, text=True, stdout=subprocess.PIPE) as served:
        assert served.stdout
        address = served.stdout.readline().strip().rstrip("/")
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                for look, (width, height) in SIZES.items():
                    page = browser.new_page(viewport={"width": width, "height": height})
                    if look == "dark":
                        page.add_init_script("localStorage.setItem('oomzero-theme', 'dark')")
                    take_all(page, address, look)
                browser.close()
        finally:
            served.terminate()


if __name__ == "__main__":
    main(sys.argv[1:])
