"""How a device that speaks HTTP is reached: the seam, its real side, and JSON over it."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import Final, Protocol

import httpx
import msgspec

from fleet.errors import ConfigurationError, DeviceError

JsonObject = Mapping[str, object]

MAX_ANSWER_BYTES: Final = 4 * 2**20
_HEADERS: Final = {"Content-Type": "application/json", "Accept": "application/json"}
_decoder: Final = msgspec.json.Decoder()


class NoAnswerError(DeviceError):
    """The device did not answer at all, so asking it for more is a waste of time."""


class Transport(Protocol):
    """One device's requests; `HttpTransport` and in-process devices have this shape."""

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """HTTP status and body; NoAnswerError if nothing came back. Safe between threads."""


@cache
def trusted() -> ssl.SSLContext:
    """The certificates that this host trusts; reading them takes 0.1 s, so once a process."""
    return httpx.create_ssl_context(trust_env=False)


class HttpTransport:
    """A device at `base_url`; user and password may stand in the address.

    Both timeouts are short: a device that hangs must not hold up a tick.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 0.5) -> None:
        self.name = address(base_url)
        self._client = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(timeout_s),
            headers=_HEADERS,
            trust_env=False,
            verify=trusted(),
        )

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        try:
            with self._client.stream(method, path, content=body) as response:
                return response.status_code, self._body(response)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise NoAnswerError(f"{self.name} does not answer: {reason}") from error

    def _body(self, response: httpx.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise DeviceError(f"{self.name}: answer of more than {MAX_ANSWER_BYTES} bytes")
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self._client.close()


def address(url: str) -> str:
    """The address without its password, for messages; ConfigurationError if it is not one."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{url!r} is not an address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"{url!r} is not an http:// or https:// address")
    return str(parsed.copy_with(userinfo=b""))


def get_json(transport: Transport, path: str) -> JsonObject:
    """DeviceError when the status is not 200 or the body is not a JSON object."""
    status, body = transport.request("GET", path)
    if status != HTTPStatus.OK:
        raise DeviceError(f"GET {path}: {refusal(status, body)}")
    return json_object(body, f"GET {path}")


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

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:  # noqa: ARG002 - the seam's shape
        raise NoAnswerError(f"this sled has no {self._what}")

    def close(self) -> None:
        """Nothing is held."""
