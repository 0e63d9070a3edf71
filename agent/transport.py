"""How a device that speaks HTTP is reached: the seam, its real side, and JSON over it."""

import base64
import select
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final, Protocol
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

from fleet.errors import ConfigurationError, DeviceError

JsonObject = Mapping[str, object]

MAX_ANSWER_BYTES: Final = 4 * 2**20
_HEADERS: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_IN_PATHS: Final = "/?&=$*()%!'+,;:@[]"
_decoder: Final = msgspec.json.Decoder()


class NoAnswerError(DeviceError):
    """The device did not answer at all, so asking it for more is a waste of time."""


class Transport(Protocol):
    """One device's requests; `HttpTransport` and in-process devices have this shape."""

    def request(self, method: str, path: str, body: bytes | None = None, /) -> tuple[int, bytes]:
        """HTTP status and body; NoAnswerError if nothing came back. Safe between threads."""


class Endpoint:
    """An http:// or https:// address, without a connection yet; user and password may stand in it.

    http.client and not httpx: a small device read each second is most of what an agent costs, and
    httpx takes four times the CPU.
    """

    def __init__(self, url: str) -> None:
        """Raises ConfigurationError when it is not an address."""
        self.name = address(url)
        self._parts = urlsplit(url)
        self.headers = _HEADERS | _log_in(self._parts)

    def connection(self, timeout_s: float) -> HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme == "https":
            return HTTPSConnection(host, self._parts.port, timeout=timeout_s, context=trusted())
        return HTTPConnection(host, self._parts.port, timeout=timeout_s)

    def target(self, path: str) -> str:
        """What stands in the first line of a request; a fragment is no business of the device's."""
        return quote(self._parts.path.rstrip("/") + path.partition("#")[0], safe=_IN_PATHS) or "/"

    @property
    def whole(self) -> str:
        """The target that the address itself names."""
        query = f"?{self._parts.query}" if self._parts.query else ""
        return quote((self._parts.path or "/") + query, safe=_IN_PATHS)


@cache
def trusted() -> ssl.SSLContext:
    """The certificates that this host trusts; reading them takes long, so once a process."""
    return ssl.create_default_context()


def _log_in(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


class HttpTransport:
    """A device at `base_url`; user and password may stand in the address.

    The timeout is short, and holds for each step of a request: a device that hangs must not hold
    up a tick. Connections are kept for the next request.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 0.5) -> None:
        self._endpoint = Endpoint(base_url)
        self._timeout_s = timeout_s
        self._idle: deque[HTTPConnection] = deque()
        self.name = self._endpoint.name

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            connection.request(method, self._endpoint.target(path), body, self._endpoint.headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            reason = str(error) or type(error).__name__
            raise NoAnswerError(f"{self.name} does not answer: {reason}") from error
        if len(answer) > MAX_ANSWER_BYTES:
            connection.close()
            raise DeviceError(f"{self.name}: answer of more than {MAX_ANSWER_BYTES} bytes")
        self._idle.append(connection)
        return response.status, answer

    def _connection(self) -> HTTPConnection:
        """One that is open as far as can be seen, else a new one."""
        while self._idle:
            with suppress(IndexError):  # another thread was first
                connection = self._idle.pop()
                if connection.sock is not None and not _readable(connection.sock):
                    return connection
                connection.close()
        return self._endpoint.connection(self._timeout_s)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


def _readable(idle: socket.socket) -> bool:
    """Before a request there is nothing to read but the other side's end."""
    poller = select.poll()
    poller.register(idle, select.POLLIN)
    return bool(poller.poll(0))


def address(url: str) -> str:
    """The address without its password, for messages; ConfigurationError if it is not one."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is not an address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{url!r} is not an http:// or https:// address")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port is None else f"{host}:{port}"
    return parts._replace(netloc=place, fragment="").geturl()


def get_json(transport: Transport, path: str) -> JsonObject:
    """DeviceError when the status is not 200 or the body is not a JSON object."""
    status, body = transport.request("GET", path)
    if status != HTTPStatus.OK:
        raise DeviceError(f"GET {path}: {refusal(status, body)}")
    return json_object(body, f"GET {path}")


def post_json(transport: Transport, path: str, document: object) -> JsonObject:
    """What an action answers; DeviceError when the device refuses it or answers no object."""
    status, answer = transport.request("POST", path, msgspec.json.encode(document))
    if status != HTTPStatus.OK:
        raise DeviceError(f"POST {path}: {refusal(status, answer)}")
    return json_object(answer, f"POST {path}")


def send_json(transport: Transport, method: str, path: str, document: object) -> None:
    """DeviceError when the device does not take it; its own words are in the message."""
    body = None if document is None else msgspec.json.encode(document)
    status, answer = transport.request(method, path, body)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise DeviceError(f"{method} {path}: {refusal(status, answer)}")


def json_object(data: bytes, where: str) -> JsonObject:
    try:
        document = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DeviceError(f"{where}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DeviceError(f"{where}: a JSON {type(document).__name__} where an object is expected")
    return document


def refusal(status: int, body: bytes) -> str:
    """One line of an error answer, in Redfish form or in problem form where it has one."""
    with suppress(DeviceError):
        document = json_object(body, "")
        error = document.get("error")
        text = error.get("message") if isinstance(error, dict) else document.get("detail")
        if isinstance(text, str) and text:
            return f"HTTP {status}: {text[:200]}"
    return f"HTTP {status}"


class NoTransport:
    """Stands where a sled has no such device; whoever asks for it learns so."""

    def __init__(self, what: str) -> None:
        self._what = what

    def request(self, _method: str, _path: str, _body: bytes | None = None, /) -> tuple[int, bytes]:
        raise NoAnswerError(f"this sled has no {self._what}")

    def close(self) -> None:
        """Nothing is held."""
