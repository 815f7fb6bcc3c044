"""A report as one self-contained HTML page, and as Markdown with figures and tables beside it."""

from __future__ import annotations

import base64
import csv
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfplay.report.figures import Drawing, style
from selfplay.report.findings import Finding
from selfplay.runs.files import write_bytes

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    name: str  # of its files: empty, or such as hex-size-3
    title: str
    text: Sequence[str] = ()
    table: Table | None = None
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: what it is about.
        lead: the answer, in a sentence or two.
        sections: the figures, and then the tables.
        commands: those that made what is reported.
        made: when, by which code and on what, a sentence each.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    commands: Sequence[str]
    made: Sequence[str] = ()


def write(page: Page, folder: Path) -> None:
    """index.html, report.md, and for each figure a PNG, an SVG and a CSV.

    Figures and numbers that an earlier report left there, and this one does not have, are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.md"
    files = {"index.html": to_html(page).encode(), report.name: to_markdown(page).encode()}
    for section in page.sections:
        for finding in section.findings:
            files |= _beside(finding, _stem(section, finding))
    for name in _linked(report) - files.keys():
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        write_bytes(folder / name, data)


def single(finding: Finding) -> dict[str, bytes]:
    """Makes the files of a finding that is no part of a page: Markdown, figure and numbers."""
    text = _joined([f"# {_escaped(finding.title)}", *_markdown_finding(finding, finding.name)])
    return {f"{finding.name}.md": text.encode(), **_beside(finding, finding.name)}


def _beside(finding: Finding, stem: str) -> dict[str, bytes]:
    """Makes the figure and the numbers of a finding, as files by name."""
    files = {}
    if finding.drawing:
        files[f"{stem}.svg"] = _svg(finding.drawing)
        files[f"{stem}.png"] = _image(finding.drawing, "png")
    if numbers := _numbers(finding):
        files[f"{stem}.csv"] = _csv(numbers)
    return files


def _linked(report: Path) -> set[str]:
    """The files beside a report that it has links to; none if there is no report."""
    text = report.read_text("utf-8") if report.exists() else ""
    stems = re.findall(r"\]\(([\w-]+)\.(?:png|csv)\)", text)
    return {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png", "csv")}


def to_markdown(page: Page) -> str:
    """The report; its figures lie beside it."""
    parts = [f"# {_escaped(page.title)}", _escaped(page.lead)]
    for section in page.sections:
        parts += [f"## {_escaped(section.title)}", *map(_escaped, section.text)]
        parts += _markdown_table(section.table) if section.table else []
        for finding in section.findings:
            parts.append(f"### {_escaped(finding.title)}")
            parts += _markdown_finding(finding, _stem(section, finding))
    if page.made:
        parts += ["## How it was made", "\n".join(f"- {_escaped(text)}" for text in page.made)]
    commands = "\n".join(page.commands)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", commands)), default=0))
    parts += ["## Commands", f"{fence}\n{commands}\n{fence}"]
    return _joined(parts)


def _markdown_finding(finding: Finding, stem: str) -> list[str]:
    """Makes the parts below a finding's heading; an empty one counts for nothing."""
    parts = []
    if finding.drawing:
        parts.append(f"![{_escaped(finding.title)}]({stem}.png)")
        parts.append(_escaped(finding.drawing.caption))
    parts.append(_escaped(finding.note))
    parts.append("\n".join(f"- {_escaped(sentence)}" for sentence in finding.sentences))
    parts += _markdown_table(finding.table) if finding.table else []
    parts += [f"[The numbers]({stem}.csv)"] if _numbers(finding) else []
    return parts


def _joined(parts: Sequence[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def to_html(page: Page) -> str:
    """The report in one file: nothing is loaded from elsewhere."""
    parts = [f"<h1>{_text(page.title)}</h1>", f'<p class="lead">{_text(page.lead)}</p>']
    for section in page.sections:
        parts.append(f"<section><h2>{_text(section.title)}</h2>")
        parts += [f"<p>{_text(text)}</p>" for text in section.text]
        parts += [_html_table(section.table)] if section.table else []
        for finding in section.findings:
            parts.append(f"<article><h3>{_text(finding.title)}</h3>")
            parts += [_html_figure(finding.title, finding.drawing)] if finding.drawing else []
            parts += [f"<p>{_text(finding.note)}</p>"] if finding.note else []
            parts.append(_html_list(finding.sentences))
            parts += [_html_table(finding.table)] if finding.table else []
            parts += [_download(_stem(section, finding), n)] if (n := _numbers(finding)) else []
            parts.append("</article>")
        parts.append("</section>")
    if page.made:
        parts.append(f"<section><h2>How it was made</h2>{_html_list(page.made)}</section>")
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


# Figures keep their white paper in the dark: their colors were chosen for it.
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


def _numbers(finding: Finding) -> Table | None:
    """What is in its figure, or else its table."""
    if finding.drawing:
        return finding.drawing.header, finding.drawing.rows
    return finding.table


def _download(stem: str, numbers: Table) -> str:
    """A link that holds the numbers themselves."""
    data = base64.b64encode(_csv(numbers)).decode()
    return f'<p><a download="{stem}.csv" href="data:text/csv;base64,{data}">The numbers</a></p>'


def _image(drawing: Drawing, kind: str) -> bytes:
    data = io.BytesIO()
    with style():  # no date, so that the same figure is the same file
        metadata = {"Date": None} if kind == "svg" else None
        drawing.figure.savefig(data, format=kind, dpi=160, metadata=metadata)
    return data.getvalue()


def _svg(drawing: Drawing) -> bytes:
    return _image(drawing, "svg")


def _csv(table: Table) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table[0], *table[1]])
    return text.getvalue().encode()


