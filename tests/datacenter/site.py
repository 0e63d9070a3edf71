"""A running data center as a test sees it: the API, the faults, and time that passes."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import msgspec
from standardwebhooks import Webhook

from api.client import ApiClient


class Site(Protocol):
    """The two ways to run have this shape, so that one story is told of both."""

    api: ApiClient

    def until(self, happened: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Let time pass until `happened`, or fail saying what did not."""

    def set_load(self, ratio: float) -> None: ...

    def inject(self, kind: str, place: str, severity: float) -> None: ...

    def clear(self, kind: str, place: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A delivery as it came: headers in lower case, and the raw body."""

    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = msgspec.json.decode(self.body)
        return document

    def verified(self, secret: str) -> dict[str, Any]:
        """The body, if the reference library accepts its signature and its time."""
        document: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return document


class Receiver:
    """A webhook receiver on loopback; answers 204 to every POST."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(Received(headers=headers, body=body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """The test run's output is for results."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook"

    def told_of(self, alertname: str, status: str) -> list[Received]:
        return [
            one
            for one in self.received
            if one.document["status"] == status
            and one.document["groupLabels"]["alertname"] == alertname
        ]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
