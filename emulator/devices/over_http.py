"""Devices over HTTP: `/devices/{id}/bmc`, `/runtime` and `/neuron-monitor`, as a raw ASGI app.

The tool's configuration goes with the request of its stream: `?config=`, or the body of a POST.

Raw, because a hall of agents asks some hundred times a second, and routing, validation and
serialisation by a framework would cost more than the devices do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

import msgspec

from emulator.devices.answer import Answer
from emulator.devices.sled_host import NAMES as HOST_NAMES
from fleet.errors import ConfigurationError, DeviceError, UnknownIdError
from fleet.topology import FleetMap

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_BODY_BYTES: Final = 64 * 1024
STREAM_POLL_S: Final = 0.25
"""How often a stream looks for a new report, and for the end of the process."""

_NDJSON: Final = ("content-type", "application/x-ndjson")
_PREFIX: Final = "/devices/"


class Answering(Protocol):
    """A device that is asked over HTTP."""

    def handle(self, method: str, target: str, body: bytes | None = None) -> Answer: ...


class Lines(Protocol):
    """A stream of neuron-monitor reports."""

    def read_lines(self) -> list[bytes]: ...


class DeviceSource(Protocol):
    """Devices by id, those of a world or those of a recording; each raises UnknownIdError.

    `neuron_monitor` raises ConfigurationError for a configuration that it can not follow.
    """

    @property
    def fleet_map(self) -> FleetMap: ...
    def sled_bmc(self, sled_id: str) -> Answering: ...
    def sled_runtime(self, sled_id: str) -> Answering: ...
    def neuron_monitor(self, sled_id: str, config: bytes | None = None) -> Lines: ...
    def sled_host(self, sled_id: str) -> Answering: ...
    def cdu(self, cdu_id: str) -> Answering: ...


class DeviceApp:
    """ASGI app for paths under `/devices/`. Streams end when `stop` was called."""

    def __init__(self, devices: DeviceSource) -> None:
        self._devices = devices
        self._stopping = False
        # What a marker that ends in a slash stands before is the device's own path.
        self._markers: Mapping[str, Callable[[str, str, str, bytes], Answer]] = {
            "/bmc/": self._bmc,
            "/runtime/": self._runtime,
            **{f"/{name}": self._host for name in HOST_NAMES},
        }

    def stop(self) -> None:
        """May be called from any thread."""
        self._stopping = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = target_of(scope)
        if "/neuron-monitor" in path:
            await self._stream(path, scope["method"], receive, send)
            return
        body = await read_body(receive)
        if body is None:
            await reply(send, too_large())
            return
        answer = self._answer(scope["method"], path, body)
        await reply(send, answer, head=scope["method"] == "HEAD")

    def _answer(self, method: str, target: str, body: bytes) -> Answer:
        for marker, device in self._markers.items():
            owner, found, rest = target.removeprefix(_PREFIX).partition(marker)
            if found and (marker.endswith("/") or rest[:1] in {"", "/", "?"}):
                inner = f"/{rest}" if marker.endswith("/") else f"{marker}{rest}"
                try:
                    return device(owner, method, inner, body)
                except UnknownIdError as error:
                    return problem(404, "Not found", str(error))
                except DeviceError as error:
                    return problem(504, "No answer", str(error))
        return no_resource(target)

    def _bmc(self, owner: str, method: str, target: str, body: bytes) -> Answer:
        if owner in self._devices.fleet_map.cdu_ids:
            return self._devices.cdu(owner).handle(method, target, body)
        return self._devices.sled_bmc(owner).handle(method, target, body)

    def _runtime(self, owner: str, method: str, target: str, body: bytes) -> Answer:
        return self._devices.sled_runtime(owner).handle(method, target, body)

    def _host(self, owner: str, method: str, target: str, body: bytes) -> Answer:
        return self._devices.sled_host(owner).handle(method, target, body)

    async def _stream(self, target: str, method: str, receive: Receive, send: Send) -> None:
        owner, _, rest = target.removeprefix(_PREFIX).partition("/neuron-monitor")
        if rest and not rest.startswith("?"):
            await reply(send, no_resource(target))
            return
        if method not in {"GET", "POST"}:
            refused = problem(405, "Method not allowed", f"{target} takes GET or POST only")
            allow = (("allow", "GET, POST"),)
            await reply(send, Answer(status=405, body=refused.body, headers=allow))
            return
        body = await read_body(receive)
        if body is None:
            await reply(send, too_large())
            return
        asked = parse_qs(rest.removeprefix("?")).get("config", [""])[0]
        try:
            monitor = self._devices.neuron_monitor(owner, body or asked.encode() or None)
        except UnknownIdError as error:
            await reply(send, problem(404, "Not found", str(error)))
            return
        except ConfigurationError as error:
            await reply(send, problem(422, "Not possible", str(error)))
            return
        await _start(send, 200, (_NDJSON, ("cache-control", "no-store")))
        await self._pump(monitor, receive, send)

    async def _pump(self, monitor: Lines, receive: Receive, send: Send) -> None:
        """Lines as they come, until the reader leaves or the process stops."""
        gone = asyncio.ensure_future(receive())
        try:
            while not (gone.done() or self._stopping):
                if lines := monitor.read_lines():
                    chunk = b"".join(lines)
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await asyncio.wait((gone,), timeout=STREAM_POLL_S)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()


def target_of(scope: Scope) -> str:
    """Path and query as they stood on the wire, percent signs included."""
    path = str(scope["raw_path"].decode("latin-1"))
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


async def read_body(receive: Receive) -> bytes | None:
    """The request's body; None when it is larger than any device takes."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > MOST_BODY_BYTES:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def reply(send: Send, answer: Answer, *, head: bool = False) -> None:
    headers = list(answer.headers)
    if answer.status != HTTPStatus.NO_CONTENT:  # which must not say a length
        headers += [
            ("content-type", answer.content_type),
            ("content-length", str(len(answer.body))),
        ]
    await _start(send, answer.status, tuple(headers))
    await send({"type": "http.response.body", "body": b"" if head else answer.body})


async def _start(send: Send, status: int, headers: tuple[tuple[str, str], ...]) -> None:
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})


def problem(status: int, title: str, detail: str) -> Answer:
    """An RFC 9457 body."""
    body = {"title": title, "status": status, "detail": detail}
    return Answer(status=status, body=msgspec.json.encode(body))


def no_resource(target: str) -> Answer:
    return problem(404, "Not found", f"no resource at {target}; GET /devices lists the devices")


def too_large() -> Answer:
    return problem(413, "Body too large", f"a request body may have {MOST_BODY_BYTES} bytes")
