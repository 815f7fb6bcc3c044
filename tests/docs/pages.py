"""The documentation as the tests read it: pages, their shell commands, code spans and links."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("python", ".venv/bin/python", "oomzero", "make", "ray")
ELLIPSIS = "…"

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_ASSIGNMENT = re.compile(r"([A-Z_]+)=(.*)")


class Command(NamedTuple):
    """A shell command of the documentation.

    Attributes:
        place: where it was found, "README.md:12".
        words: as a shell would split them, without a prompt and comments.
    """

    place: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        """Returns the command in one line."""
        return shlex.join(self.words)


def pages() -> list[Path]:
    """Lists the Markdown pages of the repository."""
    paths = [*ROOT.glob("*.md"), ROOT / "benchmarks" / "README.md", *ROOT.glob("docs/**/*.md")]
    return sorted(path for path in paths if path.is_file())


def page_commands(path: Path) -> Iterator[Command]:
    """Finds the commands of a page, in code blocks without a language and in code spans."""
    text = path.read_text("utf-8")
    name = path.relative_to(ROOT)
    for block in _FENCE.finditer(text):
        if block[2] in ("", "bash", "console", "sh"):
            first = text.count("\n", 0, block.start(3)) + 1
            yield from _commands(str(name), first, block[3].splitlines())
    for line, span in code_spans(text):
        yield from _commands(str(name), line, [span])


def docstring_commands(path: Path) -> Iterator[Command]:
    """Finds the commands in the docstrings of a Python file, each on lines of its own."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if text := ast.get_docstring(node):
            line = getattr(node, "lineno", 1)
            yield from _commands(str(path.relative_to(ROOT)), line, text.splitlines())


def _commands(name: str, first: int, lines: Sequence[str]) -> Iterator[Command]:
    """Reads the commands of consecutive lines, the first of which has the number `first`.

    A backslash continues a line. A variable is replaced by the value that a line above gave it.
    """
    variables: dict[str, str] = {}
    for number, line in _joined(lines):
        text = re.sub(r"^\s*(?:\$ )?", "", line)
        for variable, value in variables.items():
            text = text.replace(f"${variable}", value)
        if assignment := _ASSIGNMENT.fullmatch(text):
            variables[assignment[1]] = " ".join(shlex.split(assignment[2]))
        elif text.split(" ")[0] in PROGRAMS and " " in text:
            words = shlex.split(text, comments=True)
            yield Command(f"{name}:{first + number}", tuple(w for w in words if w != ELLIPSIS))


def _joined(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Joins lines that end in a backslash with the next one; each with its number from 0."""
    whole, start = "", 0
    for number, line in enumerate(lines):
        start = start if whole else number
        whole += line
        if whole.endswith("\\"):
            whole = whole.removesuffix("\\")
        else:
            yield start, whole
            whole = ""


def code_spans(text: str) -> Iterator[tuple[int, str]]:
    """Finds the code spans of a page outside code blocks: the line and the text of each."""
    prose = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    for span in _SPAN.finditer(prose):
        yield prose.count("\n", 0, span.start()) + 1, " ".join(span[1].split())


def links(text: str) -> Iterator[tuple[int, str]]:
    """Finds the links of a page outside code: the line and the target of each."""
    prose = _FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
    for link in _LINK.finditer(prose):
        yield prose.count("\n", 0, link.start()) + 1, link[1]


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    prose = _FENCE.sub("", text)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}