def _text(text: str) -> str:
    """Escaped, with `code` in its own type and powers of ten raised."""
    raised = re.sub(r"10\^(-?\d+(?:\.\d+)?)", r"10<sup>\1</sup>", html.escape(text))
    pieces = raised.split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))


def _escaped(text: str) -> str:
    """Text in which nothing but `code` is Markdown: no name makes a table, a formula or a tag."""
    pieces = re.split("`+", " ".join(text.split()))  # quotes in a row would match no single one
    if len(pieces) % 2 == 0:  # a quote without its end is a character
        pieces[-2:] = ["\\`".join(pieces[-2:])]
    marked = (
        piece if i % 2 else re.sub(r"([\\*|$<>\[\]#~]|\b_|_\b)", r"\\\1", piece)
        for i, piece in enumerate(pieces)
    )
    return "`".join(marked)


def _html_figure(title: str, drawing: Drawing) -> str:
    """The figure on its paper, which scrolls where it would be too small to read."""
    svg = _svg(drawing).decode()
    label = html.escape(title, quote=True)
    least = f"--least: {drawing.figure.get_figwidth() * 5:.0f}rem"
    words = f"<figcaption>{_text(drawing.caption)}</figcaption>" if drawing.caption else ""
    return (
        f'<figure><div class="plot" role="img" aria-label="{label}" style="{least}" tabindex="0">'
        f"{svg[svg.index('<svg') :]}</div>{words}</figure>"
    )


def _html_list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(sentence)}</li>' for sentence in sentences)}</ul>"


def _narrowed(table: Table) -> tuple[Table, str]:
    """Without the columns that say the same in every row, and a sentence that says it once."""
    header, rows = table
    if len(rows) < 2:
        return table, ""
    columns = list(zip(*rows, strict=True))
    kept = [i for i, column in enumerate(columns) if len(set(map(str, column))) > 1]
    same = [f"{header[i]} {columns[i][0]}" for i in range(len(header)) if i not in kept]
    if not kept or not same:
        return table, ""
    narrow = [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
    return narrow, f"In every row: {', '.join(same)}."


def _html_table(table: Table) -> str:
    (names, lines), same = _narrowed(table)
    numbers = [all(_is_number(line[i]) for line in lines) for i in range(len(names))]
    header = "".join(
        f"<th{' class=number' if number else ''}>{_breakable(_text(str(name)))}</th>"
        for name, number in zip(names, numbers, strict=True)
    )
    rows = "".join(f"<tr>{''.join(map(_html_cell, line))}</tr>" for line in lines)
    below = f"<p>{_text(same)}</p>" if same else ""
    body = f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="table" tabindex="0">{body}{below}</div>'


def _breakable(text: str) -> str:
    """A long name of a field may go on in the next line."""
    return re.sub(r"(?<=\w)([._])(?=\w)", r"\1<wbr>", text)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or bool(
        re.fullmatch(r"[+−-]?\d[\d,]*(\.\d+)?(e[+-]\d+)?", str(value))
    )


def _html_cell(value: Any) -> str:
    return f"<td{' class=number' if _is_number(value) else ''}>{_text(str(value))}</td>"


def _markdown_table(table: Table) -> list[str]:
    """The table, and what is the same in all its rows."""
    (names, rows), same = _narrowed(table)
    lines = [[_cell(name) for name in names], ["---"] * len(names)]
    lines += [[_cell(value) for value in row] for row in rows]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines), _escaped(same)]


def _cell(value: Any) -> str:
    """A bar ends a cell even inside of `code`."""
    return re.sub(r"(?<!\\)\|", r"\\|", _escaped(str(value)))
