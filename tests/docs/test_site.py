"""The documentation as a site: every page has its place, and links stay inside."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("**/*.md")}


class Loader(yaml.SafeLoader):
    """Reads YAML whose tags for Python objects are left as they are."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)


def leaves(tree: Any) -> list[str]:
    """Lists the pages of a navigation tree, in order."""
    if isinstance(tree, str):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [leaf for child in children for leaf in leaves(child)]


def test_navigation_lists_every_page_once() -> None:
    config = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    pages = leaves(config["nav"])
    assert sorted(pages) == sorted(PAGES)


def test_links_of_the_site_stay_inside_it() -> None:
    outside = [
        (page, link)
        for page in sorted(PAGES)
        for link in re.findall(r"\]\(([^)#\s]+)", (DOCS / page).read_text())
        if not re.match(r"[a-z]+:", link)
        and not (DOCS / page).parent.joinpath(link).resolve().is_relative_to(DOCS)
    ]
    assert outside == []


def test_architecture_names_files_that_exist() -> None:
    text = (DOCS / "architecture.md").read_text()
    paths = [path for path in re.findall(r"`([\w/.]+)`", text) if re.search(r"/$|/.*\.\w+$", path)]
    assert len(paths) > 40
    folders = (ROOT, ROOT / "selfplay")  # `learning/learner.py` is in the package
    assert [path for path in paths if not any((top / path).exists() for top in folders)] == []


def test_index_of_decisions_lists_every_record() -> None:
    index = (DOCS / "decisions" / "README.md").read_text()
    records = sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))
    assert re.findall(r"^\d+\. \[[^\]]+\]\(([^)]+)\)$", index, re.MULTILINE) == records


def test_index_of_results_links_every_page() -> None:
    folder = DOCS / "results"
    pages = {p.relative_to(folder).as_posix() for p in folder.glob("**/*.md")}
    pages = {page for page in pages if page != "README.md" and not page.endswith("report.md")}
    linked = set(re.findall(r"\]\(([^)#]+\.md)\)", (folder / "README.md").read_text()))
    assert linked == pages


def test_results_are_small_enough_to_clone() -> None:
    """Figures as SVG and reports as one page are written again by a command."""
    files = [path for path in (DOCS / "results").glob("**/*") if path.is_file()]
    kept = [path for path in files if path.suffix != ".svg" and path.name != "index.html"]
    assert sum(path.stat().st_size for path in kept) < 12_000_000
