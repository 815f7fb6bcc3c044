"""Who may come in: tokens, cookies, sockets, names of hosts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from selfplay.serve.web import door
from selfplay.serve.web.door import Door


def ask(
    token: str, path: str = "/", query: str = "", kind: str = "http", **headers: str
) -> tuple[int, dict[str, str]]:
    """Sends one request through the door; returns the status, or a socket's code, and headers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"inside"})
        else:
            await send({"type": "websocket.accept"})

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    names = {"host": "127.0.0.1:8080", **{k.replace("_", "-"): v for k, v in headers.items()}}
    scope = {
        "type": kind,
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in names.items()],
    }
    asyncio.run(Door(app, token, 8080)(scope, None, send))  # pyright: ignore[reportArgumentType]
    first = sent[0]
    if kind == "websocket":
        return first.get("code", 0), {}
    return first["status"], {k.decode(): v.decode() for k, v in first["headers"]}


def test_token_in_the_address_becomes_a_cookie_and_the_rest_stays() -> None:
    status, headers = ask("right", "/games", "ladder=a&token=right&player=b")
    assert (status, headers["location"]) == (307, "/games?ladder=a&player=b")
    cookie = headers["set-cookie"].partition(";")[0]
    assert cookie == "oomzero_token_8080=right"
    assert ask("right", cookie=cookie)[0] == 200
    assert ask("right", cookie=cookie, kind="websocket")[0] == 0


def test_nothing_comes_in_without_the_token() -> None:
    for headers in ({}, {"cookie": "oomzero_token_8080=wrong"}, {"cookie": "oomzero_token=right"}):
        assert ask("right", **headers)[0] == 401
        assert ask("right", kind="websocket", **headers)[0] == 1008
    assert ask("right", query="token=wrong")[0] == 401


def test_redirect_stays_on_this_host() -> None:
    assert ask("right", "//elsewhere.example/x", "token=right")[1]["location"].startswith("/else")


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_own_machine_needs_no_token(host: str) -> None:
    status, headers = ask("", host=host)
    assert status == 200
    assert "img-src 'self'" in headers["content-security-policy"]


def test_page_elsewhere_whose_name_points_here_is_refused() -> None:
    assert ask("", host="rebound.example:8080")[0] == 403
    assert ask("", host="rebound.example:8080", kind="websocket")[0] == 1008


def test_large_uploads_are_refused_before_they_are_read() -> None:
    assert ask("", content_length=str(door.MOST + 1))[0] == 413


@pytest.mark.parametrize("token", ["a+b", "a b", "ключ"])
def test_token_that_no_address_can_carry_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="must consist of letters, digits"):
        door.check("0.0.0.0", token)
