"""Links in the documentation lead to files and headings of the repository."""

from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import ROOT, anchors, links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_page_lead_to_files_and_headings(page: Path) -> None:
    dead = []
    for line, target in links(page.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, heading = unquote(target).partition("#")
        path = page.parent / name if name else page
        known = path.exists() and (not heading or heading in anchors(path.read_text("utf-8")))
        if not known:
            dead.append(f"line {line}: {target}")
    assert not dead
