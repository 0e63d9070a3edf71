"""A data center with its page, and what the tests ask of a page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page

from api.app import create_app
from api.client import ApiClient
from api.options import ApiOptions
from api.server import ApiServer
from fleet.clock import Clock
from isotherm.up.embedded import EmbeddedDatacenter

WAIT_S = 15.0
"""Longer than any step of the page takes on a busy machine."""
POLL_MS = 100
FIRST_FRAME = "(window.__fleet?.probe('h1/us01/r1/s01/c0').value ?? null) !== null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running data center; `url` is where its page is."""

    datacenter: EmbeddedDatacenter
    clock: Clock
    url: str
    api: ApiClient

    def serve(self, port: int = 0) -> ApiServer:
        """One more API on the same data center, not started: for tests that stop it."""
        options = ApiOptions(port=port)
        center = self.datacenter
        app = create_app(options, center.fleet_map, center.store, center.bus, self.clock)
        return ApiServer(app, options)


@dataclass(slots=True, kw_only=True)
class Opened:
    """A page in the browser and everything that it complained about."""

    page: Page
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def load(self, url: str) -> None:
        """Returns when the first live frame is there."""
        self.page.on("console", lambda said: self._note(said.type, said.text))
        self.page.on("pageerror", lambda error: self._note("error", str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.goto(url)
        # Not playwright's own waiting, which evaluates strings: the page's policy forbids that.
        self.wait_until(lambda: bool(self.page.evaluate(FIRST_FRAME)), "the first live frame")

    def probe(self, chip_id: str) -> dict[str, Any]:
        """What the heat map shows of a chip: value, mark, colour of the pixel."""
        found: dict[str, Any] = self.page.evaluate("id => window.__fleet.probe(id)", chip_id)
        return found

    def wait_until(
        self, condition: Callable[[], bool], what: str, timeout_s: float = WAIT_S
    ) -> None:
        deadline_s = monotonic() + timeout_s
        while not condition():
            assert monotonic() < deadline_s, f"not within {timeout_s:g} s: {what}"
            self.page.wait_for_timeout(POLL_MS)

    def foreign(self, url: str) -> list[str]:
        """Requests that left the page's own origin."""
        own = urlsplit(url).netloc
        return [asked for asked in self.asked if urlsplit(asked).netloc not in {own, ""}]

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.errors.append(text)
