"""Pages: names are escaped, no column repeats itself, and all of it fits a phone and the dark."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from selfplay.report.figures import Drawing
from selfplay.report.findings import Finding
from selfplay.report.page import Page, Section, single, to_html, to_markdown, write


def page(*findings: Finding, **more: object) -> Page:
    section = Section("", "One", findings=list(findings), table=more.pop("table", None))  # type: ignore[arg-type]
    return Page("study", "10^9.5 FLOPs", [section], ["c"], **more)  # type: ignore[arg-type]


def lines(text: str) -> list[str]:
    """Of the tables in a Markdown text."""
    return [line for line in text.splitlines() if line.startswith("|")]


def cells(line: str) -> list[str]:
    """As GitHub splits a line of a table."""
    return re.split(r"(?<!\\)\|", line.strip().strip("|").strip())


NAMES = ["a|b", "`a|b`", "$x$ and $y$", "<script>", "*x*", "_x_", "[x](y)", "x\ny", "# x", "~~x~~"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_table_is_one_cell(name: str) -> None:
    table = (("run", "n"), [(name, 1), ("other", 2)])
    header, _, first, second = lines(to_markdown(page(table=table)))
    assert [len(cells(line)) for line in (header, first, second)] == [2, 2, 2]


@pytest.mark.parametrize("name", [n for n in NAMES if "`" not in n])
def test_a_name_in_a_sentence_is_no_markdown(name: str) -> None:
    text = to_markdown(page(Finding("x", "Which?", [f"{name} leads."])))
    (said,) = [line for line in text.splitlines() if "leads." in line]
    bare = re.sub(r"\\.", "", said)  # without what is escaped
    assert not re.search(r"[|$<>*\[\]~]|\b_|_\b", bare), said
    assert said.count("- ") == 1
    assert "<script>" not in to_html(page(Finding("x", "Which?", [f"{name} leads."])))


@pytest.mark.parametrize("name", ["a`<b>", "``<b>`", "`", "a`b`<b>", "<b>```"])
def test_a_name_with_quotes_of_code_ends_no_code(name: str) -> None:
    text = to_markdown(page(Finding("x", "Which?", [f"`{name}` leads, <i> does not."])))
    (said,) = [line for line in text.splitlines() if "leads" in line]
    outside = re.sub(r"(?<!\\)`[^`]*`", "", said)  # as GitHub reads single quotes
    assert not re.search(r"(?<!\\)[<>]", outside), said


def test_code_in_a_sentence_stays_as_it_is() -> None:
    text = to_markdown(page(Finding("x", "?", ["`a_b$c$ <d>` leads, `e|f` not."])))
    assert "- `a_b$c$ <d>` leads, `e|f` not." in text


def test_a_column_that_never_changes_is_said_once() -> None:
    table = (("run", "seeds", "Elo"), [("a", 3, 10), ("b", 3, 20)])
    text, html = to_markdown(page(table=table)), to_html(page(table=table))
    assert lines(text)[0] == "| run | Elo |" and "In every row: seeds 3." in text
    assert "<th>seeds" not in html and "In every row: seeds 3." in html
    single = (("run", "seeds"), [("a", 3)])
    assert lines(to_markdown(page(table=single)))[0] == "| run | seeds |"
    alike = (("run", "seeds"), [("a", 3), ("a", 3)])
    assert len(lines(to_markdown(page(table=alike)))) == 4


def test_a_finding_of_its_own_is_narrowed_and_escaped_as_on_a_page() -> None:
    table = (("side", "runs", "Elo"), [("a|b", 3, 10), ("$x$", 3, 20)])
    finding = replace(drawn("Runs are `a|b`."), table=table, sentences=["$x$ and a|b lead."])
    files = single(finding)
    assert list(files) == ["x.md", "x.svg", "x.png", "x.csv"]
    text = files["x.md"].decode()
    header, _, first, second = lines(text)
    assert header == "| side | Elo |" and "In every row: runs 3." in text
    assert [len(cells(line)) for line in (first, second)] == [2, 2]
    assert "# Which?" in text and "](x.png)\n\nRuns are `a|b`.\n" in text
    assert r"- \$x\$ and a\|b lead." in text
    assert files["x.csv"].decode() == "a\n1\n"


def test_a_table_of_numbers_keeps_all_its_columns(tmp_path: Path) -> None:
    table = (("run", "seeds"), [("a", 3), ("b", 3)])
    write(page(Finding("x", "Which?", ["This."], table=table)), tmp_path)
    assert (tmp_path / "x.csv").read_text() == "run,seeds\na,3\nb,3\n"


def drawn(caption: str) -> Finding:
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().plot(np.arange(3))
    return Finding("x", "Which?", ["This."], Drawing(figure, ("a",), [(1,)], caption))


def test_a_caption_lies_below_its_figure() -> None:
    shown = page(drawn("Lines are runs, 10^9 < x."))
    html, text = to_html(shown), to_markdown(shown)
    assert "</svg>" in html and "<figcaption>Lines are runs, 10<sup>9</sup> &lt; x.<" in html
    assert html.index("</svg>") < html.index("<figcaption>") < html.index("<li>This.")
    assert text.index("x.png") < text.index("Lines are runs") < text.index("- This.")
    assert "figcaption>" not in to_html(page(drawn("")))


def test_the_page_has_a_dark_and_a_narrow_form() -> None:
    html = to_html(page(drawn(""), table=(("a", "b"), [(1, 2), (3, 4)])))
    assert '<meta name="viewport" content="width=device-width' in html
    assert "@media (prefers-color-scheme: dark)" in html and "@media (max-width" in html
    style = html[html.index("<style>") : html.index("</style>")]
    assert re.search(r"\.plot \{[^}]*background: #fff[^}]*overflow-x: auto", style)
    assert re.search(r"\.table \{[^}]*overflow-x: auto", style)
    assert html.count("<table") == html.count('<div class="table"') == 1
    assert html.count("<svg") == html.count('<div class="plot"') == 1


def test_how_it_was_made_is_said_below() -> None:
    made = ["Code of the runs: commit abc.", "Devices: 1 × cpu."]
    text, html = to_markdown(page(made=made)), to_html(page(made=made))
    assert text.index("## One") < text.index("- Code of the runs: commit abc.")
    assert "<li>Devices: 1 × cpu.</li>" in html
    assert "How it was made" not in to_markdown(page())


def test_commands_are_not_cut_by_their_own_quotes() -> None:
    text = to_markdown(Page("x", "y", [], ["echo '```'", "ls"]))
    assert text.endswith("````\necho '```'\nls\n````\n")
