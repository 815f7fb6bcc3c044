"""Prints how readable the sources are, in counts: git revisions beside the working tree.

    python -m benchmarks.readability                     # 943a8ee, if the clone has it, and today
    python -m benchmarks.readability main~20 main        # other revisions, and today
    python -m benchmarks.readability --list docstrings   # the places behind one count
    python -m benchmarks.readability --check             # exit status 1 if a target is missed

The counts are proxies: they find what a reader should look at, and a page can meet every target and
still be unreadable. They need the standard library and git alone, and look at folders, never at
file names, so they survive a new layout. `--help` says how each count is delimited.

*Product code* is every Python file outside `benchmarks/`, `docs/` and `tests/`.
"""

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]

from benchmarks import prose

BEFORE = "943a8ee"  # the last revision before the work on readability began
WORKING_TREE = "working tree"
NOT_PRODUCT = ("benchmarks", "docs", "tests")

Tree = Mapping[str, str]  # path from the root, with slashes -> text, of *.py and *.md

MAX_FUNCTION_LINES = 60
VAGUE_NAMES = frozenset("found one own given said made there here told left kept held".split())


@dataclass(frozen=True)
class Place:
    """A place in the sources that a count found."""

    path: str
    line: int
    text: str
    weight: int = 1


@dataclass(frozen=True)
class Count:
    """One row of the table: what it counts, where, and what to reach."""

    name: str
    title: str
    explanation: str
    places: Callable[[Tree], Iterable[Place]]
    at_most: int | None = None  # the target
    mean: bool = False  # of the places' weights; otherwise their sum

    def value(self, tree: Tree) -> float:
        """Computes the count for one tree of sources."""
        weights = [place.weight for place in self.places(tree)]
        total = float(sum(weights))
        return total / max(len(weights), 1) if self.mean else total


# Parts of a source tree


def is_product(path: str) -> bool:
    """Tells whether a file is product code."""
    parts = PurePosixPath(path).parts
    return path.endswith(".py") and len(parts) > 1 and parts[0] not in NOT_PRODUCT


def is_development(path: str) -> bool:
    """Tells whether a file is Python of the tests or of the benchmarks."""
    return path.endswith(".py") and PurePosixPath(path).parts[0] in ("benchmarks", "tests")


def parsed(tree: Tree, wanted: Callable[[str], bool]) -> Iterator[tuple[str, ast.Module]]:
    """Parses the Python files of which `wanted` holds, in the order of their paths."""
    for path in sorted(tree):
        if wanted(path):
            yield path, _syntax(tree[path])


@cache
def _syntax(text: str) -> ast.Module:
    return ast.parse(text)


# Counts of the layout and of functions


def modules(tree: Tree) -> Iterator[Place]:
    """Finds the modules of the package `selfplay`, each weighted with its lines."""
    for path in sorted(tree):
        if path.startswith("selfplay/") and path.endswith(".py"):
            yield Place(path, 1, "", len(tree[path].splitlines()))


def module_files(tree: Tree) -> Iterator[Place]:
    """Finds the modules of the package `selfplay`."""
    return (Place(place.path, 1, "") for place in modules(tree))


def root_modules(tree: Tree) -> Iterator[Place]:
    """Finds the modules directly in `selfplay/`, without `__init__.py`."""
    for place in module_files(tree):
        parts = PurePosixPath(place.path).parts
        if len(parts) == 2 and parts[1] != "__init__.py":
            yield place


def long_functions(tree: Tree) -> Iterator[Place]:
    """Finds the functions over 60 lines, from `def` to the last line."""
    for path, module in parsed(tree, lambda path: path.endswith(".py")):
        for node in ast.walk(module):
            if isinstance(node, prose.Function):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield Place(path, node.lineno, f"{node.name}: {lines} lines")


# Counts of types


def uses_of_any(tree: Tree) -> Iterator[Place]:
    """Finds the name `Any` in product code, its imports and `typing.Any` included."""
    return uses_of(tree, {"Any"})


