"""Each count of `benchmarks/readability.py` counts what it says, on small synthetic sources."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import prose, readability

GAMES = "class Go:\n    size = 9\n"


def places(name: str, tree: dict[str, str]) -> list[str]:
    """Returns what a count finds, sorted, as "path:line"."""
    (count,) = (count for count in readability.COUNTS if count.name == name)
    return sorted(f"{place.path}:{place.line}" for place in count.places(tree))


def value(name: str, tree: dict[str, str]) -> float:
    (count,) = (count for count in readability.COUNTS if count.name == name)
    return count.value(tree)


def documented(text: str, kind: str = "def f():") -> str:
    return f'{kind}\n    """{text}"""\n'


def test_modules_are_counted_at_the_root_and_in_all():
    tree = {
        "selfplay/__init__.py": "",
        "selfplay/a.py": "x = 1\n" * 6,
        "selfplay/b/c.py": "",
        "a.py": "",
    }
    assert value("root", tree) == 1
    assert value("modules", tree) == 3
    assert value("module-lines", tree) == 2


def test_long_functions_are_over_sixty_lines():
    body = "    x = 1\n"
    assert places("long-functions", {"selfplay/a.py": "def f():\n" + body * 59}) == []
    long = "\n@f\ndef f():\n" + body * 60
    assert places("long-functions", {"tests/a.py": long}) == ["tests/a.py:3"]


def test_any_counts_imports_names_and_attributes_but_no_prose():
    source = (
        "from typing import Any\n"
        "import typing\n"
        '"""Any text."""  # Any\n'
        "def f(x: Any, y: dict[str, typing.Any]): ...\n"
    )
    line_4 = "games/a.py:4"
    assert places("any", {"games/a.py": source}) == ["games/a.py:1", line_4, line_4]
    assert places("any", {f"{folder}/a.py": source for folder in readability.NOT_PRODUCT}) == []


def test_any_aliases_are_counted_where_they_are_used():
    source = (
        "from typing import Any\nTree: TypeAlias = Any\nInt = int\ndef f(x: Int) -> Tree: ...\n"
    )
    other = "from games.a import Tree\n"
    assert places("any-aliases", {"games/a.py": source, "selfplay/b.py": other}) == [
        "games/a.py:2",
        "games/a.py:4",
        "selfplay/b.py:1",
    ]


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("isinstance(game, X)", True),
        ("isinstance(self.game, X)", True),
        ("isinstance(rules, X)", True),
        ("isinstance(value, Go)", True),
        ("isinstance(value, int | go.Go)", True),
        ("type(game)", True),
        ("match value:\n    case Go(): pass", True),
        ("isinstance(value, int)", False),
        ("game.isinstance", False),
        ("Go()", False),
    ],
)
def test_game_types_are_checks_of_games(line: str, counted: bool):
    expected = ["selfplay/a.py:" + ("2" if "\n" in line else "1")] if counted else []
    assert places("game-types", {"games/go.py": GAMES, "selfplay/a.py": line + "\n"}) == expected
    assert places("game-types", {"games/go.py": GAMES + line + "\n"}) == []


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("Opens the archive read-only.", False),
        ("Starts no actors.", False),
        ("Close the file.", False),
        ("Binarizes the planes.", False),  # a verb that no list has, before an article
        ("Parsed rows, in the order of the table, with the weights that the caller set.", False),
        ("Of the archive, opened for reading by everybody who asks for its games.", True),
        ("What a network says of all the positions in the file.", True),
        ("Keep it.", True),
        ("Prepare.", True),
        ("Opens the archive read-only", True),
        ("The archive is complete.", True),
        ("Plays of one run.", True),
        ("Intercontinental differentiability, quite.", True),  # long words do not make a sentence
    ],
)
def test_docstrings_of_functions_are_sentences(text: str, counted: bool):
    expected = ["selfplay/a.py:1"] * counted
    assert places("docstrings", {"selfplay/a.py": documented(text)}) == expected


@pytest.mark.parametrize("kind", ["class A:", "@property\ndef f():", "@cached_property\ndef f():"])
@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("The shape of a network.", False),
        ("Games of one run.", False),
        ("N games.", True),
        ("Shows the table.", True),
        ("Who plays.", True),
    ],
)
def test_docstrings_of_classes_and_properties_are_nouns(kind: str, text: str, counted: bool):
    assert bool(places("docstrings", {"launch/a.py": documented(text, kind)})) == counted


def test_docstrings_of_modules_tests_and_benchmarks_are_not_counted():
    text = documented("Keep it.")
    assert places("docstrings", {"selfplay/a.py": '"""Keep it."""\n'}) == []
    assert places("docstrings", {"tests/a.py": text, "benchmarks/a.py": text}) == []


def test_verbs_are_asked_of_functions_of_any_length():
    noun = "The rows of the table, in the order in which the files were read from the disk."
    assert places("verbs", {"selfplay/a.py": documented(noun)}) == ["selfplay/a.py:1"]
    assert places("verbs", {"selfplay/a.py": documented("Carries the rows.")}) == []
    assert places("verbs", {"selfplay/a.py": documented(noun, "class A:")}) == []
    assert places("verbs", {"selfplay/a.py": documented(noun, "@property\ndef f():")}) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the reason why there is none.", 1),
        ("there are none", 1),
        ("a name that is no name", 1),
        ("a name that is no longer used", 0),
        ("the value is None", 0),
        ("drawn anew", 1),
        ("it hangs on the share", 1),
        ("it lies in a folder", 1),
        ("it lies in [0, 1]", 0),
        ("it stands beside the table, and stood for it", 2),
        ("it stands in the table", 0),
        ("the run goes on", 1),
        ("so many rows", 1),
        ("all but for one", 1),
        ("the engine, too.", 1),
        ("the engine too", 1),
        ("too many rows", 0),
        ("the actors are told", 1),
        ("what there is to know of a chain", 1),
        ("it goes\n on", 1),
        ("it goes\n\non", 0),
        ("the word `anew`", 0),
    ],
)
def test_phrases_of_the_style_guide_are_found(text: str, count: int):
    assert len(list(prose.phrases(prose.Prose(1, text)))) == count


def test_phrases_are_found_in_comments_strings_and_pages():
    source = (
        '"""Title.\n\nIt goes on."""\n'
        "x = 1  # it goes\n"
        "\n"
        "# on, drawn\n"
        "# anew, it goes\n"
        "# on\n"
        'print(f"{x} goes on")\n'
        'y = "anew"\n'
    )
    page = "# Title\n\nIt goes\non. `goes on`\n\n```\nit goes on\n```\n\n- this too\n- that\n"
    lines = places("phrases", {"selfplay/a.py": source, "docs/a.md": page})
    assert lines == [
        "docs/a.md:10",
        "docs/a.md:3",
        "selfplay/a.py:3",
        "selfplay/a.py:7",
        "selfplay/a.py:7",
        "selfplay/a.py:9",
    ]
    assert places("phrases", {"tests/a.py": source}) == []
    assert len(places("phrases-development", {"tests/a.py": source, "selfplay/a.py": source})) == 4


def test_names_are_counted_where_they_are_bound():
    source = (
        "found = f(given)\n"
        "for one in [kept for kept in found]:\n"
        "    pass\n"
        "def f(own, other): ...\n"
        "x.made = y.found\n"
    )
    assert places("names", {"configs/a.py": source}) == [
        f"configs/a.py:{line}" for line in (1, 2, 2, 4)
    ]


def test_readme_is_counted_in_words_and_lines():
    tree = {"README.md": "# One two\n\nthree `four five`\n", "docs/README.md": "six\n"}
    assert value("readme-words", tree) == 6
    assert value("readme-lines", tree) == 3


def test_table_has_a_row_for_each_count_and_a_column_for_each_tree():
    small, large = {"README.md": "a\n"}, {"README.md": "a\n" * 121}
    lines = readability.table({"old": small, "new": large}).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[0] == ["count", "target", "old", "new"]
    assert len(cells) == len(readability.COUNTS) + 2
    assert cells[-1] == ["lines of the README", "≤ 120", "1", "121"]


def test_missed_targets_are_named():
    assert readability.missed_targets({"README.md": "a\n" * 120}) == []
    (missed,) = readability.missed_targets({"README.md": "a\n" * 121})
    assert missed.startswith("readme-lines: 121 ")


def test_help_explains_every_count():
    command = [sys.executable, "-m", readability.__name__, "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(f"\n{count.name}: " in text for count in readability.COUNTS)


def test_list_prints_the_places(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(readability, "working_tree", lambda: {"README.md": "a\nb c\n"})
    assert readability.main(["--list", "readme-lines"]) == 0
    assert capsys.readouterr().out == "README.md:1: a\nREADME.md:2: b c\n"


def test_check_decides_the_exit_status(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(readability, "has_revision", lambda revision: False)
    monkeypatch.setattr(readability, "working_tree", lambda: {"README.md": "a\n" * 121})
    assert [readability.main([]), readability.main(["--check"])] == [0, 1]
    monkeypatch.setattr(readability, "working_tree", lambda: {"README.md": "a\n" * 120})
    assert readability.main(["--check"]) == 0


def test_trees_are_read_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def git(arguments: str):
        subprocess.run(["git", *arguments.split()], cwd=tmp_path, check=True)

    monkeypatch.setattr(readability, "ROOT", tmp_path)
    (tmp_path / "a").mkdir()
    for path, text in {"a/b.py": "x = 1\n", "README.md": "old\n", "c.txt": "text\n"}.items():
        (tmp_path / path).write_text(text)
    git("init --quiet")
    git("add .")
    git("-c user.name=a -c user.email=a@b.c commit --quiet --message=all")
    (tmp_path / "README.md").write_text("new\n")
    (tmp_path / "a" / "b.py").unlink()
    (tmp_path / "a" / "d.py").write_text("")
    assert readability.revision_tree("HEAD") == {"a/b.py": "x = 1\n", "README.md": "old\n"}
    assert readability.working_tree() == {"a/d.py": "", "README.md": "new\n"}
    assert [readability.has_revision(name) for name in ("HEAD", "943a8ee")] == [True, False]
