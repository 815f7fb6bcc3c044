"""What all pages share: the head with its links, light and dark, and the listener of the boards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from nicegui import ui

from selfplay.serve.web.palette import CSS

LINKS = {"Play": "/", "Runs": "/runs", "Ladders": "/ladders", "Studies": "/studies"}
THEME = "oomzero-theme"  # in a browser's storage
LISTENER = """
<script>
function chosen(event) {
  const target = event.target.closest('[data-action]');
  if (target) emitEvent('move', Number(target.dataset.action));
}
document.addEventListener('click', chosen);
document.addEventListener('keydown', event => {
  if (event.key !== 'Enter' && event.key !== ' ') return;
  if (!event.target.closest('[data-action]')) return;
  event.preventDefault();
  chosen(event);
});
let focused = null;  // the cell to which the keyboard returns when a board was drawn again
document.addEventListener('focusin', event => {
  focused = event.target.closest('[data-action]')?.dataset.action ?? null;
});
new MutationObserver(() => {
  if (focused === null || document.activeElement !== document.body) return;
  const again = document.querySelector(`[data-action="${focused}"]`)
    ?? document.querySelector('[data-action]');
  if (again) again.focus({preventScroll: true});
}).observe(document.body, {childList: true, subtree: true});
</script>
"""


@contextmanager
def frame(current: str) -> Iterator[None]:
    """Draws the head of a page, and puts what follows below it."""
    ui.add_css(CSS)
    ui.colors(primary="#0072b2")
    dark = ui.dark_mode()
    ui.context.client.on_connect(lambda: _restore(dark))
    ui.page_title(f"oomzero · {current}")
    with ui.element("header").classes("top"):
        ui.link("oomzero", "/").classes("name")
        with ui.element("nav").props('aria-label="pages"'):
            for name, target in LINKS.items():
                link = ui.link(name, target)
                if name == current:
                    link.props('aria-current="page"')
        ui.space()
        button("Light or dark", lambda: _switch(dark))
    with ui.element("div").classes("page"):
        yield


async def _restore(dark: ui.dark_mode) -> None:
    """Takes up the choice that the visitor's browser remembers."""
    dark.set_value(await ui.run_javascript(f"localStorage.getItem('{THEME}')") == "dark")


def _switch(dark: ui.dark_mode) -> None:
    dark.toggle()
    name = "dark" if dark.value else "light"
    ui.run_javascript(f"localStorage.setItem('{THEME}', '{name}')")


def heading(text: str) -> None:
    """Draws the title of a page."""
    ui.label(text).props("role=heading aria-level=1").classes("title")


def hidden_heading(text: str) -> None:
    """Names a page for those who hear it."""
    ui.label(text).props("role=heading aria-level=1").classes("heard")


def list_links(page: str, names: Mapping[str, object], if_none: str) -> None:
    """Draws a page that links to what it lists."""
    with frame(page):
        heading(page)
        for name in names:
            ui.link(name, f"{LINKS[page]}/{quote(name)}").classes("block")
        if not names:
            ui.label(if_none).classes("pale")


def listen_to_boards() -> None:
    """Lets clicks and keys on a board's cells arrive as the event "move"."""
    ui.add_body_html(LISTENER)


def button(text: str, on_click: object, *, main: bool = False) -> ui.button:
    """Draws a button in the page's style."""
    drawn = ui.button(text, on_click=on_click, color=None)  # pyright: ignore[reportArgumentType]
    drawn.classes("main" if main else "plain")
    return drawn.props("no-caps unelevated" if main else "flat")


def chart(options: dict[str, Any], height: str, title: str) -> ui.echart:
    """Draws a chart as SVG, whose text takes the page's colors, light or dark."""
    drawn = ui.echart(options, renderer="svg").classes("chart")
    drawn.props["role"], drawn.props["aria-label"] = "img", spoken(title, options)
    return drawn.style(f"height: {height}; width: 100%")


def redraw(drawn: ui.echart, options: dict[str, Any], title: str) -> None:
    """Gives a chart new options, and the words for them."""
    drawn.options.clear()
    drawn.options.update(options)
    drawn.props["aria-label"] = spoken(title, options)
    drawn.update()


def spoken(title: str, options: dict[str, Any]) -> str:
    """Returns a chart in words, for those who hear the page: where each named line ends."""
    ends = [
        f"{line['name']} {line['data'][-1][1]:.4g} at {line['data'][-1][0]:.4g}"
        for line in options["series"]
        if line["type"] == "line" and line.get("name") and line["data"]
    ]
    return f"{title}: {', '.join(ends)}" if ends else title