def uses_of_any_aliases(tree: Tree) -> Iterator[Place]:
    """Finds the uses of names that stand for `Any`, such as `PyTree = Any`."""
    modules_of_product = (module for _, module in parsed(tree, is_product))
    nodes = (node for module in modules_of_product for node in module.body)
    return uses_of(tree, {name for node in nodes for name in _assigned_any(node)})


def uses_of(tree: Tree, names: Container[str]) -> Iterator[Place]:
    """Finds names, attributes and imported names of product code that are among `names`."""
    for path, module in parsed(tree, is_product):
        for node in ast.walk(module):
            for name in _names(node):
                if name in names:
                    yield _at(tree, path, node)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.ImportFrom):
        yield from (alias.name for alias in node.names)


def _assigned_any(node: ast.stmt) -> Iterator[str]:
    if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
        return
    if next(_names(node.value), "") == "Any":
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def game_type_checks(tree: Tree) -> Iterator[Place]:
    """Finds product code outside `games/` that asks for the type of a game.

    That is `isinstance(game, ...)` or `type(game)`, and any `isinstance`, `issubclass` or pattern
    with a class that `games/` defines, whatever the variable's name.
    """
    classes = {
        node.name
        for _, module in parsed(tree, lambda path: is_product(path) and _in_games(path))
        for node in module.body
        if isinstance(node, ast.ClassDef)
    }
    for path, module in parsed(tree, lambda path: is_product(path) and not _in_games(path)):
        for node in ast.walk(module):
            if _checks_game(node, classes):
                yield _at(tree, path, node)


def _in_games(path: str) -> bool:
    return path.startswith("games/")


def _checks_game(node: ast.AST, classes: set[str]) -> bool:
    if isinstance(node, ast.MatchClass):
        return _last_name(node.cls) in classes
    if not isinstance(node, ast.Call) or not node.args:
        return False
    if _last_name(node.func) not in ("isinstance", "issubclass", "type"):
        return False
    types = {_last_name(part) for argument in node.args[1:] for part in ast.walk(argument)}
    return _last_name(node.args[0]) in ("game", "_game", "rules") or bool(types & classes)


def _last_name(node: ast.AST) -> str:
    return next(_names(node), "") if isinstance(node, ast.Name | ast.Attribute) else ""


def vague_names(tree: Tree) -> Iterator[Place]:
    """Finds variables, arguments and loop variables of product code with a vague name."""
    for path, module in parsed(tree, is_product):
        for node in ast.walk(module):
            if _binds(node) in VAGUE_NAMES:
                yield _at(tree, path, node)


