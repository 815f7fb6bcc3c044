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

import matplotlib as mpl

from selfplay.scaling.figures import STYLE, Drawing
from selfplay.scaling.findings import Finding
from selfplay.store.files import write_bytes

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
    """A whole report."""

    title: str
    lead: str
    sections: Sequence[Section]
    commands: Sequence[str]


def write(page: Page, folder: Path) -> None:
    """index.html, report.md, and for each figure a PNG, an SVG and a CSV.

    Figures and numbers that an earlier report left there, and this one does not have, are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "report.md"
    files = {"index.html": to_html(page).encode(), report.name: to_markdown(page).encode()}
    for section in page.sections:
        for finding in section.findings:
            stem = _stem(section, finding)
            if finding.drawing:
                files[f"{stem}.svg"] = _svg(finding.drawing)
                files[f"{stem}.png"] = _image(finding.drawing, "png")
            if numbers := _numbers(finding):
                files[f"{stem}.csv"] = _csv(numbers)
    for name in _linked(report) - files.keys():
        (folder / name).unlink(missing_ok=True)
    for name, data in files.items():
        write_bytes(folder / name, data)


def _linked(report: Path) -> set[str]:
    """The files beside a report that it has links to; none if there is no report."""
    text = report.read_text("utf-8") if report.exists() else ""
    stems = re.findall(r"\]\(([\w-]+)\.(?:png|csv)\)", text)
    return {f"{stem}.{kind}" for stem in stems for kind in ("svg", "png", "csv")}


def to_markdown(page: Page) -> str:
    """The report; its figures lie beside it."""
    parts = [f"# {page.title}", page.lead]
    for section in page.sections:
        parts += [f"## {section.title}", *section.text]
        parts += [_markdown_table(section.table)] if section.table else []
        for finding in section.findings:
            parts.append(f"### {finding.title}")
            stem = _stem(section, finding)
            if finding.drawing:
                parts.append(f"![{finding.title}]({stem}.png)")
            parts.append(finding.note)
            parts.append("\n".join(f"- {sentence}" for sentence in finding.sentences))
            parts += [_markdown_table(finding.table)] if finding.table else []
            parts += [f"[The numbers]({stem}.csv)"] if _numbers(finding) else []
    parts += ["## Commands", "```\n" + "\n".join(page.commands) + "\n```"]
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
            if finding.drawing:
                svg = _svg(finding.drawing).decode()
                label = html.escape(finding.title, quote=True)
                parts.append(f'<figure role="img" aria-label="{label}">')
                parts.append(svg[svg.index("<svg") :])
                parts.append("</figure>")
            parts += [f"<p>{_text(finding.note)}</p>"] if finding.note else []
            items = "".join(f"<li>{_text(sentence)}</li>" for sentence in finding.sentences)
            parts.append(f"<ul>{items}</ul>")
            parts += [_html_table(finding.table)] if finding.table else []
            parts += [_download(_stem(section, finding), n)] if (n := _numbers(finding)) else []
            parts.append("</article>")
        parts.append("</section>")
    commands = html.escape("\n".join(page.commands))
    parts.append(f"<section><h2>Commands</h2><pre>{commands}</pre></section>")
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(page.title)}</title><style>{CSS}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


CSS = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1b1b1b; font: 17px/1.55 Georgia, 'Times New Roman',
  serif; }
main { max-width: 46rem; margin: 0 auto; padding: 3rem 1.25rem 5rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .75rem; padding-top: .75rem; border-top: 1px solid #ccc; }
h3 { font-size: 1.08rem; margin: 2.2rem 0 .4rem; }
.lead { font-size: 1.15rem; color: #333; }
figure { margin: .5rem 0 .75rem; }
figure svg { width: 100%; height: auto; }
ul { padding-left: 1.1rem; margin: .25rem 0 1rem; }
li { margin: .2rem 0; }
table { border-collapse: collapse; font: 14px/1.4 system-ui, 'Segoe UI', Arial, sans-serif;
  font-variant-numeric: tabular-nums; margin: .75rem 0 1.25rem; display: block; overflow-x: auto; }
th, td { padding: .28rem .8rem .28rem 0; text-align: left; border-bottom: 1px solid #e4e4e4;
  vertical-align: top; }
th { border-bottom: 1.5px solid #555; font-weight: 600; }
td.number { text-align: right; }
td:first-child { white-space: nowrap; }
sup { line-height: 0; font-size: .75em; }
code, pre { font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
pre { background: #f6f6f4; padding: .8rem 1rem; overflow-x: auto; white-space: pre-wrap; }
a { color: inherit; font-size: .9em; }
@media print { a[download] { display: none; }
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
    with mpl.rc_context(STYLE):  # no date, so that the same figure is the same file
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


def _html_table(table: Table) -> str:
    header = "".join(f"<th>{_breakable(_text(str(name)))}</th>" for name in table[0])
    rows = "".join(f"<tr>{''.join(map(_html_cell, row))}</tr>" for row in table[1])
    return f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"


def _breakable(text: str) -> str:
    """A long name of a field may go on in the next line."""
    return re.sub(r"(?<=\w)([._])(?=\w)", r"\1<wbr>", text)


def _html_cell(value: Any) -> str:
    number = isinstance(value, (int, float)) or str(value)[:1] in ("+", "-", "−")
    return f"<td{' class=number' if number else ''}>{_text(str(value))}</td>"


def _markdown_table(table: Table) -> str:
    lines = [table[0], ["---"] * len(table[0]), *table[1]]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
