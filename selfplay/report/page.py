"""Writes a report as one self-contained HTML page, and as Markdown with figures and tables."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selfplay.report.figures import ReportFigure, style
from selfplay.report.findings import Finding
from selfplay.report.table import Table, Value
from selfplay.runs.files import write_bytes


@dataclass(frozen=True)
class Section:
    """A heading with the text, the table and the findings below it."""

    name: str  # prefix of its files' names: empty, or such as hex-size-3
    title: str
    text: Sequence[str] = ()
    table: Table | None = None
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: of the page.
        lead: the answer, in a sentence or two.
        sections: the figures, and then the tables.
        commands: that trained and rated what is reported.
        provenance: sentences on dates, code, versions and devices.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    commands: Sequence[str]
    provenance: Sequence[str] = ()


def write(page: Page, folder: Path) -> None:
    """Writes index.html, report.md, and for each figure a PNG, an SVG and a CSV.

    Removes the figures and numbers of an earlier report that this one does not have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.md"
    files = {"index.html": to_html(page).encode(), report.name: to_markdown(page).encode()}
    for section in page.sections:
        for finding in section.findings:
            files |= _attachments(finding, _stem(section, finding))
    for name in _linked(report) - files.keys():
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        write_bytes(folder / name, data)


def single(finding: Finding) -> dict[str, bytes]:
    """Makes the files of a single finding without a page: Markdown, figure and numbers."""
    text = _joined([f"# {_escaped(finding.title)}", *_markdown_finding(finding, finding.name)])
    return {f"{finding.name}.md": text.encode(), **_attachments(finding, finding.name)}


def _attachments(finding: Finding, stem: str) -> dict[str, bytes]:
    """Makes the figure and the numbers of a finding, as files by name."""
    files = {}
    if finding.figure:
        files[f"{stem}.svg"] = to_svg(finding.figure)
        files[f"{stem}.png"] = _image(finding.figure, "png")
    if numbers := finding.numbers:
        files[f"{stem}.csv"] = numbers.to_csv()
    return files


def _linked(report: Path) -> set[str]:
    """Finds the names of the files that a report links to; none if there is no report."""
    text = report.read_text("utf-8") if report.exists() else ""
    stems = re.findall(r"\]\(([\w-]+)\.(?:png|csv)\)", text)
    return {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png", "csv")}


def to_markdown(page: Page) -> str:
    """Writes the report as Markdown, with links to the files of its figures."""
    parts = [f"# {_escaped(page.title)}", _escaped(page.lead)]
    for section in page.sections:
        parts += [f"## {_escaped(section.title)}", *map(_escaped, section.text)]
        parts += _markdown_table(section.table) if section.table else []
        for finding in section.findings:
            parts.append(f"### {_escaped(finding.title)}")
            parts += _markdown_finding(finding, _stem(section, finding))
    if page.provenance:
        parts += [
            "## How it was made",
            "\n".join(f"- {_escaped(text)}" for text in page.provenance),
        ]
    commands = "\n".join(page.commands)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", commands)), default=0))
    parts += ["## Commands", f"{fence}\n{commands}\n{fence}"]
    return _joined(parts)


def _markdown_finding(finding: Finding, stem: str) -> list[str]:
    """Writes the parts below a finding's heading; empty parts are to be ignored."""
    parts = []
    if finding.figure:
        parts.append(f"![{_escaped(finding.title)}]({stem}.png)")
        parts.append(_escaped(finding.figure.caption))
    parts.append(_escaped(finding.note))
    parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in finding.sentences))
    parts += _markdown_table(finding.table) if finding.table else []
    parts += [f"[The numbers]({stem}.csv)"] if finding.numbers else []
    return parts


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html(page: Page) -> str:
    """Writes the report as one HTML file that loads nothing from elsewhere."""
    parts = [f"<h1>{_text(page.title)}</h1>", f'<p class="lead">{_text(page.lead)}</p>']
    for section in page.sections:
        parts.append(f"<section><h2>{_text(section.title)}</h2>")
        parts += [f"<p>{_text(text)}</p>" for text in section.text]
        parts += [_html_table(section.table)] if section.table else []
        for finding in section.findings:
            parts.append(f"<article><h3>{_text(finding.title)}</h3>")
            parts += [_html_figure(finding.title, finding.figure)] if finding.figure else []
            parts += [f"<p>{_text(finding.note)}</p>"] if finding.note else []
            parts.append(_html_list(finding.sentences))
            parts += [_html_table(finding.table)] if finding.table else []
            if finding.numbers:
                parts.append(_download(_stem(section, finding), finding.numbers))
            parts.append("</article>")
        parts.append("</section>")
    if page.provenance:
        parts.append(f"<section><h2>How it was made</h2>{_html_list(page.provenance)}</section>")
    commands = html.escape("\n".join(page.commands))
    parts.append(f"<section><h2>Commands</h2><pre>{commands}</pre></section>")
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark">'
        f"<title>{html.escape(page.title)}</title><style>{CSS}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


# Figures keep a white background in dark mode, because their colors were chosen for it.
CSS = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1b; --quiet: #4a4a4a; --rule: #d4d4d4;
  --box: #f5f5f3; --link: #0b5394; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181b; --ink: #e6e4e0; --quiet: #b5b2ac;
  --rule: #3b3e43; --box: #202327; --link: #8ab8ec; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 17px/1.55 Georgia, 'Times New Roman', serif; overflow-wrap: anywhere; }
