"""The outermost layer of every request: who may ask, what it is called, and that it never leaks."""

import re
import secrets
import traceback
from ipaddress import ip_address
from typing import Final

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.counters import Counters
from api.options import LOOPBACK_NAMES, ApiOptions
from api.problems import problem_response

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS: Final = _SAFE_METHODS | {"POST", "PUT", "PATCH", "DELETE"}
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TOO_LARGE: Final = "the request's body is larger than this server takes"
_log: Final = structlog.get_logger(__name__)


class Boundary:
    """Names a request, checks its Host and Origin, and turns what nothing caught into a 500.

    A page from elsewhere can make a browser call a loopback server: by a name of its own that
    resolves to 127.0.0.1 (DNS rebinding; Host is then a foreign name), or by a plain form (Origin
    is then foreign). Both are refused. An address as Host can not be rebound, so all are taken.
    """

    def __init__(self, app: ASGIApp, options: ApiOptions, counters: Counters) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in (*LOOPBACK_NAMES, *options.allowed_hosts))
        self._max_body_bytes = options.max_body_bytes
        self._counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                await self._websocket(scope, receive, send)
            case _:
                await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                _stamp(MutableHeaders(scope=message), request_id)
            await send(message)

        refusal = self._refusal(headers, writes=scope["method"] not in _SAFE_METHODS)
        if refusal is None and _length(headers) > self._max_body_bytes:
            refusal = 413, _TOO_LARGE
        try:
            if refusal is None:
                await self._app(scope, self._bounded(receive), named)
            else:
                await problem_response(Request(scope), *refusal)(scope, receive, named)
        except Exception as error:
            _log.error(
                "request failed",
                request_id=request_id,
                path=scope["path"],
                # Made here, since the usual renderer adds every local variable: secrets, and
                # seconds in which nobody else is answered.
                exception="".join(traceback.format_exception(error)),
            )
            if status:
                raise  # part of an answer is out already: the connection must end
            detail = f"a fault in the server ({type(error).__name__}); its log has {request_id}"
            await problem_response(Request(scope), 500, detail)(scope, receive, named)
        # Method names are the sender's; anything outside the few known ones shares a label.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._counters.requests[method, str(status)] += 1

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Headers(scope=scope), writes=True)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        self._counters.sockets_refused["host" if refusal[0] == 421 else "origin"] += 1
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})

    def _bounded(self, receive: Receive) -> Receive:
        # A body without a Content-Length shows its size only as it comes.
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body_bytes:
                raise HTTPException(413, _TOO_LARGE)
            return message

        return bounded

    def _refusal(self, headers: Headers, *, writes: bool) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, f"this server is not {host[:100]!r}; add the name to its allowed hosts"
        origin = headers.get("origin")
        if writes and origin is not None and origin.partition("://")[2].lower() != host.lower():
            return 403, f"a page of {origin[:100]!r} may not act here"
        return None

    def _is_ours(self, host: str) -> bool:
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") <= 1:
            name = name.partition(":")[0]
        if name in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


def _length(headers: Headers) -> int:
    given = headers.get("content-length", "")
    return int(given) if given.isdecimal() else 0


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _stamp(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-ID"] = request_id
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Cache-Control", "no-store")