def _binds(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return node.name
    return None


def _at(tree: Tree, path: str, node: ast.AST) -> Place:
    line = getattr(node, "lineno", 1)
    return Place(path, line, tree[path].splitlines()[line - 1].strip())


# Counts of docstrings


def documented(
    counted: Callable[[prose.Documented, str], bool],
) -> Callable[[Tree], Iterator[Place]]:
    """Makes the finder of classes and functions of product code by their docstrings."""

    def places(tree: Tree) -> Iterator[Place]:
        for path, module in parsed(tree, is_product):
            for node, text in prose.docstrings(module):
                if counted(node, text):
                    yield Place(path, node.lineno, f"{node.name}: {text.splitlines()[0]}")

    return places


# Counts of prose


def phrases_in(wanted: Callable[[str], bool]) -> Callable[[Tree], Iterator[Place]]:
    """Makes the finder of the style guide's words to avoid."""

    def places(tree: Tree) -> Iterator[Place]:
        for path in sorted(filter(wanted, tree)):
            for piece in prose_in(path, tree[path]):
                for line, text in prose.phrases(piece):
                    yield Place(path, line, text)

    return places


def prose_in(path: str, text: str) -> Iterator[prose.Prose]:
    """Lists the prose of a file: a page, or the comments and strings of a Python source."""
    if path.endswith(".md"):
        yield prose.prose_of_page(text)
    else:
        yield from prose.comments(text)
        yield from prose.strings(_syntax(text))


def is_page_or_product(path: str) -> bool:
    """Tells whether a file is product code or a Markdown page."""
    return is_product(path) or path.endswith(".md")


def readme_words(tree: Tree) -> Iterator[Place]:
    """Finds the lines of the README, each weighted with its words as `wc -w` counts them."""
    for line in readme_lines(tree):
        yield Place(line.path, line.line, line.text, len(line.text.split()))


def readme_lines(tree: Tree) -> Iterator[Place]:
    """Finds the lines of the README."""
    for number, line in enumerate(tree.get("README.md", "").splitlines(), 1):
        yield Place("README.md", number, line)


COUNTS = (
    Count(
        "root",
        "modules at the root of selfplay/",
        "Python files directly in selfplay/, without __init__.py.",
        root_modules,
        at_most=6,
    ),
    Count("modules", "modules in selfplay/", "All Python files below selfplay/.", module_files),
    Count(
        "module-lines",
        "mean lines of a module",
        "Lines of those files, blank ones and comments included, divided by their number.",
        modules,
        mean=True,
    ),
    Count(
        "long-functions",
        f"functions over {MAX_FUNCTION_LINES} lines",
        "Functions and methods of all Python files, tests and benchmarks included, from the line "
        "of `def` to the last one, without decorators, with docstring and nested functions.",
        long_functions,
        at_most=0,
    ),
    Count(
        "any",
        "uses of Any",
        "The name in product code, imports and typing.Any included. The review of 943a8ee found "
        "479: a search for the word, which meets one sentence that opens with it.",
        uses_of_any,
        at_most=159,
    ),
    Count(
        "any-aliases",
        "  uses of names for Any",
        "Uses of names that product code defines as Any (`State: TypeAlias = Any`), so that "
        "renaming Any is not taken for typing. An alias that says what a tree holds is worth its "
        "place; there is no target.",
        uses_of_any_aliases,
    ),
    Count(
        "game-types",
        "checks of a game's type outside games/",
        "isinstance, issubclass and type of `game` or `rules`, and of anything against a class "
        "that games/ defines; patterns of `match` too, in product code outside games/.",
        game_type_checks,
    ),
    Count(
        "docstrings",
        "docstrings that are no sentence",
        "Docstrings of classes and functions of product code (of modules not). Counted is one "
        "that opens with a question word, a preposition, a conjunction or a pronoun such as "
        "`nobody` (What, Of, How, Whether, ...), whatever its length; and one whose first "
        f"sentence is short (under {prose.SHORT_CHARACTERS} characters, or at most "
        f"{prose.SHORT_WORDS} words) and cannot be understood by itself: it lacks the period, or "
        "has fewer than two words besides articles, pronouns and prepositions, or is a "
        "function's and does not start with a verb, or is a class's or property's and starts "
        "with one or has fewer than three words. What is a verb is decided by a list; a word in "
        "-s before an article counts as well. The review's rough count at 943a8ee was 318, "
        "short whole sentences included.",
        documented(prose.is_fragment),
        at_most=19,
    ),
    Count(
        "verbs",
        "  functions' that start with no verb",
        "Docstrings of any length, of functions of product code that are no properties.",
        documented(prose.lacks_verb),
    ),
    Count(
        "phrases",
        "phrases to avoid",
        "`is none`, `that is no`, `anew`, `hangs on`, `lies in` (unless a range follows), `stands "
        "beside` and `stands for`, `goes on`, `so many`, `but for`, `too` at the end of a "
        "sentence, `is told`, `what there is to know`, with plurals and past tenses: in comments, "
        "docstrings, and strings of two words or more of product code, and in Markdown pages; not "
        "in code blocks and code spans. A phrase may run over the end of a line.",
        phrases_in(is_page_or_product),
        at_most=9,
    ),
    Count(
        "phrases-development",
        "  in tests and benchmarks",
        "The same in the Python files of tests/ and benchmarks/; some two dozen are the examples "
        "that the test of this count needs.",
        phrases_in(is_development),
    ),
    Count(
        "names",
        "variables with a vague name",
        "Places of product code that bind a variable, an argument or a loop variable named one of: "
        + ", ".join(sorted(VAGUE_NAMES))
        + ". Attributes and functions are not counted.",
        vague_names,
        at_most=19,
    ),
    Count(
        "readme-words",
        "words in the README",
        "Of README.md, separated by blanks as `wc -w` does, code and links included.",
        readme_words,
        at_most=1000,
    ),
    Count("readme-lines", "lines of the README", "Of README.md.", readme_lines, at_most=120),
)


# Source trees


def revision_tree(revision: str) -> Tree:
    """Reads the Python and Markdown files of a git revision.

    Raises:
        SystemExit: git does not know the revision.
    """
    command = ["git", "archive", "--format=tar", revision, "--", "*.py", "*.md"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True)
    if result.returncode:
        raise SystemExit(f"readability: {result.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
        files = ((member.name, archive.extractfile(member)) for member in archive)
        return {name: file.read().decode() for name, file in files if file is not None}


def working_tree() -> Tree:
    """Reads the Python and Markdown files of the checkout that git does not ignore."""
    command = "git ls-files --cached --others --exclude-standard -z -- *.py *.md".split()
    result = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    paths = sorted(set(result.stdout.split("\0")) - {""})
    return {path: (ROOT / path).read_text() for path in paths if (ROOT / path).is_file()}


def has_revision(revision: str) -> bool:
    """Tells whether the clone holds a commit."""
    command = ["git", "rev-parse", "--quiet", "--verify", revision + "^{commit}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0


# Output


def table(trees: Mapping[str, Tree]) -> str:
    """Renders the counts as a Markdown table: a row per count, a column per tree."""
    header = ["count", "target", *trees]
    rows = [
        [
            count.title.replace("  ", "– ", 1) if count.title.startswith("  ") else count.title,
            "" if count.at_most is None else f"≤ {count.at_most}",
            *(f"{count.value(tree):.0f}" for tree in trees.values()),
        ]
        for count in COUNTS
    ]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def line(cells: Sequence[str]) -> str:
        numbers = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *numbers]) + " |"

    return "\n".join(line(cells) for cells in [header, rule, *rows])


def missed_targets(tree: Tree) -> list[str]:
    """Lists the counts that miss their targets, one sentence each."""
    return [
        f"{count.name}: {count.value(tree):.0f} is more than {count.at_most}"
        for count in COUNTS
        if count.at_most is not None and count.value(tree) > count.at_most
    ]


def explanations() -> str:
    """Renders how each count is delimited."""
    paragraphs = (
        textwrap.fill(f"{count.name}: {count.explanation}", 96, subsequent_indent="    ")
        for count in COUNTS
    )
    return "\n".join(["how each count is delimited:", *paragraphs])


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table or the places, and returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=explanations(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help=f"default: {BEFORE}")
    names = [count.name for count in COUNTS]
    parser.add_argument("--list", choices=names, metavar="NAME", help="print a count's places")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args(arguments)

    today = working_tree()
    if options.list:
        (count,) = (count for count in COUNTS if count.name == options.list)
        for place in sorted(count.places(today), key=lambda place: (place.path, place.line)):
            print(f"{place.path}:{place.line}: {place.text}")
    else:
        revisions = options.revisions or [BEFORE] * has_revision(BEFORE)
        trees = {revision: revision_tree(revision) for revision in revisions}
        print(table({**trees, WORKING_TREE: today}))

    missed = missed_targets(today) if options.check else []
    for sentence in missed:
        print(f"readability: {sentence}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
