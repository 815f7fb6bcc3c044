"""Who may come in: visitors with the token, and only under this machine's own names without one."""

from __future__ import annotations

import hmac
import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN = re.compile(r"[A-Za-z0-9_-]+")
COOKIE = "oomzero_token"
MOST = 2 << 20  # bytes that a visitor may send at once
# Pages need scripts of their own; nothing on them may point to another host.
POLICY = (
    "img-src 'self' data: blob:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self'"
)


def check(host: str, token: str) -> None:
    """Raises ValueError if the door would stand open, or the token cannot be part of an address."""
    if host not in LOOPBACK and not token:
        raise ValueError(
            f"--host {host} lets other machines in, so visitors need a token: add --token WORD, or "
            "--token random"
        )
    if token and not TOKEN.fullmatch(token):
        raise ValueError(f"--token {token!r} must consist of letters, digits, - and _")


class Door:
    """Refuses requests and sockets that may not come in, before any page sees them.

    With a token: those that have it neither in the address nor in a cookie. Without one: those that
    name another host, such as pages elsewhere whose name was pointed to this machine.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._cookie = f"{COOKIE}_{port}"  # cookies are shared by the ports of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_policy(send))
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        """Returns the answer to a request that is not passed on."""
        headers = Headers(scope=scope)
        if int(headers.get("content-length", "0") or 0) > MOST:
            return PlainTextResponse(f"More than {MOST} bytes at once are not taken.", 413)
        if not self._token:
            if _name(headers.get("host", "")) in LOOPBACK:
                return None
            return PlainTextResponse("This page is for visitors from its own machine.", 403)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name == "token" and self._is_token(value) for name, value in query):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            path = "/" + scope["path"].lstrip("/")  # two slashes would name another host
            answer = RedirectResponse(path + (f"?{rest}" if rest else ""))
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return answer
        if self._is_token(_cookie(headers.get("cookie", ""), self._cookie)):
            return None
        return PlainTextResponse("This page needs its token: open the address with ?token=…", 401)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


def _with_policy(send: Send) -> Send:
    """Adds the policy of what pages may load to every answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            policy = (b"content-security-policy", POLICY.encode())
            message = {**message, "headers": [*message.get("headers", []), policy]}
        await send(message)

    return sending


def _name(host: str) -> str:
    """Returns the name in a Host header, without its port and without brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _cookie(header: str, name: str) -> str:
    try:
        morsel = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""
