"""Colors and type of the page: those of the figures, on light and on dark ground.

Text has a contrast of at least 4.5:1 with its ground, shapes that carry meaning 3:1 (WCAG AA).
"""

from __future__ import annotations

import re

from selfplay.style.figure_style import HUES

LIGHT = {
    "ground": "#fbfaf8",
    "panel": "#ffffff",
    "ink": "#222222",
    "pale": "#5f6368",
    "line": "#d9d6d0",
    "accent": HUES[0],
    "on-accent": "#ffffff",
    "first": HUES[0],
    "second": HUES[1],
    "board": "#e9e4da",
    "hole": "#fbfaf8",
    "grid": "#827c70",
    "good": HUES[2],
    "bad": HUES[7],
}
DARK = {
    "ground": "#16181c",
    "panel": "#1f2228",
    "ink": "#ececec",
    "pale": "#a8adb5",
    "line": "#3a3f48",
    "accent": "#5cb0e6",
    "on-accent": "#10131a",
    "first": "#5cb0e6",
    "second": "#f0914d",
    "board": "#2c3038",
    "hole": "#16181c",
    "grid": "#7d8592",
    "good": "#4cc79a",
    "bad": "#ff8a8f",
}
GRID = {"lineStyle": {"color": "#80808040"}}  # of charts, on light and on dark ground
SERIES = (*HUES[:5], "#767676")  # of charts, which know no CSS variables
WOOD, CARVED = "#dcb878", "#241a06"  # a board of Go, and text on it
PALEST, STRONGEST = 0.15, 0.45  # opacity of what is laid under text on a board
BETWEEN = "#8c8c8c60"  # the middle of a scale with two ends, on light and on dark ground
_RAISED = str.maketrans("0123456789.-", "⁰¹²³⁴⁵⁶⁷⁸⁹·⁻")


def raised(text: str) -> str:
    """Writes powers of ten for the page: ``10^12.4`` becomes 10¹²·⁴."""
    return re.sub(r"10\^(-?[\d.]+\d)", lambda match: "10" + match[1].translate(_RAISED), text)


def _variables(colors: dict[str, str]) -> str:
    return "".join(f"--{name}: {color};" for name, color in colors.items())


CSS = f"""
:root {{ {_variables(LIGHT)} --radius: 10px; --gap: 16px; }}
body.body--dark {{ {_variables(DARK)} }}
body, .q-layout, .q-page {{ background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
.nicegui-content {{ padding: 0; gap: 0; }}
.title {{ font-weight: 600; font-size: 26px; letter-spacing: -0.01em; line-height: 1.25;
  margin-bottom: 12px; overflow-wrap: anywhere; }}
.top {{ display: flex; align-items: center; gap: 24px; padding: 14px 24px; width: 100%;
  border-bottom: 1px solid var(--line); background: var(--panel); flex-wrap: wrap; }}
.top .name {{ font-weight: 700; font-size: 18px; color: var(--ink); text-decoration: none; }}
.top nav {{ display: flex; gap: 4px; flex-wrap: wrap; }}
.top nav a {{ color: var(--pale); text-decoration: none; padding: 4px 10px;
  border-radius: var(--radius); }}
.top nav a[aria-current] {{ color: var(--accent); font-weight: 600; }}
.top nav a:hover {{ color: var(--ink); }}
.page {{ width: 100%; max-width: 1180px; margin: 0 auto; padding: 24px; }}
.columns {{ display: grid; grid-template-columns: minmax(0, 560px) minmax(280px, 1fr); gap: 32px;
  align-items: start; width: 100%; }}
.columns.even {{ grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px;
  margin: 16px 0; }}
.chart svg text {{ fill: var(--pale) !important; }}
body.body--dark .chart svg path {{ filter: brightness(1.45); }}
.panel {{ background: var(--panel); border: 1px solid var(--line); border-radius: var(--radius);
  padding: 18px; width: 100%; }}
.stack {{ display: flex; flex-direction: column; gap: var(--gap); width: 100%; }}
.row {{ display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }}
.pale {{ color: var(--pale); font-size: 14px; overflow-wrap: anywhere; }}
.block {{ overflow-wrap: anywhere; }}
.heard {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }}
.link {{ color: var(--accent); background: none; border: 0; font: inherit; cursor: pointer; }}
.status {{ font-size: 18px; font-weight: 600; min-height: 27px; }}
.figure {{ font-variant-numeric: tabular-nums; }}
.board {{ display: block; width: 100%; height: auto; max-height: 78vh; touch-action: manipulation;
  user-select: none; }}
.board [data-action] {{ cursor: pointer; outline: none; }}
.board [data-action] .target {{ fill: transparent; }}
.board [data-action]:hover .ghost, .board [data-action]:focus-visible .ghost {{ opacity: 0.45; }}
.board [data-action]:focus-visible .target {{ stroke: var(--accent); stroke-width: 3; }}
.board .ghost {{ opacity: 0; pointer-events: none; }}
.board text {{ fill: var(--pale); font: 500 13px system-ui, sans-serif; text-anchor: middle;
  dominant-baseline: central; pointer-events: none; }}
.board text.on {{ fill: var(--ink); font-weight: 600; font-size: 12px; }}
.board.wood text.on {{ fill: {CARVED}; }}
.q-btn.plain {{ text-transform: none; font-weight: 500; border-radius: var(--radius);
  border: 1px solid var(--line); color: var(--ink) !important; padding: 4px 14px;
  background: var(--panel); box-shadow: none; }}
.q-btn.main {{ text-transform: none; font-weight: 600; border-radius: var(--radius);
  background: var(--accent) !important; color: var(--on-accent) !important; padding: 4px 14px;
  box-shadow: none; }}
.q-slider {{ color: var(--accent) !important; }}
.q-field__native, .q-field__label, .q-item, .q-menu, .q-table, .q-table th {{ color: var(--ink); }}
.q-menu, .q-table__card, .q-table {{ background: var(--panel); box-shadow: none; }}
.report {{ max-width: 72ch; overflow-x: auto; }}
.report h1, .report h2, .report h3 {{ font-weight: 600; line-height: 1.25; margin: 24px 0 8px; }}
.report h1 {{ font-size: 26px; }} .report h2 {{ font-size: 21px; }}
.report h3 {{ font-size: 18px; }}
.paper {{ background: #ffffff; border-radius: var(--radius); max-width: 900px; }}
a {{ color: var(--accent); }}
a:focus-visible, button:focus-visible {{ outline: 2px solid var(--accent); outline-offset: 2px; }}
@media (max-width: 820px) {{
  .columns, .columns.even {{ grid-template-columns: minmax(0, 1fr); gap: 20px; }}
  .page {{ padding: 14px; }} .top {{ padding: 10px 14px; gap: 8px; }}
  .top nav {{ order: 3; width: 100%; }} .top nav a {{ padding: 4px 8px; }}
}}
"""
