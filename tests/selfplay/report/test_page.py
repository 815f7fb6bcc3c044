"""Pages escape names, drop constant columns, and fit small screens and dark mode."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from selfplay.report.figures import ReportFigure
from selfplay.report.findings import Finding
from selfplay.report.page import Page, Section, single, to_html, to_markdown, write
from selfplay.report.table import Table


def page(*findings: Finding, table: Table | None = None, provenance: Sequence[str] = ()) -> Page:
    section = Section("", "One", findings=list(findings), table=table)
    return Page("study", "10^9.5 FLOPs", [section], ["c"], provenance)


def lines(text: str) -> list[str]:
    """Returns the lines of the tables in a Markdown text."""
    return [line for line in text.splitlines() if line.startswith("|")]


def cells(line: str) -> list[str]:
    """Splits a line of a table as GitHub does."""
    return re.split(r"(?<!\\)\|", line.strip().strip("|").strip())


NAMES = ["a|b", "`a|b`", "$x$ and $y$", "<script>", "*x*", "_x_", "[x](y)", "x\ny", "# x", "~~x~~"]


@pytest.mark.parametrize("name", NAMES)
def test_markdown_table_keeps_any_name_in_one_cell(name: str) -> None:
    table = Table(("run", "n"), [(name, 1), ("other", 2)])
    header, _, first, second = lines(to_markdown(page(table=table)))
    assert [len(cells(line)) for line in (header, first, second)] == [2, 2, 2]


@pytest.mark.parametrize("name", [n for n in NAMES if "`" not in n])
def test_markdown_escapes_names_in_sentences(name: str) -> None:
    text = to_markdown(page(Finding([f"{name} leads."], name="x", title="Which?")))
    (line,) = [row for row in text.splitlines() if "leads." in row]
    bare = re.sub(r"\\.", "", line)  # without what is escaped
    assert not re.search(r"[|$<>*\[\]~]|\b_|_\b", bare), line
    assert line.count("- ") == 1
    assert "<script>" not in to_html(page(Finding([f"{name} leads."], name="x", title="Which?")))


@pytest.mark.parametrize("name", ["a`<b>", "``<b>`", "`", "a`b`<b>", "<b>```"])
def test_markdown_escapes_backticks_in_code(name: str) -> None:
    text = to_markdown(page(Finding([f"`{name}` leads, <i> does not."], name="x", title="Which?")))
    (line,) = [row for row in text.splitlines() if "leads" in row]
    outside = re.sub(r"(?<!\\)`[^`]*`", "", line)  # as GitHub reads single backticks
    assert not re.search(r"(?<!\\)[<>]", outside), line


def test_markdown_keeps_code_unescaped() -> None:
    text = to_markdown(page(Finding(["`a_b$c$ <d>` leads, `e|f` not."], name="x", title="?")))
    assert "- `a_b$c$ <d>` leads, `e|f` not." in text


def test_constant_columns_become_a_sentence() -> None:
    table = Table(("run", "seeds", "Elo"), [("a", 3, 10), ("b", 3, 20)])
    text, html = to_markdown(page(table=table)), to_html(page(table=table))
    assert lines(text)[0] == "| run | Elo |" and "In every row: seeds 3." in text
    assert "<th>seeds" not in html and "In every row: seeds 3." in html
    one_row = Table(("run", "seeds"), [("a", 3)])
    assert lines(to_markdown(page(table=one_row)))[0] == "| run | seeds |"
    equal_rows = Table(("run", "seeds"), [("a", 3), ("a", 3)])
    assert len(lines(to_markdown(page(table=equal_rows)))) == 4


def test_single_finding_is_written_as_on_a_page() -> None:
    table = Table(("side", "runs", "Elo"), [("a|b", 3, 10), ("$x$", 3, 20)])
    finding = replace(with_figure("Runs are `a|b`."), table=table, sentences=["$x$ and a|b lead."])
    files = single(finding)
    assert list(files) == ["x.md", "x.svg", "x.png", "x.csv"]
    text = files["x.md"].decode()
    header, _, first, second = lines(text)
    assert header == "| side | Elo |" and "In every row: runs 3." in text
    assert [len(cells(line)) for line in (first, second)] == [2, 2]
    assert "# Which?" in text and "](x.png)\n\nRuns are `a|b`.\n" in text
    assert r"- \$x\$ and a\|b lead." in text
    assert files["x.csv"].decode() == "a\n1\n"


def test_csv_keeps_constant_columns(tmp_path: Path) -> None:
    table = Table(("run", "seeds"), [("a", 3), ("b", 3)])
    write(page(Finding(["This."], table=table, name="x", title="Which?")), tmp_path)
    assert (tmp_path / "x.csv").read_text() == "run,seeds\na,3\nb,3\n"


def with_figure(caption: str) -> Finding:
    figure = Figure(figsize=(4, 3))
    figure.add_subplot().plot(np.arange(3))
    return Finding(
        ["This."], ReportFigure(figure, Table(("a",), [(1,)]), caption), name="x", title="Which?"
    )


def test_caption_is_below_its_figure() -> None:
    shown = page(with_figure("Lines are runs, 10^9 < x."))
    html, text = to_html(shown), to_markdown(shown)
    assert "</svg>" in html and "<figcaption>Lines are runs, 10<sup>9</sup> &lt; x.<" in html
    assert html.index("</svg>") < html.index("<figcaption>") < html.index("<li>This.")
    assert text.index("x.png") < text.index("Lines are runs") < text.index("- This.")
    assert "figcaption>" not in to_html(page(with_figure("")))


def test_html_has_styles_for_dark_mode_and_small_screens() -> None:
    html = to_html(page(with_figure(""), table=Table(("a", "b"), [(1, 2), (3, 4)])))
    assert '<meta name="viewport" content="width=device-width' in html
    assert "@media (prefers-color-scheme: dark)" in html and "@media (max-width" in html
    style = html[html.index("<style>") : html.index("</style>")]
    assert re.search(r"\.plot \{[^}]*background: #fff[^}]*overflow-x: auto", style)
    assert re.search(r"\.table \{[^}]*overflow-x: auto", style)
    assert html.count("<table") == html.count('<div class="table"') == 1
    assert html.count("<svg") == html.count('<div class="plot"') == 1


def test_provenance_is_below_all_sections() -> None:
    provenance = ["Code of the runs: commit abc.", "Devices: 1 × cpu."]
    text, html = to_markdown(page(provenance=provenance)), to_html(page(provenance=provenance))
    assert text.index("## One") < text.index("- Code of the runs: commit abc.")
    assert "<li>Devices: 1 × cpu.</li>" in html
    assert "How it was made" not in to_markdown(page())


def test_commands_may_contain_backticks() -> None:
    text = to_markdown(Page("x", "y", [], ["echo '```'", "ls"]))
    assert text.endswith("````\necho '```'\nls\n````\n")
