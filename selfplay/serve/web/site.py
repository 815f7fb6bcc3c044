"""The web application: its pages, who may see them, and the process that serves them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from nicegui import app, run, ui

from selfplay.serve.web import door, games_page, ladders_page, networks, runs_page, studies_page
from selfplay.serve.web.frame import frame
from selfplay.serve.web.networks import Choice
from selfplay.serve.web.places import UNREADABLE, Places
from selfplay.serve.web.play_page import PlayPage
from selfplay.serve.web.thinking import BUDGETS, Thinkers, warm_up

FIRST_BUDGETS = (64, 0)  # warmed before the others


def serve(
    folders: Sequence[Path],
    *,
    host: str,
    port: int,
    token: str,
    show: bool,
    announce: Callable[[str], None],
) -> None:
    """Serves the pages until the process ends.

    Args:
        folders: where runs, ladders and studies are.
        host: the address to listen on; other machines reach only addresses that are theirs.
        port: the port.
        token: what visitors must bring; "": nothing, which only the loopback allows.
        show: open a browser.
        announce: gets a sentence with the address.

    Raises:
        ValueError: a folder does not exist, or the host is not the loopback and there is no token.
    """
    door.check(host, token)
    places = Places.find(folders)
    offered = networks.choices(places)
    thinkers = Thinkers()
    build(places, offered, thinkers)
    app.add_middleware(door.Door, token=token, port=port)
    app.on_startup(lambda: _warm_up(offered, thinkers))
    app.on_shutdown(thinkers.close)
    query = f"/?token={token}" if token else "/"
    announce(f"http://{_reachable(host)}:{port}{query}")
    ui.run(
        host=host,
        port=port,
        title="oomzero",
        show=show,
        reload=False,
        show_welcome_message=False,
        favicon="♟",
    )


def build(places: Places, offered: list[Choice], thinkers: Thinkers) -> None:
    """Registers the pages."""

    @ui.page("/")
    async def play() -> None:
        client = ui.context.client
        for choice in offered:
            try:
                version = await run.io_bound(networks.load, choice.spec)
            except UNREADABLE:
                continue
            if version is not None:
                page = PlayPage(client.id, thinkers, offered, choice.spec, version)
                client.on_delete(page.leave)
                page.build()
                return
        with frame("Play"):
            ui.label("There is no network: the zoo is empty, and no run was given.")

    @ui.page("/runs")
    def runs() -> None:
        runs_page.list_page(places)

    @ui.page("/runs/{name:path}")
    def one_run(name: str) -> None:
        runs_page.run_page(places, name)

    @ui.page("/ladders")
    def ladders() -> None:
        ladders_page.list_page(places)

    @ui.page("/ladders/{name:path}")
    async def ladder(name: str) -> None:
        await ladders_page.ladder_page(places, name)

    @ui.page("/games")
    def games(ladder: str = "", player: str = "", run: str = "") -> None:
        if run:
            games_page.of_run(places, run)
        else:
            games_page.of_ladder(places, ladder, player)

    @ui.page("/studies")
    def studies() -> None:
        studies_page.list_page(places)

    @ui.page("/studies/{name:path}")
    def study(name: str) -> None:
        studies_page.study_page(places, name)


def _reachable(host: str) -> str:
    """Returns the name of a host as an address has it; this machine's if the host means all."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _warm_up(offered: list[Choice], thinkers: Thinkers) -> None:
    """Compiles the first network's searches in the background, the usual budget first."""
    if offered:
        rest = [budget for budget in BUDGETS if budget not in FIRST_BUDGETS]
        for budget in (*FIRST_BUDGETS, *rest):
            thinkers.in_background(lambda b=budget: warm_up(networks.load(offered[0].spec), b))
