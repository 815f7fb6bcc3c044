"""The web application: its pages, who may see them, and the process that serves them."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from nicegui import app, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from selfplay.serve.web import games_page, ladders_page, networks, runs_page, studies_page
from selfplay.serve.web.frame import frame
from selfplay.serve.web.networks import Choice
from selfplay.serve.web.places import Places
from selfplay.serve.web.play_page import PlayPage
from selfplay.serve.web.thinking import BUDGETS, Thinkers, warm_up

COOKIE = "oomzero_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
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
    if host not in LOOPBACK and not token:
        raise ValueError(
            f"--host {host} lets other machines in, so visitors need a token: add --token WORD, or "
            "--token random"
        )
    places = Places.find(folders)
    offered = networks.choices(places)
    thinkers = Thinkers()
    build(places, offered, thinkers, token)
    app.on_startup(lambda: _warm_up(offered, thinkers))
    app.on_shutdown(thinkers.close)
    query = f"/?token={token}" if token else "/"
    announce(f"http://{host}:{port}{query}")
    ui.run(
        host=host,
        port=port,
        title="oomzero",
        show=show,
        reload=False,
        show_welcome_message=False,
        favicon="♟",
    )


def build(places: Places, offered: list[Choice], thinkers: Thinkers, token: str) -> None:
    """Registers the pages."""
    if token:
        app.middleware("http")(_only_with(token))

    @ui.page("/")
    def play() -> None:
        visitor = ui.context.client.id
        if not offered:
            with frame("Play"):
                ui.label("There is no network: the zoo is empty, and no run was given.")
            return
        ui.context.client.on_disconnect(lambda: thinkers.forget(visitor))
        PlayPage.make(visitor, thinkers, offered).build()

    @ui.page("/runs")
    def runs() -> None:
        runs_page.list_page(places)

    @ui.page("/runs/{name:path}")
    def run(name: str) -> None:
        runs_page.run_page(places, unquote(name))

    @ui.page("/ladders")
    def ladders() -> None:
        ladders_page.list_page(places)

    @ui.page("/ladders/{name:path}")
    async def ladder(name: str) -> None:
        await ladders_page.ladder_page(places, unquote(name))

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
        studies_page.study_page(places, unquote(name))


def _only_with(token: str) -> Callable[..., Any]:
    """Returns a middleware that asks for the token: in the address once, then in a cookie."""

    async def check(request: Request, call_next: Callable[..., Any]) -> Response:
        given = request.query_params.get("token", "")
        if hmac.compare_digest(given.encode(), token.encode()):
            response = RedirectResponse(request.url.path)
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict")
            return response
        if hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), token.encode()):
            return await call_next(request)
        return PlainTextResponse("This page needs its token: open the address with ?token=…", 401)

    return check


def _warm_up(offered: list[Choice], thinkers: Thinkers) -> None:
    """Compiles the first network's searches in the background, the usual budget first."""
    if offered:
        rest = [budget for budget in BUDGETS if budget not in FIRST_BUDGETS]
        for budget in (*FIRST_BUDGETS, *rest):
            thinkers.in_background(lambda b=budget: warm_up(networks.load(offered[0].spec), [b]))