main { max-width: 54rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1.08rem; margin: 2.2rem 0 .6rem; }
.lead { font-size: 1.15rem; }
figure { margin: .5rem 0 1rem; }
.plot { background: #fff; border-radius: 6px; overflow-x: auto; }
.plot svg { display: block; width: 100%; height: auto; min-width: min(var(--least), 46rem); }
figcaption { color: var(--quiet); font-size: .88rem; line-height: 1.45; margin-top: .5rem; }
ul { padding-left: 1.1rem; margin: .25rem 0 1rem; }
li { margin: .25rem 0; }
.table { overflow-x: auto; margin: .75rem 0 1.25rem; overflow-wrap: normal; }
.table p { margin: .4rem 0 0; font-size: .88rem; color: var(--quiet); }
table { border-collapse: collapse; font: 14px/1.4 system-ui, 'Segoe UI', Arial, sans-serif;
  font-variant-numeric: tabular-nums; }
th, td { padding: .28rem 1rem .28rem 0; text-align: left; border-bottom: 1px solid var(--rule);
  vertical-align: top; }
th { border-bottom: 1.5px solid var(--quiet); font-weight: 600; }
.number { text-align: right; }
td { white-space: nowrap; }
sup { line-height: 0; font-size: .75em; }
code, pre { font: .82em/1.5 ui-monospace, Menlo, Consolas, monospace; }
pre { background: var(--box); padding: .8rem 1rem; overflow-x: auto; white-space: pre-wrap; }
a { color: var(--link); font-size: .9em; }
@media (max-width: 40rem) { body { font-size: 16px; } main { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.6rem; } h2 { margin-top: 2.2rem; } }
@media print { :root { --paper: #fff; --ink: #000; --quiet: #333; --rule: #bbb; }
  a[download] { display: none; }
  main { max-width: none; padding: 0; } article, figure, table { break-inside: avoid; }
  h2, h3 { break-after: avoid; } body { font-size: 11pt; } }
"""


def _stem(section: Section, finding: Finding) -> str:
    return f"{section.name}_{finding.name}" if section.name else finding.name


def _download(stem: str, numbers: Table) -> str:
    """Writes a download link that contains the numbers."""
    data = base64.b64encode(numbers.to_csv()).decode()
    return f'<p><a download="{stem}.csv" href="data:text/csv;base64,{data}">The numbers</a></p>'


def _image(figure: ReportFigure, kind: str) -> bytes:
    data = io.BytesIO()
    with style():
        metadata = {"Date": None} if kind == "svg" else None  # equal figures make equal files
        figure.plot.savefig(data, format=kind, dpi=160, metadata=metadata)
    return data.getvalue()


def to_svg(figure: ReportFigure) -> bytes:
    """Draws a figure as SVG, without a date."""
    return _image(figure, "svg")


def _text(text: str) -> str:
    """Escapes text for HTML, with `code` in a <code> element and the exponents of ten raised."""
    raised = re.sub(r"10\^(-?\d+(?:\.\d+)?)", r"10<sup>\1</sup>", html.escape(text))
    pieces = raised.split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))


def _escaped(text: str) -> str:
    """Escapes all Markdown except `code`, so that no name makes a table, a formula or a tag."""
    pieces = re.split("`+", " ".join(text.split()))  # several backticks would match no single one
    if len(pieces) % 2 == 0:  # the last backtick is unmatched: escape it
        pieces[-2:] = ["\\`".join(pieces[-2:])]
    marked = (
        piece if i % 2 else re.sub(r"([\\*|$<>\[\]#~]|\b_|_\b)", r"\\\1", piece)
        for i, piece in enumerate(pieces)
    )
    return "`".join(marked)


def _html_figure(title: str, figure: ReportFigure) -> str:
    """Writes a figure in a box that scrolls rather than shrink it until it cannot be read."""
    svg = to_svg(figure).decode()
    label = html.escape(title, quote=True)
    least = f"--least: {figure.plot.get_figwidth() * 5:.0f}rem"
    caption = f"<figcaption>{_text(figure.caption)}</figcaption>" if figure.caption else ""
    return (
        f'<figure><div class="plot" role="img" aria-label="{label}" style="{least}" tabindex="0">'
        f"{svg[svg.index('<svg') :]}</div>{caption}</figure>"
    )


def _html_list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(sentence)}</li>' for sentence in sentences)}</ul>"


def _html_table(table: Table) -> str:
    narrow, constants = table.without_constant_columns()
    columns = range(len(narrow.header))
    numbers = [all(_is_number(row[i]) for row in narrow.rows) for i in columns]
    header = "".join(
        f"<th{' class=number' if number else ''}>{_breakable(_text(name))}</th>"
        for name, number in zip(narrow.header, numbers, strict=True)
    )
    rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in narrow.rows)
    below = f"<p>{_text(constants)}</p>" if constants else ""
    body = f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="table" tabindex="0">{body}{below}</div>'


def _breakable(text: str) -> str:
    """Allows line breaks in the long name of a field."""
    return re.sub(r"(?<=\w)([._])(?=\w)", r"\1<wbr>", text)


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) or bool(
        re.fullmatch(r"[+−-]?\d[\d,]*(\.\d+)?(e[+-]\d+)?", str(value))
    )


def _html_cell(value: Value) -> str:
    return f"<td{' class=number' if _is_number(value) else ''}>{_text(str(value))}</td>"


def _markdown_table(table: Table) -> list[str]:
    """Writes the columns that vary, and a sentence on those that do not."""
    narrow, constants = table.without_constant_columns()
    lines = [[_markdown_cell(name) for name in narrow.header], ["---"] * len(narrow.header)]
    lines += [[_markdown_cell(value) for value in row] for row in narrow.rows]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines), _escaped(constants)]


def _markdown_cell(value: Value) -> str:
    """Escapes a value for a table, where a bar ends a cell even inside `code`."""
    return re.sub(r"(?<!\\)\|", r"\\|", _escaped(str(value)))
